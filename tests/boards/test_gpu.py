"""The metrics board between a page and a real `/ws`: what moves, alerts, waits, rests, is had."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest

from tests.boards.pages import BoardPage
from tests.clients.metering_hub import MONITORING, gpu, metering
from tests.hub.endpoint import Endpoint
from workbench.boards.gpu import GpuBoard
from workbench.boards.home import Home
from workbench.core.ledger_nouns import Claim
from workbench.errors import LinkError
from workbench.runtime import Runtime

FAST_MS = 500


class Page(BoardPage):
    """Messages come with their buffers."""

    def hear(self, content: dict[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        self.heard.append((content, buffers or []))

    @property
    def follows(self) -> bool:
        """Whether the hub sends the board anything."""
        desk = self.board._desk
        return desk is not None and desk.client.monitored is not None

    async def reply(self, kind: str) -> tuple[dict[str, Any], list[bytes]]:
        return (await self.until(lambda: self.sent(kind)))[-1]  # type: ignore[no-any-return]

    def sent(self, kind: str) -> list[tuple[dict[str, Any], list[bytes]]]:
        return [each for each in self.heard if each[0].get("kind") == kind]

    def number(self, metric: str, subject: str) -> float | None:
        """The newest of a metric that the page was sent; None where it was not measured."""
        *_, (_content, buffers) = self.sent("tick")
        at = self.widget.columns.index((metric, subject))
        (value,) = struct.unpack_from("<f", buffers[0], 4 * at)
        return None if math.isnan(value) else float(value)

    async def shows(self, metric: str, subject: str, value: float | None) -> None:
        await self.until(lambda: self.sent("tick") and self.number(metric, subject) == value)

    @property
    def charted(self) -> set[tuple[str, str]]:
        """The kinds of metrics and the subjects of the newest history."""
        content, _buffers = self.sent("history")[-1]
        return {(metric.split(".")[0], subject) for metric, subject, _count in content["series"]}

    async def stored(self) -> None:
        """Samples are shown before the hub's writer has them in the file: asks until it has."""
        while self.charted != {("gpu", "0"), ("gpu", "1")}:
            answered = len(self.sent("history"))
            self.wants("refresh")
            await self.until(lambda: len(self.sent("history")) > answered)  # noqa: B023


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with metering(tmp_path) as hub:
        yield hub


@contextlib.asynccontextmanager
async def page_of(hub: Endpoint, data: Path, *, looks: bool = True) -> AsyncIterator[Page]:
    """A board on a runtime of its own; its session is where this hub is."""
    background = Runtime("test-runtime")
    place = SimpleNamespace(hub=SimpleNamespace(ws=hub.url, token=hub.token), data=data)
    board = GpuBoard(
        Home(),
        session=lambda: place,  # type: ignore[arg-type,return-value]
        background=background,
    )
    page = Page(board)
    if looks:
        page.looks()
    try:
        await page.until(lambda: page.widget.connection.get("state") == "connected")
        if looks:
            page.wants("configure", intervalMs=FAST_MS)
            await page.until(lambda: page.widget.gpus and page.sent("history"))
        yield page
    finally:
        board.close()
        if board.closing is not None:
            await asyncio.wrap_future(board.closing)
        await asyncio.to_thread(background.close)


@pytest.fixture
async def page(hub: Endpoint, tmp_path: Path) -> AsyncIterator[Page]:
    async with page_of(hub, tmp_path) as page:
        yield page


async def test_gauges_move_with_the_gpus(hub: Endpoint, page: Page) -> None:
    await page.shows("gpu.utilization", "0", 30.0)
    hub.machine.gpus = (gpu("0", utilization=80.0, power_usage_w=None), gpu("1"))
    await page.shows("gpu.utilization", "0", 80.0)
    assert page.number("gpu.power", "0") is None
    assert page.number("gpu.memory_used_pct", "1") == pytest.approx(18.8)
    assert page.number("llm.tokens_per_s", "m@b") == 40.0
    assert page.widget.stale is None


async def test_the_page_knows_each_gpu_and_who_uses_it(page: Page) -> None:
    first = page.widget.gpus[0]
    assert (first["gpuId"], first["name"], first["memoryTotalMB"]) == ("0", "Test GPU", 8000.0)
    assert "utilization" not in first
    kernel, others = page.widget.processes["0"]
    assert (kernel["kind"], kernel["memoryMB"]) == ("kernel", 1000.0)
    assert (others["kind"], others["name"]) == ("other", "")
    assert page.widget.models == ["m@b"]
    assert page.widget.catalogue["gpu.temperature"]["unit"] == "°C"


async def test_a_gpu_that_falls_off_keeps_its_line_and_its_word(hub: Endpoint, page: Page) -> None:
    hub.machine.gpus = (gpu("0"), gpu("1", state="lost", utilization=None))
    await page.until(lambda: page.widget.gpus[1]["state"] == "lost")
    await page.shows("gpu.utilization", "1", None)


async def test_a_tick_says_only_numbers(page: Page) -> None:
    await page.until(lambda: len(page.sent("tick")) >= 2)
    content, buffers = page.sent("tick")[-1]
    assert set(content) == {"kind", "n", "at"}
    assert len(buffers[0]) == 4 * len(page.widget.columns)


async def test_an_alert_appears_at_once_and_clears(hub: Endpoint, page: Page) -> None:
    hub.machine.gpus = (gpu("0", temperature_c=91.0), gpu("1"))
    (alert,) = await page.until(lambda: page.widget.alerts)
    assert (alert["rule"], alert["subject"], alert["value"]) == ("hot", "0", 91.0)
    hub.machine.gpus = (gpu("0"), gpu("1"))
    await page.until(lambda: page.widget.alerts == [])
    (past,) = page.widget.past_alerts
    assert (past["state"], past["alertId"]) == ("cleared", alert["alertId"])


async def test_rules_are_saved_refused_and_deleted(page: Page) -> None:
    await page.until(lambda: [each["name"] for each in page.widget.rules] == ["hot"])
    page.wants("saveRule", rule={"name": "busy", "metric": "host.cpu", "threshold": 50})
    assert (await page.reply("ruleSaved"))[0]["name"] == "busy"
    await page.until(lambda: [each["name"] for each in page.widget.rules] == ["hot", "busy"])
    page.wants("deleteRule", name="busy")
    await page.until(lambda: [each["name"] for each in page.widget.rules] == ["hot"])
    page.wants("saveRule", rule={"name": "busy", "metric": "host.cpus", "threshold": 50})
    assert "host.cpu" in (await page.reply("ruleRefused"))[0]["error"]["text"]
    page.wants("saveRule", rule={"name": "busy"})
    await page.until(lambda: len(page.sent("ruleRefused")) == 2)


async def test_a_pause_stops_the_numbers_and_a_refresh_brings_one(
    hub: Endpoint, page: Page
) -> None:
    page.wants("pause", paused=True)
    await page.until(lambda: not page.follows)
    hub.machine.gpus = (gpu("0", utilization=5.0), gpu("1"))
    reads = hub.machine.reads
    await page.until(lambda: hub.machine.reads > reads + 1)  # a reading may be shared for 0.4 s
    page.wants("refresh")
    await page.shows("gpu.utilization", "0", 5.0)
    assert not page.follows
    hub.machine.gpus = (gpu("0", utilization=6.0), gpu("1"))
    page.wants("pause", paused=False)
    await page.shows("gpu.utilization", "0", 6.0)
    assert page.widget.stale is None


async def test_another_view_window_or_choice_asks_for_its_history(page: Page) -> None:
    await page.stored()
    page.wants("select", gpus=["1"])
    await page.until(lambda: page.charted == {("gpu", "1")})
    page.wants("view", view="llm")
    await page.until(lambda: page.charted == {("llm", ""), ("llm", "m@b")})
    page.wants("view", view="host")
    await page.until(
        lambda: (
            {kind for kind, _ in page.charted} == {"host", "hub"} or page.charted == {("host", "")}
        )
    )
    before = page.sent("history")[-1][0]
    page.wants("window", seconds=7 * 86_400)
    await page.until(lambda: page.sent("history")[-1][0]["since"] < before["since"] - 86_400_000)


@pytest.mark.parametrize(
    ("format", "read"), [("csv", pandas.read_csv), ("parquet", pandas.read_parquet)]
)
async def test_what_is_shown_is_exported(page: Page, format: str, read: Callable[..., Any]) -> None:
    await page.stored()
    page.wants("select", gpus=["1"])
    page.wants("export", format=format, windowS=300)
    answer, (content,) = await page.reply("exported")
    assert answer["name"].startswith("metrics-gpu-")
    assert answer["name"].endswith(f".{format}")
    frame = read(io.BytesIO(content))
    assert set(frame["subject"].astype(str)) == {"1"}
    assert "gpu.power" in set(frame["metric"])
    assert (frame[frame["metric"] == "gpu.power"]["mean"] == 100.0).all()


async def test_who_holds_memory_is_shown_and_not_with_every_tick(hub: Endpoint, page: Page) -> None:
    shown: list[Any] = []
    page.widget.observe(lambda change: shown.append(change["new"]), "ledger")
    await hub.ledger.acquire(Claim(claim_id="t.1", kind="task", name="one (t)", memory_mb=2000))
    await page.until(lambda: page.widget.ledger.get("holdings"))
    ticks = len(page.sent("tick"))
    await page.until(lambda: len(page.sent("tick")) >= ticks + 3)
    assert [len(each["holdings"]) for each in shown] == [1]


async def test_nothing_is_followed_while_the_page_is_hidden(hub: Endpoint, page: Page) -> None:
    page.hides()
    await page.until(lambda: not page.follows)
    del page.heard[:]
    hub.machine.gpus = (gpu("0", utilization=77.0), gpu("1"))
    reads = hub.machine.reads
    await page.until(lambda: hub.machine.reads >= reads + 3)
    assert page.heard == []
    page.looks()
    await page.reply("history")
    await page.shows("gpu.utilization", "0", 77.0)
    assert page.widget.stale is None


async def test_a_page_that_looks_again_is_shown_old_numbers_as_old(
    hub: Endpoint, page: Page
) -> None:
    page.hides()
    await page.until(lambda: not page.follows)
    shown: list[Any] = []
    page.widget.observe(lambda change: shown.append(change["new"]), "stale")
    taken_at = page.board.view.at_ms
    page.looks()
    await page.until(lambda: len(shown) == 2)
    assert shown == [{"sinceMs": taken_at}, None]


async def test_a_board_that_nobody_has_looked_at_asks_for_nothing(
    hub: Endpoint, tmp_path: Path
) -> None:
    async with page_of(hub, tmp_path, looks=False) as page:
        assert page.board._desk is not None
        assert not page.follows
        assert page.heard == []


async def test_a_hub_that_went_and_came_is_said_and_followed_again(
    hub: Endpoint, page: Page
) -> None:
    await page.shows("gpu.utilization", "0", 30.0)
    await hub.close()
    await page.until(lambda: page.widget.connection["state"] in ("reconnecting", "failed"))
    assert page.widget.stale == {"sinceMs": page.board.view.at_ms}
    await page.until(lambda: page.widget.connection.get("hub") == "absent")
    hub.machine.gpus = (gpu("0", utilization=44.0),)
    await hub.listen()
    await page.until(lambda: page.widget.connection["state"] == "connected")
    await page.shows("gpu.utilization", "0", 44.0)
    assert page.widget.stale is None
    assert len(page.widget.gpus) == 1


async def test_a_hub_that_falls_silent_is_no_live_one(hub: Endpoint, page: Page) -> None:
    await page.shows("gpu.utilization", "0", 30.0)
    hub.machine.broken = RuntimeError("the driver hangs")
    stale = await page.until(lambda: page.widget.stale)
    assert stale == {"sinceMs": page.board.view.at_ms}
    hub.machine.broken = None
    await page.until(lambda: page.widget.stale is None)


async def test_a_machine_without_a_gpu_has_host_and_models_still(hub: Endpoint, page: Page) -> None:
    hub.machine.gpus = ()
    await page.until(lambda: page.widget.gpus == [])
    assert page.widget.ledger == {}
    assert ("host.cpu", "") in page.widget.columns
    assert not any(metric.startswith("gpu.") for metric, _subject in page.widget.columns)


async def test_a_refusal_is_a_sentence_on_the_page(page: Page) -> None:
    page.wants("unload", model="nothing")
    problem = await page.until(lambda: page.widget.problem)
    assert problem["text"]


async def test_what_a_kwh_costs_is_told_by_the_hub(page: Page) -> None:
    assert page.widget.price == {"perKwh": 0.3, "currency": "EUR"}


async def test_a_session_that_cannot_be_had_is_said() -> None:
    def refuse() -> Any:
        raise LinkError("no hub runs on {folder}", folder="here")

    background = Runtime("test-runtime")
    board = GpuBoard(Home(), session=refuse, background=background)
    page = Page(board)
    page.looks()
    await page.until(lambda: page.widget.problem)
    assert page.widget.problem["text"] == "no hub runs on here"
    page.wants("refresh")
    await page.until(lambda: "still starting" in page.widget.problem["text"])
    board.close()
    await asyncio.to_thread(background.close)


def test_the_hub_of_these_tests_reads_often_enough() -> None:
    assert MONITORING.interval_s * 1000 <= FAST_MS
