"""`batch-import` keeps a batch, and what a producer exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runes.fakes import RecordingContext
from tests.runes.sources import documents as made
from workbench.errors import InputError
from workbench.runes.models.batch_import import batch_import

SMALL = Path(__file__).parents[2] / "data" / "samples" / "small.json"


def kept(folder: Path, body: str | bytes, **given: Any) -> dict[str, Any]:
    """What the task says of the batch that it made of a file with a name that tells nothing."""
    path = folder / "input"
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    data: dict[str, Any] = batch_import(RecordingContext({}), path, **given).data
    return data


def test_an_export_as_json_ndjson_or_csv_is_read(tmp_path: Path) -> None:
    entry = json.dumps(made.ORD_RUNE)
    for body in (entry, f"{entry}\n{entry}\n"):
        data = kept(tmp_path, body)
        assert data["batch"]["source"]["producer"] == "ord"
        assert data["rows"]["entries"] == 1
    holders = "address,amount\nbc1plzs2lltvv29k603w5m0aqma5e8w0n3pc77dt89l5w9hurmdfgd0swdhspn,5\n"
    data = kept(tmp_path, holders, producer="xverse", rune="840000:3", height=900_000)
    assert (data["rows"]["balances"], data["batch"]["last_height"]) == (1, 900_000)


def test_an_export_that_lacks_something_names_the_field(tmp_path: Path) -> None:
    holders = json.dumps(made.XVERSE_HOLDERS)
    with pytest.raises(InputError, match=r"give its id, such as rune=\"840000:3\""):
        kept(tmp_path, holders)
    with pytest.raises(InputError, match="say whose it is with producer="):
        kept(tmp_path, '{"a": 1}\n{"a": 2}\n')


def test_a_batch_takes_nothing_that_it_says_itself(tmp_path: Path) -> None:
    body = SMALL.read_bytes()
    assert kept(tmp_path, body)["batch"]["id"] == "sample_small"
    with pytest.raises(InputError, match=r"rune is .840000:3.; allowed: none, as sample_small"):
        kept(tmp_path, body, rune="840000:3")


def test_more_runes_than_allowed_are_refused_in_an_export_too(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text(json.dumps(made.ORD_RUNE))
    context = RecordingContext({})
    context.rune_limit = 0
    with pytest.raises(InputError, match="the batch holds 1 rune; allowed: up to 0"):
        batch_import(context, path)
