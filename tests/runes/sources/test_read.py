"""Every producer's documents as a batch: exact units, nulls for what it lacks, faults by place."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest

import workbench
from tests.runes.sources import documents as made
from workbench import runes
from workbench.errors import InputError
from workbench.runes.batch import Batch, batch_document, table_amounts
from workbench.runes.sources import PRODUCERS, SHAPES

MOST = 2**128 - 1
DOG_HOLDER = {"address": made.ADDRESS, "amount": MOST, "utxo_count": 1}


def body(*documents: Any) -> bytes:
    return "\n".join(json.dumps(each, ensure_ascii=False) for each in documents).encode()


def read(*documents: Any, **options: Any) -> Batch:
    return runes.read(body(*documents), **options)


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        runes.read(source, **options)
    return str(caught.value)


def row(batch: Batch, table: str, place: int = 0) -> dict[str, Any]:
    """A row with its amounts as integers."""
    found = batch.tables[table].slice(place, 1).to_pylist()[0]
    for name in [name.removesuffix("_high") for name in found if name.endswith("_high")]:
        found[name] = table_amounts(batch.tables[table].slice(place, 1), name)[0]
        del found[f"{name}_high"], found[f"{name}_low"]
    return found


def test_a_rune_of_ord_states_its_etching_and_its_counts() -> None:
    batch = read(made.ORD_RUNE)
    assert (batch.source.producer, batch.completeness) == ("ord", "state")
    assert (batch.first_height, batch.last_height) == (840_000, 840_000)
    etching = row(batch, "etchings")
    assert (etching["name"], etching["spaced_name"]) == ("DOGGOTOTHEMOON", made.DOG)
    assert (etching["premine"], etching["divisibility"], etching["tx_index"]) == (10**16, 5, 3)
    assert (etching["terms"], etching["turbo"], etching["cenotaph"]) == (False, False, None)
    assert (etching["amount"], etching["cap"], etching["commitment"]) == (None, None, "valid")
    assert row(batch, "entries") == {
        "rune_id": "840000:3",
        "mints": 0,
        "burned": 2_348_699_167_000,
        "supply": None,  # ord's API leaves it to be computed
        "holders": None,
    }


def test_a_source_says_what_it_speaks_of() -> None:
    batch = read(made.ORD_RUNE)
    assert batch.covers == ("etchings", "entries")
    assert batch.holds("entries")
    assert not batch.holds("balances")
    assert runes.load_batch(batch_document(batch)).covers == batch.covers


def test_the_largest_cap_of_all_is_exact_in_each_of_ords_shapes() -> None:
    for document in (made.ORD_RUNES, made.ORD_CLI_RUNES):
        batch = read(document)
        caps = dict(
            zip(
                batch.tables["etchings"]["rune_id"].to_pylist(),
                table_amounts(batch.tables["etchings"], "cap"),
                strict=True,
            )
        )
        assert caps == {"1:0": MOST, "840000:3": None}
    heights = batch.tables["etchings"]["height_end"].to_pylist()
    assert sorted(heights, key=str) == [1_050_000, None]
    assert table_amounts(batch.tables["entries"], "supply") == [10**16, 0]


def test_names_in_balances_find_their_ids_in_another_document() -> None:
    batch = read(made.ORD_CLI_BALANCES, made.ORD_CLI_RUNES)
    assert batch.tables["balances"]["rune_id"].to_pylist() == ["840000:3"] * 2
    assert table_amounts(batch.tables["balances"], "amount") == [88_980_600_000, 7]
    assert batch.covers == ("etchings", "balances", "entries")


def test_a_name_without_an_id_is_refused_with_what_to_read() -> None:
    said = refusal(body(made.ORD_CLI_BALANCES))
    assert said == (
        "bytes names the rune 'DOG•GO•TO•THE•MOON' without its id: read what lists the runes "
        "with it, such as `ord runes`"
    )


def test_outputs_and_addresses_of_ord_hold_atomic_and_divided_amounts() -> None:
    output = row(read(made.ORD_OUTPUT, made.ORD_RUNE), "balances")
    held = row(read(made.ORD_ADDRESS, made.ORD_RUNE), "balances")
    assert (output["amount"], held["amount"]) == (100, 150_000)
    assert (output["script"], output["outpoint"]) == (made.SCRIPT, f"{made.OTHER}:0")
    assert (held["script"], held["outpoint"], held["address"]) == (None, None, made.ADDRESS)
    spent = {**made.ORD_OUTPUT, "spent": True}
    assert read(spent, made.ORD_RUNE).rows()["balances"] == 0


def test_hiro_divides_amounts_and_caps_and_both_come_back_exact() -> None:
    batch = read(made.HIRO_ETCHING)
    etching, entry = row(batch, "etchings"), row(batch, "entries")
    assert (etching["premine"], etching["amount"], etching["cap"]) == (11_000_000_000, 100, 1111111)
    assert (etching["commitment"], etching["txid"]) == ("unknown", made.OTHER)
    assert (entry["mints"], entry["burned"]) == (250, 5_100)
    assert entry["supply"] == 11_000_030_100  # as stated: Hiro counts what was burned twice


def test_hiros_activity_waits_for_the_divisibility() -> None:
    said = refusal(body(made.HIRO_ACTIVITY))
    assert said.startswith("bytes.results[0] has divided amounts of 840000:1, whose divisibility")
    batch = read(made.HIRO_ACTIVITY, made.HIRO_HOLDERS, made.HIRO_ETCHING, rune="840000:1")
    assert batch.tables["events"]["kind"].to_pylist() == ["minted", "transferred", "burned"]
    assert table_amounts(batch.tables["events"], "amount") == [100, 100, 100]
    assert row(batch, "inputs")["amount"] == 100
    assert row(batch, "allocations")["output"] == 1
    assert row(batch, "mints")["address"] == made.ADDRESS
    assert row(batch, "balances")["amount"] == 1_105
    assert (batch.first_height, batch.last_height) == (840_002, 840_002)


def test_a_holder_list_needs_to_know_its_rune() -> None:
    said = refusal(body(made.XVERSE_HOLDERS))
    assert said == (
        "bytes.items[0]: the document does not say of which rune it speaks: give its id, such as "
        'rune="840000:3"'
    )
    batch = read(made.XVERSE_HOLDERS, rune="840000:3")
    assert row(batch, "balances")["amount"] == MOST
    assert batch.last_height == 840_000  # a rune of that block is held


@pytest.mark.parametrize(
    "page",
    [
        {**made.XVERSE_HOLDERS, "total": 90_000},
        {"total_holders": 90_000, "holders": [DOG_HOLDER]},
    ],
    ids=["xverse", "dog"],
)
def test_a_page_of_more_holders_than_came_is_not_taken_for_all_of_them(page: Any) -> None:
    answer = runes.holders(read(page, rune="840000:3"), rune="840000:3")
    assert str(answer.sentence).startswith("1 holder of 840000:3 is known, with ")
    assert answer.explain().missing[:1] == (
        "holders: 1 of the 90,000 that the source counts are here",
    )


def test_a_rune_that_the_command_line_names_without_spacers_is_the_same_rune() -> None:
    """Of the letters alone no two runes are the same."""
    bare = {"runes": {"DOGGOTOTHEMOON": made.ORD_CLI_BALANCES["runes"][made.DOG]}}
    assert row(read(made.ORD_CLI_RUNES, bare), "balances")["rune_id"] == "840000:3"
    listed = made.ORD_CLI_RUNES["runes"]["DOGGOTOTHEMOON"]
    for name, said in ((made.DOG, "DOGGOTOTHEMOON"), (made.DOG, None), ("DOGGOTOTHEMOON", None)):
        entry = {key: each for key, each in listed.items() if key != "rune"}
        entry |= {} if said is None else {"rune": said}
        batch = read({"runes": {name: entry}}, made.ORD_CLI_BALANCES)
        assert row(batch, "etchings")["spaced_name"] == name
        assert row(batch, "balances")["rune_id"] == "840000:3"


def test_xverse_and_unisat_are_atomic() -> None:
    batch = read(made.XVERSE_ACTIVITY, made.XVERSE_INFO, rune="840000:3")
    assert table_amounts(batch.tables["events"], "amount") == [500, 500]
    assert row(batch, "inputs")["tx_index"] is None
    etching = row(batch, "etchings")
    assert (etching["txid"], etching["terms"], etching["premine"]) == (None, None, 10**16)
    assert row(batch, "entries")["holders"] == 86_037
    unisat = read(made.UNISAT_BALANCES)
    assert (unisat.source.producer, row(unisat, "balances")["amount"]) == ("unisat", 10_000)


def test_best_in_slot_is_atomic_and_says_its_block() -> None:
    batch = read(made.BIS_TICKER)
    etching, entry = row(batch, "etchings"), row(batch, "entries")
    assert (etching["premine"], etching["amount"], etching["cap"]) == (11_000_000_000, 100, 1111111)
    assert (etching["turbo"], etching["terms"], etching["height_start"]) == (True, True, None)
    assert (entry["supply"], entry["burned"]) == (11_111_111_100, 46_300)
    assert read(made.BIS_HOLDERS).last_height == 847_620


def test_the_events_of_opi_come_as_a_table_of_text() -> None:
    batch = runes.read(made.OPI_EVENTS)
    assert batch.source.producer == "opi"
    kinds = ["etched", "minted", "transferred", "burned"]
    assert batch.tables["events"]["kind"].to_pylist() == kinds
    assert table_amounts(batch.tables["events"], "amount") == [5, 6, MOST, 8]
    assert row(batch, "inputs")["outpoint"] == f"{made.TXID}:0"
    allocation = row(batch, "allocations")
    assert (allocation["amount"], allocation["cause"], allocation["tx_index"]) == (MOST, None, None)
    assert runes.read(gzip.compress(made.OPI_EVENTS)).rows() == batch.rows()


@pytest.mark.parametrize(
    ("document", "producer"),
    [(made.OKX, "okx"), (made.MAESTRO, "maestro"), (made.ALLIUM, "allium")],
    ids=["okx", "maestro", "allium"],
)
def test_what_others_lack_is_null(document: dict[str, Any], producer: str) -> None:
    batch = read(document)
    etching = row(batch, "etchings")
    assert (batch.source.producer, etching["turbo"]) == (producer, None)
    assert etching["premine"] == (None if producer == "okx" else 10**16)
    assert etching["txid"] == (made.TXID if producer == "maestro" else None)


def test_parsed_documents_are_taken_as_files_are() -> None:
    batch = runes.read([made.ORD_RUNE, made.ORD_OUTPUT])
    assert batch.tables["balances"].num_rows == 1
    assert runes.read(made.ORD_RUNE).tables["etchings"] == batch.tables["etchings"]
    said = refusal([{**made.ORD_ADDRESS, "runes_balances": [[made.DOG, 1.5, None]]}, made.ORD_RUNE])
    assert said == (
        "document 0: runes_balances[0][1] is 1.5; allowed: a decimal number from 0, at most 5 "
        "decimal places"
    )
    exact = {**made.ORD_ADDRESS, "runes_balances": [[made.DOG, Decimal("1.50000"), None]]}
    assert row(runes.read([exact, made.ORD_RUNE]), "balances")["amount"] == 150_000


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ({"premine": -1}, "entry.premine is -1; allowed: decimal string from 0 to 2^128 - 1"),
        ({"premine": 2**128}, f"entry.premine is {2**128}; allowed: decimal string from 0"),
        ({"premine": f"{2**53}.0"}, f"entry.premine is '{2**53}.0'; allowed: an integer without a"),
        ({"premine": 1.5}, "entry.premine is Decimal('1.5'); allowed: decimal string from 0"),
        ({"etching": "xyz"}, "entry.etching is 'xyz'; allowed: 64 lower-case hexadecimal digits"),
        ({"divisibility": 39}, "entry.divisibility is 39; allowed: integer from 0 to 38"),
        ({"spaced_rune": "DOG••"}, "entry.spaced_rune is 'DOG••'; allowed: "),
        ({"turbo": None}, "entry.turbo is None; allowed: true or false"),
        ({"symbol": "ab"}, "etchings.symbol is 'ab'; allowed: one Unicode character"),
    ],
    ids=lambda value: (
        next(iter(value)) + str(next(iter(value.values())))[:3] if isinstance(value, dict) else ""
    ),
)
def test_a_fault_is_named_by_line_and_field(harm: dict[str, Any], sentence: str) -> None:
    bad = {**made.ORD_RUNE, "entry": made.ord_entry(**harm)}
    assert refusal(body(made.ORD_RUNE, bad)).startswith(f"bytes line 2: {sentence}")


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (made.UNISAT_BALANCES["data"]["detail"][0], "rune"),
        (made.XVERSE_INFO, "runeName"),
        (made.HIRO_ETCHING, "name"),
        (made.BIS_TICKER, "rune_name"),
        (made.BIS_HOLDERS["data"][0], "rune_name"),
        (made.OKX, "name"),
        (made.MAESTRO, "name"),
    ],
    ids=["unisat", "xverse", "hiro", "ticker", "holder", "okx", "maestro"],
)
def test_a_name_that_contradicts_its_spaced_form_is_refused(document: Any, name: str) -> None:
    said = refusal([{**document, name: "OTHERRUNE"}])
    assert said.startswith(f"document 0: {name} is 'OTHERRUNE'; allowed: '{document[name]}', the ")


def test_the_row_of_a_list_that_contradicts_itself_is_named(tmp_path: Path) -> None:
    rows = made.UNISAT_BALANCES["data"]["detail"] * 2 + [
        {**made.UNISAT_BALANCES["data"]["detail"][0], "rune": "OTHERRUNE"}
    ]
    (tmp_path / "list.json").write_bytes(body({"code": 0, "data": {"detail": rows}}))
    assert refusal(tmp_path / "list.json") == (
        "list.json.data.detail[2]: rune is 'OTHERRUNE'; allowed: 'DOGGOTOTHEMOON', the letters of "
        f"spacedRune {made.DOG!r}"
    )


def test_a_missing_field_is_named() -> None:
    entry = made.ord_entry()
    del entry["premine"]
    said = refusal(body({**made.ORD_RUNE, "entry": entry}))
    assert said == "bytes: entry.premine is missing; allowed: a value, it is required"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (b'{"cats": 1}', "bytes is no document of ord, hiro, "),
        (b"[1]", "bytes[0] is no document of ord, hiro, "),
        (b"[", "bytes is not valid JSON: "),
        (b"[]", "the source holds no document: give one that has any"),
        (b"", "bytes is neither JSON nor NDJSON nor a table with a line of names"),
        (b"a,b\n1\n", "bytes line 2 has 1 values; allowed: 2, one for each name"),
        (b"a,b\n\xff,1\n", "bytes is no table of text: "),
        (b"\x1f\x8b\x08\x00broken", "bytes is not valid gzip: "),
        (b"PAR1broken", "bytes cannot be read: "),
        ('{"cats": 1}'.encode("utf-16"), "bytes is text in UTF-16: save it as UTF-8"),
        (gzip.compress(gzip.compress(b"{}")), "bytes is gzipped twice: unpack it once"),
        (b"a;b\n1\n", "bytes line 2 has 1 values; allowed: 2, one for each name"),
    ],
    ids=[
        *("foreign", "no-object", "cut", "empty-list", "empty", "short-row", "bytes", "gzip", "pq"),
        *("utf-16", "gzip-twice", "semicolon"),
    ],
)
def test_what_is_no_source_says_so(source: bytes, sentence: str) -> None:
    assert refusal(source).startswith(sentence)


def test_a_file_in_utf_16_is_not_taken_for_a_block(tmp_path: Path) -> None:
    path = tmp_path / "runes.json"
    path.write_bytes(json.dumps([made.ORD_RUNE] * 9).encode("utf-16"))
    with pytest.raises(InputError, match=r"^runes\.json is text in UTF-16: save it as UTF-8"):
        runes.read(path)


def test_a_frame_is_told_who_takes_it() -> None:
    frame = pandas.DataFrame({"rune_id": ["840000:3"]})
    for source in (frame, pa.Table.from_pandas(frame)):
        with pytest.raises(InputError, match=r"^source is '(DataFrame|Table)'; .* runes.from"):
            runes.read(source)  # type: ignore[arg-type]


def test_deep_nesting_is_refused() -> None:
    assert "is not valid JSON" in refusal(b"[" * 100_000)
    deep = body({"results": {"results": {"results": {"results": {"results": {}}}}}})
    assert "is no document of" in refusal(deep)


def test_a_wrong_option_is_refused_with_what_is_allowed() -> None:
    source = body(made.ORD_RUNE)
    said = refusal(source, producer="luminex")
    assert said == f"producer is 'luminex'; allowed: {', '.join(PRODUCERS)}"
    assert refusal(source, producer="hiro").startswith("bytes is no document of hiro")
    assert refusal(source, network="main").startswith("network is 'main'; allowed: mainnet")
    assert refusal(source, rune="DOG").startswith("rune id is 'DOG'; allowed: BLOCK:TX")
    assert (
        refusal(source, height=5) == "height is 5; allowed: integer from 840000, a block mentioned"
    )
    assert runes.read(source, height=900_000).last_height == 900_000


def test_a_rune_a_height_or_an_onto_that_the_source_says_itself_is_refused() -> None:
    block = str(Path(__file__).parents[3] / "data" / "samples" / "block-sim.bin")
    whole = runes.read(block)
    kept = body(batch_document(whole))
    for source, whose in ((block, "the source"), (kept, whole.id)):
        said = f"height is 5; allowed: {whole.last_height}, that of {whose}"
        assert refusal(source, height=5) == said
        said = f"rune is '840000:3'; allowed: none, as {whose} says of which runes it is"
        assert refusal(source, rune="840000:3") == said
        onto = read(made.ORD_RUNE)
        said = f"onto is {onto.id!r}; allowed: none, as {whose} is no producer's export"
        assert refusal(source, onto=onto) == said
        assert runes.read(source, height=whole.last_height).rows() == whole.rows()


def test_a_producer_that_the_source_names_itself_is_refused() -> None:
    block = str(Path(__file__).parents[3] / "data" / "samples" / "block-sim.bin")
    said = "producer is 'ord'; allowed: none, as the source holds blocks"
    assert refusal(block, producer="ord") == said
    kept = batch_document(read(made.ORD_RUNE))
    said = f"producer is 'hiro'; allowed: ord, that of {kept['id']}"
    assert refusal(body(kept), producer="hiro") == said
    assert runes.read(body(kept), producer="ord").source.producer == "ord"


def test_two_producers_are_not_mixed() -> None:
    said = refusal(body(made.ORD_RUNE, made.HIRO_ETCHING))
    assert said.startswith("bytes line 2 is no document of ord that can be read")


def test_documents_that_contradict_each_other_are_refused() -> None:
    later = {**made.ORD_RUNE, "entry": made.ord_entry(burned=1)}
    assert read(made.ORD_RUNE, made.ORD_RUNE).rows()["entries"] == 1
    assert refusal(body(made.ORD_RUNE, later)) == (
        "bytes line 1 and bytes line 2 contradict each other in burned of entries of 840000:3, "
        "which is '2348699167000' and '1': give those of one moment, or each in a batch of its own"
    )
    before = read(made.ORD_RUNE)
    assert refusal(body(later), onto=before).startswith("what was read before and bytes contradict")


def test_what_one_document_leaves_out_another_fills_in() -> None:
    """`ord runes` states a supply that the API does not; an output's owner is not in balances."""
    for order in ([made.ORD_RUNE, made.ORD_CLI_RUNES], [made.ORD_CLI_RUNES, made.ORD_RUNE]):
        batch = read(*order)
        assert batch.rows()["entries"] == 2
        assert sorted(table_amounts(batch.tables["entries"], "supply")) == [0, 10**16]
    output = {**made.ORD_OUTPUT, "runes": {made.DOG: made.pile(7)}}
    batch = read(made.ORD_CLI_BALANCES, output, made.ORD_RUNE)
    assert table_amounts(batch.tables["balances"], "amount") == [88_980_600_000, 7]
    assert batch.tables["balances"]["script"].to_pylist() == [None, made.SCRIPT]
    assert refusal(body(made.ORD_CLI_BALANCES, made.ORD_OUTPUT, made.ORD_RUNE)).startswith(
        "bytes line 1 and bytes line 2 contradict each other in amount of balances of 840000:3, "
        f"{made.OTHER}:0, which is '7' and '100': "
    )


def test_sums_of_holders_that_nobody_names_are_all_kept() -> None:
    batch = read(made.UNISAT_BALANCES, made.UNISAT_BALANCES)
    assert table_amounts(batch.tables["balances"], "amount") == [10_000, 10_000]


def test_sums_and_lots_of_one_rune_are_not_counted_together() -> None:
    assert refusal(body(made.ORD_OUTPUT, made.ORD_ADDRESS, made.ORD_RUNE)) == (
        "the holders of 840000:3 are listed by output and by address, which would count them "
        "twice: read one or the other"
    )


def test_a_folder_is_read_and_later_only_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(body(made.ORD_CLI_RUNES))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(body(made.ORD_CLI_BALANCES)))
    told: list[tuple[int, int]] = []
    batch = runes.read(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert batch.source.parts
    assert len(batch.source.parts) == 2
    assert told[-1][0] == told[-1][1] == sum(one.stat().st_size for one in tmp_path.iterdir())
    (tmp_path / "copy.json").write_bytes(body(made.ORD_CLI_RUNES))
    assert runes.read(tmp_path, onto=batch) is batch
    (tmp_path / "c.ndjson").write_bytes(body(made.ORD_OUTPUT | {"outpoint": f"{made.OTHER}:5"}))
    both = runes.read(tmp_path, onto=batch)
    assert both.rows()["balances"] == 3
    whole = runes.read(tmp_path)
    assert both.source.parts == whole.source.parts
    assert both.id == whole.id
    saved = runes.save_batch(both, tmp_path / "kept")
    assert runes.read(saved).source.parts == both.source.parts


def test_a_faulty_file_stops_the_whole_reading(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(body(made.ORD_CLI_RUNES))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.json").write_bytes(body({"runes": {made.DOG: {"x:1": made.pile(1)}}}))
    said = refusal(tmp_path)
    assert said.startswith("sub/b.json: runes[...] is ")
    assert said.endswith("; allowed: TXID:OUTPUT")


def test_a_batch_is_a_source_too(tmp_path: Path) -> None:
    batch = read(made.ORD_RUNE)
    for name in ("b.json", "b.json.gz", "b.ndjson", "folder"):
        assert runes.read(runes.save_batch(batch, tmp_path / name)).id == batch.id


def test_a_batch_of_a_later_version_is_refused_as_one_and_so_is_a_field_that_is_not_ours(
    tmp_path: Path,
) -> None:
    """A field that nobody here knows may change what the others mean."""
    document = batch_document(read(made.ORD_RUNE))
    assert refusal(body({**document, "schema": "runes-batch/2"})) == (
        "schema is 'runes-batch/2'; allowed: runes-batch/1"
    )
    assert refusal(body({**document, "later": 1})).startswith("later is 1; allowed: absent; known:")
    folder = runes.save_batch(read(made.ORD_RUNE), tmp_path / "kept")
    header = json.loads((folder / "batch.json").read_text())
    (folder / "batch.json").write_text(json.dumps({**header, "later": 1}))
    assert refusal(folder).startswith("later is 1; allowed: absent; known:")


@pytest.mark.shared
def test_the_tracer_of_dog_dropped_inputs_of_four_transfers(shared: Path) -> None:
    batch = runes.read(shared / "data" / "runes" / "dog" / "dog_transactions_backup.json")
    sums: dict[str, list[int]] = {}
    for place, table in enumerate(("inputs", "events")):
        amounts = table_amounts(batch.tables[table], "amount")
        for txid, amount in zip(batch.tables[table]["txid"].to_pylist(), amounts, strict=True):
            sums.setdefault(txid, [0, 0])[place] += amount or 0
    assert len(sums) == 1_000
    assert sum(given == kept for given, kept in sums.values()) == 996
    assert all(given <= kept for given, kept in sums.values())


@pytest.mark.shared
def test_every_example_of_the_shapes_at_hand_is_told_apart(shared: Path) -> None:
    shapes = json.loads((shared / "data" / "runes" / "api_shapes.json").read_text())
    told = {}
    for name, shape in shapes.items():
        example = shape.get("example") if isinstance(shape, dict) else None
        if isinstance(example, dict):
            fitting = [each.producer for each in SHAPES if each.tells(example)]
            told[name.split(" ")[0]] = fitting
    assert all(len(fitting) <= 1 for fitting in told.values())
    assert told["ord_rune"] == ["ord"]
    assert told["hiro_etching"] == ["hiro"]


def test_the_fast_reader_of_opi_gives_what_the_adapter_gives() -> None:
    rows = [
        made.opi(kind, 2**100 + kind, place or None)
        for place, kind in enumerate((0, 3, 1, 2, 4, 3, 0))
    ]
    body = made.opi_csv(*rows)
    columns = dict(enumerate(made.OPI_COLUMNS))
    parsed = [{columns[place]: value or None for place, value in enumerate(each)} for each in rows]
    fast, slow = runes.read(body), runes.read(parsed)
    assert fast.covers == slow.covers
    for name, table in slow.tables.items():
        assert fast.tables[name].to_pylist() == table.to_pylist(), name


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (",840005", ",84.5", "bytes line 2: block_height is '84.5'"),
        (",840005", ",", "bytes line 2: block_height is None"),
        (made.TXID + ",", "xyz,", "bytes line 2: txid is 'xyz'"),
        ("\n3,", "\n7,", "bytes line 2: event_type is '7'"),
        (f",{MOST},", f",{2**128},", f"bytes line 2: amount is '{2**128}'"),
        (":0,", ":x,", "bytes line 2: outpoint is "),
    ],
    ids=["height", "no-height", "txid", "type", "amount", "outpoint"],
)
def test_a_fault_in_a_file_of_opi_is_told_by_its_line(old: str, new: str, sentence: str) -> None:
    body = made.opi_csv(made.opi(3, MOST)).decode().replace(old, new, 1)
    assert refusal(body.encode()).startswith(sentence)


def test_an_output_of_an_export_that_stands_twice_is_refused() -> None:
    row = made.opi(3, 7)
    with pytest.raises(InputError, match=r"allocations\[1\] is .* output 0 again, as in row 0"):
        runes.read(made.opi_csv(row, row))
    with pytest.raises(InputError, match=r"inputs\[1\] is .* again, as in row 0"):
        runes.read(made.opi_csv(made.opi(0, 7), made.opi(0, 7)))


def page(*rows: dict[str, Any], offset: int, total: int) -> dict[str, Any]:
    return {"limit": len(rows), "offset": offset, "total": total, "results": list(rows)}


def test_a_row_that_two_pages_of_a_list_have_is_one() -> None:
    """A page that is fetched after a new event begins with what the page before ended with."""
    mint, received, burned = map(made.hiro_activity, ("mint", "receive", "burn"))
    pages = [
        page(mint, received, offset=0, total=4),
        page(received, burned, offset=2, total=5),
        page(mint, received, offset=0, total=4),
    ]
    for source in ([made.HIRO_ETCHING, *pages], body(made.HIRO_ETCHING, *pages)):
        batch = runes.read(source)
        assert batch.tables["events"]["kind"].to_pylist() == ["minted", "transferred", "burned"]
        assert (batch.rows()["mints"], batch.rows()["allocations"]) == (1, 1)


def test_alike_rows_of_one_page_are_several_and_of_a_list_that_did_not_grow_too() -> None:
    """An address may send an amount several times in one transaction."""
    sent = made.hiro_activity("send")
    assert read(made.HIRO_ETCHING, page(sent, sent, offset=0, total=2)).rows()["inputs"] == 2
    apart = [page(sent, sent, offset=0, total=4), page(sent, sent, offset=2, total=4)]
    assert read(made.HIRO_ETCHING, *apart).rows()["inputs"] == 4
    grown = [page(sent, sent, offset=0, total=3), page(sent, sent, offset=2, total=4)]
    assert read(made.HIRO_ETCHING, *grown).rows()["inputs"] == 2
    lone = read(made.HIRO_ETCHING, sent, sent)
    assert lone.rows()["inputs"] == 2
    said = runes.volume(lone, rune="840000:1").explain().sources[-1]
    assert said.startswith("hiro does not say which outputs were spent: rows that are alike ")


def test_rows_of_two_pages_that_contradict_each_other_are_refused_with_both_places() -> None:
    mint, other = made.hiro_activity("mint"), made.hiro_activity("mint", "2.00")
    said = refusal(
        [made.HIRO_ETCHING, page(mint, offset=0, total=2), page(other, offset=1, total=2)]
    )
    assert said == (
        "document 2.results[0] and document 1.results[0] contradict each other about 840000:1 "
        f"mint {made.TXID}: read one of them"
    )


def test_pages_that_are_read_later_may_overlap_too(tmp_path: Path) -> None:
    mint, sent, burned = map(made.hiro_activity, ("mint", "send", "burn"))
    (tmp_path / "a.json").write_bytes(body(made.HIRO_ETCHING))
    (tmp_path / "b.json").write_bytes(body(page(mint, sent, sent, offset=0, total=3)))
    before = runes.read(tmp_path)
    (tmp_path / "c.json").write_bytes(body(page(burned, mint, sent, offset=0, total=4)))
    later = runes.read(tmp_path, onto=before)
    assert (later.rows()["mints"], later.rows()["inputs"], later.rows()["events"]) == (1, 2, 2)


def test_a_burn_that_opi_says_twice_is_refused() -> None:
    row, other = made.opi(4, 8, None), made.opi(4, 9, None)
    for again in (row, other):
        assert refusal(made.opi_csv(row, again)) == (
            f"tables.events[1] is burned rune_id 840000:3, txid {made.TXID} again, as in row 0; "
            "allowed: one row for each kind, rune_id, txid"
        )


def test_events_of_opi_without_outpoints_are_not_taken_for_none_received() -> None:
    lines = made.opi_csv(made.opi(3, 7), made.opi(4, 8, None)).decode().splitlines()
    cut = "\n".join(",".join(line.split(",")[:2] + line.split(",")[3:]) for line in lines)
    whole, bare = runes.read("\n".join(lines).encode()), runes.read(cut.encode())
    assert whole.holds("allocations") and not bare.holds("allocations")
    with pytest.raises(InputError, match="volume needs the table allocations"):
        runes.volume(bare, rune="840000:3")


def test_inputs_of_an_export_that_names_no_outputs_may_be_alike() -> None:
    row = made.opi(0, 7, None)
    assert runes.read(made.opi_csv(row, row)).rows()["inputs"] == 2


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (0, "9", "event_type is '9'; allowed: 0, 1, 2, 3, 4"),
        (7, "x", "block_height is 'x'; allowed: integer from 0 to 4294967295"),
        (7, str(2**70), f"block_height is '{2**70}'; allowed: integer from 0 to 4294967295"),
        (2, "1" * 80, f"outpoint is '{'1' * 80}'; allowed: TXID:OUTPUT or an empty text or null"),
    ],
)
def test_a_fault_says_in_words_what_is_allowed(place: int, value: str, sentence: str) -> None:
    row = list(made.opi(3, 7))
    row[place] = value
    assert refusal(made.opi_csv(tuple(row))) == f"bytes line 2: {sentence}"


def test_a_number_beyond_its_bounds_is_told_the_bounds() -> None:
    etching = {**made.HIRO_ETCHING, "divisibility": 39}
    assert refusal(etching).endswith("divisibility is 39; allowed: integer from 0 to 38")


def test_a_column_that_a_table_lacks_is_named() -> None:
    body = made.opi_csv(made.opi(3, 7)).replace(b"block_height", b"height")
    assert refusal(body) == (
        "bytes line 2 looks like runes_events of opi, but has no block_height: export it with "
        "that field, or say whose it is with producer="
    )


@pytest.mark.parametrize("reads", [runes.read, runes.load_batch])
def test_an_empty_path_is_not_the_folder_that_one_stands_in(reads: Any) -> None:
    with pytest.raises(InputError, match="source is ''; allowed: a file, a folder, bytes or"):
        reads("")


@pytest.mark.parametrize("data", [{}, {"data": None}], ids=["none", "null"])
def test_a_service_that_gave_no_answer_is_quoted(data: dict[str, Any]) -> None:
    said = refusal(body({"code": -1, "msg": "rate limited", **data}))
    assert said.startswith("bytes holds no data: the service answered 'rate limited'; ask it again")


def test_what_is_no_source_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="source is None; allowed: a file, a folder"):
        runes.load_batch(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="notebook is 5; allowed: the path of an"):
        workbench.reproduce(5)  # type: ignore[arg-type]
