"""What stimulus and reaction at a network's start tell of its accuracy, beyond what is counted.

    python -m benchmarks.search.probes

Each design of the table is built, shown one batch of scenes before any training, and asked a few
statistics of its reaction. The accuracies of the table are then foretold, fold by fold, by ridge
regression with and without them. Kept in results/probes.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from benchmarks.search.table import TABLE, Table, read_table, space
from benchmarks.search.tabulated import features, outputs
from nano.console import run, say
from nano.data.cache import default_cache
from nano.data.sample import network_input
from nano.data.sets import prepare_sets
from nano.design.design import Design
from nano.explore.levels import Floats, Levels
from nano.explore.study import parse_study
from nano.files import write_json
from nano.machine import commit, machine, versions
from nano.networks.depthnet import build
from nano.seeds import derive_seed

OUT = Path(__file__).parent / "results" / "probes.json"
IMAGES = 16
FOLDS = 10
RIDGES = (10.0, 30.0, 100.0, 300.0)
NAMES = (
    "log variance of the answer",
    "log sensitivity to pixels",
    "log sensitivity to a smooth pattern",
    "log gradient of the first layer",
    "log gradient of the last layer",
    "log ratio of both gradients",
    "drift of the activations' mean",
    "drift of the activations' variance",
    "log determinant of the sign patterns' kernel",
)


def reaction(design: Design, images: torch.Tensor, seed: int) -> list[float]:
    """The statistics named in `NAMES` of one network at its start."""
    network = build(design, seed)
    kept: list[torch.Tensor] = []
    hooks = [
        part.register_forward_hook(lambda _m, _i, out: kept.append(out.detach()))
        for part in network.modules()
        if isinstance(part, nn.Conv2d)
    ]
    answer = network(images)
    activations, patterns = [maps.flatten(1) for maps in kept], _signs(kept)
    for hook in hooks:
        hook.remove()
    answer.abs().mean().backward()
    gradients = [
        float(weight.grad.norm()) for weight in network.parameters() if weight.grad is not None
    ]
    with torch.no_grad():
        pixel = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) * 0.05
        smooth = nn.functional.interpolate(pixel[:, :, ::8, ::8], size=images.shape[-2:])
        base = network(images)
        moved = [float((network(images + x) - base).pow(2).mean()) for x in (pixel, smooth)]
    first, last = gradients[0], gradients[-2]
    return [
        _log(float(answer.var())),
        *(_log(one) for one in moved),
        _log(first),
        _log(last),
        _log(first / max(last, 1e-12)),
        float(np.mean([float(maps.mean()) for maps in activations])),
        float(np.mean([_log(float(maps.var())) for maps in activations])),
        patterns,
    ]


def _log(value: float) -> float:
    return float(np.log(max(value, 1e-12)))


def _signs(kept: Sequence[torch.Tensor]) -> float:
    """As NWOT (Mellor et al. 2021), with the signs of convolutions, which SELU keeps."""
    kernel = torch.zeros(len(kept[0]), len(kept[0]), dtype=torch.float64)
    for maps in kept:
        sign = (maps.flatten(1) > 0).double()
        kernel += (sign @ sign.T + (1 - sign) @ (1 - sign).T) / sign.shape[1]
    return float(torch.linalg.slogdet(kernel).logabsdet)


def foretold(inputs: Floats, wanted: Floats, ridge: float) -> Floats:
    """Predicted fold by fold, by ridge regression on standardised inputs."""
    found = np.empty_like(wanted)
    for fold in range(FOLDS):
        held = np.arange(len(inputs)) % FOLDS == fold
        centre, scale = inputs[~held].mean(axis=0), inputs[~held].std(axis=0) + 1e-9
        x, t = (inputs[~held] - centre) / scale, (inputs[held] - centre) / scale
        mean = wanted[~held].mean()
        weights = np.linalg.solve(
            x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (wanted[~held] - mean)
        )
        found[held] = t @ weights + mean
    return found


def measured(table: Table) -> dict[str, Any]:
    """Rank correlation of foretold and read delta1 by what is known of a design."""
    torch.set_num_threads(1)
    study = parse_study(table.study, str(TABLE))
    caps = space(study)
    data = prepare_sets(study.data, Path(), default_cache()).train
    images = network_input(torch.from_numpy(data.images[:IMAGES].copy()))
    rows = list(table.rows.values())
    probes = []
    for number, row in enumerate(rows):
        design = caps.prototype.design(row.genes)
        probes.append(reaction(design, images, derive_seed("table", design.key, 0) % 2**31))
        if number % 100 == 99:
            say(f"{number + 1}/{len(rows)} networks probed")
    stages = tuple(stage for stage, _ in study.trainings())
    wanted = outputs(rows, stages)[:, 2 * stages.index("final")]
    counted = np.log([[row.params, row.macs] for row in rows])
    genes = features(np.array([row.genes for row in rows]), Levels(caps))
    asked = np.array(probes)
    known = {
        "params and MACs": counted,
        "params, MACs and probes": np.concatenate([counted, asked], axis=1),
        "genes": genes,
        "genes and probes": np.concatenate([genes, asked], axis=1),
    }
    return {
        "designs": len(rows),
        "alone": {
            name: round(float(spearmanr(asked[:, i], -wanted).statistic), 3)
            for i, name in enumerate(NAMES)
        },
        "foretold": {name: _best(x, wanted) for name, x in known.items()},
    }


def _best(inputs: Floats, wanted: Floats) -> dict[str, float]:
    """With the ridge that serves best."""
    tried = [foretold(inputs, wanted, ridge) for ridge in RIDGES]
    best = min(tried, key=lambda found: float(((found - wanted) ** 2).mean()))
    return {
        "spearman": round(float(spearmanr(best, wanted).statistic), 3),
        "sd_left": round(float((best - wanted).std()), 5),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.search.probes")
    options.add_argument("--table", type=Path, default=TABLE)
    options.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="JSON")
    chosen = options.parse_args(arguments)
    found = measured(read_table(chosen.table))
    about = {
        "benchmark": "probes",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__).parent),
        "machine": machine(),
        "versions": versions(),
    }
    write_json(chosen.out, about | found)
    for name, value in {**found["alone"], **found["foretold"]}.items():
        print(f"{name:<48}{value}")
    return 0


if __name__ == "__main__":
    run(main)
