"""Changes the current model: the old one out, the new one in, and back again where that fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from workbench.core.llm import LoadOptions, LoadProgress, NoModel
from workbench.core.llm_results import Attempt, Failure
from workbench.errors import WorkbenchError
from workbench.llm.catalogue import Catalogue
from workbench.llm.loading import Loads
from workbench.llm.router import Instance

Find = Callable[[str | None], Awaitable[list[Instance]]]
Plan = list[tuple[Instance, LoadOptions]]


class Switching:
    """One switch at a time. `attempts` says what the last one tried, in order."""

    def __init__(self, catalogue: Catalogue, loads: Loads, find: Find) -> None:
        self._catalogue = catalogue
        self._loads = loads
        self._find = find
        self._busy = asyncio.Lock()
        self.options: dict[tuple[str, str], LoadOptions] = {}
        """How each model was loaded, so that it can be loaded so again."""
        self.attempts: list[Attempt] = []
        self._errors: list[WorkbenchError] = []

    async def run(self, refs: Sequence[str], options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Load the first of `refs` that can be loaded, else the old one as it was.

        Raises the first failure where none could. A model that is not there is found out
        before the old one is unloaded.
        """
        async with self._busy:
            self.attempts, self._errors = [], []
            plan: Plan = [(instance, options) for instance in await self._wanted(refs)]
            if not plan:
                raise self._errors[0]
            old = self._old()
            if old and self._is_done(plan[0], old):
                yield LoadProgress(done=1.0)
                return
            if old:
                plan.append(old)
                await self._put_away(old[0])
            for instance, chosen in plan:
                async with contextlib.aclosing(self._tried(instance, chosen)) as steps:
                    async for step in steps:
                        yield step
                if self.attempts[-1].ok:
                    return
            raise self._errors[0]

    async def _wanted(self, refs: Sequence[str]) -> list[Instance]:
        found = []
        for ref in refs:
            try:
                found.append(preferred(await self._find(ref)))
            except NoModel as error:
                self._note(ref, "", error)
        return found

    def _old(self) -> tuple[Instance, LoadOptions] | None:
        """What answers now, with the options by which it was loaded."""
        try:
            instance = self._catalogue.choose()[0]
        except NoModel:
            return None
        key = (instance.model.id, instance.name)
        return (instance, self.options.get(key, LoadOptions())) if instance.model.loaded else None

    def _is_done(
        self, wanted: tuple[Instance, LoadOptions], old: tuple[Instance, LoadOptions]
    ) -> bool:
        """The wanted one is the current one, and nobody wants it loaded otherwise."""
        same = wanted[0].ref == old[0].ref and wanted[1] in (old[1], LoadOptions())
        if same:
            self._catalogue.current = (old[0].model.id, old[0].name)
            self._note(old[0].model.id, old[0].name)
        return same

    async def _put_away(self, old: Instance) -> None:
        self._catalogue.current = None
        try:
            await old.backend.unload(old.model.id)
        except WorkbenchError as error:
            self._note(old.model.id, old.name, error)
        self._catalogue.mark(old.name, old.model.id, loaded=False)

    async def _tried(
        self, instance: Instance, options: LoadOptions
    ) -> AsyncGenerator[LoadProgress]:
        try:
            loading = self._loads.follow(instance.backend, instance.model.id, options)
            async with contextlib.aclosing(loading):
                async for step in loading:
                    yield step
        except WorkbenchError as error:
            self._note(instance.model.id, instance.name, error)
        else:
            self._catalogue.current = (instance.model.id, instance.name)
            self._note(instance.model.id, instance.name)

    def _note(self, model: str, backend: str, error: WorkbenchError | None = None) -> None:
        if error is not None:
            self._errors.append(error)
        self.attempts.append(
            Attempt(
                model=model,
                backend=backend,
                ok=error is None,
                number=len(self.attempts) + 1,
                error=None if error is None else Failure.of(error),
            )
        )


def preferred(instances: Sequence[Instance]) -> Instance:
    """The one that is loaded already, else the first."""
    return next((i for i in instances if i.model.loaded), instances[0])
