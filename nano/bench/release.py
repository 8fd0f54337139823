"""The release of a Jetson's system: the first line of /etc/nv_tegra_release."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

A_LINE = re.compile(
    r"# R(\d{1,3}) \(release\), REVISION: (\d{1,3}(?:\.\d{1,3}){0,2})(.*)", re.ASCII
)
BOARD = re.compile(r"BOARD: ([\w-]+)")
DATE = re.compile(r"DATE: (.+)")

# NVIDIA's archive of Jetson Linux releases. Where one L4T has several JetPacks both are told.
JETPACKS = {
    "32.4.3": "4.4",
    "32.4.4": "4.4.1",
    "32.5": "4.5 or 4.5.1",
    "32.6.1": "4.6",
    "32.7.1": "4.6.1",
    "32.7.2": "4.6.2",
    "32.7.3": "4.6.3",
    "32.7.4": "4.6.4",
    "32.7.5": "4.6.5",
    "32.7.6": "4.6.6",
    "34.1": "5.0 developer preview",
    "34.1.1": "5.0.1 developer preview",
    "35.1": "5.0.2",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4 to 5.1.6",
    "36.2": "6.0 developer preview",
    "36.3": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of Jetson Linux.

    Attributes:
        l4t: E.g. ``32.7.1``.
        jetpack: The JetPack that brings it; None for one this version of nano does not know.
        board: E.g. ``t186ref``: the family of reference boards, not the module.
        date: When it was built, as printed.
    """

    l4t: str
    jetpack: str | None = None
    board: str | None = None
    date: str | None = None


def parse_releases(lines: Sequence[str]) -> list[Release]:
    """The release in each line that has one."""
    return [_release(found) for found in map(A_LINE.search, lines) if found]


def jetpack_of(l4t: str) -> str | None:
    """The JetPack with that L4T: by the whole number, else by its first two parts."""
    return JETPACKS.get(l4t) or JETPACKS.get(".".join(l4t.split(".")[:2]))


def _release(found: re.Match[str]) -> Release:
    l4t = f"{int(found[1])}.{found[2]}"
    board, date = BOARD.search(found[3]), DATE.search(found[3])
    return Release(
        l4t=l4t,
        jetpack=jetpack_of(l4t),
        board=board[1] if board else None,
        date=date[1].strip() if date else None,
    )
