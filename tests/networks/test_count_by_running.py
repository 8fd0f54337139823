from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import designs

from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.design.presets import preset
from nano.errors import DesignError
from nano.networks.count import RunCount, count_by_running
from nano.networks.depthnet import build


@pytest.mark.parametrize(
    ("size", "macs"),
    [
        ((384, 1280), 4_660_535_040),
        ((192, 640), 1_165_133_760),
        ((480, 640), 2_912_834_400),
        ((128, 416), 504_891_296),
        ((64, 192), 116_513_376),
    ],
)
def test_depthnet_nano_counts_exactly(size: tuple[int, int], macs: int) -> None:
    count = count_by_running(preset("depthnet-nano"), size)
    assert (count.params, count.params_with_statistics) == (1_746_581, 1_751_109)
    assert count.macs == macs


def test_a_one_stage_design_counts_what_a_hand_counts() -> None:
    design = Design(
        stem=Stem(width=2, kernel=3),
        stages=(Stage(modules=(Module(squeeze=3, expand=5, width=4),), transition=6),),
        decoder=(Upconv(a=Module(expand=7, width=3), b=Module(width=2, kernel=5)),),
    )
    params = {
        "stem": 3 * 3 * 3 * 2 + 2,
        "PBEP": 2 * 3 + 6 + (3 * 5 + 5) + (9 * 5 + 5) + (5 * 4 + 4),
        "bridge": 6 * 6 + 6,
        "EP reads 6 and the stem's 2": (8 * 7 + 7) + (9 * 7 + 7) + (7 * 3 + 3),
        "conv": 25 * 3 * 2 + 2,
        "head": 9 * 2 + 1,
    }
    half, quarter = 4 * 8, 2 * 4  # pixels of an 8x16 image at half and at quarter size
    macs = (27 * 2 + (8 * 7 + 9 * 7 + 7 * 3) + 25 * 3 * 2 + 9 * 2) * half + (
        (2 * 3 + 3 * 5 + 9 * 5 + 5 * 4) + 6 * 6
    ) * quarter
    selus = (2 + 7 + 7 + 2) * half + (5 + 5 + 6) * quarter
    assert count_by_running(design, (8, 16)) == RunCount(
        params=sum(params.values()),
        params_with_statistics=sum(params.values()) + 6,
        macs=macs,
        activations=selus,
    )


def test_depthnet_nano_evaluates_72_8_million_selus() -> None:
    assert count_by_running(preset("depthnet-nano"), (384, 1280)).activations == 72_760_800


def counted_by_formula(design: Design, size: tuple[int, int]) -> RunCount:
    """The formulas for one module and one stage, written here once more on purpose."""
    params = statistics = macs = selus = 0

    def conv(c: int, g: int, k: int, pixels: int, *, depthwise: bool = False, bias: bool = True):
        nonlocal params, macs
        weights = k * k * g * (1 if depthwise else c)
        params += weights + g * bias
        macs += weights * pixels

    def add(module: Module, c: int, pixels: int) -> None:
        nonlocal params, statistics, selus
        if module.expand is None:
            conv(c, module.width, module.kernel, pixels)
            selus += module.width * pixels
            return
        if module.squeeze is not None:
            conv(c, module.squeeze, 1, pixels, bias=False)
            params += 2 * module.squeeze
            statistics += 2 * module.squeeze
            c = module.squeeze
        conv(c, module.expand, 1, pixels)
        conv(module.expand, module.expand, module.kernel, pixels, depthwise=True)
        conv(module.expand, module.width, 1, pixels)
        selus += 2 * module.expand * pixels

    pixels = size[0] * size[1] // 4
    conv(3, design.stem.width, design.stem.kernel, pixels)
    selus += design.stem.width * pixels
    channels = design.stem.width
    for number, stage in enumerate(design.stages, start=1):
        pixels //= 4 if number == 1 else 1
        for module in stage.modules:
            add(module, channels, pixels)
            channels += module.width
        conv(channels, stage.transition, 1, pixels)
        if number < len(design.stages):
            pixels //= 4
        selus += stage.transition * pixels
        channels = stage.transition
    for upconv, skip in zip(design.decoder, design.skips, strict=True):
        pixels *= 4
        add(upconv.a, channels + skip, pixels)
        add(upconv.b, upconv.a.width, pixels)
        channels = upconv.b.width
    conv(channels, 1, 3, pixels)
    return RunCount(
        params=params, params_with_statistics=params + statistics, macs=macs, activations=selus
    )


@settings(max_examples=60, deadline=None)
@given(design=designs(), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_running_counts_what_the_formulas_count(design: Design, rows: int, columns: int) -> None:
    size = (rows * design.stride, columns * design.stride)
    assert count_by_running(design, size) == counted_by_formula(design, size)


@settings(max_examples=10, deadline=None)
@given(design=designs())
def test_the_built_network_has_the_counted_parameters(design: Design) -> None:
    network = build(design, 0)
    count = count_by_running(design, (design.stride, design.stride))
    assert sum(weight.numel() for weight in network.parameters()) == count.params
    running = [b.numel() for name, b in network.named_buffers() if "running" in name]
    assert count.params + sum(running) == count.params_with_statistics


def test_a_size_that_does_not_divide_is_refused_with_the_nearest() -> None:
    with pytest.raises(DesignError, match=r"multiples of 32.*nearest 384x1280"):
        count_by_running(preset("depthnet-nano"), (380, 1280))
