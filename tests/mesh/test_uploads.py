"""Uploads are acknowledged, verified, bounded, and go on where they broke off."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.doubles import MemoryFetch
from workbench.core.mesh_wire import UploadMessage
from workbench.errors import InputError
from workbench.mesh.inputs import Inputs
from workbench.mesh.uploads import NoRoom, Uploads

CONTENT = bytes(range(256)) * 10
MIB = 1 << 20


def uploads_of(folder: Path, **options: Any) -> Uploads:
    whole: dict[str, Any] = {"limit_bytes": 10 * MIB, "disk_bytes": 20 * MIB}
    inputs = Inputs(folder, MemoryFetch(), limit_bytes=MIB, keep_bytes=MIB)
    inputs.prepare()
    uploads = Uploads(folder, inputs, **whole | options)
    uploads.prepare()
    return uploads


def header(content: bytes = CONTENT, **fields: Any) -> UploadMessage:
    digest = hashlib.sha256(content).hexdigest()
    whole: dict[str, Any] = {"upload_id": "u", "name": "b.json", "size": len(content)}
    return UploadMessage(**{**whole, "sha256": digest, **fields})


async def test_every_slice_is_acknowledged_and_the_whole_verified(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    message = header(request_id=5)
    first = await uploads.begin(1, message)
    assert first == {
        "type": "uploadProgress",
        "uploadId": "u",
        "received": 0,
        "size": len(CONTENT),
        "requestId": 5,
    }
    assert (await uploads.slice(1, CONTENT[:1000]))["received"] == 1000
    assert (await uploads.slice(1, CONTENT[1000:2000]))["received"] == 2000
    last = await uploads.slice(1, CONTENT[2000:])
    assert last == {
        "type": "uploaded",
        "uploadId": "u",
        "inputDataURL": f"upload:{message.sha256}",
        "requestId": 5,
    }
    assert (tmp_path / "inputs" / message.sha256).read_bytes() == CONTENT
    assert list((tmp_path / "uploads").iterdir()) == []
    assert uploads.current(1) is None


async def test_what_is_here_already_is_not_sent_again(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    await uploads.begin(1, header())
    await uploads.slice(1, CONTENT)
    assert (await uploads.begin(2, header()))["type"] == "uploaded"


async def test_an_upload_goes_on_where_it_broke_off_even_after_a_restart(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    await uploads.begin(1, header())
    await uploads.slice(1, CONTENT[:1000])
    uploads.gone(1)
    uploads = uploads_of(tmp_path)
    assert (await uploads.begin(2, header()))["received"] == 1000
    assert (await uploads.slice(2, CONTENT[1000:]))["type"] == "uploaded"


async def test_another_connection_may_take_an_upload_over(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    await uploads.begin(1, header())
    await uploads.slice(1, CONTENT[:1000])
    assert (await uploads.begin(2, header()))["received"] == 1000
    with pytest.raises(InputError) as refused:
        await uploads.slice(1, CONTENT[1000:])
    assert str(refused.value) == "the upload b.json goes on in another connection"
    assert (await uploads.slice(2, CONTENT[1000:]))["type"] == "uploaded"


async def test_other_bytes_than_announced_are_refused_and_forgotten(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    message = header()
    await uploads.begin(1, message)
    wrong = bytes(len(CONTENT))
    with pytest.raises(InputError) as refused:
        await uploads.slice(1, wrong)
    found = hashlib.sha256(wrong).hexdigest()
    assert str(refused.value) == (
        f"the upload b.json has the SHA-256 {found}, announced was {message.sha256}: send it again"
    )
    assert (await uploads.begin(1, message))["received"] == 0


async def test_too_many_bytes_end_the_upload(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    await uploads.begin(1, header())
    with pytest.raises(InputError) as refused:
        await uploads.slice(1, CONTENT + b"x")
    assert str(refused.value) == (
        "the upload b.json has more than the 2560 bytes that were announced: send it again"
    )
    assert uploads.current(1) is None


async def test_a_slice_of_more_than_a_mebibyte_or_of_nothing_is_refused(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    await uploads.begin(1, header(bytes(2 * MIB)))
    for part, sentence in (
        (bytes(MIB + 1), "a binary frame has 1048577 bytes; allowed: at most 1048576"),
        (b"", "a binary frame of an upload is empty; allowed: 1 to 1048576 bytes"),
    ):
        with pytest.raises(InputError) as refused:
            await uploads.slice(1, part)
        assert str(refused.value) == sentence
    assert (await uploads.slice(1, bytes(MIB)))["received"] == MIB


async def test_a_slice_without_an_upload_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        await uploads_of(tmp_path).slice(1, b"x")
    assert str(refused.value) == ("a binary frame came without an upload: send upload first")


async def test_an_upload_above_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        await uploads_of(tmp_path, limit_bytes=100).begin(1, header())
    assert str(refused.value) == "size is 2560; allowed: at most 100 bytes"


async def test_uploads_may_not_fill_the_disk(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path, disk_bytes=4000)
    await uploads.begin(1, header())
    other = CONTENT[::-1]
    with pytest.raises(NoRoom) as refused:
        await uploads.begin(2, header(other))
    assert refused.value.code == "busy"
    assert str(refused.value) == (
        "there is no room for 2560 more bytes of uploads: "
        "remove old files from the inputs folder, or try again later"
    )
    await uploads.slice(1, CONTENT)
    with pytest.raises(NoRoom):
        await uploads.begin(2, header(other))


async def test_what_a_disk_has_to_keep_free_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        NoRoom, match=r"leaves 1099511627776 MiB of its disk free .*, and \d+ MiB are"
    ):
        await uploads_of(tmp_path, reserve_bytes=1 << 60).begin(1, header())


async def test_partial_uploads_of_yesterday_are_removed(tmp_path: Path) -> None:
    uploads = uploads_of(tmp_path)
    await uploads.begin(1, header())
    await uploads.slice(1, CONTENT[:10])
    (part,) = (tmp_path / "uploads").iterdir()
    old = time.time() - 25 * 3600
    os.utime(part, (old, old))
    assert (await uploads_of(tmp_path).begin(1, header()))["received"] == 0
