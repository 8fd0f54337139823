"""Worker processes: which GPU each of them sees."""

from __future__ import annotations

import time

import pytest
import torch
from toy_study import Toy

from nano.design.presets import preset
from nano.explore.lab import judge
from nano.explore.stages import counted
from nano.explore.study import read_study
from nano.explore.workers import Bench, Deciding, Pool, Search
from nano.networks.device import gpus


@pytest.mark.parametrize(
    ("named", "seen", "expected"),
    [
        (None, 0, ()),
        (None, 2, ("0", "1")),
        ("3,5", 2, ("3", "5")),
        ("GPU-8a2f,MIG-41", 2, ("GPU-8a2f", "MIG-41")),
        ("3,9", 1, ("3",)),  # torch stops at the first that is not there
    ],
)
def test_gpus_are_named_as_the_environment_names_them(
    monkeypatch: pytest.MonkeyPatch, named: str | None, seen: int, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus() == expected


@pytest.mark.slow
def test_each_worker_sees_a_gpu_of_its_own_and_they_take_turns_where_there_are_more(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(toy.folder))
    toy.define(
        "import os\n"
        "from pathlib import Path\n"
        "def score(design, *, images, seed):\n"
        "    seen = os.environ['CUDA_VISIBLE_DEVICES']\n"
        f"    Path({str(toy.folder)!r}, f'{{seen}} {{os.getpid()}}.saw').touch()\n"
        "    return {'delta1': 0.5, 'abs_rel': 0.3}\n"
    )
    study = read_study(toy.study)
    design = preset("depthnet-tiny")
    evaluation = counted(0, design, origin="x", seed=0, size=study.size, judge=judge(study))
    bench = Bench(
        study=study.plain(),
        base=toy.folder,
        run=toy.folder,
        cache=toy.folder,
        device="cpu",
        threads=1,
        gpus=("5", "GPU-7"),
    )
    with Pool(bench=bench, size=3) as pool:
        for i in range(3):
            pool.give(i, Search(evaluation=evaluation))
        said: set[int] = set()
        end = time.monotonic() + 100
        while len(said) < 3 and time.monotonic() < end:
            said |= {i for i, m in pool.messages(1.0) if isinstance(m, Deciding)}
    seen = sorted(path.stem.split()[0] for path in toy.folder.glob("*.saw"))
    assert seen == ["5", "5", "GPU-7"]
