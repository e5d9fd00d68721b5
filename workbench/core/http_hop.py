"""What one hop over HTTP is refused for, and the sentences that say so."""

from __future__ import annotations

from workbench.core.public_address import is_public
from workbench.errors import InputError, LinkError, Missing, shown

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS = {"http": 80, "https": 443}
_NOT_THERE = frozenset({404, 410})
_LATER = frozenset({408, 425, 429})  # with all of 500 and more: worth another try


class Silent(LinkError):
    """The other side is connected, and says nothing for too long."""


def check_public(host: str, address: str) -> None:
    """Refuse an address of `host` that lies in a private network."""
    if not is_public(address):
        raise InputError(
            "the address {host} is private ({address}); allowed: public addresses, "
            "or set WORKBENCH_PRIVATE_ADDRESSES=1",
            host=host,
            address=address,
        )


def unresolved(host: str, error: Exception) -> LinkError:
    """For a name that has no address."""
    return LinkError(
        "the name {host} cannot be resolved: {reason}",
        host=host,
        reason=str(error) or type(error).__name__,
    )


def unreachable(host: str) -> LinkError:
    """For a host that lets nobody connect in time."""
    return LinkError("{host} does not let anybody connect", host=host)


def broken(host: str, error: Exception) -> LinkError:
    """For a connection that failed."""
    return LinkError(
        "the link to {host} failed: {reason}",
        host=host,
        reason=str(error) or type(error).__name__,
    )


def silent(host: str, limit_s: float) -> Silent:
    """For a host that is connected and says nothing."""
    return Silent("{host} sent nothing for {limit_s} s", host=host, limit_s=limit_s)


def too_many_redirects(host: str) -> InputError:
    """For a host that leads on and on."""
    return InputError("{host} redirects more than {limit} times", host=host, limit=MAX_REDIRECTS)


def refusal(host: str, status: int) -> LinkError | InputError:
    """A status that brings nothing: a LinkError where trying again may help."""
    if status >= 500 or status in _LATER:
        return LinkError("{host} answers {status}: try again later", host=host, status=status)
    kind = Missing if status in _NOT_THERE else InputError
    return kind(
        "{host} answers {status} for this URL; allowed: one that answers 200",
        host=host,
        status=status,
    )


def check_encoding(host: str, encoding: str | None) -> None:
    """Bytes come as they are: a small compressed body may unpack to any size."""
    said = (encoding or "").strip().lower()
    if said not in ("", "identity"):
        raise InputError(
            "{host} sends the body compressed as {encoding}; allowed: no Content-Encoding",
            host=host,
            encoding=shown(said),
        )
