"""Lines of NVIDIA's tegrastats, of every release from TK1 to L4T 39, as values.

A line is fields in any order and spacing: memory, cores, engines with load and clock,
temperatures, power rails, and from JetPack 5 on a timestamp. Each kind of field is recognised by
its shape and not by its place, so that a field nobody knew, a cut line or a damaged word costs only
itself: what fits no shape is kept as ``unread``. Without root, and on some modules, whole kinds are
absent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

GPU, MEMORY_BUS = "GR3D", "EMC"  # tegrastats' names of the engines that everyone asks about
SENSOR_OFF_C = -256.0
NOT_CONNECTED = "NC"  # a channel of the power monitor without a rail

ENDS = r"(?!\S)"
NAME = r"(?<!\S)([A-Za-z]\w*)"
CORE = r"(?:off|\d{1,3}%(?:@\d{1,5})?)"
CELSIUS = r"-?\d{1,4}(?:\.\d{1,6})?"
CLOCKS = r"\d{1,5}|\[\d{0,5}(?:,\d{1,5})*\]"
MILLIWATTS = r"-?\d{1,6}"  # below zero: the offset of an idle channel, seen on Thor

STAMP = re.compile(rf"(?<!\S)(\d\d-\d\d-\d{{4}} \d\d:\d\d:\d\d){ENDS}", re.ASCII)
MEMORY = re.compile(rf"{NAME}\s+(\d{{1,9}})/(\d{{1,9}})([kMG])B(?:\s*\([^()]*\))?{ENDS}", re.ASCII)
CORES = re.compile(
    rf"(?<!\S)(?:CPU|cpu)\s*\[({CORE}(?:\s*,\s*{CORE})*)\](?:@(\d{{1,5}}))?{ENDS}", re.ASCII
)
TEMPERATURE = re.compile(rf"{NAME}@({CELSIUS})C(?:/{CELSIUS}C)?{ENDS}", re.ASCII)
RAIL = re.compile(  # no memory: "SWAP 0/39" is what a cut leaves of "SWAP 0/3929MB"
    rf"(?<!\S)(?!(?:RAM|SWAP|IRAM|Carveout|GART)\s)([A-Za-z]\w*)\s+({MILLIWATTS})(mW|)/({MILLIWATTS})\3(?:/({MILLIWATTS})\3)?{ENDS}",
    re.ASCII,
)
TRANSLATOR = re.compile(rf"(?<!\S)MTS\s+fg\s+\d{{1,3}}%\s+bg\s+\d{{1,3}}%{ENDS}", re.ASCII)
ENGINE = re.compile(
    rf"{NAME}\s+(?:(off)|(\d{{1,3}})%(?:@({CLOCKS}))?|@(\[\d{{0,5}}(?:,\d{{1,5}})*\])|(\d{{1,5}}))"
    + ENDS,
    re.ASCII,
)
A_LINE = re.compile(r"(?<!\S)(?:RAM\s+\d+/\d+MB|CPU\s\[|(?:GR3D|EMC)_FREQ\s)", re.ASCII)

MEGABYTES = {"k": 1 / 1024, "M": 1.0, "G": 1024.0}


@dataclass(frozen=True, kw_only=True)
class Core:
    """A processor core that is on: its load in percent, and its clock where it is told."""

    load: int
    mhz: int | None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A clocked unit that is on: GR3D (the GPU), EMC (the memory bus), NVENC, VIC, ...

    Attributes:
        load: Percent, None where only the clock is told.
        mhz: One clock, or one per cluster; empty where only the load is told (not root).
    """

    load: int | None
    mhz: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rail:
    """The power of one rail in milliwatts.

    Attributes:
        now: When the line was printed.
        mean: Running mean since tegrastats was started; it drifts with idle time before a run.
        third: From L4T 39 on, undocumented; probably the peak.
    """

    now: int
    mean: int
    third: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One line. Whatever the line lacks is absent here: no zeros are made up.

    Attributes:
        stamp: The device's wall clock, whole seconds; 1970 where nobody set it.
        memory_mb: Used and total of RAM, SWAP, IRAM, ...
        cores: In order; None for one that is off.
        engines: By name without ``_FREQ``, in capitals; None for one that is off.
        celsius: By zone; sensors that are off are left out.
        rails: By name; channels that are not connected are left out.
        unread: Words that fit no known field.
    """

    stamp: datetime | None = None
    memory_mb: dict[str, tuple[float, float]] = field(default_factory=dict)
    cores: tuple[Core | None, ...] = ()
    engines: dict[str, Engine | None] = field(default_factory=dict)
    celsius: dict[str, float] = field(default_factory=dict)
    rails: dict[str, Rail] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @property
    def gpu(self) -> Engine | None:
        """The GPU's engine; None where it is off or not told."""
        return self.engines.get(GPU)


def parse_line(line: str) -> Sample | None:
    """The sample in a line; None for a line that is none, such as a date or a shell's message."""
    fields = _Fields(line)
    stamps = fields.take(STAMP)
    memory = fields.take(MEMORY)
    cores = fields.take(CORES)
    celsius = {zone: float(degrees) for zone, degrees in fields.take(TEMPERATURE)}
    rails = fields.take(RAIL)
    fields.take(TRANSLATOR)  # of Denver and Carmel cores; nobody has asked for it
    engines = {_engine_name(each[0]): _engine(each[1:]) for each in fields.take(ENGINE)}
    if not (memory or cores or celsius or rails or {GPU, MEMORY_BUS} & engines.keys()):
        return None
    return Sample(
        stamp=_stamp(*stamps[0]) if stamps else None,
        memory_mb={
            name: (int(used) * MEGABYTES[unit], int(total) * MEGABYTES[unit])
            for name, used, total, unit in memory
        },
        cores=_cores(*cores[0]) if cores else (),
        engines=engines,
        celsius={zone: degrees for zone, degrees in celsius.items() if degrees != SENSOR_OFF_C},
        rails={
            name: Rail(now=int(now), mean=int(mean), third=int(third) if third else None)
            for name, now, _, mean, third in rails
            if name != NOT_CONNECTED
        },
        unread=tuple(fields.rest.replace("|", " ").split()),
    )


def parse_lines(lines: Sequence[str]) -> tuple[list[Sample], int]:
    """All samples in order, and how many lines that are not blank hold none."""
    parsed = [parse_line(line) for line in lines if line.strip()]
    samples = [sample for sample in parsed if sample is not None]
    return samples, len(parsed) - len(samples)


class _Fields:
    """What is left of a line while fields are taken out of it."""

    def __init__(self, line: str) -> None:
        self.rest = line

    def take(self, pattern: re.Pattern[str]) -> list[tuple[str, ...]]:
        """The groups of every match; a bar stays where each was, so that no others can join."""
        found = [match.groups("") for match in pattern.finditer(self.rest)]
        if found:
            self.rest = pattern.sub(" | ", self.rest)
        return found


def _stamp(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%m-%d-%Y %H:%M:%S")
    except ValueError:  # damaged: there is no month 13
        return None


def _cores(listed: str, clock_of_all: str) -> tuple[Core | None, ...]:
    return tuple(_core(each.strip(), clock_of_all) for each in listed.split(","))


def _core(text: str, clock_of_all: str) -> Core | None:
    if text == "off":
        return None
    load, _, own = text.partition("%")
    clock = own.removeprefix("@") or clock_of_all
    return Core(load=int(load), mhz=int(clock) if clock else None)


def _engine_name(name: str) -> str:
    return name.upper().removesuffix("_FREQ")


def _engine(groups: Sequence[str]) -> Engine | None:
    off, load, *clocks = groups
    if off:
        return None
    listed = "".join(clocks).strip("[]").split(",")
    return Engine(load=int(load) if load else None, mhz=tuple(int(one) for one in listed if one))
