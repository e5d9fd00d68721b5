"""NVIDIA's GPUs are lost and come back, drivers are missing or sick, and nothing is raised."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import pynvml
import pytest

from tests.collectors.fake_nvml import ERRORS, QUERIES, World
from tests.collectors.readings import LATER_S, PATIENCE_S, Clock, read, settled, told
from workbench.collectors.gpu import Gpus
from workbench.core.gpu import GpuReading

# Lost and found


def test_a_gpu_lost_in_mid_run_keeps_its_line_without_figures(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0, memory_total_mb=8000).gpu(1, utilization=50)
    gpus.read()
    nvml_world.lose(0)
    for _ in range(3):
        lost, other = gpus.read().gpus
        assert (lost.gpu_id, lost.state, lost.name) == ("0", "lost", "NVIDIA Fake 24")
        assert (lost.utilization, lost.memory_used_mb, lost.power_usage_w) == (None, None, None)
        assert (lost.processes, lost.throttle, lost.pcie_sent_mb_s) == (None, None, None)
        assert "fell off the bus" in told(lost)
        assert (other.gpu_id, other.state, other.utilization) == ("1", "ok", 50)


def test_a_lost_gpu_comes_back_under_its_number(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0).gpu(1)
    gpus.read()
    nvml_world.lose(0)
    assert gpus.read().gpus[0].state == "lost"
    nvml_world.come_back(0).gpu(0, utilization=12)
    back = read(gpus, lambda it: it.gpus[0].state == "ok", clock).gpus
    assert [(each.gpu_id, each.state) for each in back] == [("0", "ok"), ("1", "ok")]
    assert (back[0].utilization, back[0].note) == (12, None)


def test_while_a_gpu_is_lost_the_driver_is_begun_anew_only_now_and_then(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0).gpu(1)
    gpus.read()
    nvml_world.lose(0)
    for _ in range(120):
        clock.now_s += 1
        settled(gpus)
    assert 3 <= nvml_world.calls("init") <= 6


def test_a_gpu_that_is_lost_from_the_start_has_a_line_and_comes(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0, lost=True).gpu(1)
    lost, other = gpus.read().gpus
    assert (lost.gpu_id, lost.state, lost.name) == ("0", "lost", None)
    assert (other.gpu_id, other.state) == ("1", "ok")
    nvml_world.come_back(0)
    back = read(gpus, lambda it: all(each.state == "ok" for each in it.gpus), clock).gpus
    assert [each.gpu_id for each in back] == ["0", "1"]


def test_a_gpu_that_its_driver_forgets_leaves_the_others_their_numbers(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0).gpu(1, uuid="GPU-other")
    gpus.read()
    nvml_world.remove(0)
    for _ in range(3):
        clock.now_s += LATER_S
        lost, other = gpus.read().gpus
        assert (lost.gpu_id, lost.state) == ("0", "lost")
        assert (other.gpu_id, other.uuid, other.state) == ("1", "GPU-other", "ok")
    nvml_world.gpu(0)
    back = read(gpus, lambda it: it.gpus[0].state == "ok", clock).gpus
    assert [each.gpu_id for each in back] == ["0", "1"]


def test_a_gpu_put_into_the_machine_later_is_found_with_the_next_session(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    assert gpus.read().gpus == ()
    nvml_world.gpu(0)
    assert len(read(gpus, lambda it: it.gpus, clock).gpus) == 1


def test_the_slices_of_a_lost_card_are_not_shown_as_if_they_lived(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0).mig(0, 0)
    gpus.read()
    nvml_world.lose(0)
    assert {each.state for each in gpus.read().gpus} == {"lost"}


# No driver, or a sick one

NO_SESSION = {
    "driver-not-loaded": ("no GPU was found", "modprobe nvidia"),
    "permission": ("no permission", "/dev/nvidiactl"),
    "mismatch": ("driver was updated", "restart the machine"),
    "unknown": ("failed with Unknown Error", "dmesg"),
    "operating-system": ("blocked the request", "dmesg"),
}


@pytest.mark.parametrize("error", NO_SESSION)
def test_a_driver_that_cannot_be_opened_says_why_and_what_to_do_and_is_tried_again(
    error: str, nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0).error("init", error)
    reading = gpus.read()
    assert reading.gpus == ()
    for part in NO_SESSION[error]:
        assert part in str(reading.note)
    nvml_world.error("init", None)
    back = read(gpus, lambda it: it.gpus, clock)
    assert (back.gpus[0].state, back.note) == ("ok", None)


def test_a_driver_without_gpus_is_a_normal_state(nvml_world: World, gpus: Gpus) -> None:
    reading = gpus.read()
    assert reading.gpus == ()
    assert str(reading.note).startswith("no GPU was found")


def test_a_driver_that_goes_in_mid_run_leaves_the_lines_and_the_reason(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0)
    gpus.read()
    nvml_world.lose(0).error("init", "mismatch")
    gone = read(gpus, lambda it: it.note is not None, clock)
    assert [(each.gpu_id, each.name) for each in gone.gpus] == [("0", "NVIDIA Fake 24")]
    assert gone.gpus[0].state != "ok"
    assert "restart the machine" in str(gone.note)
    nvml_world.come_back(0).error("init", None)
    assert read(gpus, lambda it: it.gpus[0].state == "ok", clock).note is None


def test_a_count_that_fails_is_a_note(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0).error("count", "unknown")
    reading = gpus.read()
    assert reading.gpus == ()
    assert "Unknown Error" in str(reading.note)


def test_a_library_that_cannot_be_loaded_is_a_machine_without_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    code = (
        "from pathlib import Path; from workbench.collectors.gpu import Gpus\n"
        "reading = Gpus(sysfs=Path('no-sysfs')).read(); print(len(reading.gpus), reading.note)"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.startswith("0 no GPU was found")


def test_another_process_sees_the_world_through_its_environment(tmp_path: Path) -> None:
    world = World(tmp_path).gpu(0, name="NVIDIA Elsewhere")
    code = "from workbench.collectors.gpu import here; print(here().gpus[0].name)"
    environment = {**os.environ, **world.environment()}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "NVIDIA Elsewhere", done.stderr


@pytest.mark.parametrize("error", sorted(ERRORS.values()))
def test_no_error_of_any_query_is_ever_raised(
    error: int, nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0).mig(0, 0).gpu(1)
    for query, place in itertools.product(sorted(QUERIES - {"init"}), (None, 0)):
        nvml_world.error(query, error, gpu=place)
        gpus.read()
        clock.now_s += LATER_S
        assert isinstance(gpus.read(), GpuReading)
        nvml_world.error(query, None, gpu=place)


# One session, and what is slow


def test_many_readings_share_one_session_and_read_static_facts_once(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0).gpu(1)
    for _ in range(20):
        gpus.read()
    assert nvml_world.calls("init") == 1
    for query in ("count", "name", "uuid", "handle", "mig", "power_limit"):
        assert nvml_world.calls(query) <= 8, query


def test_a_slow_query_never_holds_up_a_reading(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, pcie_sent_kb_s=5000).delay("pcie", 2.0, gpu=0)
    for _ in range(2):  # one that had waited would have the figure
        gpu = gpus.read().gpus[0]
    assert (gpu.pcie_sent_mb_s, gpu.utilization) == (None, 0)
    sent = read(gpus, lambda it: it.gpus[0].pcie_sent_mb_s is not None).gpus[0].pcie_sent_mb_s
    assert sent == 5


def test_a_slow_query_is_made_at_most_once_in_its_time(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0)
    read(gpus, lambda it: it.gpus[0].pcie_sent_mb_s is not None)
    for _ in range(30):
        clock.now_s += 0.1
        gpus.read()
    assert nvml_world.calls("pcie") == 2  # received and sent


def test_a_closed_collector_gives_the_driver_back(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0)
    gpus.read()
    pynvml.nvmlDeviceGetCount()
    gpus.close()
    gpus.close()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    assert gpus.read().gpus == ()
    assert nvml_world.calls("init") == 1


def test_nothing_of_a_closed_collector_still_asks_the_driver(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0).delay("pcie", 0.1, gpu=0)
    others = set(threading.enumerate())
    gpus.read()
    gpus.close()
    assert set(threading.enumerate()) <= others
    assert nvml_world.calls("pcie") == 2


def test_somebody_else_in_this_process_may_use_and_shut_nvml_down(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0)
    gpus.read()
    pynvml.nvmlShutdown()
    reading = gpus.read()
    assert [each.state for each in reading.gpus] == ["ok"]
    assert reading.note is None


def test_our_close_leaves_somebody_elses_session_open(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0)
    pynvml.nvmlInit()
    gpus.read()
    gpus.close()
    assert pynvml.nvmlDeviceGetCount() == 1
    pynvml.nvmlShutdown()


def test_readings_in_many_threads_and_a_close_do_not_disturb_each_other(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0).gpu(1).delay("power", 0.001, gpu=0)
    troubles: list[BaseException] = []
    full = threading.Barrier(5)

    def look() -> None:
        try:
            for turn in range(20):
                reading = gpus.read()
                assert len(reading.gpus) in (0, 2)
                assert all(each.state == "ok" for each in reading.gpus)
                if turn == 5:
                    full.wait(PATIENCE_S)
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    full.wait(PATIENCE_S)
    gpus.close()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert troubles == []
    assert gpus.read().gpus == ()
