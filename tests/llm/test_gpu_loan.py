"""What is asked of a GPU for a model, and what its process is told of it."""

from __future__ import annotations

import pytest

from tests.llm.lender import UUID, ScriptedLender
from tests.llm.tiny_model import write
from workbench.core.gpu import Vendor
from workbench.core.ledger_nouns import Claim, Lease, LedgerView, NoRoom, Room
from workbench.core.llm import LoadOptions, ModelError
from workbench.core.sentence import Sentence
from workbench.llm.gpu_loan import Loan, Loans, claim_of, is_split, visible
from workbench.llm.gpu_support import GpuSupport
from workbench.llm.model_files import Folders, ModelFile

ALL = LoadOptions(gpu_layers=-1, context_size=512)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    folder = tmp_path_factory.mktemp("models")
    write(folder / "big.gguf", name="Big", width=512, layers=9)
    found = Folders([folder]).find("big")
    assert found is not None
    return found


def silent(reason: Sentence) -> None:
    raise AssertionError(reason)


async def borrowed(file: ModelFile, lender: ScriptedLender, options: LoadOptions = ALL) -> Loan:
    return await Loans(lender).borrow(file, options, silent, on_gpu=True)


def lease(vendor: Vendor, uuid: str | None, gpu_id: str = "1") -> Lease:
    claim = Claim(claim_id="model:m", kind="model", name="m", memory_mb=1)
    return Lease(claim=claim, gpu_id=gpu_id, uuid=uuid, vendor=vendor, granted_at=0, used_at=0)


def test_claims_the_weights_the_context_and_what_the_driver_keeps(file: ModelFile) -> None:
    claim = claim_of(file, ALL, ())
    weights_mb = file.header.file_bytes / 1e6
    assert (claim.claim_id, claim.kind, claim.name, claim.gpu) == (
        "model:big",
        "model",
        "big",
        None,
    )
    assert weights_mb + 300 < claim.memory_mb < weights_mb + 900
    wider = claim_of(file, LoadOptions(context_size=512, parallel=64), ())
    assert wider.memory_mb > claim.memory_mb + 100


def test_claims_less_for_a_part_of_the_layers(file: ModelFile) -> None:
    whole, none = (file.gpu_bytes(LoadOptions(gpu_layers=n)) for n in (10, 0))
    half = file.gpu_bytes(LoadOptions(gpu_layers=5))
    assert half - none == pytest.approx((whole - none) / 2, rel=0.01)
    assert file.gpu_bytes(LoadOptions(gpu_layers=99)) == whole == file.gpu_bytes(LoadOptions())


def test_a_main_gpu_is_the_one_that_is_claimed(file: ModelFile) -> None:
    assert claim_of(file, LoadOptions(main_gpu=1), ()).gpu == "1"
    assert claim_of(file, LoadOptions(main_gpu=1, split_mode="none"), ()).gpu == "1"


@pytest.mark.parametrize(
    ("options", "split"),
    [
        (LoadOptions(), False),
        (LoadOptions(main_gpu=1), False),
        (LoadOptions(tensor_split=(1.0, 0.0)), False),
        (LoadOptions(tensor_split=(1.0, 2.0)), True),
        (LoadOptions(split_mode="layer"), True),
        (LoadOptions(split_mode="row"), True),
        (LoadOptions(split_mode="none", tensor_split=(1.0, 1.0)), False),
    ],
)
def test_knows_what_is_asked_to_lie_on_several_gpus(options: LoadOptions, split: bool) -> None:
    assert is_split(options) is split


def test_a_split_model_claims_its_share_of_the_main_gpu(file: ModelFile) -> None:
    whole = claim_of(file, LoadOptions(), ()).memory_mb
    third = claim_of(file, LoadOptions(tensor_split=(1.0, 2.0)), ())
    rest = claim_of(file, LoadOptions(tensor_split=(1.0, 2.0), main_gpu=1), ())
    assert (third.gpu, rest.gpu) == ("0", "1")
    assert third.memory_mb == pytest.approx(whole / 3, rel=0.01)
    assert rest.memory_mb == pytest.approx(whole * 2 / 3, rel=0.01)
    rooms = [Room(gpu_id=id_, total_mb=1, free_mb=1) for id_ in ("0", "1", "1:0", "node/0")]
    assert claim_of(file, LoadOptions(split_mode="layer"), rooms).memory_mb == pytest.approx(
        whole / 2, rel=0.01
    )


def test_a_process_sees_its_gpu_alone_by_the_name_that_its_driver_takes() -> None:
    assert visible(lease("nvidia", UUID)) == {
        "CUDA_VISIBLE_DEVICES": UUID,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert visible(lease("nvidia", None))["CUDA_VISIBLE_DEVICES"] == "1"
    assert visible(lease("nvidia", "MIG-1", "0:1"))["CUDA_VISIBLE_DEVICES"] == "MIG-1"
    assert visible(lease("amd", "GPU-abc")) == {
        "ROCR_VISIBLE_DEVICES": "GPU-abc",
        "HIP_VISIBLE_DEVICES": "0",
    }


async def test_a_model_on_its_one_gpu_hears_nothing_of_others(file: ModelFile) -> None:
    loan = await borrowed(file, ScriptedLender(), LoadOptions(main_gpu=0, split_mode="none"))
    assert loan.options == LoadOptions()
    assert loan.environment["CUDA_VISIBLE_DEVICES"] == UUID


async def test_a_split_model_sees_every_gpu_in_the_order_of_the_page(file: ModelFile) -> None:
    options = LoadOptions(tensor_split=(3.0, 1.0))
    loan = await borrowed(file, ScriptedLender(), options)
    assert (loan.options, loan.environment) == (options, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})


async def test_a_model_larger_than_every_gpu_is_told_what_would_help(file: ModelFile) -> None:
    with pytest.raises(
        ModelError,
        match=r"big takes about \d+ MB of GPU memory, and the largest GPU has 500 MB: "
        "load it with fewer layers on the GPU, with none to use the CPU, or split it",
    ):
        await borrowed(file, ScriptedLender(total_mb=500))


async def test_another_refusal_comes_through_in_the_ledgers_words(file: ModelFile) -> None:
    class Lost(ScriptedLender):
        def view(self) -> LedgerView:
            return LedgerView(rooms=(Room(gpu_id="0", total_mb=80_000, free_mb=None),))

    with pytest.raises(NoRoom, match="big needs more than there is"):
        await borrowed(file, Lost(total_mb=1))


async def test_an_engines_gpu_that_the_ledger_does_not_know_needs_no_lease(
    file: ModelFile,
) -> None:
    lender = ScriptedLender(total_mb=None)
    loan = await borrowed(file, lender)
    assert (loan.environment, len(lender.asked)) == ({}, 1)
    loan.touch()
    loan.give_back()


async def test_nothing_is_asked_where_nobody_lends_or_no_gpu_is_used(file: ModelFile) -> None:
    lender = ScriptedLender()
    alone = await Loans(None).borrow(file, ALL, silent, on_gpu=True)
    on_cpu = await Loans(lender).borrow(file, ALL, silent, on_gpu=False)
    assert (alone.environment, lender.asked) == ({}, [])
    assert on_cpu.environment["CUDA_VISIBLE_DEVICES"] == "-1"


async def test_what_is_given_back_twice_does_not_take_the_next_lease_of_the_name(
    file: ModelFile,
) -> None:
    lender = ScriptedLender()
    loans = Loans(lender)
    first = await loans.borrow(file, ALL, silent, on_gpu=True)
    first.give_back()
    second = await loans.borrow(file, ALL, silent, on_gpu=True)
    first.give_back()
    first.touch()
    assert (list(lender.held), lender.touched) == (["model:big"], [])
    second.touch()
    second.give_back()
    assert (lender.held, lender.touched) == ({}, ["model:big"])


def test_an_engine_uses_a_gpu_that_it_sees_or_that_its_program_may_find() -> None:
    assert GpuSupport(gpus=("Apple M4",)).uses_gpu
    assert GpuSupport(binary="/llama-server", present=True).uses_gpu
    assert not GpuSupport(binary="/llama-server").uses_gpu
    assert not GpuSupport(present=True).uses_gpu
