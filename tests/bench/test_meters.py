"""Energy counters, on made-up ones."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from nano.bench.meters import NotMeasured, Nvml, Rapl, rapl


def zone(root: Path, name: str, called: str, microjoules: int, most: int = 1_000_000) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{called}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{most - 1}\n")
    return folder / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    whole = zone(tmp_path, "intel-rapl:2", "psys", 0)
    meter = rapl(tmp_path)
    assert meter.source == "RAPL package-0 + package-1"
    meter.start()
    for counter, microjoules in ((first, 400_100), (second, 200_000), (core, 7), (whole, 9)):
        counter.write_text(str(microjoules))
    assert meter.stop() == pytest.approx(0.6)


def test_a_counter_that_began_again_is_put_right(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    meter = rapl(tmp_path)
    meter.start()
    counter.write_text("100000")
    assert meter.stop() == pytest.approx(0.2)


def test_without_counters_nothing_is_measured_and_the_reason_told(tmp_path: Path) -> None:
    meter = rapl(tmp_path)
    meter.start()
    assert isinstance(meter, NotMeasured) and meter.stop() is None
    assert meter.source == "not measured: this system has no RAPL counters"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_counters_for_root_alone_are_told(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1).chmod(0)
    assert "for root alone" in rapl(tmp_path).source


def test_a_counter_that_is_no_number_is_told(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1).write_text("?")
    assert "RAPL cannot be read" in rapl(tmp_path).source


def test_one_that_is_no_package_is_no_meter(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "psys", 1)
    assert not isinstance(rapl(tmp_path), Rapl)


def test_the_drivers_millijoules_are_joules() -> None:
    counts = iter([5_000, 7_500])
    driver = SimpleNamespace(nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counts))
    meter = Nvml(driver=driver, handle=None)
    meter.start()
    assert meter.stop() == 2.5
