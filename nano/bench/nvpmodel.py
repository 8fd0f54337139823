"""What nvpmodel prints: the power mode, and why a change of it was refused.

The mode's number means something else on every module and release: its name is what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

MODE = re.compile(r"NV Power Mode:\s*(\S+)")
FAN = re.compile(r"NV Fan Mode:\s*(\S+)")
ID = re.compile(r"\s*(\d{1,4})\s*", re.ASCII)
MESSAGE = re.compile(r"NVPM (WARN|ERROR|VERB): *(.*)")
A_LINE = re.compile(r"NVPM (?:WARN|ERROR|VERB):|NV Power Mode:")

REBOOT = re.compile(r"Reboot required for changing to this power mode: (\d{1,4})", re.ASCII)
PROMPT = "DO YOU WANT TO REBOOT NOW?"
DECLINED = ("optMask is", "bad input!")  # answered no; no answer at all
PARAMETER = re.compile(
    r"PARAM (\w+): ARG (\w+): PATH \S+ REAL_VAL: (\S+) CONF_VAL: (\S+)", re.ASCII
)
UNOPENED = re.compile(r"Error opening (\S+): (\d{1,3})$", re.ASCII)
UNREAD = re.compile(r"failed to read PARAM (\w+): ARG (\w+)", re.ASCII)
NO_ACCESS = "13"  # EACCES: asked as an ordinary user, and harmless to the answer


POWER_MODEL = re.compile(r"\s*<\s*POWER_MODEL\s+ID=(\d{1,4})\s+NAME=(\S+)\s*>", re.ASCII)
GPU_CAP = re.compile(r"\s*GPU MAX_FREQ (\d{1,12})\s*", re.ASCII)
NO_CAP = 2147483647  # Hz, and anything above


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A power mode that a device has: its number there, its name, the GPU's highest clock."""

    id: int
    name: str
    gpu_mhz: int | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A parameter of the mode, as nvpmodel prints it.

    Attributes:
        actual: What the system has.
        configured: What the mode asks for; -1 and 2147483647 are no cap.
    """

    actual: str
    configured: str


@dataclass(frozen=True, kw_only=True)
class PowerMode:
    """The answer of ``nvpmodel -q``, or of ``nvpmodel -m``.

    Attributes:
        name: Of the mode, e.g. ``MODE_30W_ALL``; None where none was told.
        id: Its number on this device and release.
        fan: The fan's profile.
        needs_reboot: The number of a mode that was asked for and cannot be entered without one.
        declined: Whether that reboot was declined, so that the mode is what it was.
        settings: From ``--verbose``, by ``GROUP.ARGUMENT``.
        unreadable: Parameters that only root may read.
        warnings: All others.
        errors: All others; an exit code of 0 does not mean that there are none.
    """

    name: str | None = None
    id: int | None = None
    fan: str | None = None
    needs_reboot: int | None = None
    declined: bool = False
    settings: dict[str, Setting] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def parse_nvpmodel(lines: Sequence[str]) -> PowerMode:
    """The mode of the last answer among the lines, and what was said beside it."""
    name, number = _mode(lines)
    messages = [found.groups() for found in map(MESSAGE.search, lines) if found]
    said = [text.strip() for _, text in messages]
    settings = [found.groups() for found in map(PARAMETER.search, said) if found]
    reboots = [int(found[1]) for found in map(REBOOT.search, said) if found]
    fans = [found[1] for found in map(FAN.search, lines) if found]
    unreadable = [found for found in map(UNREAD.search, said) if found]
    return PowerMode(
        name=name,
        id=number,
        fan=fans[-1] if fans else None,
        needs_reboot=reboots[-1] if reboots else None,
        declined=any(text.startswith(DECLINED) for text in said),
        settings={
            f"{group}.{argument}": Setting(actual=actual, configured=configured)
            for group, argument, actual, configured in settings
        },
        unreadable=tuple(dict.fromkeys(f"{found[1]}.{found[2]}" for found in unreadable)),
        warnings=_others(messages, "WARN"),
        errors=_others(messages, "ERROR"),
    )


def parse_modes(lines: Sequence[str]) -> tuple[Mode, ...]:
    """The modes in nvpmodel.conf, in order; None for a GPU whose clock a mode does not cap."""
    modes: list[Mode] = []
    for line in lines:
        begins, cap = POWER_MODEL.match(line), GPU_CAP.fullmatch(line)
        if begins:
            modes.append(Mode(id=int(begins[1]), name=begins[2]))
        elif cap and modes and int(cap[1]) < NO_CAP:
            modes[-1] = replace(modes[-1], gpu_mhz=int(cap[1]) // 1_000_000)
    return tuple(modes)


def _mode(lines: Sequence[str]) -> tuple[str | None, int | None]:
    """The name, and the number that stands alone on the line after it."""
    for place in reversed(range(len(lines))):
        found = MODE.search(lines[place])
        if found:
            after = ID.fullmatch(lines[place + 1]) if place + 1 < len(lines) else None
            return found[1], int(after[1]) if after else None
    return None, None


def _others(messages: Sequence[tuple[str, ...]], kind: str) -> tuple[str, ...]:
    """Messages that no other attribute tells."""
    texts = [text.strip() for severity, text in messages if severity == kind]
    return tuple(dict.fromkeys(text for text in texts if not _told(text)))


def _told(text: str) -> bool:
    unopened = UNOPENED.search(text)
    known = bool(REBOOT.search(text) or UNREAD.search(text))
    known |= unopened is not None and unopened[2] == NO_ACCESS
    return known or text.startswith((PROMPT, *DECLINED))
