"""Holds genomes within the ranges of the prototype's knobs.

A single module may be up to a factor of two wider or narrower than its knob allows, so that modules
can differ (`nano.design.genes.genes_of`); their mean may not: a range in a study file binds every
generator alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nano.design.design import skip_order
from nano.design.families import AnyFamily
from nano.design.fastdepth_prototype import FastDepthPrototype
from nano.design.prototype import Prototype

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def within_ranges(prototype: AnyFamily, widths: Floats, active: Flags) -> Floats:
    """Widths N x D scaled, group by group, until what `Family.knobs_of` reads lies in range.

    Args:
        prototype: Its knobs have the ranges.
        widths: One genome a row; need not be whole.
        active: N x D, the genes that mean something.
    """
    if isinstance(prototype, FastDepthPrototype):
        return _within_multipliers(prototype, widths)
    if isinstance(prototype, Prototype):
        return _within_means(prototype, widths, active)
    raise TypeError(f"{type(prototype).__name__}: unknown what its knobs hold together")


def _within_multipliers(prototype: FastDepthPrototype, widths: Floats) -> Floats:
    """The mean of a stage's widths over the preset's."""
    found = widths.copy()
    usual = np.array(prototype.usual, np.float64)
    for name, own in prototype.columns.items():
        columns, knob = list(own), prototype.knob[name]
        ratios = (found[:, columns] / usual[columns]).mean(axis=1, keepdims=True)
        found[:, columns] *= np.clip(ratios, knob.low, knob.high) / ratios
    return found


def _within_means(prototype: Prototype, widths: Floats, active: Flags) -> Floats:
    found = widths.copy()
    layout, knob = prototype.layout, prototype.knob
    channels = stem = found[:, layout.stem]
    transitions = []
    for number, stage in enumerate(layout.stages, start=1):
        there = active[:, stage.width]
        squeeze, ratio = knob[f"squeeze.{number}"], knob[f"expansion.{number}"]
        growth, transition = knob[f"growth.{number}"], knob[f"transition.{number}"]
        _hold_mean(found[:, stage.squeeze], there, squeeze.low, squeeze.high)
        mean = _means(found[:, stage.squeeze], there)
        _hold_mean(found[:, stage.expand], there, ratio.low * mean, ratio.high * mean)
        _hold_mean(found[:, stage.width], there, growth.low, growth.high)
        channels = channels + (found[:, stage.width] * there).sum(axis=1)
        low, high = transition.low * channels, transition.high * channels
        found[:, stage.transition] = np.clip(found[:, stage.transition], low, high)
        channels = found[:, stage.transition]
        transitions.append(channels)
    ends = ("decoder.first", "decoder.last"), ("multiplicity.first", "multiplicity.last")
    (low, high), (least, most) = (
        (min(knob[name].low for name in pair), max(knob[name].high for name in pair))
        for pair in ends
    )
    skips = skip_order(stem, transitions)
    for number, skip in enumerate(skips):
        first = layout.decoder + 4 * number
        own = found[:, [first + 1, first + 3]]
        middle = np.sqrt(own.prod(axis=1))
        found[:, [first + 1, first + 3]] = own * (np.clip(middle, low, high) / middle)[:, None]
        for reads, expand in (
            (channels + skip, first),
            (found[:, first + 1], first + 2),
        ):
            found[:, expand] = np.clip(found[:, expand], least * reads, most * reads)
        channels = found[:, first + 3]
    return found


def _means(widths: Floats, there: Flags) -> Floats:
    found: Floats = (widths * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return found


def _hold_mean(widths: Floats, there: Flags, low: Floats | float, high: Floats | float) -> None:
    """Scale rows, in place, until the mean of those that are there lies in [low, high]."""
    mean = _means(widths, there)
    widths *= (np.clip(mean, low, high) / np.maximum(mean, 1e-9))[:, None]
