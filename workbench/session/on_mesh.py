"""`%%mesh`: a cell that runs on the mesh, outlives the kernel, and gives its value back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from workbench.session.limits import limit_ms
from workbench.session.magic_line import MagicLine, said_in_the_cell
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
    magic = MagicLine(USAGE)
    magic.add_argument("name", nargs="?", default=KEPT)
    magic.add_argument("--out", "-o", dest="give", default="")
    magic.add_argument("--timeout", "-t", type=float)
    given = magic.parse_args(magic.words(line))
    name = magic.variable(given.name)
    give = tuple(magic.variable(each.strip()) for each in given.give.split(",") if each.strip())
    limit_ms(given.timeout, "--timeout")
    return Asked(name, give, given.timeout)


class MeshMagics:
    """The magic of one notebook, on one workbench."""

    def __init__(self, shell: Any, bench: Bench) -> None:
        self._shell, self._bench = shell, bench

    def mesh(self, line: str, cell: str) -> None:
        """Run the cell on the mesh and draw it live; `NAME` (else `_mesh`) becomes its Run.

        The names of `-o` are set in this notebook once it is done.
        """
        from IPython.display import display

        with said_in_the_cell():
            asked = parsed(line)
            run = self._bench.submit_cell(
                cell, self._space(), give=asked.give, timeout_s=asked.timeout_s
            )
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


def register(shell: Any, bench: Bench) -> None:
    """Make `%%mesh` known to a shell, on this workbench."""
    magics = MeshMagics(shell, bench)
    shell.register_magic_function(magics.mesh, magic_kind="cell", magic_name="mesh")
