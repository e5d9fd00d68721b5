"""A file is fetched whole and right, whatever its server and its disk do on the way."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.llm.faulty_files import (
    Files,
    busy,
    content,
    files,
    leads_to,
    reset_after,
    short_by,
    stalled_after,
    wrong_bytes,
)
from workbench.byte_ranges import Ranges, Refused
from workbench.core.downloads import RemoteFile
from workbench.errors import InputError, LinkError, StoreError
from workbench.llm.fetching import Corrupt, Fetch, Fetched, Pace, Told
from workbench.llm.lanes import Changed, Patience
from workbench.llm.part_file import NoSpace, PartFile

SOON = Patience(tries=4, first_s=0.02, most_s=0.05)
SIZE = 3_000_000


class Run:
    """One fetch into a folder, and what it told."""

    def __init__(self, served: Files, folder: Path, **more: Any) -> None:
        declared = {"size_bytes": len(served.body), "sha256": served.sha256}
        self.file = RemoteFile(
            url=more.pop("url", served.url),
            **{"name": "model.gguf", **declared, **more.pop("file", {})},
        )
        self.target = folder / "model.gguf"
        self.told: list[Told] = []
        self.stop = threading.Event()
        self.when_told = more.pop("when_told", lambda told: None)
        self.ranges = more.pop("ranges", None) or Ranges(private_addresses=True, idle_s=5)
        self.fetch = Fetch(
            self.ranges,
            self.file,
            self.target,
            told=self._hear,
            stop=self.stop,
            **{"patience": SOON, **more},
        )

    def _hear(self, told: Told) -> None:
        self.told.append(told)
        self.when_told(told)

    def run(self) -> Fetched | None:
        try:
            return self.fetch.run()
        finally:
            self.ranges.close()

    @property
    def states(self) -> list[str]:
        """Without repetitions."""
        found = [told.state for told in self.told]
        return [one for at, one in enumerate(found) if at == 0 or found[at - 1] != one]

    def left(self) -> list[str]:
        return sorted(path.name for path in self.target.parent.iterdir())


def whole(run: Run, served: Files) -> None:
    """The file is there, right, and nothing else."""
    found = run.run()
    assert found is not None
    assert found.sha256 == served.sha256
    assert run.target.read_bytes() == served.body
    assert run.left() == ["model.gguf"]


def test_a_file_comes_whole_and_verified(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        whole(run := Run(served, tmp_path), served)
        assert served.asked == ["bytes=0-"]
        assert served.sent_bytes == SIZE
    assert run.told[0].state == "resolving"


def test_a_file_without_declared_size_and_hash_says_its_hash(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        whole(Run(served, tmp_path, file={"size_bytes": None, "sha256": None}), served)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    with files(b"") as (served, _):
        whole(Run(served, tmp_path), served)


def test_a_file_that_is_there_and_right_is_not_fetched(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        (tmp_path / "model.gguf").write_bytes(served.body)
        found = Run(served, tmp_path).run()
        assert found is not None
        assert served.asked == []


def test_a_claim_that_was_left_beside_a_file_that_is_right_goes(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        run = Run(served, tmp_path)
        run.target.write_bytes(served.body)
        for end in (".part.json", ".part.json.new"):  # the kill came right after it got its name
            run.target.with_name(run.target.name + end).write_bytes(b"{}")
        run.run()
        assert run.left() == ["model.gguf"]


def test_a_file_that_is_there_and_damaged_is_fetched_anew(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        (tmp_path / "model.gguf").write_bytes(content(SIZE, seed=1))
        whole(Run(served, tmp_path), served)


@pytest.mark.parametrize("fault", [busy(503), busy(429), reset_after(900_000), short_by(7)])
def test_a_fault_that_passes_is_borne(tmp_path: Path, fault: Any) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [fault, fault]
        whole(Run(served, tmp_path), served)
        assert len(served.asked) == 3


def test_after_a_reset_only_the_rest_is_fetched(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [short_by(SIZE - 1_000_000)]
        whole(Run(served, tmp_path), served)
        assert served.asked == ["bytes=0-", "bytes=1000000-"]


def test_a_server_that_asks_for_time_gets_it(tmp_path: Path) -> None:
    with files(content(1000)) as (served, _):
        served.faults = [busy(503, Retry_After="1")]
        run = Run(served, tmp_path)
        whole(run, served)
    waited = [told for told in run.told if told.state == "stalled"]
    assert len(waited) >= 5  # about ten are told each second
    assert str(waited[0].problem) == "127.0.0.1 answers 503: try again later"


def test_a_server_that_never_has_time_is_given_up(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [busy()] * 20
        with pytest.raises(LinkError, match=r"127\.0\.0\.1 answers 503: try again later"):
            Run(served, tmp_path).run()
        assert len(served.asked) == 1 + SOON.tries


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_said_at_once(tmp_path: Path, status: int) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [busy(status)]
        with pytest.raises(Refused) as caught:
            Run(served, tmp_path).run()
        assert caught.value.status == status
        assert len(served.asked) == 1
    assert not (tmp_path / "model.gguf").exists()


def test_a_stalled_stream_is_said_and_opened_anew(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [stalled_after(1_000_000)]
        ranges = Ranges(private_addresses=True, idle_s=0.3)
        patience = Patience(first_s=0.5)
        whole(run := Run(served, tmp_path, ranges=ranges, patience=patience), served)
        assert served.asked[1] is not None
        assert int(served.asked[1].removeprefix("bytes=").rstrip("-")) > 500_000
    assert "stalled" in run.states
    stalled = next(told for told in run.told if told.state == "stalled")
    assert str(stalled.problem) == "127.0.0.1 sent nothing for 0.3 s"


def test_wrong_bytes_of_the_right_size_are_fetched_once_more(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [wrong_bytes]
        whole(run := Run(served, tmp_path), served)
        assert served.asked == ["bytes=0-", "bytes=0-"]
    assert any("sha256" in str(told.problem) for told in run.told)


def test_bytes_that_are_always_wrong_never_become_a_file(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [wrong_bytes] * 5
        with pytest.raises(Corrupt, match="came with other bytes than its source declares"):
            (run := Run(served, tmp_path)).run()
        assert len(served.asked) == 2
        assert run.left() == []


def test_a_size_other_than_declared_never_becomes_a_file(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        run = Run(served, tmp_path, file={"size_bytes": SIZE + 1})
        with pytest.raises(LinkError) as caught:
            run.run()
    assert str(caught.value) == (
        "model.gguf has 3000000 bytes at its source instead of 3000001: look it up again"
    )
    assert "model.gguf" not in run.left()


def stopped_at(run: Run, count: int) -> None:
    """Stop it once so many bytes are there."""
    run.when_told = lambda told: run.stop.set() if told.done_bytes >= count else None
    assert run.run() is None
    assert not run.target.exists()


def test_a_stopped_fetch_goes_on_from_where_it_stood(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.each_bytes_s = 2_000_000
        stopped_at(first := Run(served, tmp_path), 500_000)
        assert first.left() == ["model.gguf.part", "model.gguf.part.json"]
        served.each_bytes_s = None
        whole(Run(served, tmp_path), served)
        assert served.asked[1] is not None
        assert int(served.asked[1].removeprefix("bytes=").rstrip("-")) >= 500_000


@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path, etag: str | None) -> None:
    with files(content(SIZE)) as (served, _):
        served.each_bytes_s = 2_000_000
        unknown = {"sha256": None}
        stopped_at(Run(served, tmp_path, file=unknown), 500_000)
        served.body, served.etag, served.each_bytes_s = content(SIZE, seed=1), etag, None
        run = Run(served, tmp_path, file=unknown)
        whole(run, served)
    notes = {str(told.problem) for told in run.told if told.problem}
    assert notes == {"model.gguf changed at its source: it is fetched anew"}


def test_a_weak_etag_is_never_asked_with(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, server):
        served.etag, served.last_modified = 'W/"one"', "Wed, 21 Oct 2026 07:28:00 GMT"
        served.faults = [short_by(1000)]
        whole(Run(served, tmp_path), served)
        asked = [headers.get("if-range") for _, headers in server.seen]
        assert asked == [None, served.last_modified]


def test_a_file_that_changes_all_the_time_is_given_up(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):

        def another(served: Files, asked: Any) -> None:
            served.etag = f'"{len(served.asked)}"'
            short_by(1000)(served, asked)

        served.faults = [another] * 30
        with pytest.raises(Changed, match="changed at its source"):
            Run(served, tmp_path).run()


def test_a_server_without_ranges_starts_anew_after_a_fault(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.ranges = False
        served.faults = [reset_after(1_000_000)]
        whole(run := Run(served, tmp_path), served)
        assert served.asked == ["bytes=0-", "bytes=0-"]
    assert run.told[-1].connections in (0, 1)


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.ranges = False
        served.faults = [short_by(10)] * 30
        with pytest.raises(LinkError, match="broke off 10 bytes before the end"):
            Run(served, tmp_path).run()


def test_a_change_is_noticed_also_where_the_server_ignores_if_range(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.heeds_if_range, served.each_bytes_s = False, 2_000_000
        unknown = {"sha256": None}
        stopped_at(Run(served, tmp_path, file=unknown), 500_000)
        served.body, served.etag, served.each_bytes_s = content(SIZE, seed=1), '"two"', None
        whole(Run(served, tmp_path, file=unknown), served)


def test_parts_that_nothing_ties_together_are_never_joined(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.etag, served.each_bytes_s = None, 2_000_000
        unknown = {"sha256": None}
        stopped_at(Run(served, tmp_path, file=unknown), 500_000)
        served.body, served.each_bytes_s = content(SIZE, seed=1), None
        whole(Run(served, tmp_path, file=unknown), served)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"source": null}',
        b"\xff" * 100,
        b"[" * 100_000,
    ],
)
def test_a_damaged_claim_is_worth_nothing(tmp_path: Path, damage: bytes) -> None:
    with files(content(SIZE)) as (served, _):
        (tmp_path / "model.gguf.part").write_bytes(bytes(SIZE))
        (tmp_path / "model.gguf.part.json").write_bytes(damage)
        whole(Run(served, tmp_path), served)


@pytest.mark.parametrize(
    "lie",
    [
        {"done": [[0, SIZE + 1]]},
        {"done": [[-5, 10]]},
        {"source": {"url": "http://other.example/", "sizeBytes": SIZE, "ranges": True}},
        {"sha256": "0" * 64},
    ],
)
def test_a_claim_for_another_file_is_worth_nothing(tmp_path: Path, lie: dict[str, Any]) -> None:
    with files(content(SIZE)) as (served, _):
        source = {"url": served.url, "sizeBytes": SIZE, "etag": '"one"', "ranges": True}
        claim = {"source": source, "sha256": served.sha256, "done": [[0, SIZE]], **lie}
        (tmp_path / "model.gguf.part").write_bytes(bytes(SIZE))
        (tmp_path / "model.gguf.part.json").write_text(json.dumps(claim))
        whole(Run(served, tmp_path), served)
        assert served.asked == ["bytes=0-"]


def test_a_claim_that_lies_about_the_bytes_is_found_out_by_the_hash(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        source = {"url": served.url, "sizeBytes": SIZE, "etag": '"one"', "ranges": True}
        claim = {"source": source, "sha256": served.sha256, "done": [[0, SIZE]]}
        (tmp_path / "model.gguf.part").write_bytes(bytes(SIZE))
        (tmp_path / "model.gguf.part.json").write_text(json.dumps(claim))
        whole(Run(served, tmp_path), served)


def test_a_redirect_to_a_private_address_is_refused(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, server):
        served.faults = [leads_to("http://169.254.169.254/latest")]
        ranges = Ranges(
            resolve=lambda host, port: ["93.184.216.34"] if host == "hub.example" else [host],
            connect=lambda address, port, limit_s, hold: __import__("socket").create_connection(
                ("127.0.0.1", server.server_port)
            ),
        )
        run = Run(served, tmp_path, ranges=ranges, url="http://hub.example/model.gguf")
        with pytest.raises(InputError, match=r"169\.254\.169\.254 is private"):
            run.run()
        assert len(served.asked) == 1


@pytest.mark.parametrize("name", ["../model.gguf", "/etc/model.gguf", "model.pkl", "a/../b.gguf"])
def test_a_name_that_leaves_the_folder_or_holds_code_is_refused(tmp_path: Path, name: str) -> None:
    with files(content(10)) as (served, _):
        with pytest.raises(InputError, match="the file name is"):
            Run(served, tmp_path, file={"name": name})
        assert served.asked == []


def test_a_file_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        run = Run(served, tmp_path, keep_free_bytes=2**60)
        with pytest.raises(NoSpace, match="needs 3 MB more and the disk has"):
            run.run()
        assert not run.target.exists()


def test_two_processes_never_write_one_file(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        other = PartFile(tmp_path / "model.gguf")
        other.open()
        with pytest.raises(StoreError, match="is being fetched by another process"):
            Run(served, tmp_path).run()
        other.close()
        whole(Run(served, tmp_path), served)


def test_a_link_in_place_of_the_part_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    with files(content(SIZE)) as (served, _):
        (tmp_path / "model.gguf.part").symlink_to(precious)
        with pytest.raises(StoreError, match="cannot be written"):
            Run(served, tmp_path).run()
    assert hashlib.sha256(precious.read_bytes()).digest() == hashlib.sha256(b"precious").digest()


QUICK = Pace(piece_bytes=256 << 10, settle_s=0.1, look_s=0.2, worth_s=0.1)


def test_more_connections_come_where_the_server_limits_each(tmp_path: Path) -> None:
    with files(content(8_000_000)) as (served, _):
        served.each_bytes_s = 2_000_000
        whole(run := Run(served, tmp_path, pace=QUICK), served)
        assert served.most_at_once > 1
        assert served.sent_bytes < 8_000_000 * 1.3
    assert max(told.connections for told in run.told) > 1


class UpAndDown(Pace, frozen=True, kw_only=True):
    """Steps by what was received, whatever the time: how fast it came is a busy machine's word.
    What speeds lead to is told by tests/core/test_lane_count.py."""

    def lane_count(self, most: int) -> Any:
        def look(now: float, received: int, left: int) -> int:
            return (1, 4, 1, 2)[received // 1_000_000 % 4]

        return SimpleNamespace(look=look)


def test_connections_that_are_taken_back_leave_the_file_whole(tmp_path: Path) -> None:
    with files(content(8_000_000)) as (served, _):
        whole(Run(served, tmp_path, pace=UpAndDown(piece_bytes=256 << 10)), served)


def test_one_connection_stays_where_the_server_does_no_ranges(tmp_path: Path) -> None:
    with files(content(2_000_000)) as (served, _):
        served.ranges, served.each_bytes_s = False, 2_000_000
        whole(Run(served, tmp_path, pace=QUICK), served)
        assert (served.most_at_once, len(served.asked)) == (1, 1)


def test_faults_on_some_of_several_connections_are_borne(tmp_path: Path) -> None:
    with files(content(8_000_000)) as (served, _):
        served.each_bytes_s = 2_000_000
        ok = Files.answer
        served.faults = [ok, ok, busy(503), reset_after(50_000), short_by(9), ok, busy(429), ok]
        whole(Run(served, tmp_path, pace=QUICK), served)


def test_a_stopped_fetch_of_several_connections_goes_on(tmp_path: Path) -> None:
    with files(content(8_000_000)) as (served, _):
        served.each_bytes_s = 2_000_000
        stopped_at(Run(served, tmp_path, pace=QUICK), 5_000_000)
        sent, served.each_bytes_s = served.sent_bytes, None
        whole(Run(served, tmp_path, pace=QUICK), served)
        assert served.sent_bytes - sent < 4_000_000


def test_a_stop_does_not_wait_for_a_silent_server(tmp_path: Path) -> None:
    with files(content(SIZE)) as (served, _):
        served.faults = [stalled_after(1_000_000)]
        patient = Ranges(private_addresses=True, idle_s=600)
        stopped_at(Run(served, tmp_path, ranges=patient), 500_000)
