"""A block from an Esplora server or a node: fetched, checked, stored, or refused with why."""

from __future__ import annotations

import lzma
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.chain.doubles import Chain, EsploraDouble, NodeDouble
from tests.core.blocks import P2TR, block, small_block
from tests.http_server import Server, serving
from workbench.chain import Esplora, NodeRpc
from workbench.core.bitcoin import parse_block, subsidy
from workbench.core.spent import SpentOutput, read_spent
from workbench.errors import InputError, LinkError, ProtocolError
from workbench.http import Http
from workbench.runes.fetch import fetch_block

HEIGHT = 150
MADE = {
    f"{'01' * 32}:0": SpentOutput(P2TR, 1_546, 100),
    f"{'03' * 32}:1": SpentOutput(b"\x51", 123_456_789_01234567, 101),
}
SOURCES = {"esplora": EsploraDouble, "node": NodeDouble}


class Told:
    """What a fetch told of its progress."""

    def __init__(self) -> None:
        self.done: list[float] = []
        self.said: list[str] = []

    def __call__(self, done: float, total: float, template: str = "", /, **values: object) -> None:
        self.done.append(done / total)
        self.said.append(template.format(**values))


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def source(kind: str, http: Http, server: Server) -> Esplora | NodeRpc:
    if kind == "esplora":
        return Esplora(http, server.url + "/api/")
    return NodeRpc(http, server.url.replace("//", "//user:hunter2@"))


def outpoints(raw: bytes) -> list[str]:
    transactions = parse_block(raw).transactions[1:]
    return [put.outpoint for transaction in transactions for put in transaction.inputs]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(private_addresses=True) as http:
        yield http


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_block_arrives_with_what_it_spends(kind: str, http: Http, tmp_path: Path) -> None:
    raw, told = small_block(), Told()
    with serving(SOURCES[kind](raw, MADE)) as server:
        fetched = await fetch_block(
            source(kind, http, server), HEIGHT, tmp_path / "blocks", told, network="regtest"
        )
    assert fetched.block.name == f"150_{sha256(raw).hexdigest()[:8]}.bin"
    assert fetched.block.read_bytes() == raw
    assert fetched.spent
    spent = read_spent(fetched.spent.read_bytes(), outpoints(raw))
    assert [(output.script, output.value) for output in spent.values()] == [
        (output.script, output.value) for output in MADE.values()
    ]
    heights = [100, 101] if kind == "node" else [None, None]
    assert [output.height for output in spent.values()] == heights
    assert told.done == sorted(told.done)
    assert told.done[-1] == 1
    assert told.said[-1] == "stored block 150"
    assert len(files_in(tmp_path / "blocks")) == 2


async def test_a_second_fetch_changes_nothing(http: Http, tmp_path: Path) -> None:
    with serving(EsploraDouble(small_block(), MADE)) as server:
        esplora = source("esplora", http, server)
        first = await fetch_block(esplora, HEIGHT, tmp_path, Told(), network="regtest")
        kept = [path.read_bytes() for path in first if path]
        assert await fetch_block(esplora, HEIGHT, tmp_path, Told(), network="regtest") == first
    assert [path.read_bytes() for path in first if path] == kept


@pytest.mark.parametrize("kind", SOURCES)
async def test_spent_outputs_are_only_asked_for_when_wanted(
    kind: str, http: Http, tmp_path: Path
) -> None:
    with serving(SOURCES[kind](small_block(), {})) as server:
        fetched = await fetch_block(
            source(kind, http, server), HEIGHT, tmp_path, Told(), spent=False, network="regtest"
        )
    assert fetched.spent is None
    assert len(server.seen) == 3


async def test_a_busy_server_is_asked_again(http: Http, tmp_path: Path) -> None:
    double = EsploraDouble(small_block(), MADE)
    double.busy = 1
    with serving(double) as server:
        assert await source("esplora", http, server).block_hash(HEIGHT) == double.block.hash
    assert len(server.seen) == 2


async def test_a_further_try_is_no_line_of_a_notebook(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    """What has no handler, as in a notebook, is shown from warnings up."""
    caplog.set_level("DEBUG")
    double = EsploraDouble(small_block(), MADE)
    double.busy = 1
    with serving(double) as server:
        await source("esplora", http, server).block_hash(HEIGHT)
    tries = [each for each in caplog.records if "retrying" in each.getMessage().lower()]
    assert [(each.name, each.levelname) for each in tries] == [("workbench.chain", "INFO")]
    assert "answers 429" in tries[0].getMessage()


def another_block(chain: Chain) -> None:
    chain.raw = small_block(paid=1)


def altered(chain: Chain) -> None:
    chain.raw = chain.raw[:-9] + b"\x01" + chain.raw[-8:]


def cut(chain: Chain) -> None:
    chain.raw = chain.raw[:-20]


def other_parent(chain: Chain) -> None:
    chain.hashes[HEIGHT - 1] = "11" * 32


def other_height(chain: Chain) -> None:
    chain.raw = block(height=151)
    chain.block = parse_block(chain.raw)
    chain.hashes[HEIGHT] = chain.block.hash


def lacking(chain: Chain) -> None:
    chain.spent = {}


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (another_block, r"the block's hash is '[0-9a-f]{64}'; allowed: [0-9a-f]{64}"),
        (altered, "do not give its Merkle root: one is missing, repeated or altered"),
        (cut, r"the block is cut short: it ends at byte \d+, inside a transaction"),
        (other_parent, r"the block below is '0{64}'; allowed: (11){32}"),
        (other_height, "the height in the coinbase is 151; allowed: 150"),
        (lacking, r"the source lacks 2 of 2 spent outputs, the first is (01){32}:0"),
    ],
)
@pytest.mark.parametrize("kind", SOURCES)
async def test_what_does_not_prove_itself_is_refused_and_not_stored(
    kind: str, harm: Callable[[Chain], None], sentence: str, http: Http, tmp_path: Path
) -> None:
    double = SOURCES[kind](small_block(), MADE)
    harm(double)
    with serving(double) as server, pytest.raises(InputError, match=sentence):
        await fetch_block(source(kind, http, server), HEIGHT, tmp_path, Told(), network="regtest")
    assert files_in(tmp_path) == []


async def test_a_cheap_block_is_not_taken_for_mainnets(http: Http, tmp_path: Path) -> None:
    double = EsploraDouble(small_block(height=850_000), MADE)
    with serving(double) as server, pytest.raises(InputError, match=r"allowed: from 1e\+12"):
        await fetch_block(source("esplora", http, server), 850_000, tmp_path, Told())


async def test_a_height_beyond_the_tip_is_refused_by_each_source(http: Http) -> None:
    esplora, node = EsploraDouble(small_block(), {}), NodeDouble(small_block(), {})
    with serving(esplora) as server, pytest.raises(InputError, match="answers 404 for this URL"):
        await source("esplora", http, server).block_hash(999)
    refusal = r"the node refuses getblockhash: Block height out of range \(code -8\)"
    with serving(node) as server, pytest.raises(InputError, match=refusal):
        await source("node", http, server).block_hash(999)


async def test_a_wrong_password_is_said_so_without_showing_it(http: Http) -> None:
    with serving(NodeDouble(small_block(), {})) as server:
        node = NodeRpc(http, server.url.replace("//", "//user:wrong@"))
        with pytest.raises(InputError, match="answers 401: it refuses this user") as caught:
            await node.block_hash(HEIGHT)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"result": 5}', b'{"result": null}'])
async def test_an_answer_out_of_shape_is_a_protocol_error(body: bytes, http: Http) -> None:
    with serving(lambda asked: asked.reply(body, Content_Type="application/json")) as server:
        with pytest.raises(ProtocolError, match="the node's answer to getblockhash"):
            await NodeRpc(http, server.url).block_hash(1)
        with pytest.raises(ProtocolError, match="the server"):
            await Esplora(http, server.url).block_hash(1)


@pytest.mark.parametrize("body", [b"{}", b'[{"txid": "", "vin": [{"txid": "", "vout": "x"}]}]'])
async def test_pages_out_of_shape_stop_the_fetch(body: bytes, http: Http) -> None:
    made = parse_block(small_block())
    with (
        serving(lambda asked: asked.reply(body)) as server,
        pytest.raises(ProtocolError, match="list of transactions cannot be read"),
    ):
        await Esplora(http, server.url).spent_outputs(made, lambda done, total: None)


async def test_a_server_that_went_away_is_a_broken_link(http: Http) -> None:
    with serving(lambda asked: None) as server:
        gone = server.url.replace("//", "//user:hunter2@")
    with pytest.raises(LinkError, match="the link to") as caught:
        await NodeRpc(http, gone).block_hash(1)
    assert "hunter2" not in str(caught.value)


@pytest.mark.shared
@pytest.mark.parametrize("kind", SOURCES)
async def test_the_real_block_arrives_and_its_fees_reconcile(
    kind: str, http: Http, tmp_path: Path, shared: Path
) -> None:
    folder = shared / "data" / "runes" / "blocks"
    raw = lzma.decompress((folder / "866342.bin.xz").read_bytes())
    real = read_spent((folder / "866342_spent_utxos.json.gz").read_bytes(), outpoints(raw))
    with serving(SOURCES[kind](raw, real)) as server:
        fetched = await fetch_block(source(kind, http, server), 866_342, tmp_path, Told())
    assert fetched.block.name == "866342_7a55d031.bin"
    assert fetched.spent
    spent = read_spent(fetched.spent.read_bytes(), outpoints(raw))
    made = parse_block(fetched.block.read_bytes())
    fees = sum(output.value for output in spent.values()) - sum(
        transaction.paid_sat for transaction in made.transactions[1:]
    )
    assert fees == 5_026_183 == made.transactions[0].paid_sat - subsidy(866_342)
    assert len(server.seen) == (3 + 195 if kind == "esplora" else 4)
