"""How well the latency model foresees designs that it was not fitted on, on this machine.

    python -m benchmarks.latency

The GPU where torch sees one, else one thread of the processor; float32, the least of interleaved
rounds (`nano.bench.operations`), in two passes that are also compared with each other. Fitted on
the operations and the whole times of random designs of the family ``depthnet-nano`` at a small size
and of its preset at a medium one; judged on other random designs at both sizes, and of another
family. Three forms of the model are fitted to the same times, and an order by MACs alone stands
beside them; the first form is the one that is asked something.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from random import Random
from typing import Any

from nano.bench.host import device_name
from nano.bench.operations import Profile, profile
from nano.console import say
from nano.cost.latency import LatencyModel, Timing, fit, judged, kendall_tau
from nano.design.kinds import AnyDesign
from nano.design.presets import preset, prototype
from nano.files import to_plain
from nano.networks.device import default_device
from nano.seeds import derive_seed

FAMILY, OTHER_FAMILY = "depthnet-nano", "depthnet-small"
SMALL, MEDIUM = (96, 320), (192, 640)
PASSES, ROUNDS = 2, 5
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
    passes = [
        profile(
            jobs,
            rounds=rounds,
            seed=seed,
            device=default_device(),
            told=lambda done: say(f"round {done} of {rounds}"),
        )
        for seed in range(PASSES)
    ]
    profiles = [least(readings) for readings in zip(*passes, strict=True)]
    held, again, first = {}, {}, len(known)
    for name, group in groups.items():
        here = slice(first, first + len(group))
        held[name] = [each.network for each in profiles[here]]
        again[name] = off_itself(*([each.network.ms for each in one[here]] for one in passes))
        first += len(group)
    return {**figures(profiles[: len(known)], held), "second_pass_against_first": again}


def least(readings: Sequence[Profile]) -> Profile:
    """The least of several passes, operation by operation and of the whole."""
    operations = zip(*(one.operations for one in readings), strict=True)
    return Profile(
        operations=tuple(min(same, key=lambda timing: timing.ms) for same in operations),
        network=min((one.network for one in readings), key=lambda timing: timing.ms),
    )


def off_itself(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """How far measuring again is off: no model can be expected to be nearer."""
    off = [abs(b / a - 1) for a, b in zip(first, second, strict=True)]
    return {"mape": statistics.fmean(off), "tau": kendall_tau(first, second)}


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
    where = default_device()
    threads = ", one thread" if where == "cpu" else ""
    device = f"{device_name(where)}{threads}, float32"
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
        "device": device,
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
