"""How every command ends: exit codes, one line for people, a traceback only for bugs."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

from nano.errors import (
    EXIT_BUG,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    InputError,
    OutputError,
)


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be: both end a command in the same orderly way."""


def run(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run a command's ``main`` and exit with the contract's code.

    Wrong input and files that cannot be written end with one line and exit code 2; Ctrl-C with
    130, SIGTERM with 143; anything else is a bug: traceback and exit code 1.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = main(None)
        sys.stdout.flush()
    except (InputError, OutputError) as error:
        say(f"error: {error}")
        code = EXIT_INPUT
    except Terminated:
        say("terminated")
        code = EXIT_TERMINATED
    except KeyboardInterrupt:
        say("interrupted")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell.
        sys.stderr.close()
        code = EXIT_BUG
    except Exception:  # the one place where a bug is shown and becomes exit code 1
        traceback.print_exc()
        code = EXIT_BUG
    sys.exit(code)


def say(text: str) -> None:
    """One line for a person, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def parse_size(text: str) -> tuple[int, int]:
    """Read ``384x1280`` as (height, width); for argparse's ``type=``."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise InputError(f"{text!r} is no size; write HEIGHTxWIDTH, e.g. 384x1280")
    return int(height), int(width)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
