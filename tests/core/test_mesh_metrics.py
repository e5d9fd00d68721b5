"""What a client counts of its own events."""

from __future__ import annotations

from workbench.core.mesh_metrics import KEPT, MeshMetrics, Meter, Spread


def read(meter: Meter) -> MeshMetrics:
    return meter.read(pending=0, round_trip_s=None)


def hear(meter: Meter, now: float, name: str, **data: object) -> float | None:
    return meter.heard(name, data, now, refused=data.get("code") == "invalid")


def test_nothing_measured_is_none_and_nothing_counted_is_zero() -> None:
    assert read(Meter()) == MeshMetrics()
    assert MeshMetrics().acceptance == Spread(count=0, p50_s=None)


def test_tasks_are_counted_by_their_ends() -> None:
    meter = Meter()
    codes = ("cancelled", "failed", "lost", "invalid")
    for number, code in enumerate(("done", *codes)):
        name = str(number)
        hear(meter, 0, "task_sent", taskId=name)
        if code != "invalid":
            assert hear(meter, 0.25, "task_accepted", taskId=name) == 0.25
        done = code == "done"
        hear(meter, 2, "task_completed" if done else "task_error", taskId=name, code=code)
    hear(meter, 3, "task_timeout", taskId="x")
    hear(meter, 3, "reconnecting")
    counted = read(meter)
    assert (counted.sent, counted.accepted, counted.completed) == (5, 4, 1)
    assert (counted.cancelled, counted.failed, counted.refused) == (1, 2, 1)
    assert (counted.timeouts, counted.reconnects) == (1, 1)
    assert (counted.whole.count, counted.whole.p50_s) == (4, 2.0)


def test_quantiles_are_of_the_newest_measurements() -> None:
    meter = Meter()
    for number in range(KEPT + 100):
        hear(meter, 0, "task_sent", taskId=str(number))
        hear(meter, number / 1000, "task_accepted", taskId=str(number))
        assert hear(meter, 9, "task_accepted", taskId=str(number)) is None
    spread = read(meter).acceptance
    assert (spread.count, spread.most_s, spread.p50_s) == (512, 0.611, 0.356)
    assert (spread.p90_s, spread.p99_s) == (0.56, 0.606)


def test_a_task_that_was_only_attached_to_is_counted_and_not_measured() -> None:
    meter = Meter()
    assert hear(meter, 1, "task_accepted", taskId="a") is None
    hear(meter, 2, "task_completed", taskId="a")
    assert read(meter) == MeshMetrics(accepted=1, completed=1)
