"""Every `type` that a client may send to `/ws`."""

from __future__ import annotations

from workbench.core.chat_wire import CHAT_KINDS
from workbench.core.hub_wire import BASE_KINDS, HubMessage
from workbench.core.llm_wire import LLM_KINDS
from workbench.core.metrics_wire import METRICS_KINDS
from workbench.core.models_wire import MODELS_KINDS

KINDS: dict[str, type[HubMessage]] = {
    **BASE_KINDS,
    **CHAT_KINDS,
    **LLM_KINDS,
    **METRICS_KINDS,
    **MODELS_KINDS,
}
