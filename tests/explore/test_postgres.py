"""A study in PostgreSQL: several drivers, each with a folder of its own, as on several machines."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from toy_study import Toy, wait_until, workers_of

from benchmarks import postgres
from nano.errors import RunError
from nano.explore.database import open_storage
from nano.explore.locks import locks_of
from nano.explore.outage import Outage

why_not = postgres.missing()
pytestmark = [
    pytest.mark.skipif(why_not is not None, reason=why_not or ""),
    # a connection that broke while it was made is closed by Python's collector alone
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Open = Callable[..., RDBStorage]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """Broken connections are collected here, where their warning is known, not in other tests."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.Server() as running:
        yield running


@pytest.fixture
def url(server: postgres.Server, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    return server.make(f"db{abs(hash(request.node.name))}")


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open storages that are closed in the end."""
    with contextlib.ExitStack() as stack:

        def begun(url: str, **more: Any) -> RDBStorage:
            storage = open_storage(url, **more)
            stack.callback(storage.engine.dispose)
            return storage

        yield begun


@pytest.fixture
def shared(toy: Toy, url: str) -> Toy:
    toy.storage = url
    return toy


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begun(toy: Toy, *more: str, workers: int = 1) -> subprocess.Popen[str]:
        started.append(toy.start(*more, workers=workers))
        return started[-1]

    yield begun
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def whole(toy: Toy, trials: int) -> None:
    """Every trial is there, once, and finished; no design twice."""
    stored = toy.trials()
    assert [trial.number for trial in stored] == list(range(trials))
    assert all(trial.state.is_finished() for trial in stored)
    assert len({e.key for e in toy.evaluations()}) == trials == len(toy.evaluations())
    assert len(toy.rows()) == trials


# --- bad input: one line each --------------------------------------------------------------------


def refused(toy: Toy, storage: str, *more: str) -> str:
    ended = replace(toy, storage=storage)(*more)
    assert ended.code == 2 and ended.err.count("\n") == 1, ended.err
    assert postgres.PASSWORD not in ended.err
    return ended.err


def test_a_wrong_password_is_told(toy: Toy, server: postgres.Server) -> None:
    said = refused(toy, server.url("postgres", password="wr0ng"))
    assert 'password authentication failed for user "nano"' in said and "wr0ng" not in said


def test_a_server_that_is_not_there_is_told(toy: Toy, server: postgres.Server) -> None:
    said = refused(toy, server.url("postgres", port=postgres.free_port()))
    assert "Connection refused" in said


def test_a_database_that_is_not_there_is_told(toy: Toy, server: postgres.Server) -> None:
    assert 'database "nowhere" does not exist' in refused(toy, server.url("nowhere"))


def test_a_study_that_is_not_there_is_not_joined(toy: Toy, url: str, opened: Open) -> None:
    assert "it holds no studies" in refused(toy, url, "--join")
    opened(url)
    assert "there is no study 'toy'" in refused(toy, url, "--join")


def test_the_password_may_come_from_the_environment(
    toy: Toy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    toy.storage = url.replace(f":{postgres.PASSWORD}", "")
    assert toy("--trials", "2").code in {0, 3}
    assert len(toy.trials()) == 2


def test_a_server_that_is_too_old_is_told(toy: Toy) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!I", len(body) + 4) + body

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listener.accept()
                with one:
                    while struct.unpack("!II", one.recv(4096)[:8])[1] != 196608:  # not protocol 3.0
                        one.sendall(b"N")  # no encryption
                    told = {"server_version": "9.2.24", "client_encoding": "UTF8"}
                    one.sendall(
                        message(b"R", struct.pack("!I", 0))
                        + b"".join(
                            message(b"S", f"{key}\0{value}\0".encode())
                            for key, value in told.items()
                        )
                        + message(b"Z", b"I")
                    )
                    one.recv(4096)

    threading.Thread(target=serve, daemon=True).start()
    said = refused(toy, f"postgresql://nano@127.0.0.1:{listener.getsockname()[1]}/x")
    listener.close()
    assert "its PostgreSQL is of version 9.2.24; 10 or newer is needed" in said


def test_a_second_driver_in_a_folder_of_its_own_is_refused(
    shared: Toy, url: str, opened: Open
) -> None:
    with locks_of(opened(url), "toy").drive():
        said = refused(shared, url)
        assert "another driver works on study 'toy' in that storage" in said
    assert shared("--trials", "2").code in {0, 3}


def test_a_second_driver_on_a_shared_file_is_refused(toy: Toy, opened: Open) -> None:
    storage = f"sqlite:///{toy.folder / 'shared.db'}"
    with locks_of(opened(storage), "toy").drive():
        assert "another driver works on study 'toy' in that storage" in refused(toy, storage)


def test_two_studies_in_one_file_have_a_driver_each(toy: Toy, opened: Open) -> None:
    toy.storage = f"sqlite:///{toy.folder / 'shared.db'}"
    with locks_of(opened(toy.storage), "other").drive():
        assert toy("--trials", "2").code in {0, 3}


# --- turns ---------------------------------------------------------------------------------------


def test_a_turn_is_one_s_at_a_time_and_ends_with_its_connection(url: str, opened: Open) -> None:
    ours, theirs = (locks_of(opened(url), "toy") for _ in range(2))
    taken = threading.Event()

    def take() -> None:
        with theirs.turn():
            taken.set()

    other = threading.Thread(target=take, daemon=True)
    with ours.turn():
        other.start()
        assert not taken.wait(0.3)
    assert taken.wait(10)
    other.join()


def test_a_turn_is_taken_again_after_an_outage_and_so_is_the_driver_s(
    server: postgres.Server, url: str, opened: Open
) -> None:
    with postgres.relay(server.port) as link:
        through = url.replace(str(server.port), str(link.port))
        said: list[str] = []
        outage = Outage(where="there", seconds=60, note=said.append)
        locks = locks_of(opened(through, outage=outage), "toy")
        with locks.drive():
            link.cut()
            threading.Timer(0.5, link.mend).start()
            with locks.turn():
                pass
            assert "lost" in said[0] and "back after" in said[1] and len(said) == 2
            locks.tend()
            with pytest.raises(RunError), locks_of(opened(url), "toy").drive():
                pass
            link.cut()
            threading.Timer(0.5, link.mend).start()
            locks.tend()
            with pytest.raises(RunError), locks_of(opened(url), "toy").drive():
                pass


# --- outages -------------------------------------------------------------------------------------


def test_patience_ends_and_then_nothing_waits_again(
    url: str, opened: Open, server: postgres.Server
) -> None:
    with postgres.relay(server.port) as link:
        through = url.replace(str(server.port), str(link.port))
        outage = Outage(where="there", seconds=0.4)
        storage = opened(through, outage=outage)
        link.cut()
        with pytest.raises(RunError, match=r"storage there: lost: .*; the same command goes on"):
            storage.get_all_studies()
        outage.seconds = 1e6
        with pytest.raises(RunError):
            storage.get_all_studies()


def test_somebody_who_asked_to_stop_waits_for_no_database(
    url: str, opened: Open, server: postgres.Server
) -> None:
    with postgres.relay(server.port) as link:
        through = url.replace(str(server.port), str(link.port))
        outage = Outage(where="there", seconds=1e6, asked_to_stop=lambda: True)
        storage = opened(through, outage=outage)
        link.cut()
        with pytest.raises(KeyboardInterrupt):
            storage.get_all_studies()


@pytest.mark.slow
def test_a_study_whose_database_is_away_for_a_while_goes_on_and_says_so(
    shared: Toy, server: postgres.Server, url: str
) -> None:
    with postgres.relay(server.port) as link:
        shared.storage = url.replace(str(server.port), str(link.port))
        ended = threading.Event()

        def cut_again_and_again() -> None:
            random = Random(0)
            wait_until(shared.calls)
            for _ in range(8):
                ended.wait(random.uniform(0.05, 0.5))
                link.cut()
                time.sleep(0.05)
                link.mend()

        away = threading.Thread(target=cut_again_and_again)
        away.start()
        shared.takes(0.05)
        done = shared()
        ended.set()
        away.join()
        link.cut()
        link.mend()
        assert done.code == 0, done.err
        assert "lost (" in done.err and "back after" in done.err
        whole(shared, 8)


# --- several drivers -----------------------------------------------------------------------------


def joined(toy: Toy, start: Start, number: int, *more: str) -> list[subprocess.Popen[str]]:
    """Drivers that join, each with a folder of its own."""
    folders = [str(toy.folder / f"machine-{i}") for i in range(number)]
    return [start(toy, "--join", "--out", folder, *more) for folder in folders]


@pytest.mark.slow
def test_drivers_with_folders_of_their_own_share_a_study(shared: Toy, start: Start) -> None:
    shared.takes(0.3)
    first = start(shared, "--trials", "16")
    wait_until(lambda: len(shared.calls()) >= 2, first)
    others = joined(shared, start, 2, "--trials", "16")
    for process in (first, *others):
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    whole(shared, 16)
    places = Counter(trial.user_attrs["owner"]["place"] for trial in shared.trials())
    assert len(places) == 3
    assert set(Counter(shared.calls()).values()) == {1}


@pytest.mark.slow
def test_a_machine_that_is_gone_is_made_up_for(shared: Toy, start: Start) -> None:
    grace = ("--set", "workers.grace_minutes=0.1")
    shared.takes(1.0)
    first = start(shared, "--trials", "9", *grace)
    wait_until(lambda: len(shared.calls()) >= 2, first)
    (gone,) = joined(shared, start, 1, "--trials", "9", *grace)
    wait_until(lambda: len({t.user_attrs["owner"]["place"] for t in shared.trials()}) == 2, gone)
    os.killpg(gone.pid, signal.SIGKILL)
    _, err = first.communicate(timeout=600)
    assert first.returncode == 0, err
    assert "its process is gone; it is run again" in err
    whole(shared, 9)


@pytest.mark.slow
def test_kills_of_workers_drivers_and_the_database_lose_and_double_nothing(
    toy: Toy, start: Start, finished: tuple[Toy, object]
) -> None:
    random = Random(0)
    with postgres.Server() as server:
        toy.storage = server.make("kills")
        toy.takes(0.1)
        process = start(toy)
        for _ in range(4):
            time.sleep(random.uniform(2.0, 8.0))
            aim = random.choice(["driver", "worker", "database"])
            if aim == "driver":
                process.kill()
                process.wait()
                process = start(toy)
            elif aim == "worker":
                for worker in workers_of(process.pid):
                    os.kill(worker, signal.SIGKILL)
            else:
                server.kill()
                time.sleep(random.uniform(0, 1))
                server.start()
        toy.takes(0)
        _, err = process.communicate(timeout=200)
        assert process.returncode in {0, -signal.SIGKILL}, err
        ended = toy()
        assert ended.code == 0, ended.err
        whole(toy, 8)
        assert known(toy) == known(finished[0])
        assert TrialState.RUNNING not in {trial.state for trial in toy.trials()}


def known(toy: Toy) -> list[tuple[Any, ...]]:
    return [(e.key, e.stage, e.netscore, e.reason) for e in toy.evaluations()]


@pytest.mark.slow
def test_the_database_goes_for_longer_than_anybody_waits_and_the_same_command_goes_on(
    shared: Toy, start: Start, server: postgres.Server, url: str
) -> None:
    with postgres.relay(server.port) as link:
        through = replace(shared, storage=url.replace(str(server.port), str(link.port)))
        through.takes(0.2)
        process = start(through, "--set", "workers.grace_minutes=0.05")
        wait_until(lambda: len(shared.calls()) >= 3, process)
        link.cut()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2, err
        assert "the same command goes on from what it holds" in err.splitlines()[-1]
        assert "Traceback" not in err
    shared.takes(0)
    assert shared().code == 0
    whole(shared, 8)


@pytest.mark.slow
def test_a_study_may_be_looked_at_in_its_dashboard(shared: Toy, url: str) -> None:
    pytest.importorskip("optuna_dashboard")
    from nano.dashboard.__main__ import opened

    assert shared("--trials", "2").code in {0, 3}
    view, _, _ = opened(str(shared.run), url)
    assert [study.study_name for study in view.get_all_studies()] == ["toy"]


@pytest.mark.slow
def test_the_folder_of_a_driver_that_joined_says_whose_run_it_is(
    shared: Toy, tmp_path: Path
) -> None:
    assert shared("--trials", "2").code in {0, 3}
    there = tmp_path / "machine"
    assert shared("--trials", "3", "--join", "--out", str(there)).code == 0
    assert {"run.json", "study.toml", "log.txt"} <= {path.name for path in there.iterdir()}
    assert len(shared.trials()) == 3
