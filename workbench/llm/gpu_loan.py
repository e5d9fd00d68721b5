"""Memory of a GPU for a model's process: asked for before it starts, given back when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from workbench.core.ledger_nouns import Claim, Lease, LedgerView, NoRoom, Room
from workbench.core.llm import LoadOptions, ModelError
from workbench.core.sentence import Sentence
from workbench.llm.model_files import ModelFile

Tell = Callable[[Sentence], None]
"""Told why a model waits, whenever that changes."""

HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
"""A build for GPUs takes memory of one even where no layer is to go there."""
SAME_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""CUDA's own order is the fastest first: 0 has to be the same GPU here, there and on the page."""


class Lender(Protocol):
    """The ledger of GPU memory, as far as a model's process needs it."""

    async def acquire(self, claim: Claim, waiting: Tell) -> Lease:
        """Back when it is granted; NoRoom where it never can be. To cancel it leaves the line."""

    def release(self, claim_id: str) -> None:
        """Give a lease back."""

    def touch(self, claim_id: str) -> None:
        """It was used just now."""

    def view(self) -> LedgerView:
        """The ledger as it is now."""


class Loan:
    """What one process has of a GPU. Without a lease it is a process that nobody lends to."""

    def __init__(
        self,
        options: LoadOptions,
        environment: Mapping[str, str] | None = None,
        *,
        lease: Lease | None = None,
        lender: Lender | None = None,
    ) -> None:
        self.options = options
        """How the model is to be loaded, in terms of the GPUs that its process sees."""
        self.environment = environment or {}
        """What the process gets besides its parent's environment."""
        self.returned = asyncio.Event()
        self._lease, self._lender = lease, lender

    def touch(self) -> None:
        """The model is in use."""
        if self._lease and self._lender and not self.returned.is_set():
            self._lender.touch(self._lease.claim.claim_id)

    def give_back(self) -> None:
        """Once: the same model may have its next lease under the same name by now."""
        if self.returned.is_set():
            return
        self.returned.set()
        if self._lease and self._lender:
            self._lender.release(self._lease.claim.claim_id)


class Loans:
    """The loans of all models. For one event loop."""

    def __init__(self, lender: Lender | None) -> None:
        self._lender = lender
        self._loans: dict[str, Loan] = {}

    async def borrow(
        self, file: ModelFile, options: LoadOptions, tell: Tell, *, on_gpu: bool
    ) -> Loan:
        """What the model needs of a GPU, when it is free. ModelError where no GPU is that large.

        Nothing is asked for a model that runs on the CPU, nor where the ledger knows no GPU:
        the engine may see one that it cannot, such as Apple's.
        """
        if self._lender is None:
            return Loan(options)
        if not on_gpu:
            return Loan(options, HIDDEN)
        if held := self._loans.get(file.id):
            await held.returned.wait()  # the process before is ending
        claim = claim_of(file, options, self._lender.view().rooms)
        try:
            lease = await self._lender.acquire(claim, tell)
        except NoRoom:
            rooms = self._lender.view().rooms
            if not rooms:
                return Loan(options)
            _check_size(claim, options, rooms)
            raise
        return self._lent(self._lender, lease, options)

    def _lent(self, lender: Lender, lease: Lease, options: LoadOptions) -> Loan:
        environment = SAME_ORDER
        if not is_split(options):
            environment = visible(lease)
            options = replace(options, main_gpu=None, split_mode=None, tensor_split=())
        loan = Loan(options, environment, lease=lease, lender=lender)
        self._loans[lease.claim.name] = loan
        return loan


def claim_id_of(model: str) -> str:
    """Under which a model's process holds its lease."""
    return f"model:{model}"


def claim_of(file: ModelFile, options: LoadOptions, rooms: Sequence[Room]) -> Claim:
    """What loading takes of a GPU; of a model that is split, of its main one."""
    main, share = options.main_gpu, 1.0
    if is_split(options):
        main = main or 0
        share = _share(options.tensor_split, main) or 1 / max(1, len(_cards(rooms)))
    return Claim(
        claim_id=claim_id_of(file.id),
        kind="model",
        name=file.id,
        memory_mb=round(share * file.gpu_bytes(options) / 1e6, 1),
        gpu=None if main is None else str(main),
    )


def is_split(options: LoadOptions) -> bool:
    """Whether it is asked to lie on several GPUs. Else it lies on the one of its lease."""
    if options.split_mode is None:
        return sum(share > 0 for share in options.tensor_split) > 1
    return options.split_mode != "none"


def visible(lease: Lease) -> dict[str, str]:
    """The environment of a process that is to see the lease's GPU alone.

    Sources: NVIDIA's "CUDA environment variables"; ROCm's "GPU isolation techniques". HIP
    counts among what ROCR leaves, so that one GPU is always its 0.
    """
    which = lease.uuid or lease.gpu_id
    if lease.vendor == "amd":
        return {"ROCR_VISIBLE_DEVICES": which, "HIP_VISIBLE_DEVICES": "0"}
    return {"CUDA_VISIBLE_DEVICES": which, **SAME_ORDER}


def _share(split: Sequence[float], main: int) -> float:
    """The main GPU's part; 0 where that is not said."""
    whole = sum(split, 0.0)
    return split[main] / whole if whole and main < len(split) else 0.0


def _cards(rooms: Sequence[Room]) -> list[Room]:
    """Whole GPUs of this machine: neither slices nor those of other machines."""
    return [room for room in rooms if room.gpu_id.isdigit()]


def _check_size(claim: Claim, options: LoadOptions, rooms: Sequence[Room]) -> None:
    """Say what would help a model that is larger than every GPU."""
    largest = max((room.total_mb or 0.0 for room in rooms), default=0.0)
    if not is_split(options) and largest < claim.memory_mb:
        raise ModelError(
            "{model} takes about {needed_mb} MB of GPU memory, and the largest GPU has "
            "{total_mb} MB: load it with fewer layers on the GPU, with none to use the CPU, "
            "or split it over several GPUs",
            model=claim.name,
            needed_mb=round(claim.memory_mb),
            total_mb=round(largest),
        ) from None
