"""The toy study as fixtures."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_study import Ended, Threads, Toy


@pytest.fixture(scope="session")
def in_this_process(tmp_path_factory: pytest.TempPathFactory, without_sync: None) -> Iterator[None]:
    """Threads for worker processes, and a database without the disk's sync."""
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nano.explore.run.Pool", Threads)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def toy(in_this_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A study whose whole run takes a fraction of a second, in this process."""
    # Figures are most of what is left of the time; `finished` has a real report.
    monkeypatch.setattr(
        "nano.explore.conclude.write_report", lambda run: run.folder / "report.html"
    )
    return Toy(tmp_path / "toy")


@pytest.fixture(scope="session")
def finished(in_this_process: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, Ended]:
    """A toy study run to its end with --json. To be read only: copy it to go on with it."""
    toy = Toy(tmp_path_factory.mktemp("finished") / "toy")
    return toy, toy("--json")
