"""How every command ends: exit codes, one line for people, a traceback only for bugs."""

from __future__ import annotations

import argparse
import errno
import math
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from nano.errors import (
    EXIT_BUG,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    DeviceFailed,
    InputError,
    OutputError,
)

STDOUT = 1  # the file descriptor
_LONGEST_LINE = 2000  # characters of an error


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be: both end a command in the same orderly way."""


class Parser(argparse.ArgumentParser):
    """Options of a command; what is wrong with them is one line, as everything a person gives."""

    def error(self, message: str) -> NoReturn:
        """Raise an InputError in place of argparse's lines of usage."""
        raise InputError(f"{message}; {self.prog} --help tells the options")


def run(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run a command's ``main`` and exit with the contract's code.

    Wrong input, files that cannot be written and devices that fail end with one line and exit code
    2; Ctrl-C with 130, SIGTERM with 143; a full disk under stdout with 2, its reader gone
    (`| head`) silently with 1; anything else is a bug: traceback and exit code 1.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = main(None)
        if sys.stdout is not None:  # None where it was closed before we started
            sys.stdout.flush()
    except (InputError, OutputError, DeviceFailed) as error:
        say(f"error: {one_line(str(error))}")
        code = EXIT_INPUT
    except Terminated:
        say("terminated")
        code = EXIT_TERMINATED
    except KeyboardInterrupt:
        say("interrupted")
        code = EXIT_INTERRUPTED
    except Exception as error:  # the one place where a bug is shown and becomes exit code 1
        code = _end_by(error)
    sys.exit(code)


def _end_by(error: Exception) -> int:
    """The exit code of an error that nobody raised on purpose, told on stderr."""
    if isinstance(error, BrokenPipeError) and _reader_left():
        _drop_output()
        return EXIT_BUG
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        say(f"error: {error.filename or 'standard output'}: cannot be written: the disk is full")
        _drop_output()
        return EXIT_INPUT
    traceback.print_exception(error)
    return EXIT_BUG


def _reader_left() -> bool:
    """Whether stdout is a pipe whose reader is gone (`| head`), so that nobody is left to tell."""
    ends = select.poll()
    ends.register(STDOUT, 0)  # nothing asked for: only errors are reported
    return bool(ends.poll(0))


def _drop_output() -> None:
    """Let Python's own flush at its end go nowhere; it would fail again and exit with 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)


def one_line(text: str) -> str:
    """The text as one line, whatever names it quotes: control characters are spelt out.

    Of a very long one the middle is left away.
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def say(text: str) -> None:
    """One line for a person, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def parse_size(text: str) -> tuple[int, int]:
    """Read ``384x1280`` as (height, width); for argparse's ``type=``."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise InputError(f"{text!r} is no size; write HEIGHTxWIDTH, e.g. 384x1280")
    return int(height), int(width)


def positive(text: str) -> int:
    """Read a whole number above 0; for argparse's ``type=``."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise InputError(f"{text!r} is no whole number above 0")
    return int(text)


def natural(text: str) -> int:
    """Read a whole number from 0 up, such as a seed; for argparse's ``type=``."""
    if not (text.isascii() and text.isdecimal()):
        raise InputError(f"{text!r} is no whole number from 0 up")
    return int(text)


def share(text: str) -> float:
    """Read a number from 0 to 1; for argparse's ``type=``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:  # NaN is neither
        raise InputError(f"{text!r} is no share: write a number from 0 to 1, e.g. 0.01")
    return value


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
