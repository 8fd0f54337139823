"""What a Jetson is, told by the facts that the runner reads there, and whether it can be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nano.bench.flags import Version, version_from
from nano.bench.nvpmodel import Mode, parse_modes, parse_nvpmodel
from nano.bench.release import Release, jetpack_of, parse_releases
from nano.bench.remote import Busy, Remote, RemoteError, one_line, told
from nano.bench.trtexec import MARK, version_of
from nano.errors import InputError
from nano.files import from_plain

RUNNER = Path(__file__).with_name("runner.py")
TRTEXEC = "usr/src/tensorrt/bin/trtexec"  # never on PATH
FACTS_S = 120.0  # seven tools, each of which may take a while on a board that just woke up
LIBNVINFER = re.compile(r"^libnvinfer\d+ (\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)", re.ASCII | re.MULTILINE)
SPARE_BYTES = 256 * 2**20  # of the disk: logs, timing cache, and room to breathe


@dataclass(frozen=True, kw_only=True)
class Facts:
    """As `nano.bench.runner` tells them; None for what is not there."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    release: str | None
    core: str | None
    model: str | None
    compatible: str | None
    modes: str | None
    mode: str
    tensorrt: str | None
    trtexec: bool
    banner: str | None
    user: str
    sudo: dict[str, bool]
    rails: tuple[str, ...]
    free: int
    logins: str | None
    trtexecs: int
    lock: str | None
    clocks: tuple[str, ...]
    python: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """A Jetson that answers.

    Attributes:
        name: As its device tree tells it, e.g. ``Jetson-AGX``.
        soc: E.g. ``tegra194``.
        release: L4T and JetPack.
        tensorrt: E.g. ``8.5.2``.
        mode: The power mode it is in; None without nvpmodel.
        modes: Those it has.
        user: Whom we are logged in as.
        facts: All else.
    """

    name: str
    soc: str | None
    release: Release | None
    tensorrt: str | None
    mode: Mode | None
    modes: tuple[Mode, ...]
    user: str
    facts: Facts

    def version(self, host: str) -> Version:
        """TensorRT's, or an InputError: without it trtexec cannot be asked for anything."""
        if not self.facts.trtexec:
            raise InputError(
                f"{host}: no /{TRTEXEC} there; it comes with TensorRT: sudo apt install "
                "tensorrt (or nvidia-jetpack) on the device"
            )
        if self.tensorrt is None:
            raise InputError(f"{host}: neither dpkg nor trtexec tells which TensorRT is there")
        return version_from(self.tensorrt)

    def mode_named(self, name: str, host: str) -> Mode:
        """The mode; an InputError that lists those there are."""
        if not self.modes:
            raise InputError(f"{host}: has no power modes: /etc/nvpmodel.conf tells none")
        for mode in self.modes:
            if mode.name == name:
                return mode
        known = one_line(", ".join(mode.name for mode in self.modes))
        raise InputError(f"{host}: no power mode {name!r}; it has: {known}")

    def versions(self) -> dict[str, str]:
        """What a figure depends on."""
        release = self.release
        told = {
            "l4t": release.l4t if release else None,
            "jetpack": release.jetpack if release else None,
            "tensorrt": self.tensorrt,
            "soc": self.soc,
        }
        return {name: text for name, text in told.items() if text}


def identify(remote: Remote, root: str, timeout_s: float = FACTS_S) -> Board:
    """What the host is, asked in one command that changes nothing there.

    Raises:
        RemoteError: No answer, or none of a Jetson.
    """
    source = RUNNER.read_bytes()
    done = remote.run("python3", "-", "facts", root, TRTEXEC, timeout_s=timeout_s, stdin=source)
    if done.code:
        raise RemoteError(f"{remote.host}: python3 does not run there: {one_line(done.err)}")
    where = f"{remote.host}: its facts"
    board = board_of(from_plain(Facts, told(last_line(done.out), where), where, RemoteError))
    if board.release is None and not board.modes and not board.facts.trtexec:
        raise RemoteError(f"{remote.host}: is {board.name!r} and no Jetson")
    return board


def last_line(text: str) -> str:
    """What a login script printed before it is left out."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def board_of(facts: Facts) -> Board:
    """The facts, read."""
    modes = parse_modes((facts.modes or "").splitlines())
    said = parse_nvpmodel(facts.mode.splitlines())
    known = [mode for mode in modes if mode.name == said.name]
    unlisted = None
    if said.name is not None and said.id is not None:
        unlisted = Mode(id=said.id, name=said.name)
    return Board(
        name=one_line(facts.model or "", "unknown board"),
        soc=_soc(facts.compatible),
        release=_release(facts),
        tensorrt=_tensorrt(facts),
        mode=known[0] if known else unlisted,
        modes=modes,
        user=facts.user,
        facts=facts,
    )


def refuse_if_used(facts: Facts, host: str) -> None:
    """Raise where someone measures or computes there now."""
    if facts.lock is not None:
        raise Busy(f"{host}: {in_use(facts.lock)}")
    if facts.trtexecs:
        raise Busy(f"{host}: is in use: someone runs trtexec there; wait for its end")


def in_use(holder: str) -> str:
    """Whose turn it is."""
    return f"is in use: {one_line(holder)} measures there; wait for it"


def refuse_if_full(facts: Facts, model_bytes: int, host: str) -> None:
    """Raise where the model and its engine will not fit."""
    needed = 3 * model_bytes + SPARE_BYTES
    if facts.free < needed:
        raise RemoteError(
            f"{host}: the disk is full there: {facts.free / 2**20:.0f} MiB are free in /tmp, "
            f"{needed / 2**20:.0f} are needed"
        )


def logins_of_others(facts: Facts) -> tuple[str, ...]:
    """Who is logged in and from where; our own session has no terminal and is not listed.

    Many share one account on a board, so our own name is another user too.
    """
    lines = [line.split() for line in (facts.logins or "").splitlines() if len(line.split()) > 1]
    names = [f"{words[0]} {words[-1] if '(' in words[-1] else words[1]}" for words in lines]
    return tuple(dict.fromkeys(names))


def _soc(compatible: str | None) -> str | None:
    names: Sequence[str] = re.findall(r"nvidia,(tegra\w+)", compatible or "")
    return names[-1] if names else None


def _release(facts: Facts) -> Release | None:
    releases = parse_releases((facts.release or "").splitlines())
    if releases:
        return releases[0]
    l4t = (facts.core or "").partition("-")[0]
    return Release(l4t=l4t, jetpack=jetpack_of(l4t)) if l4t else None


def _tensorrt(facts: Facts) -> str | None:
    """By what trtexec prints first, which is what runs; else by the newest package."""
    marks = [mark for mark in MARK.finditer(facts.banner or "") if mark[2]]
    if marks:
        return version_of(marks[0][2])
    packages: Any = LIBNVINFER.findall(facts.tensorrt or "")
    if packages:
        newest: str = max(packages, key=lambda text: [int(part) for part in text.split(".")])
        return newest
    return None
