"""How well the latency model foresees designs that it was not fitted on, on this processor.

    python -m benchmarks.latency

One thread, float32, CPU time (least of a few interleaved rounds). Fitted on the operations and the
whole times of random designs of the family ``depthnet-nano`` at a small size and of its preset at a
medium one; judged on other random designs at both sizes, and of another family. Three forms of the
model are fitted to the same times, and a line through MACs alone; the first form is the model's
default and the one that is asked something.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from nano.bench.operations import Profile, profile
from nano.console import say
from nano.cost.latency import LatencyModel, Timing, fit, judged, kendall_tau
from nano.design.kinds import AnyDesign
from nano.design.presets import preset, prototype
from nano.files import to_plain
from nano.machine import machine
from nano.seeds import derive_seed

FAMILY, OTHER_FAMILY = "depthnet-nano", "depthnet-small"
SMALL, MEDIUM = (96, 320), (192, 640)
ROUNDS = 6
FORMS: dict[str, dict[str, bool]] = {
    "roofline_by_kind": {},
    "sums_by_kind": {"overlapped": False},
    "one_roofline": {"by_kind": False},
}
ASKED = {"mape": "<= 0.15", "tau": ">= 0.9", "tau_at_one_size": ">= 0.9"}

Job = tuple[AnyDesign, tuple[int, int]]


def measure(
    fitted: int = 12, held_out: int = 14, larger: int = 4, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The error of each form on held-out designs, and the model of the first."""
    known = [*sampled(FAMILY, fitted, SMALL, "fit"), (preset(FAMILY), MEDIUM)]
    groups = {
        "at_one_size": sampled(FAMILY, held_out, SMALL, "held out"),
        "larger": sampled(FAMILY, larger, MEDIUM, "larger"),
        "other_family": sampled(OTHER_FAMILY, larger, SMALL, "other"),
    }
    jobs = [*known, *(job for group in groups.values() for job in group)]
    profiles = profile(
        jobs, rounds=rounds, seed=0, told=lambda done: say(f"round {done} of {rounds}")
    )
    training, rest = profiles[: len(known)], list(profiles[len(known) :])
    held = {}
    for name, group in groups.items():
        held[name], rest = [each.network for each in rest[: len(group)]], rest[len(group) :]
    return figures(training, held)


def sampled(family: str, number: int, size: tuple[int, int], purpose: str) -> list[Job]:
    """Random designs of a family: every knob anywhere in its range."""
    prototype_ = prototype(family)
    random = Random(derive_seed("benchmarks", "latency", purpose))
    jobs: list[Job] = []
    for seed in range(number):
        knobs = {knob.name: knob.at(random.random()) for knob in prototype_.knobs}
        jobs.append((prototype_.design(prototype_.expand(knobs, seed)), size))
    return jobs


def figures(training: Sequence[Profile], held: dict[str, list[Timing]]) -> dict[str, Any]:
    """Fit every form, judge it on each group and on all together."""
    known = [each for one in training for each in one.operations]
    networks = [each.network for each in training]
    everything = [each for group in held.values() for each in group]
    groups = {"all": everything, **held}
    device = f"{machine()['processor']}, one thread, float32"
    models: dict[str, LatencyModel] = {}
    errors: dict[str, dict[str, Any]] = {}
    for name, form in FORMS.items():
        model = fit(device, known, networks, **form)
        models[name] = judged(model, everything)
        errors[name] = {
            group: to_plain(judged(model, timings).error) for group, timings in groups.items()
        }
    errors["macs_alone"] = {group: {"tau": macs_tau(timings)} for group, timings in groups.items()}
    first = next(iter(FORMS))
    return {
        "fitted_on": {"designs": len(training), "operations": len(known)},
        "measured_ms": {
            "fitted": [round(each.ms, 2) for each in networks],
            **{name: [round(each.ms, 2) for each in group] for name, group in held.items()},
        },
        "mape": errors[first]["all"]["mape"],
        "worst": errors[first]["all"]["worst"],
        "tau": errors[first]["all"]["tau"],
        "tau_at_one_size": errors[first]["at_one_size"]["tau"],
        "forms": errors,
        "model": to_plain(models[first]),
    }


def macs_tau(timings: Sequence[Timing]) -> float:
    """The order that MACs alone would give."""
    macs = [sum(layer.macs for layer in timing.layers) for timing in timings]
    return kendall_tau(macs, [timing.ms for timing in timings])


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
