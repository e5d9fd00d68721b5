"""A batch's id becomes an address, and no id leads elsewhere."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.batch_address import batch_url, check_base
from workbench.core.mesh_config import MeshConfig
from workbench.errors import InputError

WEB = "https://host.example.org/batches/"


@pytest.mark.parametrize(
    ("base", "batch_id", "url"),
    [
        (None, "b840000", "batch:b840000"),
        (None, 840000, "batch:840000"),
        (WEB, "840000.json", f"{WEB}840000.json"),
        (WEB.rstrip("/"), "a..b", f"{WEB}a..b"),
        ("http://127.0.0.1:8000", "x", "http://127.0.0.1:8000/x"),
        ("samples/", "small.json", "samples/small.json"),
        ("samples", "small.json", "samples/small.json"),
    ],
)
def test_a_batch_lies_below_the_base_or_at_the_hub(
    base: str | None, batch_id: str | int, url: str
) -> None:
    assert batch_url(base, batch_id) == url


HOSTILE = [
    "", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", "file:///etc/passwd", "http://x", "%2e%2e",
    "a?b", "a#b", "a b", "a\n", "a\0", ".hidden", "é", "x" * 101, "{0}", -1, "@evil.example.org",
    "batch:x", "upload:" + "0" * 64,
]  # fmt: skip


@pytest.mark.parametrize("base", [None, WEB, "samples"])
@pytest.mark.parametrize("batch_id", HOSTILE)
def test_a_hostile_id_is_refused(base: str | None, batch_id: str | int) -> None:
    if batch_id == -1 and base is not None:
        assert batch_url(base, batch_id).endswith("/-1")
        return
    with pytest.raises(InputError, match=r"batch_id is .*; allowed: 1 to "):
        batch_url(base, batch_id)


@given(st.text(max_size=120))
def test_no_id_leaves_its_folder(batch_id: str) -> None:
    try:
        url = batch_url(WEB, batch_id)
    except InputError:
        return
    rest = url.removeprefix(WEB)
    assert set(rest) <= set(string.ascii_letters + string.digits + "._-")
    assert not rest.startswith(".")


@pytest.mark.parametrize(
    "base",
    [
        "", "ftp://host/", "https://", "https://user:secret-canary@host/", "https://host/?a=b",
        "https://host/#a", "https://[::1", "https://ho st/", "../x", "/etc", "a//b", "a/../b", ".x",
        "file:///etc", "javascript:x", "https://host\\evil/", "x" * 2001,
    ],
)  # fmt: skip
def test_a_base_that_cannot_carry_an_id_is_refused(base: str) -> None:
    with pytest.raises(InputError, match="batch_base_url") as refusal:
        check_base(base)
    assert "canary" not in str(refusal.value)
    with pytest.raises(InputError, match="batch_base_url"):
        MeshConfig().changed(batchBaseURL=base)
