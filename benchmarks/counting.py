"""How many designs a second the cost formulas count, against building and running them.

    python -m benchmarks.counting

CPU time of one core at the paper's size, on its preset and on designs drawn from the prototype
around it: the formula for one design, the formula for a population of genomes, and two ways of
running: a real network on a real image under torch's counter, and the same on the meta device
(`nano.networks.count`), which is the cheapest way to run. All agree on what is timed, or there is
no figure.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from nano.cost.count import count
from nano.cost.population import count_population
from nano.design.design import Design
from nano.design.presets import preset, prototype
from nano.networks.count import count_by_running
from nano.networks.depthnet import build
from nano.seeds import derive_seed

SIZE = (384, 1280)
FAMILY = "depthnet-nano"
ASKED = {
    "sampled_formula_per_s": ">= 20000",
    "preset_formula_per_s": ">= 20000",
    "population_per_s": ">= 500000",
    "preset_running_over_formula": ">= 10000",
}


def measure(designs: int = 400, population: int = 20_000, rounds: int = 9) -> dict[str, float]:
    """Designs per CPU second and ratios of CPU times; medians over interleaved rounds."""
    torch.set_num_threads(1)
    family = prototype(FAMILY)
    random = Random(derive_seed("benchmarks", "counting"))
    genomes = [
        family.expand({knob.name: knob.at(random.random()) for knob in family.knobs}, number)
        for number in range(designs)
    ]
    sampled = [family.design(genome) for genome in genomes]
    many = np.array([genomes[i % designs] for i in range(population)], dtype=np.int64)
    known = preset(FAMILY)
    agree(sampled, genomes)

    spent: dict[str, list[float]] = {}
    for turn in range(rounds):
        one = sampled[turn % designs]
        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "sampled_formula": (designs, lambda: [count(design, SIZE) for design in sampled]),
            "preset_formula": (designs, lambda: [count(known, SIZE) for _ in range(designs)]),
            "population": (population, lambda: count_population(many, family, SIZE)),
            "sampled_running": (1, partial(build_and_count, one)),
            "sampled_meta": (1, partial(count_by_running, one, SIZE)),
            "preset_running": (1, lambda: build_and_count(known)),
            "preset_meta": (1, lambda: count_by_running(known, SIZE)),
        }
        for name, (times, way) in ways.items():
            start = time.process_time()
            way()
            spent.setdefault(name, []).append((time.process_time() - start) / times)
    seconds = {name: statistics.median(values) for name, values in spent.items()}
    return {
        "sampled_designs": designs,
        "sampled_modules": statistics.mean(modules(design) for design in sampled),
        "preset_modules": modules(known),
        "sampled_formula_per_s": round(1 / seconds["sampled_formula"]),
        "preset_formula_per_s": round(1 / seconds["preset_formula"]),
        "population_per_s": round(1 / seconds["population"]),
        "sampled_running_ms": round(1e3 * seconds["sampled_running"], 1),
        "sampled_meta_ms": round(1e3 * seconds["sampled_meta"], 1),
        "preset_running_ms": round(1e3 * seconds["preset_running"], 1),
        "preset_meta_ms": round(1e3 * seconds["preset_meta"], 1),
        "sampled_running_over_formula": round(
            seconds["sampled_running"] / seconds["sampled_formula"]
        ),
        "sampled_meta_over_formula": round(seconds["sampled_meta"] / seconds["sampled_formula"]),
        "preset_running_over_formula": round(seconds["preset_running"] / seconds["preset_formula"]),
        "preset_meta_over_formula": round(seconds["preset_meta"] / seconds["preset_formula"]),
        "sampled_meta_over_population": round(seconds["sampled_meta"] / seconds["population"]),
    }


def modules(design: Design) -> int:
    """Modules of stages and decoder."""
    return sum(len(stage.modules) for stage in design.stages) + 2 * len(design.decoder)


def build_and_count(design: Design) -> int:
    """MACs the usual way: build the network, run one image under torch's counter, halve."""
    network = build(design, 0).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *SIZE))
    return counter.get_total_flops() // 2


def agree(sampled: Sequence[Design], genomes: Sequence[Sequence[int]]) -> None:
    """Raise unless all ways give the same numbers (the running ones on every 40th design)."""
    costs = count_population(np.array(genomes), prototype(FAMILY), SIZE)
    for i, design in enumerate(sampled):
        cost = count(design, SIZE)
        assert costs.of(i) == cost, design.key
        if i % 40 == 0:
            ran = count_by_running(design, SIZE)
            assert (ran.params, ran.macs) == (cost.params, cost.macs), design.key
            assert build_and_count(design) == cost.macs, design.key


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
