"""Files on their way from a page: acknowledged in order, carried on, refused with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from workbench.boards.uploads import OPEN_UPLOADS, SIZE_LIMIT, Spooled, Uploads


class Desk:
    """Uploads with what they answered and what is complete."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.complete: list[Spooled] = []
        self.uploads = Uploads(self._reply, self.complete.append)

    def _reply(self, kind: str, **said: Any) -> None:
        assert kind == "upload"
        self.said.append(said)

    def begin(self, size: Any, upload_id: str = "u") -> None:
        step = {"step": "begin", "uploadId": upload_id, "name": "b.json", "size": size}
        self.uploads.handle(step, [])

    def slice(self, offset: int, part: bytes, upload_id: str = "u") -> None:
        step = {"step": "slice", "uploadId": upload_id, "offset": offset}
        self.uploads.handle(step, [memoryview(part)])


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.uploads.close()


def test_slices_are_acknowledged_and_become_the_file(desk: Desk) -> None:
    desk.begin(6)
    desk.slice(0, b"abcd")
    desk.slice(4, b"ef")
    assert [said["acknowledged"] for said in desk.said] == [0, 4, 6]
    [spooled] = desk.complete
    assert spooled.path.read_bytes() == b"abcdef"
    assert spooled.name == "b.json"


def test_an_upload_goes_on_from_where_it_stopped(desk: Desk) -> None:
    desk.begin(6)
    desk.slice(0, b"abcd")
    desk.begin(6)
    assert desk.said[-1]["acknowledged"] == 4
    desk.slice(4, b"ef")
    assert len(desk.complete) == 1


def test_a_slice_that_came_twice_counts_once(desk: Desk) -> None:
    desk.begin(6)
    desk.slice(0, b"abcd")
    desk.slice(0, b"abcd")
    desk.slice(4, b"ef")
    desk.slice(4, b"ef")
    [spooled] = desk.complete
    assert spooled.path.read_bytes() == b"abcdef"


def test_a_slice_out_of_order_is_refused_with_the_place_to_go_on_from(desk: Desk) -> None:
    desk.begin(6)
    desk.slice(4, b"ef")
    assert desk.said[-1]["error"]["text"] == (
        "b.json: a slice at byte 4 does not follow byte 0: try again, it goes on from there"
    )


@pytest.mark.parametrize("size", [0, -1, SIZE_LIMIT + 1, "6", None])
def test_a_size_that_cannot_be_is_refused(desk: Desk, size: Any) -> None:
    desk.begin(size)
    assert "the size of b.json is" in desk.said[-1]["error"]["text"]


def test_the_oldest_of_too_many_open_uploads_is_forgotten(desk: Desk) -> None:
    for number in range(OPEN_UPLOADS + 1):
        desk.begin(6, str(number))
    desk.slice(0, b"abcdef", "0")
    assert desk.complete == []


def test_a_dropped_upload_leaves_no_file(desk: Desk) -> None:
    desk.begin(6)
    desk.slice(0, b"abcdef")
    [spooled] = desk.complete
    desk.uploads.handle({"step": "drop", "uploadId": "u"}, [])
    assert not spooled.path.exists()
