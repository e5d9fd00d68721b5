"""Where a batch lies that a client names by its id: below a base URL, or at the hub itself."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from workbench.errors import InputError

BASE_CHARS = 2000
_BELOW = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_AT_HUB = re.compile(r"[A-Za-z0-9_]{1,80}")
_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")
BASES = "https://HOST/PATH/, http://HOST/PATH/, or a folder in the data folder of the hub"


def check_base(base: str) -> str:
    """A base URL as it is. Raises InputError for one that a batch's id cannot be put after."""
    if len(base) > BASE_CHARS:
        raise InputError.field("batch_base_url", "(long)", f"at most {BASE_CHARS} characters")
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError.field("batch_base_url", "(malformed)", BASES) from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        template = "batch_base_url has a user, a query or a fragment; allowed: {allowed}"
        raise InputError(template, allowed=BASES)
    web = parts.scheme in ("http", "https") and bool(host) and not re.search(r"[\s\\]", base)
    if not web and not _FOLDER.fullmatch(base):
        raise InputError.field("batch_base_url", base, BASES)
    return base


def batch_url(base: str | None, batch_id: str | int) -> str:
    """The `inputDataURL` of a batch; without a base it is one that the hub keeps.

    Raises InputError for an id that could lead elsewhere.
    """
    name = str(batch_id)
    if base is None:
        _check(_AT_HUB, name, "1 to 80 letters, digits and _, as in the table batches")
        return f"batch:{name}"
    _check(_BELOW, name, "1 to 100 letters, digits, _, - and ., no . in front")
    return f"{check_base(base).rstrip('/')}/{name}"


def _check(rule: re.Pattern[str], name: str, allowed: str) -> None:
    if not rule.fullmatch(name):
        raise InputError.field("batch_id", name, allowed)
