"""Logs of devices, told apart by what is in them and not by their names."""

from __future__ import annotations

import codecs
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nano.bench import exports, nvpmodel, release, tegrastats, trtexec
from nano.bench.exports import Profile, Times, parse_profile, parse_times
from nano.bench.nvpmodel import PowerMode, parse_nvpmodel
from nano.bench.release import Release, parse_releases
from nano.bench.summary import TegrastatsLog, summarise
from nano.bench.trtexec import Trtexec, parse_trtexec
from nano.errors import InputError
from nano.files import parse_json

TEGRASTATS, TRTEXEC, NVPMODEL, RELEASE = "tegrastats", "trtexec", "nvpmodel", "nv_tegra_release"
TIMES, PROFILE = "trtexec --exportTimes", "trtexec --exportProfile"
LINES = {
    TEGRASTATS: tegrastats.A_LINE,
    TRTEXEC: trtexec.A_LINE,
    NVPMODEL: nvpmodel.A_LINE,
    RELEASE: release.A_LINE,
}
JSON = {TIMES: exports.IS_TIMES, PROFILE: exports.IS_PROFILE}
KNOWN = (*LINES, *JSON)


@dataclass(frozen=True, kw_only=True)
class TrtexecLog:
    """The runs of trtexec in a log, in order."""

    runs: tuple[Trtexec, ...]


@dataclass(frozen=True, kw_only=True)
class Releases:
    """The releases in a file: one, unless somebody collected several."""

    releases: tuple[Release, ...]


PARSERS: dict[str, Callable[[Sequence[str]], TrtexecLog | PowerMode | Releases]] = {
    TRTEXEC: lambda lines: TrtexecLog(runs=tuple(parse_trtexec(lines))),
    NVPMODEL: parse_nvpmodel,
    RELEASE: lambda lines: Releases(releases=tuple(parse_releases(lines))),
}
Reading = TegrastatsLog | TrtexecLog | Times | Profile | PowerMode | Releases


def read_log(
    path: Path, *, interval_ms: float | None = None, idle_s: float | None = None
) -> tuple[str, Reading]:
    """The name of the log's format, one of `KNOWN`, and what it says.

    Args:
        path: The file.
        interval_ms: Of the tegrastats that wrote it, where its lines have no timestamps.
        idle_s: Its first seconds are idle; their mean power is taken off the rest's energy.

    Raises:
        InputError: The file cannot be read, is of no known format, or damaged beyond reading.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as missing:
        raise InputError(f"{path}: no such file") from missing
    except OSError as unreadable:
        raise InputError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    return read_content(content, str(path), interval_ms=interval_ms, idle_s=idle_s)


def read_content(
    content: bytes,
    where: str,
    *,
    interval_ms: float | None = None,
    idle_s: float | None = None,
) -> tuple[str, Reading]:
    """`read_log` of bytes that came another way; ``where`` from is told in errors."""
    text = decoded(content)
    name, lines = _format(text, where), text.splitlines()
    if name == TEGRASTATS:
        return name, summarise(lines, where, interval_ms=interval_ms, idle_s=idle_s)
    if interval_ms is not None or idle_s is not None:
        raise InputError(f"{where}: is {name}; --interval and --idle are for tegrastats")
    if name == TIMES:
        return name, parse_times(parse_json(text, where), where)
    if name == PROFILE:
        return name, parse_profile(parse_json(text, where), where)
    return name, PARSERS[name](lines)


def decoded(content: bytes) -> str:
    """The text; bytes that are none become U+FFFD, because a damaged log is still a log."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # PowerShell's >
    return content.decode("utf-16" if wide else "utf-8-sig", errors="replace")


def _format(text: str, where: str) -> str:
    """The JSON that the text begins like, or the log that most of its lines look like.

    Raises:
        InputError: None of them; it lists what would be known.
    """
    for name, pattern in JSON.items():
        if pattern.match(text):
            return name
    lines = text.splitlines()
    counts = {
        name: sum(1 for line in lines if pattern.search(line)) for name, pattern in LINES.items()
    }
    most = max(counts, key=lambda name: counts[name])
    if not counts[most]:
        begins = f"begins with {reprlib.repr(text.strip())}" if text.strip() else "is empty"
        raise InputError(
            f"{where}: {begins}, which is no log known here; known: {', '.join(KNOWN)}"
        )
    return most
