"""What a client asks for, judged by everything that is known before a task is accepted."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from workbench.core.masking import masked_at
from workbench.core.mesh_wire import FRAME_BYTES, PARAMETERS_BYTES, TaskMessage
from workbench.core.own_tokens import refuse_tokens
from workbench.core.task import TaskBook
from workbench.core.task_nouns import INLINE_KEPT, Task
from workbench.core.wire import encode
from workbench.errors import Fault, InputError, shown
from workbench.mesh.content import canonical, content_hash
from workbench.mesh.inputs import Inputs
from workbench.mesh.models import AnyModel, Models, needs_batch, validated

UNKNOWN = "unknown parameter {name} of {model}; allowed: {allowed}"
MISSPELT = "unknown parameter {name} of {model}; did you mean {nearest}? allowed: {allowed}"
NO_INPUT = Fault("inputDataURL", "missing", "a URL, or inline JSON as inputData")

MASKED = (
    "parameters.{name} is the mask of a secret, which was not kept: give the value itself again"
)
OVERHEAD_BYTES = 2048
"""What a waiting task costs besides its parameters and its small inline input."""


class Asking:
    """Makes a task of a `task` message, or says what is wrong with it."""

    def __init__(
        self, models: Models, inputs: Inputs, book: TaskBook, tokens: Collection[str] = ()
    ) -> None:
        self._models, self._inputs, self._book = models, inputs, book
        self._tokens = tokens

    def task(self, message: TaskMessage) -> Task:
        """The task a client asks for. One that is known already is not judged again."""
        parameters = message.parameters or {}
        inline = None if message.input_data is msgspec.UNSET else encode(message.input_data)
        asked = message.model, parameters, message.input_url, inline, message.model_version
        digest = content_hash(*asked)
        known = self._book.entry(message.task_id) or self._book.past(message.task_id)
        name, version, pure, gpu_memory_mb = message.model, "", True, None
        if known is None:
            model = self._models.named(message.model, message.model_version)
            name, version, pure = model.name, model.version, model.pure  # one text for all tasks
            gpu_memory_mb = self._models.gpu_memory_mb(name, version)
            parameters = self._checked(model, message, inline)
        size = len(inline.encode()) if inline is not None else 0
        extra = self._models.extra_inputs(name, version)
        return Task(
            task_id=message.task_id,
            model=name,
            model_version=version,
            pure=pure,
            parameters=parameters,
            input_url=message.input_url,
            inline=inline,
            inline_bytes=size,
            priority=message.priority,
            timeout_ms=message.timeout_ms,
            use_cache=message.use_cache,
            return_logs=message.return_logs is not False,
            content_hash=digest,
            gpu_memory_mb=gpu_memory_mb,
            downloads=message.input_url is not None or any(parameters.get(n) for n in extra),
            weight=OVERHEAD_BYTES + min(size, INLINE_KEPT) + len(canonical(parameters)),
        )

    def _checked(self, model: AnyModel, message: TaskMessage, inline: str | None) -> dict[str, Any]:
        """Validated parameters; every bound on the task that is known before fetching."""
        given = message.parameters or {}
        named = {f"parameters.{name}": value for name, value in given.items()}
        data = None if inline is None else message.input_data
        masked = masked_at(given)
        if masked is not None:
            raise InputError(MASKED, name=masked)
        refuse_tokens({**named, "inputData": data}, self._tokens)
        if inline is None and message.input_url is None and needs_batch(model):
            raise InputError.of([NO_INPUT])
        if given and (size := len(canonical(given))) > PARAMETERS_BYTES:
            raise InputError.field(
                "parameters", f"{size} bytes of JSON", f"at most {PARAMETERS_BYTES} bytes"
            )
        if inline is not None and (size := len(inline.encode())) > FRAME_BYTES:
            raise InputError.field(
                "inputData", f"{size} bytes of JSON", f"at most {FRAME_BYTES} bytes"
            )
        _check_names(model, given)
        parameters = validated(model, given)
        if message.input_url is not None:
            self._inputs.check(message.input_url, "inputDataURL")
        for name in self._models.extra_inputs(model.name, model.version):
            if parameters.get(name):
                self._inputs.check(parameters[name], f"parameters.{name}")
        return parameters


def _check_names(model: AnyModel, given: Mapping[str, Any]) -> None:
    """A misspelt parameter is refused with the nearest right one."""
    known = model.parameter_names
    for name in given:
        if name in known:
            continue
        fault = Fault(f"parameters.{name}", shown(given[name]), ", ".join(known) or "none")
        values = {"name": shown(name), "model": model.name}
        values |= {"field": fault.field, "value": fault.value, "allowed": fault.allowed}
        for nearest in difflib.get_close_matches(name, known, n=1, cutoff=0.7):
            raise InputError(MISSPELT, faults=[fault], nearest=shown(nearest), **values)
        raise InputError(UNKNOWN, faults=[fault], **values)
