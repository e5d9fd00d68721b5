"""`%%mesh`: a cell that runs on the mesh, outlives the kernel, and gives its value back."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, Protocol

from workbench.errors import InputError, WorkbenchError
from workbench.session.limits import limit_ms
from workbench.session.run import Run

USAGE = "%%mesh [NAME] [-o NAME[,NAME...]] [--timeout SECONDS]"
KEPT = "_mesh"


class Asked(NamedTuple):
    """What the line of the magic says."""

    name: str
    give: tuple[str, ...]
    timeout_s: float | None


class Bench(Protocol):
    """The workbench, as far as a cell needs it."""

    def submit_cell(
        self,
        source: str,
        space: Mapping[str, Any],
        *,
        give: tuple[str, ...] = (),
        timeout_s: float | None = None,
    ) -> Run: ...


def parsed(line: str) -> Asked:
    """The arguments of the magic. Raises InputError with what is wrong and how it goes."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        template = "the line cannot be read: {reason}; it goes {usage}"
        raise InputError(template, reason=str(error).lower(), usage=USAGE) from None
    given = _Parser().parse_args(words)
    give = tuple(each.strip() for each in (given.give or "").split(",") if each.strip())
    for name in (*([given.name] if given.name else []), *give):
        if not name.isidentifier():
            template = "{word} is no name of a variable; it goes {usage}"
            raise InputError(template, word=name, usage=USAGE)
    limit_ms(given.timeout, "--timeout")
    return Asked(given.name or KEPT, give, given.timeout)


class MeshMagics:
    """The magic of one notebook, on one workbench."""

    def __init__(self, shell: Any, bench: Bench) -> None:
        self._shell, self._bench = shell, bench

    def mesh(self, line: str, cell: str) -> None:
        """Run the cell on the mesh and draw it live; `NAME` (else `_mesh`) becomes its Run.

        The names of `-o` are set in this notebook once it is done.
        """
        from IPython.core.error import UsageError
        from IPython.display import display

        try:
            asked = parsed(line)
            run = self._bench.submit_cell(
                cell, self._space(), give=asked.give, timeout_s=asked.timeout_s
            )
        except WorkbenchError as error:
            raise UsageError(str(error)) from None
        self._shell.user_ns[asked.name] = run
        if asked.give:
            run.when_done(lambda value: self._shell.user_ns.update(_named(value, asked.give)))
        display(run)  # type: ignore[no-untyped-call]

    def _space(self) -> dict[str, Any]:
        """The notebook's own variables, less what IPython put there."""
        hidden = self._shell.user_ns_hidden
        space = self._shell.user_ns
        return {
            name: value
            for name, value in list(space.items())
            if name not in hidden or hidden[name] is not value
        }


def _named(value: Any, give: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in give if isinstance(value, Mapping) and name in value}


class _Parser(argparse.ArgumentParser):
    """Refuses by a sentence instead of ending the process."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument("name", nargs="?")
        self.add_argument("--out", "-o", dest="give")
        self.add_argument("--timeout", "-t", type=float)

    def error(self, message: str) -> NoReturn:
        raise InputError("{reason}; it goes {usage}", reason=message, usage=USAGE)


def register(shell: Any, bench: Bench) -> None:
    """Make `%%mesh` known to a shell, on this workbench."""
    magics = MeshMagics(shell, bench)
    shell.register_magic_function(magics.mesh, magic_kind="cell", magic_name="mesh")
