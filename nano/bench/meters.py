"""Joules from counters behind one meter: NVIDIA's driver, and RAPL of Intel and AMD processors.

Both count a whole chip, whoever uses it: a figure is the network's only where nothing else runs.
What cannot be read is "not measured" with the reason, and never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

RAPL = Path("/sys/class/powercap")
NVML_STEP_S = 0.1  # the slowest that the driver's counter moves
SHORTEST_S = 10 * NVML_STEP_S  # of a window: a step more or less is then a tenth at most


@runtime_checkable
class EnergyMeter(Protocol):
    """Counts from `start` to `stop`."""

    @property
    def source(self) -> str:
        """What counts, or why nothing does."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> float | None:
        """Joules since `start`; None where they cannot be told."""


@dataclass(kw_only=True)
class NotMeasured:
    """The meter where there is none; ``source`` says why."""

    source: str

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing was counted."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One of RAPL's counters.

    Attributes:
        name: E.g. ``package-0``.
        counter: The file with microjoules.
        wraps_at: Microjoules at which it begins again from zero.
    """

    name: str
    counter: Path
    wraps_at: int

    def read(self) -> int:
        """Microjoules."""
        return int(self.counter.read_text())


@dataclass(kw_only=True)
class Rapl:
    """The packages of this machine's processors, by powercap.

    A counter that began again from zero is put right once: windows are seconds, and a package
    takes many minutes to its end.
    """

    domains: tuple[Domain, ...]
    _before: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Which counters these are."""
        return f"RAPL {' + '.join(domain.name for domain in self.domains)}"

    def start(self) -> None:
        """Begin to count."""
        self._before = {domain.name: domain.read() for domain in self.domains}

    def stop(self) -> float:
        """Joules since `start`."""
        return sum(
            (domain.read() - self._before[domain.name]) % domain.wraps_at / 1e6
            for domain in self.domains
        )


@dataclass(kw_only=True)
class Nvml:
    """The energy counter of one NVIDIA GPU (Volta and later), from its driver."""

    driver: Any
    handle: Any
    source: str = "NVML energy counter"
    _before: int = 0

    def start(self) -> None:
        """Begin to count."""
        self._before = self.driver.nvmlDeviceGetTotalEnergyConsumption(self.handle)

    def stop(self) -> float:
        """Joules since `start`; the driver counts millijoules."""
        return (self.driver.nvmlDeviceGetTotalEnergyConsumption(self.handle) - self._before) / 1000


def rapl(root: Path = RAPL) -> EnergyMeter:
    """The processors' meter, or why there is none."""
    zones = sorted(path for path in root.glob("intel-rapl:*") if path.name.count(":") == 1)
    if not zones:
        return NotMeasured(source="not measured: this system has no RAPL counters")
    try:
        named = [((zone / "name").read_text().strip(), zone) for zone in zones]
        domains = tuple(
            Domain(
                name=name,
                counter=zone / "energy_uj",
                wraps_at=int((zone / "max_energy_range_uj").read_text()) + 1,
            )
            for name, zone in named
            if name.startswith("package")
        )
        for domain in domains:
            domain.read()
    except PermissionError:
        return NotMeasured(source="not measured: RAPL's counters are for root alone here")
    except (OSError, ValueError) as unreadable:
        return NotMeasured(source=f"not measured: RAPL cannot be read ({unreadable})")
    if not domains:
        return NotMeasured(source="not measured: RAPL counts no whole processor here")
    return Rapl(domains=domains)


def nvml(uuid: str) -> EnergyMeter:
    """The meter of the GPU with that UUID (without ``GPU-``), or why there is none.

    By UUID: the driver numbers GPUs by their place on the bus, and knows no CUDA_VISIBLE_DEVICES.
    """
    try:
        import pynvml
    except ImportError:
        return NotMeasured(source="not measured: needs pip install 'depthnet-nano[gpu]'")
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as refused:
        return NotMeasured(source=f"not measured: the driver has no energy counter ({refused})")
    return Nvml(driver=pynvml, handle=handle)
