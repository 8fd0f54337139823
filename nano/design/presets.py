"""Named designs, and the prototype around each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nano.design.design import Design, Module, Stage, Stem, Upconv
from nano.design.kinds import AnyDesign, read_design
from nano.design.knobs import Knob, checked_ranges, knob_names, wanted_range
from nano.design.prototype import Prototype
from nano.errors import DesignError


def _depthnet_nano() -> Design:
    """A network with the widths of DepthNet Nano's Table 3 and its printed totals.

    The table prints 20 of 82 module widths; each elided one is the rounded mean of its block's
    printed ones. Squeeze and expansion widths are not published: ours make the totals come out
    (1.75 M parameters, 4.66 G MACs at 384x1280). Not "the paper's network".
    """
    printed = (
        ((13, 15, 18, 13), 15, 17, 6),
        ((9, 13, 13, 18), 14, 19, 12),
        ((13, 14, 18, 15), 15, 14, 32),
        ((17, 13, 14, 12), 13, 11, 32),
    )
    growths = [
        (*first, *[elided] * (depth - len(first) - 1), last)
        for first, elided, last, depth in printed
    ]
    return Design(
        stem=Stem(width=14, kernel=7),
        stages=_stages(growths, squeezes=(12, 12, 32, 32), ratio=3, transitions=(30, 79, 117, 176)),
        decoder=_decoder(
            widths=((86, 112), (47, 48), (28, 25), (17, 24)),
            expands=((1020, 344), (284, 94), (124, 56), (39, 17)),
        ),
    )


def _depthnet_small() -> Design:
    """A regular hand-made member of the family for 64x192 images: what a careful person tries."""
    growths = [(10,) * 2, (12,) * 3, (14,) * 4, (16,) * 3]
    return Design(
        stem=Stem(width=10, kernel=7),
        stages=_stages(growths, squeezes=(6, 8, 10, 12), ratio=3, transitions=(18, 28, 38, 46)),
        decoder=_decoder(
            widths=((32, 32), (22, 22), (16, 16), (10, 10)),
            expands=((148, 64), (100, 44), (48, 24), (26, 10)),
        ),
    )


def _depthnet_tiny() -> Design:
    """The smallest useful member: tests and smoke runs train it in seconds."""
    growths = [(4,), (4, 4), (6,), (6,)]
    return Design(
        stem=Stem(width=6, kernel=3),
        stages=_stages(growths, squeezes=(3, 3, 4, 4), ratio=2, transitions=(8, 10, 12, 12)),
        decoder=_decoder(
            widths=((10, 10), (8, 8), (6, 6), (6, 6)),
            expands=((22, 10), (18, 8), (14, 6), (12, 6)),
        ),
    )


def _stages(
    growths: Sequence[Sequence[int]],
    *,
    squeezes: Sequence[int],
    ratio: int,
    transitions: Sequence[int],
) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            modules=tuple(Module(squeeze=p, expand=ratio * p, width=g) for g in widths),
            transition=t,
        )
        for widths, p, t in zip(growths, squeezes, transitions, strict=True)
    )


def _decoder(
    *, widths: Sequence[tuple[int, int]], expands: Sequence[tuple[int, int]]
) -> tuple[Upconv, ...]:
    return tuple(
        Upconv(a=Module(expand=ea, width=a), b=Module(expand=eb, width=b))
        for (a, b), (ea, eb) in zip(widths, expands, strict=True)
    )


# Knob ranges, in the order (low, high); a stage's knob takes the entry of its number.
_Range = tuple[float, float]
_RANGES: dict[str, dict[str, _Range | tuple[_Range, ...]]] = {
    "depthnet-nano": {
        "stem": (8, 24),
        "depth": ((2, 8), (4, 14), (8, 36), (8, 36)),
        "growth": (6, 24),
        "squeeze": ((6, 24), (6, 24), (8, 48), (8, 48)),
        "expansion": (1.5, 6),
        "transition": (0.1, 0.6),
        "decoder.first": (40, 160),
        "decoder.last": (8, 40),
        "multiplicity.first": (1, 6),
        "multiplicity.last": (1, 3),
        "taper": (-0.5, 0.5),
        "spread": (0, 0.5),
    },
    "depthnet-small": {
        "stem": (4, 16),
        "depth": ((1, 4), (1, 5), (1, 6), (1, 6)),
        "growth": (4, 24),
        "squeeze": (3, 18),
        "expansion": (1.5, 5),
        "transition": (0.2, 0.9),
        "decoder.first": (10, 48),
        "decoder.last": (4, 16),
        "multiplicity.first": (1, 4),
        "multiplicity.last": (1, 3),
        "taper": (-0.5, 0.5),
        "spread": (0, 0.5),
    },
    "depthnet-tiny": {
        "stem": (4, 8),
        "depth": ((1, 2), (1, 2), (1, 2), (1, 2)),
        "growth": (3, 8),
        "squeeze": (2, 6),
        "expansion": (1.5, 3),
        "transition": (0.3, 1),
        "decoder.first": (6, 16),
        "decoder.last": (4, 10),
        "multiplicity.first": (1, 2),
        "multiplicity.last": (1, 2),
        "taper": (-0.5, 0.5),
        "spread": (0, 0.5),
    },
}
_INTEGER = {"stem", "depth"}
_LINEAR = {"depth", "expansion", "transition", "taper", "spread"}
_PRESETS = {
    "depthnet-nano": _depthnet_nano,
    "depthnet-small": _depthnet_small,
    "depthnet-tiny": _depthnet_tiny,
}
PRESETS = tuple(_PRESETS)


def preset(name: str) -> Design:
    """The named design; raises a DesignError that lists the names."""
    if name not in _PRESETS:
        raise DesignError(f"no preset {name!r}; presets: {', '.join(PRESETS)}")
    return _PRESETS[name]()


def load_design(text: str) -> AnyDesign:
    """A preset's name, a design.json, or a folder that holds one (a MODEL such as RUN/best).

    Raises:
        DesignError: If it is none of these, or the file does not hold a design.
    """
    if text in _PRESETS:
        return preset(text)
    path = Path(text)
    if path.is_dir():
        path = path / "design.json"
    if not path.exists():
        raise DesignError(
            f"{text}: neither a preset ({', '.join(PRESETS)})"
            " nor a design.json nor a folder with one"
        )
    return read_design(path)


def prototype(name: str, ranges: Mapping[str, Sequence[float]] | None = None) -> Prototype:
    """The prototype around a preset.

    Args:
        name: A preset's name.
        ranges: [low, high] by knob name, e.g. ``depth.3`` (one stage) or ``depth`` (all of them),
            in place of the preset's own. They may leave out the preset itself.

    Raises:
        DesignError: For an unknown preset or knob, and for a range that is empty, beyond
            `nano.design.knobs.LIMITS`, or of fractions where whole numbers are meant.
    """
    design = preset(name)
    stages = len(design.stages)
    wanted = checked_ranges(ranges or {}, knob_names(stages))
    knobs = tuple(_knob(full, _RANGES[name], wanted) for full in knob_names(stages))
    return Prototype(name=name, preset=design, knobs=knobs)


def _knob(
    full: str,
    own: Mapping[str, _Range | tuple[_Range, ...]],
    wanted: Mapping[str, Sequence[float]],
) -> Knob:
    base, _, end = full.partition(".")
    chosen = wanted_range(full, wanted)
    if chosen is None:
        entry = own.get(full, own.get(base))
        assert entry is not None, full
        # A tuple of ranges has one per stage.
        chosen = entry[int(end) - 1] if isinstance(entry[0], tuple) else entry
    low, high = float(chosen[0]), float(chosen[1])
    return Knob(name=full, low=low, high=high, integer=base in _INTEGER, log=base not in _LINEAR)
