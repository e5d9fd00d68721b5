"""Which number each GPU has: given at first sight, and the same for as long as we run."""

from __future__ import annotations


class Numbers:
    """One row of numbers for the GPUs of all vendors."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def of(self, name: str, wanted: int) -> str:
        """The `gpu_id` of what bears this lasting name; `wanted` if that is free, else the next."""
        if name not in self._taken:
            while wanted in self._taken.values():
                wanted += 1
            self._taken[name] = wanted
        return str(self._taken[name])

    def free(self, name: str) -> None:
        """It got a better name, or none bears it any more."""
        self._taken.pop(name, None)
