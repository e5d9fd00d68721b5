"""Every error of the workbench, told apart by what the catcher should do.

An error carries its sentence as a template plus values, so that a log shows it in
English and a page shows it in the reader's language from the same catalogue.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

SHOWN_CHARS = 120
_COUNTED = re.compile(r"\{(\w+):([^|{}]*)\|([^{}]*)\}")


HIDDEN = "***"
TELLTALE = (
    r"pass(?:words?|wd|phrase)|pwd|secrets?|token|credentials?"
    r"|(?:api|access|account|private|secret|shared|signing|subscription)[_-]?keys?"
)
"""What the name of a secret ends with, in a text; a regular expression, for lower case."""
SECRET_NAME = rf"(?:{TELLTALE}|auth|authori[sz]ation|cookies?|bearer|jwt|passcode)$"
"""The same for the name of a field or a variable, where fewer words are something else."""
_IN_QUERIES = (
    r"key|sig|signature|auth|authorization|jwt|session(?:_?id)?|awsaccesskeyid"
    r"|x-amz-[a-z-]{1,40}|x-goog-[a-z-]{1,40}"
)
_HEADERS = (
    r"(?:set-)?cookie|api-?key|private-token"
    r"|x-[a-z0-9-]{0,40}?(?:key|token|secret|signature|auth|password)"
)
_BARE = r"[^\s&;,'\"<>\\(){}\[\]]+"
_QUOTED = (
    r"(?:(?P<e>\\)?(?P<q>['\"]))"
    r"(?(e)(?:(?!\\?(?P=q))[^\r\n])+|(?:(?!(?P=q))[^\\\r\n]|\\.)+)"
)
_A_NAME = r"\s{0,3}['\"](?-i:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)['\"]"
"""A variable's name, which in a list of such names follows one that ends as a secret's does."""
_FORMS = (
    r"(?:hf_|sk-|[rs]k_(?:live|test)_|gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|xapp-)[A-Za-z0-9_-]{8,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}"
    r"|eyJ[A-Za-z0-9_-]{4,2000}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
)
KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")

Sight = tuple[tuple[str, ...], re.Pattern[str], str]
"""Texts, in lower case, without any of which it is not looked for; it; what stands in its place.
Each takes a time in proportion to the text: a hostile one must not hold up a hub."""

_BY_FORM: tuple[Sight, ...] = (
    (
        ("private key",),
        re.compile(rf"{KEY_BEGINS.pattern}[^-]*(?:-(?!----END)[^-]*)*(?:{KEY_ENDS.pattern})?"),
        HIDDEN,
    ),
    (
        ("bearer", "basic"),
        re.compile(
            r"\b((?i:bearer))\s+(?!\*)[A-Za-z0-9._~+/=-]{6,}"
            r"|\b((?i:basic))\s+(?=[a-z+/]{0,100}[A-Z0-9=])[A-Za-z0-9+/=_-]{6,}"
        ),
        rf"\1\2 {HIDDEN}",
    ),
    (
        (
            "hf_",
            "sk",
            "rk_",
            "gh",
            "github_pat_",
            "glpat-",
            "xox",
            "xapp-",
            "akia",
            "asia",
            "aiza",
            "eyj",
        ),
        re.compile(rf"(?<![A-Za-z0-9_])(?:{_FORMS})"),
        HIDDEN,
    ),
    (
        ("hooks.slack",),
        re.compile(r"(?i)(?<=hooks\.slack\.com/services/)[A-Za-z0-9_/]+"),
        HIDDEN,
    ),
)
_SIGHTS: tuple[Sight, ...] = (
    (("://",), re.compile(r"(?<=://)[^\s/?#'\"<>]+@"), f"{HIDDEN}@"),
    (
        ("%3a%2f%2f",),
        re.compile(r"(?i)(?<=%3a%2f%2f)(?:[^\s/?#&'\"<>%]|%(?!2f|3f|23)[0-9a-f]{2}){1,500}%40"),
        f"{HIDDEN}%40",
    ),
    (("?", "&", ";", "#"), re.compile(rf"(?i)([?&;#](?:{_IN_QUERIES})=){_BARE}"), rf"\1{HIDDEN}"),
    (
        ("pass", "pwd", "secret", "token", "credential", "key"),
        re.compile(rf"(?i)((?:{TELLTALE})(?:\]|%5d)?(?:=(?!=)|%3d)){_BARE}"),
        rf"\1{HIDDEN}",
    ),
    (
        ("pass", "pwd", "secret", "token", "credential", "key"),
        re.compile(
            rf"(?i)((?:{TELLTALE})(?:\\?['\"]\s{{0,3}}(?::|,(?!{_A_NAME}))|\s?=|\\?['\"]\]\s?=)"
            r"\s{0,3}b?)"
            rf"{_QUOTED}"
        ),
        rf"\1\g<e>\g<q>{HIDDEN}",
    ),
    (
        ("pass", "pwd", "secret", "token", "credential", "key"),
        re.compile(
            rf"(?i)((?:{TELLTALE})(?P<quote>\\?['\"])\s{{0,3}}:\s{{0,3}})"
            rf"(?!null|none|true|false){_BARE}"
        ),
        rf"\1\g<quote>{HIDDEN}\g<quote>",
    ),
    # After those above: a header ends where its line does, and would take the name of a secret
    # behind it, but not the quoted value.
    (
        ("authorization",),
        re.compile(
            r"(?i)(authorization\\?['\"]?\s{0,3}[:=]\s{0,3}(?:b(?=\\?['\"]))?\\?['\"]?"
            r"(?:(?:basic|bearer|digest|negotiate|token|apikey|aws4-hmac-sha256)\s+)?)[^\r\n'\"\\]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        ("cookie", "key", "x-", "private-token"),
        re.compile(
            rf"(?i)(\b(?:{_HEADERS})(?:\\?['\"]?\s{{0,3}}:\s{{0,3}}|\\?['\"]\s{{0,3}},\s{{0,3}})"
            r"(?:b(?=\\?['\"]))?\\?['\"]?)[^\r\n'\"\\]+"
        ),
        rf"\1{HIDDEN}",
    ),
    *_BY_FORM,
)


_INDEXES = re.compile(r"(?:\[\d+\])+$")
_SECRET_FIELD = re.compile(SECRET_NAME)
_NOTHING = ("missing", "None", "''", "")


def without_secrets(text: str) -> str:
    """Text without what looks like a secret: docs/how-to/watch-the-hub.md lists the forms."""
    return _without(text, _SIGHTS)


def holds_secret(text: str) -> bool:
    """Whether something in a text is a secret by its form alone, wherever it stands."""
    return _without(text, _BY_FORM) != text


def _without(text: str, sights: tuple[Sight, ...]) -> str:
    lower = text.lower()
    for hints, sight, instead in sights:
        for hint in hints:  # a generator in `any` takes five times as long, and every line pays
            if hint in lower:
                text = sight.sub(instead, text)
                break
    return text


def shown(value: Any) -> str:
    """A value as an error may show it: its repr without secrets, cut short."""
    text = without_secrets(repr(value))
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _safe(value: Any) -> Any:
    return without_secrets(value) if isinstance(value, str) else value


def counted(template: str, values: Mapping[str, Any], single: Container[str] = ("1",)) -> str:
    """A template with the words for its counts chosen: `{name:one|many}`, of one thing or more."""
    return _COUNTED.sub(lambda at: at[2] if str(values[at[1]]) in single else at[3], template)


class WorkbenchError(Exception):
    """The base. `template` is the English sentence with {names}; `values` fill it, the texts
    among them without secrets: what a server, a database or a system said is told on."""

    code: ClassVar[str] = "failed"

    def __init__(self, template: str, /, **values: Any) -> None:
        self.template = template
        self.values = {name: _safe(value) for name, value in values.items()}
        super().__init__(template)

    def __str__(self) -> str:
        return counted(self.template, self.values).format(**self.values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows, in each of its modes: the lines that led here, without the values
        in them. Its verbose mode would show every argument on the way, a token or an address
        with a password among them."""
        return "".join(traceback.format_exception(self)).rstrip("\n").split("\n")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where, what stood there, what is allowed there. What stood
    where a secret does is not shown."""

    field: str
    value: str
    allowed: str

    def __post_init__(self) -> None:
        if (
            _SECRET_FIELD.search(_INDEXES.sub("", self.field.lower()))
            and self.value not in _NOTHING
        ):
            object.__setattr__(self, "value", HIDDEN)

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


class Missing(InputError):
    """What was asked for is not there: another side, or a later time, may have it."""


class SettingsError(WorkbenchError):
    """A setting is wrong: change it and start again."""

    code = "settings"


class LinkError(WorkbenchError):
    """The other side cannot be reached, or went away: try again later or elsewhere."""

    code = "link"


class ProtocolError(LinkError):
    """The other side does not speak this protocol, or does not allow this: trying again will not
    help."""

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
