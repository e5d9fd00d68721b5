"""Host readings: container limits count, and what is unknown is None, never 0."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest

from tests.collectors.readings import Clock
from workbench.collectors.host import HostCollector, busy_seconds, cpu_limit, disk, memory


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_quota_of_cgroup_v2_limits_the_cores(tmp_path: Path) -> None:
    assert cpu_limit(write(tmp_path, cpu_DOT_max="50000 100000\n")) == 0.5


def test_a_quota_of_cgroup_v1_limits_the_cores(tmp_path: Path) -> None:
    write(tmp_path, cpu__cpu_DOT_cfs_quota_us="25000", cpu__cpu_DOT_cfs_period_us="100000")
    assert cpu_limit(tmp_path) == 0.25


@pytest.mark.parametrize("text", ["max 100000", "", "nonsense", "-1 100000"])
def test_without_a_quota_the_cores_of_our_affinity_count(tmp_path: Path, text: str) -> None:
    assert cpu_limit(write(tmp_path, cpu_DOT_max=text)) == len(psutil.Process().cpu_affinity())


def test_in_a_limited_container_only_its_own_seconds_count(tmp_path: Path) -> None:
    write(tmp_path, cpu_DOT_max="50000 100000", cpu_DOT_stat="nr_periods 3\nusage_usec 7500000\n")
    assert busy_seconds(tmp_path) == 7.5


def test_usage_is_of_the_cores_that_we_may_use(tmp_path: Path) -> None:
    clock = Clock()
    write(tmp_path, cpu_DOT_max="50000 100000", cpu_DOT_stat="usage_usec 1000000")
    collector = HostCollector(tmp_path, cgroup=tmp_path, now=clock)
    clock.now_s += 2
    write(tmp_path, cpu_DOT_stat="usage_usec 1500000")
    sample = collector.sample()
    assert sample.cpu.usage == 50.0  # half a second in two, of half a core
    assert sample.cpu.cores == 0.5


def test_two_readings_at_the_same_moment_give_no_usage(tmp_path: Path) -> None:
    collector = HostCollector(tmp_path, cgroup=tmp_path, now=lambda: 100.0)
    assert collector.sample().cpu.usage is None


def test_a_memory_limit_of_cgroup_v2_is_the_total(tmp_path: Path) -> None:
    write(
        tmp_path,
        memory_DOT_max="1000000000",
        memory_DOT_current="600000000",
        memory_DOT_stat="anon 1\ninactive_file 100000000\n",
    )
    found = memory(tmp_path)
    assert (found.used_mb, found.total_mb, found.used_percent) == (500.0, 1000.0, 50.0)
    assert found.limited


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096), "nonsense"])
def test_no_memory_limit_means_the_machine(tmp_path: Path, limit: str) -> None:
    found = memory(write(tmp_path, memory_DOT_max=limit, memory_DOT_current="5"))
    assert not found.limited
    assert found.total_mb == round(psutil.virtual_memory().total / 1e6, 1)


def test_a_disk_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    found = disk(tmp_path / "gone")
    assert (found.used_percent, found.free_mb, found.total_mb) == (None, None, None)


def test_the_first_reading_has_no_rates_and_a_second_has(tmp_path: Path) -> None:
    clock = Clock()
    collector = HostCollector(tmp_path, now=clock, wall=lambda: 1.5)
    first = collector.sample()
    assert first.taken_at == 1500
    assert first.network.received_bytes_s is None
    clock.now_s += 1
    second = collector.sample()
    assert second.network.received_bytes_s is not None
    assert second.network.received_bytes_s >= 0


def test_what_the_hub_takes_is_told_beside_the_machine(tmp_path: Path) -> None:
    clock = Clock()
    collector = HostCollector(tmp_path, now=clock)
    clock.now_s += 1
    hub = collector.sample().hub
    assert hub is not None
    assert hub.count >= 1
    assert hub.cpu_percent is not None
    assert hub.memory_mb == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)


def received_elsewhere() -> int:
    """Bytes that came to this machine from others so far."""
    each = psutil.net_io_counters(pernic=True)
    return sum(one.bytes_recv for name, one in each.items() if not name.startswith("lo"))


def test_what_stays_on_this_machine_is_no_network(tmp_path: Path) -> None:
    """A hub and its pages speak over loopback all the time."""
    clock, before = Clock(), received_elsewhere()
    collector = HostCollector(tmp_path, now=clock)
    collector.sample()
    clock.now_s += 1
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as sender:
        receiver, _ = listener.accept()
        with receiver:
            for _ in range(50):
                sender.sendall(bytes(100_000))
                received = 0
                while received < 100_000:
                    received += len(receiver.recv(1 << 20))
        network = collector.sample().network
    assert network.received_bytes_s is not None
    assert network.received_bytes_s <= received_elsewhere() - before
