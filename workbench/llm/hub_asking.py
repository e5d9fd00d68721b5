"""The one place that calls `huggingface_hub`: in a thread, bounded, its errors turned into ours.

The library is told the token for each call and reads none by itself, tells nothing about this
machine, and is not led away from the address that was asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from workbench.errors import InputError, LinkError, ProtocolError, WorkbenchError, shown

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REQUEST_S = 15.0
DEADLINE_S = 45.0

T = TypeVar("T")
Token = str | bool
"""False for none at all: with None the library would look for one on this machine."""


class GatedError(WorkbenchError):
    """Its publisher asks for something first: the sentence says where to agree."""

    code = "gated"


class Hub:
    """One hub by its address. `token` is asked for each call, and kept nowhere."""

    def __init__(
        self,
        endpoint: str,
        token: Callable[[], str | None],
        *,
        request_s: float = REQUEST_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.host = urlsplit(self.endpoint).netloc.rpartition("@")[2]
        self.request_s = request_s
        self._deadline_s = deadline_s
        self._token = token

    def page(self, name: str) -> str:
        """Where a person reads of a repository, and asks for access."""
        return f"{self.endpoint}/{quote(name)}"

    def usable_token(self) -> str | None:
        """The token; raises InputError for one that cannot stand in a header, without showing
        it."""
        token = (self._token() or "").strip()
        if any(not "!" <= char <= "~" for char in token):
            raise InputError(
                "HF_TOKEN holds what no token does; allowed: letters, digits and signs, "
                "as {page} shows it",
                page=f"{self.endpoint}/settings/tokens",
            )
        return token or None

    async def ask(
        self, ask: Callable[[HfApi, Token], T], *, name: str = "", revision: str = ""
    ) -> T:
        """What `ask` gives. `name` and `revision` are for the sentences of its errors."""
        deadline = asyncio.timeout(self._deadline_s)
        try:
            async with deadline:
                answer = await asyncio.to_thread(self._call, ask, name, revision)
        except TimeoutError:
            raise LinkError(
                "{host} was not done within {limit_s} s", host=self.host, limit_s=self._deadline_s
            ) from None
        if isinstance(answer, WorkbenchError):
            raise answer
        return answer

    def _call(
        self, ask: Callable[[HfApi, Token], T], name: str, revision: str
    ) -> T | WorkbenchError:
        """An error comes back as a new value: one raised here would hold on to these frames and
        to the request, and so to the token."""
        token = None
        try:
            _prepare()
            from huggingface_hub import HfApi

            token = self.usable_token()
            _GUARD.set((origin(self.endpoint), self.request_s))
            return ask(HfApi(endpoint=self.endpoint, token=False), token or False)
        except WorkbenchError as error:
            return type(error)(error.template, **error.values)
        except Exception as error:  # whatever a foreign library raises ends here
            return self._ours(error, token, name, revision)

    def _ours(
        self, error: Exception, token: str | None, name: str, revision: str
    ) -> WorkbenchError:
        from huggingface_hub import errors as theirs

        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, theirs.OfflineModeIsEnabled):
            return LinkError(
                "{host} is not asked, for HF_HUB_OFFLINE is set: unset it and start the hub again",
                host=self.host,
            )
        if isinstance(error, theirs.DisabledRepoError):
            return InputError("{name} was taken down by {host}", name=name, host=self.host)
        if isinstance(error, theirs.GatedRepoError) or status == 403:
            return self._gated(name, token)
        if isinstance(error, theirs.RevisionNotFoundError):
            return InputError(
                "{name} has no revision {revision}; allowed: a branch, a tag or a commit of it, "
                "such as main",
                name=name,
                revision=shown(revision),
            )
        if status in (401, 404):
            return self._missing(name, token, status)
        return self._link(error, token, status)

    def _gated(self, name: str, token: str | None) -> GatedError:
        page = self.page(name)
        if token:
            return GatedError(
                "{name} is gated, and HF_TOKEN has no access to it: ask for it at {page}, or let "
                "the token read gated repositories",
                name=name,
                page=page,
            )
        return GatedError(
            "{name} is gated: ask for access at {page}, then set HF_TOKEN", name=name, page=page
        )

    def _missing(self, name: str, token: str | None, status: int) -> InputError:
        """The hub says 401 without a token for what is private, and for what is not there."""
        if token and status == 401:
            return InputError(
                "{host} refuses HF_TOKEN: make a new one at {page}, and set it",
                host=self.host,
                page=f"{self.endpoint}/settings/tokens",
            )
        return InputError(
            "{host} has no repository {name}, or a private one: look at its name, or set "
            "HF_TOKEN to a token that may read it",
            host=self.host,
            name=shown(name),
        )

    def _link(self, error: Exception, token: str | None, status: int | None) -> LinkError:
        if status == 429:
            return LinkError(
                "{host} was asked too often: try again in some minutes", host=self.host
            )
        if status is not None:
            return LinkError(
                "{host} answers {status}: try again later", host=self.host, status=status
            )
        if type(error).__module__.startswith(("httpx2", "httpcore2")):
            reason = str(error) or type(error).__name__
            if token:
                reason = reason.replace(token, "…")
            return LinkError("the link to {host} failed: {reason}", host=self.host, reason=reason)
        return ProtocolError(
            "{host} does not answer as the Hugging Face hub does; see whether it is one",
            host=self.host,
        )


def origin(url: str) -> str:
    """Whom a URL belongs to: its scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


_GUARD: ContextVar[tuple[str, float] | None] = ContextVar("_GUARD", default=None)
"""The origin that is asked, and how long each wait may take."""
_PREPARING = threading.Lock()
_prepared = False


def _prepare() -> None:
    """Set the library up, once in a process."""
    global _prepared
    with _PREPARING:
        if _prepared:
            return
        import huggingface_hub
        from huggingface_hub import constants
        from huggingface_hub.utils._http import default_client_factory

        def client() -> Any:
            with default_client_factory() as usual:
                hooks = [*usual.event_hooks["request"], _guard]
            # As everywhere here, no proxy: behind one no address can be checked.
            return type(usual)(
                event_hooks={"request": hooks}, follow_redirects=True, trust_env=False
            )

        # Else it would say what is installed here, and fetch a list of programs to look for.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        # For the whole process: an HfApi of 2.4 takes no client, and every method of it asks
        # `get_session`, which gives one to all. So `_guard` lets pass whatever is not asked here.
        huggingface_hub.set_client_factory(client)
        _prepared = True


def _guard(request: Any) -> None:
    """Hears of each request, also of one after a redirect, before it is sent."""
    asked = _GUARD.get()
    if asked is None:
        return
    own, limit_s = asked
    if origin(str(request.url)) != own:
        raise InputError(
            "{host} leads to {other}; allowed: what stays at its own address",
            host=urlsplit(own).hostname,
            other=shown(request.url.host),
        )
    # A redirect is to take no longer either.
    request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), limit_s)
