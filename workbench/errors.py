"""Every error of the workbench, told apart by what the catcher should do.

An error carries its sentence as a template plus values, so that a log shows it in
English and a page shows it in the reader's language from the same catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

SHOWN_CHARS = 120


def shown(value: Any) -> str:
    """A value as an error may show it: its repr, cut short."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


class WorkbenchError(Exception):
    """The base. `template` is the English sentence with {names}; `values` fill it."""

    code: ClassVar[str] = "failed"

    def __init__(self, template: str, /, **values: Any) -> None:
        self.template = template
        self.values = values
        super().__init__(template)

    def __str__(self) -> str:
        return self.template.format(**self.values)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where, what stood there, what is allowed there."""

    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field} is {self.value}; allowed: {self.allowed}"


class InputError(WorkbenchError):
    """Something from outside is wrong: mend the input and send it again."""

    code = "invalid"

    def __init__(self, template: str, /, *, faults: Sequence[Fault] = (), **values: Any) -> None:
        super().__init__(template, **values)
        self.faults = tuple(faults)

    @classmethod
    def field(cls, field: str, value: Any, allowed: str) -> InputError:
        """The usual sentence for one faulty field."""
        return cls.of([Fault(field, shown(value), allowed)])

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> InputError:
        """One error that lists every fault. `faults` holds at least one."""
        first = faults[0]
        values = {"field": first.field, "value": first.value, "allowed": first.allowed}
        if len(faults) == 1:
            return cls("{field} is {value}; allowed: {allowed}", faults=faults, **values)
        return cls(
            "{count} faults: {listing}",
            faults=faults,
            count=len(faults),
            listing="; ".join(map(str, faults)),
            **values,
        )


class SettingsError(WorkbenchError):
    """A setting is wrong: change it and start again."""

    code = "settings"


class LinkError(WorkbenchError):
    """The other side cannot be reached, or went away: try again later or elsewhere."""

    code = "link"


class ProtocolError(LinkError):
    """The other side does not speak this protocol: trying again will not help."""

    code = "protocol"


class StoreError(WorkbenchError):
    """The store cannot do it: the sentence says what would let it."""

    code = "store"


class TaskError(WorkbenchError):
    """A task ended other than well. `outcome` is its terminal code."""

    code = "failed"

    def __init__(self, template: str, /, *, outcome: str = "failed", **values: Any) -> None:
        super().__init__(template, **values)
        self.outcome = outcome
