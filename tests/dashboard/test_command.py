"""The command: what it says of wrong input, and how it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import optuna
import pytest
from dashboard_study import INFEASIBLE, PANEL
from PIL import Image

from nano.dashboard.__main__ import main
from nano.dashboard.server import is_loopback, listen
from nano.errors import InputError, MissingPackage, RunError
from nano.explore.database import open_storage

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def test_a_folder_without_a_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"missing: no such folder; give a run's folder"):
        main([str(tmp_path / "missing")])
    with pytest.raises(RunError, match=r"has no study.db; .* --storage URL$"):
        main([str(tmp_path)])


def test_a_storage_without_a_study_is_told_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nothing.db: no such file$"):
        main([f"sqlite:///{tmp_path / 'nothing.db'}"])
    assert not (tmp_path / "nothing.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(RunError, match=r"cannot be opened: it holds no studies$"):
        main([f"sqlite:///{tmp_path / 'empty.db'}"])
    assert (tmp_path / "empty.db").stat().st_size == 0
    (tmp_path / "text.db").write_text("no database at all" * 100)
    with pytest.raises(RunError, match=r"cannot be opened: .*file is not a database$"):
        main([f"sqlite:///{tmp_path / 'text.db'}"])


def test_a_storage_of_others_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    optuna.create_study(study_name="theirs", storage=open_storage(url))
    with pytest.raises(RunError, match=r"theirs.db: holds no study of nano.explore$"):
        main([url])


def test_a_run_of_another_study_is_told(made: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"study": "other"}')
    with pytest.raises(RunError, match="is of study 'other', which that storage does not hold"):
        main([str(tmp_path), "--storage", f"sqlite:///{made / 'study.db'}"])


@pytest.mark.parametrize("driver", ["", "+psycopg", "+pg8000"])
def test_an_unreachable_server_is_one_line_without_the_password(driver: str) -> None:
    with pytest.raises((RunError, MissingPackage)) as told:
        main([f"postgresql{driver}://ann:sec/ret@127.0.0.1:1/db?password=hidden"])
    text = str(told.value)
    assert "sec/ret" not in text and "hidden" not in text and "\n" not in text
    assert "***@127.0.0.1:1/db" in text


def test_a_port_in_use_is_told(made: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} of 127.0.0.1 is in use; .* --port N"):
            main([str(made), "--port", str(port)])
    with pytest.raises(InputError, match="ports go up to 65535"):
        main([str(made), "--port", "65536"])
    with pytest.raises(InputError, match="'-1' is no whole number"):
        main([str(made), "--port=-1"])


def test_a_host_that_is_not_ours_is_told() -> None:
    with pytest.raises(InputError, match=r"cannot listen on 192.0.2.1, port 0"):
        listen(lambda *_: [], "192.0.2.1", 0)


def test_a_storage_is_named_once() -> None:
    with pytest.raises(InputError, match="--storage goes with a run folder"):
        main(["sqlite:///a.db", "--storage", "sqlite:///b.db"])


def test_loopback_is_known_by_address() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "::", "localhost.evil.invalid", "")))


def _started(run: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """The command, and the address that it prints."""
    command = subprocess.Popen(
        [sys.executable, "-m", "nano.dashboard", str(run), "--port", "0", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs ignore Ctrl-C, and would hand that down
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert command.stdout is not None
    return command, command.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_answers_and_ends_in_order(made: Path, number: int, code: int) -> None:
    command, address = _started(made)
    with urllib.request.urlopen(address) as page:
        assert page.status == 200
    command.send_signal(number)
    _, said = command.communicate(timeout=60)
    assert command.returncode == code
    assert "Traceback" not in said and len(said.splitlines()) == 2


@pytest.mark.slow
def test_everybody_is_warned_of_everybody(made: Path) -> None:
    command, _ = _started(made, "--host", "0.0.0.0")
    command.terminate()
    _, said = command.communicate(timeout=60)
    assert said.startswith("warning: everybody who reaches 0.0.0.0 can read this")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_the_crown_the_note_and_the_pictures(made: Path, tmp_path: Path) -> None:
    command, address = _started(made)
    try:
        assert re.search(r"Best Trial \(number=0\)", _seen(address))
        note = _seen(f"{address}/note")
        assert "Best designs, as the search observed them once" in note
        assert len(re.findall(r'<img[^>]* src="/artifacts/1/', note)) == 2
        trial = _seen(f"{address}/trials?numbers={INFEASIBLE}")
        assert "margin abs_rel" in trial and "panel.png" in trial
        assert re.search(r'<img[^>]* src="/artifacts/1/2/', trial)
        picture = tmp_path / "trial.png"
        _seen(f"{address}/trials?numbers={INFEASIBLE}", f"--screenshot={picture}")
        with Image.open(picture) as shown:
            colours = {rgb: n for n, rgb in shown.convert("RGB").getcolors(1 << 24) or ()}
        assert colours.get(PANEL, 0) > 1000
    finally:
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)


def _seen(address: str, wanted: str = "--dump-dom") -> str:
    """The page's elements, or a picture of it, once its scripts have run."""
    assert CHROMIUM is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update --disable-sync"
    flags += " --window-size=1400,1000 --hide-scrollbars --virtual-time-budget=20000"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [CHROMIUM, *flags.split(), f"--user-data-dir={profile}", wanted, address],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
            env={**os.environ, "HOME": profile},
        )
    return done.stdout
