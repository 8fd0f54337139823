from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from strategies import designs

from nano.cost.count import count, operations
from nano.cost.latency import (
    LatencyModel,
    Rate,
    Timing,
    fit,
    judged,
    kendall_tau,
    latency_model_from_plain,
    rank,
    read_latency_model,
    roofline,
)
from nano.cost.layers import Layer
from nano.design.design import Design
from nano.design.fastdepth_prototype import fastdepth_preset
from nano.design.kinds import AnyDesign
from nano.design.presets import preset, prototype
from nano.errors import DesignError, InputError
from nano.files import to_plain, write_json
from nano.report.published import PUBLISHED, PUBLISHED_SPEEDS

NANO, SMALL, TINY = (preset(f"depthnet-{name}") for name in ("nano", "small", "tiny"))
SIZE = (64, 192)
KINDS = {"conv 1x1", "conv kxk", "depthwise", "norm", "selu", "pool", "upsample", "concat"}
RATES = {
    kind: Rate(mac_ns=0.02 * place, byte_ns=0.05 / place, call_ns=1000.0 * place)
    for place, kind in enumerate(sorted(KINDS), start=1)
}


def model(*, overlapped: bool = True) -> LatencyModel:
    return LatencyModel(device="a made-up device", rates=RATES, overlapped=overlapped)


def profile_of(made_up: LatencyModel, noise: float = 0.0) -> list[Timing]:
    """What the made-up device would take for every operation, off by up to a share."""
    random = Random(0)
    return [
        Timing(
            layers=(layer,),
            ms=made_up.predict_layers([layer]) * (1 + random.uniform(-noise, noise)),
        )
        for layer in (*operations(SMALL, SIZE), *operations(TINY, (192, 640)))
    ]


def whole(design: AnyDesign, made_up: LatencyModel) -> Timing:
    layers = tuple(operations(design, SIZE))
    return Timing(layers=layers, ms=made_up.predict_layers(layers))


# --- the model -----------------------------------------------------------------------------------


def test_an_operation_takes_the_longer_of_its_sides_and_its_call() -> None:
    layer = Layer(
        part="stem",
        unit="",
        operation="conv",
        channels=4,
        size=(2, 2),
        macs=1000,
        elements=250,
        kernel=3,
    )  # 1000 bytes
    rates = {"conv kxk": Rate(mac_ns=2, byte_ns=3, call_ns=500)}
    roof = LatencyModel(device="x", rates=rates)
    added = LatencyModel(device="x", rates=rates, overlapped=False)
    assert roof.predict_layers([layer]) == pytest.approx(3500e-6)
    assert added.predict_layers([layer]) == pytest.approx(5500e-6)


def test_convolutions_are_told_apart_by_kind() -> None:
    assert {layer.kind for layer in operations(NANO, SIZE)} == KINDS
    macs = dict.fromkeys(KINDS, 0)
    for layer in operations(NANO, SIZE):
        macs[layer.kind] += layer.macs
    stem, head = 7 * 7 * 3 * 14, 3 * 3 * 24
    assert macs["conv kxk"] == (stem + head) * 32 * 96
    assert macs["conv kxk"] + macs["conv 1x1"] + macs["depthwise"] == count(NANO, SIZE).macs
    fastdepth = list(operations(fastdepth_preset("fastdepth"), (224, 224)))
    assert sum(layer.kind == "depthwise" for layer in fastdepth) == 18
    assert sum(layer.kind == "conv kxk" for layer in fastdepth) == 1


@settings(max_examples=30, deadline=None)
@given(design=designs(), overlapped=st.booleans())
def test_more_pixels_and_slower_rates_never_take_less(design: Design, overlapped: bool) -> None:
    made_up = model(overlapped=overlapped)
    slower = roofline("slow", macs_per_s=1e9, bytes_per_s=1e9, dispatch_ns=1e5)
    faster = roofline("fast", macs_per_s=2e9, bytes_per_s=2e9, dispatch_ns=1e4)
    stride = design.stride
    small, large = (stride, stride), (2 * stride, 3 * stride)
    assert made_up.predict(design, small) < made_up.predict(design, large)
    assert faster.predict(design, small) < slower.predict(design, small)


def test_rank_puts_the_fastest_first() -> None:
    assert rank([NANO, TINY, SMALL], model(), SIZE) == [TINY, SMALL, NANO]


def test_a_size_or_a_kind_that_does_not_fit_is_told() -> None:
    with pytest.raises(DesignError, match="65x192"):
        model().predict(NANO, (65, 192))
    with pytest.raises(InputError, match=r"a made-up device: its profile had no .* kind 'relu'"):
        model().predict(fastdepth_preset("fastdepth"), (224, 224))


# --- fitting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlapped", [True, False])
def test_a_fit_finds_the_device_that_made_the_profile(overlapped: bool) -> None:
    made_up = model(overlapped=overlapped)
    found = fit("again", profile_of(made_up, noise=0.02), overlapped=overlapped)
    for design in (NANO, SMALL):
        assert found.predict(design, SIZE) == pytest.approx(made_up.predict(design, SIZE), rel=0.05)


def test_operations_timed_in_groups_fit_as_well() -> None:
    """As an engine's profile tells them, which fuses several into one."""
    made_up = model(overlapped=False)
    single = profile_of(made_up)
    random, groups = Random(1), []
    while single:
        members = [single.pop(0) for _ in range(min(random.randint(1, 3), len(single)))]
        layers = tuple(layer for member in members for layer in member.layers)
        groups.append(Timing(layers=layers, ms=sum(member.ms for member in members)))
    found = fit("again", groups, overlapped=False)
    assert found.predict(NANO, SIZE) == pytest.approx(made_up.predict(NANO, SIZE), rel=0.02)


def test_whole_networks_correct_what_a_profile_hides() -> None:
    """Here every operation looks half as long by itself, and its call is not seen."""
    made_up = model()
    seen = [
        Timing(layers=one.layers, ms=0.5 * (one.ms - RATES[one.layers[0].kind].call_ns / 1e6))
        for one in profile_of(made_up)
    ]
    uncalled = {
        kind: Rate(mac_ns=rate.mac_ns, byte_ns=rate.byte_ns, call_ns=3000)
        for kind, rate in RATES.items()
    }
    truth = LatencyModel(device="truth", rates=uncalled)
    networks = [whole(design, truth) for design in (TINY, SMALL)]
    assert fit("x", seen).predict(NANO, SIZE) < 0.5 * truth.predict(NANO, SIZE)
    corrected = fit("x", seen, networks)
    assert corrected.predict(NANO, SIZE) == pytest.approx(truth.predict(NANO, SIZE), rel=0.02)


def test_one_rate_for_all_needs_no_more_than_whole_networks() -> None:
    truth = roofline("sheet", macs_per_s=20e9, bytes_per_s=10e9, dispatch_ns=20_000)
    family = prototype("depthnet-small")
    random = Random(2)
    known = [
        family.design(family.expand({k.name: k.at(random.random()) for k in family.knobs}, seed))
        for seed in range(8)
    ]
    found = fit("x", [whole(design, truth) for design in known], by_kind=False)
    assert found.predict(NANO, SIZE) == pytest.approx(truth.predict(NANO, SIZE), rel=0.05)


@pytest.mark.parametrize(
    ("profile", "words"),
    [([], "no times to fit"), ([Timing(layers=(), ms=0.0)], "above 0 ms, got 0.0")],
)
def test_what_cannot_be_fitted_is_told(profile: list[Timing], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fit("x", profile)


# --- its error -----------------------------------------------------------------------------------


def test_the_error_is_that_of_held_out_networks() -> None:
    made_up = model()
    times = [(design, made_up.predict(design, SIZE)) for design in (TINY, SMALL, NANO)]
    held = [
        Timing(layers=tuple(operations(design, SIZE)), ms=ms * factor)
        for (design, ms), factor in zip(times, (1, 1 / 1.2, 1 / 0.9), strict=True)
    ]
    error = judged(made_up, held).error
    assert error is not None
    assert (error.designs, error.tau) == (3, 1)
    assert error.mape == pytest.approx(0.1)
    assert error.worst == pytest.approx(0.2)
    with pytest.raises(InputError, match="no held-out networks"):
        judged(made_up, [])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_kendalls_tau_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = ([float(pair[i]) for pair in pairs] for i in (0, 1))
    wanted = kendalltau(first, second).statistic
    assert kendall_tau(first, second) == pytest.approx(0 if math.isnan(wanted) else wanted)


# --- as a file -----------------------------------------------------------------------------------


def test_a_model_comes_back_from_json_with_its_error(tmp_path: Path) -> None:
    kept = judged(model(), [whole(SMALL, model(overlapped=False))])
    write_json(tmp_path / "model.json", kept)
    assert read_latency_model(tmp_path / "model.json") == kept


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rates": {"selu": {"mac_ns": -1.0}}}, "a rate is a time from 0 up"),
        ({"speed": 3}, "speed: unknown key"),
        ({"device": None}, "device"),
    ],
)
def test_a_damaged_model_is_told(change: dict[str, object], words: str) -> None:
    plain = to_plain(model()) | change
    with pytest.raises(InputError, match=r"m\.json: .*" + words):
        latency_model_from_plain(plain, "m.json")


# --- the paper's Table 2 -------------------------------------------------------------------------

# Jetson AGX Xavier: float32 peak and bandwidth in MAXN; caps of a mode's clocks from nvpmodel.
PEAK_MACS_PER_S = 1.41e12 / 2
GPU_MHZ = {"MAXN": 1377, "MODE_30W_ALL": 905, "MODE_15W": 675}
CPU_MHZ = {"MAXN": 2265.6, "MODE_30W_ALL": 1190, "MODE_15W": 1190}
BYTES_PER_S = {"MAXN": 136.5e9, "MODE_30W_ALL": 102e9, "MODE_15W": 85e9}
EFFICIENCY, SHARE = 0.83, 0.7  # fitted elsewhere, to published times of torchvision's networks
QUOTED_FPS = {(row.network, row.budget_w): row.fps for row in PUBLISHED_SPEEDS}


def xavier(mode: str, dispatch_ns_at_15w: float) -> LatencyModel:
    """Dispatching is the CPU's work, so its cost falls with the CPU's clock."""
    return roofline(
        f"Jetson AGX Xavier, {mode}",
        macs_per_s=EFFICIENCY * PEAK_MACS_PER_S * GPU_MHZ[mode] / GPU_MHZ["MAXN"],
        bytes_per_s=SHARE * BYTES_PER_S[mode],
        dispatch_ns=dispatch_ns_at_15w * CPU_MHZ["MODE_15W"] / CPU_MHZ[mode],
    )


def test_one_constant_of_the_15w_row_foresees_the_row_that_the_paper_calls_30w() -> None:
    """As MAXN within 3 %; as a mode of 30 W it would be off by 40 %."""
    layers = tuple(operations(NANO, (384, 1280)))
    quoted_ms = 1000 / QUOTED_FPS["depthnet-nano", 15]
    rest_ms = quoted_ms - xavier("MODE_15W", 0).predict_layers(layers)
    dispatch_ns = 1e6 * rest_ms / len(layers)
    fps = {mode: 1000 / xavier(mode, dispatch_ns).predict_layers(layers) for mode in GPU_MHZ}
    quoted = QUOTED_FPS["depthnet-nano", 30]
    assert fps["MODE_15W"] == pytest.approx(QUOTED_FPS["depthnet-nano", 15])
    assert fps["MAXN"] == pytest.approx(quoted, rel=0.03)
    assert fps["MODE_30W_ALL"] < 0.6 * quoted


def test_densedepth_fits_maxn_too() -> None:
    """It is bound by its MACs; as a mode of 30 W the quoted row would exceed the peak."""
    macs = next(row.macs for row in PUBLISHED if row.network == "densedepth")
    whole_network = Layer(
        part="all", unit="", operation="conv", channels=1, size=(1, 1), macs=int(macs)
    )
    quoted_ms = 1000 / QUOTED_FPS["densedepth", 30]
    assert xavier("MAXN", 0).predict_layers([whole_network]) == pytest.approx(quoted_ms, rel=0.03)
    slow = xavier("MODE_30W_ALL", 0).predict_layers([whole_network])
    assert slow > 1.5 * quoted_ms
    assert macs / (quoted_ms / 1000) > PEAK_MACS_PER_S * GPU_MHZ["MODE_30W_ALL"] / GPU_MHZ["MAXN"]
