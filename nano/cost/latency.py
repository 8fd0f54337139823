"""How long designs would run on a device, foreseen from one profile of it: for ordering candidates.

A roofline (Williams, Waterman, Patterson 2009) for each kind of operation, and a cost of
dispatching it, because many small operations are bound by neither arithmetic nor memory:

    t = sum over operations of max(MACs * mac_ns, bytes * byte_ns) + call_ns

What it gives is an order and a guess, with the error that it had on designs it was not fitted on.
It is never reported as a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nano.cost.count import operations
from nano.cost.layers import Layer
from nano.design.kinds import AnyDesign
from nano.errors import InputError
from nano.files import from_plain, read_json

EVERY_KIND = "any"
_MOST_TURNS = 50  # of assigning operations to a side of the roof; a handful suffices
_NS_PER_MS = 1e6

Reals = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a device takes for one kind of operation, in nanoseconds.

    Attributes:
        mac_ns: For a multiply-add: 1 / (efficiency x peak).
        byte_ns: For a float32 byte read or written: 1 / (share x bandwidth).
        call_ns: For dispatching it, whatever its size.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    mac_ns: float = 0.0
    byte_ns: float = 0.0
    call_ns: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= each < math.inf for each in (self.mac_ns, self.byte_ns, self.call_ns)):
            raise ValueError(f"a rate is a time from 0 up, got {self}")


@dataclass(frozen=True, kw_only=True)
class LatencyError:
    """How far a model was off on designs that it was not fitted on.

    Attributes:
        designs: How many.
        mape: Mean of |predicted / measured - 1|.
        worst: The largest of these.
        tau: Kendall's tau of predicted and measured; 1 when every pair is in the right order.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    designs: int
    mape: float
    worst: float
    tau: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long operations took one after the other: one, a fused group, or a whole network."""

    layers: tuple[Layer, ...]
    ms: float


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """What a device takes for every kind of operation.

    Attributes:
        device: What was profiled, in words: device, power mode, precision, threads.
        rates: By `Layer.kind`; ``{"any": ...}`` when one rate stands for all.
        overlapped: An operation takes the longer of computing and moving bytes (a roofline);
            false: their sum.
        error: On held-out designs; None where it was not judged.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    device: str
    rates: dict[str, Rate]
    overlapped: bool = True
    error: LatencyError | None = None

    def predict(self, design: AnyDesign, size: tuple[int, int]) -> float:
        """Milliseconds that one image of ``size`` (height, width) would take.

        Raises:
            DesignError: If the size does not divide by the design's stride.
            InputError: If the design has a kind of operation that the profile had not.
        """
        return self.predict_layers(operations(design, size))

    def predict_layers(self, layers: Iterable[Layer]) -> float:
        """The same of operations that run one after the other."""
        return sum(self._ns(layer) for layer in layers) / _NS_PER_MS

    def _ns(self, layer: Layer) -> float:
        rate = self.rate(layer.kind)
        computing, moving = layer.macs * rate.mac_ns, layer.bytes * rate.byte_ns
        both = max(computing, moving) if self.overlapped else computing + moving
        return both + rate.call_ns

    def rate(self, kind: str) -> Rate:
        """The rate of a kind; an InputError where the profile had none of it."""
        rate = self.rates.get(kind) or self.rates.get(EVERY_KIND)
        if rate is None:
            raise InputError(
                f"latency model of {self.device}: its profile had no operation of kind {kind!r};"
                f" it knows {', '.join(self.rates)}"
            )
        return rate


def rank(
    designs: Iterable[AnyDesign], model: LatencyModel, size: tuple[int, int]
) -> list[AnyDesign]:
    """The designs, fastest first as the model foresees it: the order to measure candidates in."""
    return sorted(designs, key=lambda design: model.predict(design, size))


def read_latency_model(path: Path) -> LatencyModel:
    """The model in a JSON file that `nano.files.write_json` wrote; an InputError names the file."""
    return latency_model_from_plain(read_json(path), str(path))


def latency_model_from_plain(plain: Any, where: str) -> LatencyModel:
    """The model in parsed JSON; an InputError names ``where`` and what does not fit."""
    return from_plain(LatencyModel, plain, where)


# --- fitting -------------------------------------------------------------------------------------


def roofline(
    device: str, *, macs_per_s: float, bytes_per_s: float, dispatch_ns: float = 0.0
) -> LatencyModel:
    """The plainest model: one rate for all, from what a data sheet says.

    Args:
        device: In words.
        macs_per_s: Multiply-adds a second that are reached: half the FLOP/s, times an efficiency.
        bytes_per_s: Bytes a second that are reached.
        dispatch_ns: For every operation.
    """
    rate = Rate(mac_ns=1e9 / macs_per_s, byte_ns=1e9 / bytes_per_s, call_ns=dispatch_ns)
    return LatencyModel(device=device, rates={EVERY_KIND: rate})


def fit(
    device: str,
    profile: Sequence[Timing],
    networks: Sequence[Timing] = (),
    *,
    by_kind: bool = True,
    overlapped: bool = True,
) -> LatencyModel:
    """The rates that explain a profile best, by non-negative least squares.

    Every millisecond of the profile weighs the same, told operation by operation or in groups.
    Times of whole networks, where given, then correct what timing single operations adds or
    hides: one factor on all rates, and one cost of a call.

    Args:
        device: In words, as `LatencyModel.device`.
        profile: Operations, or groups of them, and their times.
        networks: Whole networks and their times.
        by_kind: A rate for every kind of operation, rather than one for all.
        overlapped: As `LatencyModel.overlapped`.

    Raises:
        InputError: There is nothing to fit, or a time is not above 0.
    """
    for name, timings in (("profile", profile), ("network", networks)):
        if wrong := [timing.ms for timing in timings if not 0 < timing.ms < math.inf]:
            raise InputError(f"{device}: a {name}'s times are above 0 ms, got {wrong[0]}")
    if not profile:
        raise InputError(f"{device}: no times to fit a latency model to")
    table = _Table.of(profile, by_kind=by_kind)
    rates = table.settled() if overlapped else table.solved(1.0, 1.0)
    named = {
        kind: Rate(mac_ns=mac, byte_ns=byte, call_ns=call)
        for kind, (mac, byte, call) in zip(table.kinds, rates.tolist(), strict=True)
    }
    model = LatencyModel(device=device, rates=named, overlapped=overlapped)
    return _corrected(model, networks) if networks else model


def judged(model: LatencyModel, networks: Sequence[Timing]) -> LatencyModel:
    """The model with the error that it has on ``networks``, none of which it was fitted on."""
    if not networks:
        raise InputError(f"{model.device}: no held-out networks to judge the latency model by")
    predicted = [model.predict_layers(network.layers) for network in networks]
    measured = [network.ms for network in networks]
    off = [abs(guess / truth - 1) for guess, truth in zip(predicted, measured, strict=True)]
    error = LatencyError(
        designs=len(networks),
        mape=sum(off) / len(off),
        worst=max(off),
        tau=kendall_tau(predicted, measured),
    )
    return replace(model, error=error)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b: pairs in the same order less pairs in opposite order, over untied pairs.

    1 for the same order, -1 for the opposite; 0 where either sequence has no order at all.
    """
    a, b = (np.sign(np.subtract.outer(one, one)) for one in (first, second))
    untied = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / untied if untied else 0.0


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A profile as columns, one entry an operation; rates are kinds x (MAC, byte, call)."""

    kinds: tuple[str, ...]
    kind: Counts
    macs: Reals
    bytes: Reals
    group: Counts  # which timing the operation belongs to
    ns: Reals  # of every group

    @classmethod
    def of(cls, profile: Sequence[Timing], *, by_kind: bool) -> _Table:
        layers = [layer for timing in profile for layer in timing.layers]
        names = [layer.kind if by_kind else EVERY_KIND for layer in layers]
        kinds = sorted(set(names))
        place = {name: at for at, name in enumerate(kinds)}
        return cls(
            kinds=tuple(kinds),
            kind=np.array([place[name] for name in names], dtype=np.int64),
            macs=np.array([layer.macs for layer in layers], dtype=np.float64),
            bytes=np.array([layer.bytes for layer in layers], dtype=np.float64),
            group=np.repeat(np.arange(len(profile)), [len(timing.layers) for timing in profile]),
            ns=_NS_PER_MS * np.array([timing.ms for timing in profile]),
        )

    def solved(self, macs: Reals | float, bytes_: Reals | float) -> Reals:
        """The rates where so much of each operation's MACs and bytes counts, 0 or 1."""
        matrix = np.zeros((len(self.ns), 3 * len(self.kinds)))
        calls = np.ones(len(self.kind))
        for column, values in enumerate((macs * self.macs, bytes_ * self.bytes, calls)):
            np.add.at(matrix, (self.group, 3 * self.kind + column), values)
        return _least_squares(matrix, self.ns).reshape(-1, 3)

    def settled(self) -> Reals:
        """A roofline's: put each operation on a side of the roof, fit, until none moves.

        Of the rates met on the way those that explain the profile best; it may go in circles.
        """
        rates = self.solved(1.0, 1.0)
        found: dict[bytes, Reals] = {}
        for _ in range(_MOST_TURNS):
            mac_ns, byte_ns, _ = rates[self.kind].T
            computes = self.macs * mac_ns > self.bytes * byte_ns
            if computes.tobytes() in found:
                break
            rates = self.solved(1.0 * computes, 1.0 * ~computes)
            found[computes.tobytes()] = rates
        return min(found.values(), key=self.loss)

    def loss(self, rates: Reals) -> float:
        """Of a roofline: squared errors over times, summed."""
        mac_ns, byte_ns, call_ns = rates[self.kind].T
        each = np.maximum(self.macs * mac_ns, self.bytes * byte_ns) + call_ns
        predicted = np.bincount(self.group, each, minlength=len(self.ns))
        return float(((predicted - self.ns) ** 2 / self.ns).sum())


def _corrected(model: LatencyModel, networks: Sequence[Timing]) -> LatencyModel:
    """One factor on every rate and one cost on every call, fitted to whole networks."""
    predicted_ns = [_NS_PER_MS * model.predict_layers(timing.layers) for timing in networks]
    calls = [len(timing.layers) for timing in networks]
    measured_ns = _NS_PER_MS * np.array([timing.ms for timing in networks])
    factor, call_ns = _least_squares(np.array([predicted_ns, calls]).T, measured_ns).tolist()
    rates = {
        kind: Rate(
            mac_ns=factor * rate.mac_ns,
            byte_ns=factor * rate.byte_ns,
            call_ns=factor * rate.call_ns + call_ns,
        )
        for kind, rate in model.rates.items()
    }
    return replace(model, rates=rates)


def _least_squares(matrix: Reals, ns: Reals) -> Reals:
    """Non-negative x with matrix x = ns, every nanosecond weighing the same."""
    from scipy.optimize import nnls  # slow to import: only where a model is fitted

    weights = 1 / np.sqrt(ns)
    weighted = matrix * weights[:, None]
    scale = np.abs(weighted).max(axis=0)  # MACs, bytes and calls differ by orders of magnitude
    scale[scale == 0] = 1
    found: Reals = nnls(weighted / scale, ns * weights)[0] / scale
    return found
