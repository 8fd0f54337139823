"""A study of FastDepth's widths: every generator that searches the other family searches it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_study import STUDY, Toy

from nano.design.fastdepth import FastDepthDesign
from nano.design.fastdepth_prototype import fastdepth_prototype
from nano.explore.caps import Caps
from nano.explore.generator import Generator
from nano.explore.levels import Levels
from nano.explore.study import read_study
from nano.networks.catalog import architecture_of
from nano.networks.fastdepth import FastDepth
from nano.networks.health import alive
from nano.networks.model import load_model
from nano.networks.start import started
from nano.score import Requirements

FAMILY = fastdepth_prototype("fastdepth-small")
CAPS = Caps(
    prototype=FAMILY, requirements=Requirements.parse({"params": "<= 150k"}), size=(64, 192)
)
KINDS = ("generator-inquisitor", "tpe", "cmaes", "nsga2", "evolution", "random")


def fast(text: str) -> str:
    text = text.replace('preset = "depthnet-tiny"', 'name = "fastdepth"')
    return text.replace('params = "<= 4900"', 'params = "<= 150k"')


@pytest.fixture
def study(toy: Toy) -> Toy:
    toy.study.write_text(fast(STUDY.format(module=toy.module)), encoding="utf-8")
    return toy


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_generator_searches_it(study: Toy, kind: str) -> None:
    ended = study("--json", "--trials", "7", "--set", f"generator.kind={kind}")
    assert ended.code == 0, ended.err
    found = study.evaluations()
    assert len({e.key for e in found}) == len(found) == 7
    assert all(isinstance(e.design, FastDepthDesign) for e in found)
    assert all(e.cost.params <= 150_000 for e in found if e.origin != "prototype")
    assert {e.origin for e in found} == {"prototype", "prototype, shrunk", kind}
    again = study("--json", "--set", f"generator.kind={kind}")  # resumed from what is stored
    assert again.code == 0 and len(study.evaluations()) == 8


@pytest.mark.slow
def test_it_is_trained_confirmed_and_kept_as_a_model(toy: Toy) -> None:
    torch.set_num_threads(1)
    toy.study.write_text(
        """name = "toy"
[data]
size = [32, 96]
train = 8
validation = 4
test = 4
[prototype]
name = "fastdepth"
[stages]
final = { steps = 2 }
confirm = { designs = 1, seeds = 1 }
recipe = { name = "quick", batch = 4, precision = "float32", recalibrate = 4 }
"""
    )
    toy("--json", "--trials", "1")
    best = toy.run / "best" / "design.json"
    (evaluation,) = toy.evaluations()
    kept = json.loads((toy.run / "trials" / "0000" / "design.json").read_text())
    assert kept == {"network": "fastdepth", "widths": list(evaluation.design.widths)}
    if best.exists():
        assert load_model(best.parent).design.key == evaluation.key


def test_the_usual_preset_is_the_family_s_own(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('name = "a"\n[prototype]\nname = "fastdepth"\nranges.multiplier.2 = [1, 1.1]\n')
    study = read_study(path)
    assert study.prototype.preset == "fastdepth-small"
    assert study.family().knob["multiplier.2"].high == 1.1


def test_the_study_file_that_comes_along_can_be_met() -> None:
    study = read_study(Path(__file__).parents[2] / "studies" / "fastdepth.toml")
    Caps(
        prototype=study.family(), requirements=study.requirements(), size=study.size
    ).check_reachable()


def test_repaired_genomes_are_within_caps() -> None:
    levels = Levels(CAPS)
    drawn = np.random.default_rng(0).uniform(-0.2, 1.2, (64, len(FAMILY.genes)))
    assert levels.fit(levels.repaired(drawn)).all()


def test_the_mean_of_a_stage_lies_in_its_range() -> None:
    free = Levels(Caps(prototype=FAMILY, requirements=Requirements(items=()), size=(64, 192)))
    drawn = np.random.default_rng(0).uniform(-0.2, 1.2, (64, len(FAMILY.genes)))
    for row in free.repaired(drawn):
        design = FAMILY.design(row)
        assert FAMILY.genome_of(design) == tuple(row.tolist())
        for name, columns in FAMILY.columns.items():
            ratios = [row[i] / FAMILY.usual[i] for i in columns]
            middle = np.mean(ratios)
            knob = FAMILY.knob[name]
            rounding = 1 + 0.5 / min(row[i] for i in columns)
            assert knob.low / rounding <= middle <= knob.high * rounding


def test_no_direction_of_the_generator_is_there_twice() -> None:
    directions = Generator(Levels(CAPS)).directions
    assert directions.any(axis=0).all()
    assert len(np.unique(directions, axis=1).T) == directions.shape[1]


def test_a_sound_start_lives_and_a_dead_one_is_told() -> None:
    network = started(architecture_of(FAMILY.preset), (64, 96), 0)
    assert isinstance(network, FastDepth)
    images = torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    assert alive(network, images) is None
    with torch.no_grad():
        network.get_parameter("conv5.4.weight").zero_()  # batch norm's scale: nothing passes
    assert alive(network, images) == "conv5: the signal dies, sd 0 (below 0.05)"
