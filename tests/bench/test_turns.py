"""Who measures is alone; who works pauses."""

import threading
import time
from pathlib import Path

import pytest

from nano.bench.turns import NotNow, Turns


def test_workers_pause_between_steps_while_somebody_measures(tmp_path: Path) -> None:
    turns, log, done = Turns(folder=tmp_path / "turns"), list[str](), threading.Event()

    def work() -> None:
        with turns.working(lambda: False) as wait:
            while not done.is_set():
                wait()
                log.append("step begins")
                time.sleep(0.002)
                log.append("step ends")

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(3):
            time.sleep(0.02)
            with turns.measuring(lambda: False):
                began = len(log)
                time.sleep(0.05)
                assert len(log) == began
                assert log.count("step begins") == log.count("step ends")
    finally:
        done.set()
        for worker in workers:
            worker.join()
    assert log.count("step begins") > 3  # they went on in between


def test_those_who_measure_queue(tmp_path: Path) -> None:
    turns, at_once, most = Turns(folder=tmp_path), 0, 0
    guard = threading.Lock()

    def measure() -> None:
        nonlocal at_once, most
        with turns.measuring(lambda: False):
            with guard:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.01)
            with guard:
                at_once -= 1

    threads = [threading.Thread(target=measure) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_who_is_asked_to_stop_waits_no_longer(tmp_path: Path) -> None:
    turns, stop = Turns(folder=tmp_path), threading.Event()
    with turns.working(stop.is_set):
        threading.Timer(0.05, stop.set).start()
        with pytest.raises(NotNow), turns.measuring(stop.is_set):
            pass
    with turns.measuring(stop.is_set), turns.working(stop.is_set) as wait:
        assert wait()
