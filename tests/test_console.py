from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.console import parse_size, positive
from nano.errors import (
    DataError,
    DesignError,
    DeviceFailed,
    Diverged,
    InputError,
    MissingPackage,
    NanoError,
    OutputError,
    RunError,
    StudyError,
)

ROOT = Path(__file__).parents[1]
WAIT_S = 30  # for a process that should end at once


def command(body: str) -> list[str]:
    """A command whose ``main`` has that body."""
    lines = [
        "import os, signal, sys, time",
        "from pathlib import Path",
        "from nano.console import run",
        "from nano.errors import *",
        "def main(arguments):",
        *[f"    {line}" for line in body.splitlines()],
        "run(main)",
    ]
    return [sys.executable, "-S", "-c", "\n".join(lines)]


COMMANDS = ["explore", "describe", "data", "train", "evaluate", "report"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_of_any_command_is_one_line(name: str) -> None:
    module = importlib.import_module(
        "nano.describe" if name == "describe" else f"nano.{name}.__main__"
    )
    with pytest.raises(InputError, match=rf"; python -m nano\.{name} --help tells the options$"):
        module.main(["--no-such-option"])


def ended(body: str, stdout: int = subprocess.PIPE) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    done = subprocess.run(
        command(body),
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=buffered(),
        text=True,
        timeout=WAIT_S,
    )
    return done.returncode, done.stdout, done.stderr


def buffered() -> dict[str, str]:
    """The environment with Python's own buffering of pipes, as users have it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_ends_with_what_its_main_returns(code: int) -> None:
    assert ended(f"print('result')\nreturn {code}") == (code, "result\n", "")


@pytest.mark.parametrize(
    "error",
    [
        InputError,
        StudyError,
        DesignError,
        DataError,
        RunError,
        MissingPackage,
        OutputError,
        DeviceFailed,
    ],
)
def test_wrong_input_is_one_line_on_stderr_and_exit_code_2(error: type[NanoError]) -> None:
    code, out, told = ended(f"print('before')\nraise {error.__name__}('study.toml: no such key')")
    assert (code, out, told) == (2, "before\n", "error: study.toml: no such key\n")


@pytest.mark.parametrize("error", ["ValueError", "Diverged", "OSError", "NanoError"])
def test_a_bug_is_a_traceback_and_exit_code_1(error: str) -> None:
    code, _, told = ended(f"raise {error}('of our own')")
    assert code == 1
    assert told.startswith("Traceback (most recent call last)")
    assert told.rstrip().endswith(f"{error}: of our own")


def test_a_diverged_training_is_no_mistake_of_the_user() -> None:
    assert not issubclass(Diverged, InputError | OutputError)
    assert issubclass(Diverged, NanoError)


@pytest.mark.parametrize(
    ("sent", "code", "word"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
)
def test_ctrl_c_is_130_and_sigterm_143(sent: signal.Signals, code: int, word: str) -> None:
    running = subprocess.Popen(
        # A shell that runs tests in the background lets its children ignore Ctrl-C.
        command(
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "print('ready', flush=True)\ntime.sleep(60)\nreturn 0"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(sent)
    out, told = running.communicate(timeout=WAIT_S)
    assert (running.returncode, out, told) == (code, "", word)


def test_cleaning_up_runs_before_a_terminated_command_ends() -> None:
    body = "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(60)\nfinally:\n"
    code, out, told = ended(body + "    print('cleaned')")
    assert (code, out, told) == (143, "cleaned\n", "terminated\n")


@pytest.mark.parametrize("amount", [1, 100_000])
def test_a_reader_that_went_away_is_told_nothing(amount: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code, _, told = ended(f"print('line\\n' * {amount})\nreturn 0", stdout=writing)
    finally:
        os.close(writing)
    assert (code, told) == (1, "")


def test_head_takes_its_lines_and_the_command_ends_quietly() -> None:
    writer = subprocess.Popen(
        command("for i in range(10**6):\n    print(i)\nreturn 0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=buffered(),
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    assert writer.stdout.readline() == b"0\n"
    writer.stdout.close()
    with writer.stderr:
        assert writer.stderr.read() == b""
    assert writer.wait(WAIT_S) == 1


def test_another_broken_pipe_is_a_bug_that_is_shown() -> None:
    body = "reading, writing = os.pipe()\nos.close(reading)\nos.write(writing, b'x')"
    code, _, told = ended(body)
    assert code == 1
    assert "BrokenPipeError" in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("amount", [1, 100_000])
def test_results_on_a_full_disk_are_one_line_and_exit_code_2(amount: int) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, told = ended(f"print('line\\n' * {amount})\nreturn 0", stdout=full.fileno())
    assert (code, told) == (2, "error: standard output: cannot be written: the disk is full\n")


def test_a_full_disk_under_another_file_is_named() -> None:
    body = "import errno\nraise OSError(errno.ENOSPC, 'full', 'study.db')"
    code, _, told = ended(body)
    assert (code, told) == (2, "error: study.db: cannot be written: the disk is full\n")


def test_a_closed_stdout_is_no_bug() -> None:
    body = "print('nobody reads this')\nreturn 0"
    shell = ["sh", "-c", '"$@" >&-', "sh", *command(body)]
    done = subprocess.run(shell, cwd=ROOT, env=buffered(), stderr=subprocess.PIPE, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, b"")


# --- sizes ---------------------------------------------------------------------------------------


@given(st.integers(0, 99_999), st.integers(0, 99_999), st.sampled_from("xX"))
def test_a_size_is_height_then_width(height: int, width: int, cross: str) -> None:
    assert parse_size(f"{height}{cross}{width}") == (height, width)


@pytest.mark.parametrize(
    "text", ["", "x", "384", "384x", "x1280", "384*1280", "384 x 1280", "-1x2", "3.5x2", "1x2x3"]
)
def test_no_size_is_told_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"write HEIGHTxWIDTH, e\.g\. 384x1280"):
        parse_size(text)


@given(st.text(max_size=9))
def test_any_text_is_a_size_or_an_input_error(text: str) -> None:
    try:
        height, width = parse_size(text)
    except InputError:
        return
    assert height >= 0
    assert width >= 0


@pytest.mark.parametrize("text", ["0", "00", "-1", "1.5", "two", "", "\u00b2", "\u0663"])
def test_what_is_no_whole_number_above_zero_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no whole number above 0"):
        positive(text)


def test_whole_numbers_above_zero_are_read() -> None:
    assert [positive(text) for text in ("1", "16", "007")] == [1, 16, 7]
