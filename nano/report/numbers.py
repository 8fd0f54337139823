"""How numbers are written: one place, so that a page, a figure and a line say the same.

1.75 M, 4.66 G, 0.894, 23.92 dB: three significant digits for counts, three decimals for ratios,
two for decibels. What is unknown is a dash.
"""

from __future__ import annotations

import math

UNKNOWN = "\N{EN DASH}"
_PREFIXES = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def count(number: float | None) -> str:
    """Parameters, MACs: three significant digits and a prefix, e.g. ``1.75 M``; 999 as it is."""
    if number is None:
        return UNKNOWN
    for multiple, prefix in _PREFIXES:
        if number >= multiple * 0.9995:  # 999,950 is 1.00 M, not 1000 k
            return f"{_significant(number / multiple)}{prefix}"
    return f"{number:.0f}" if number >= 1 or number == 0 else f"{number:.3g}"


def _significant(number: float) -> str:
    return f"{number:.{max(0, 2 - math.floor(math.log10(number * 1.0005)))}f}"


def tick(number: float) -> str:
    """A count on an axis: `count` without zeros at the end, ``50 k`` rather than ``50.0 k``."""
    figures, _, prefix = count(number).partition(" ")
    if "." in figures:
        figures = figures.rstrip("0").rstrip(".")
    return f"{figures} {prefix}".rstrip()


def whole(number: int | None) -> str:
    """A count in full, e.g. ``1,746,581``."""
    return UNKNOWN if number is None else f"{number:,}"


def ratio(number: float | None) -> str:
    """delta1, AbsRel and other plain ratios: three decimals."""
    return UNKNOWN if number is None else f"{number:.3f}"


def signed_ratio(number: float | None) -> str:
    """A difference of ratios with its sign, e.g. ``-0.004``."""
    return UNKNOWN if number is None else _signed(number, 3)


def mean_sd(mean: float | None, sd: float | None) -> str:
    """``0.894 ± 0.002``; without a deviation the mean alone."""
    return ratio(mean) if sd is None or mean is None else f"{mean:.3f} ± {sd:.3f}"


def decibels(number: float | None) -> str:
    """NetScore: two decimals and the unit, e.g. ``23.92 dB``."""
    if number is None:
        return UNKNOWN
    return "-∞ dB" if number == -math.inf else f"{number:.2f} dB"


def signed_decibels(number: float | None) -> str:
    """A difference of NetScores with its sign, e.g. ``+1.34 dB``."""
    return UNKNOWN if number is None else f"{_signed(number, 2)} dB"


def _signed(number: float, places: int) -> str:
    rounded = round(number, places)
    return f"{rounded:+.{places}f}" if rounded else f"{0:.{places}f}"


def percent(share: float) -> str:
    """A share of one: ``0.4 %``, ``34 %``."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def signed_percent(share: float) -> str:
    """A share of one with its sign: ``+59 %``, ``-1.2 %``."""
    return f"{'-' if share < 0 else '+'}{percent(abs(share))}"


def milliseconds(number: float | None) -> str:
    """Latency, three significant digits, e.g. ``12.3 ms``."""
    if number is None:
        return UNKNOWN
    return f"{number:.0f} ms" if number >= 99.95 else f"{number:.3g} ms"


def duration(seconds: float | None) -> str:
    """``38 s``, ``12 min``, ``2 h 05 min``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def side_by_side(size: tuple[int, int]) -> str:
    """A height and a width: ``384x1280``."""
    return f"{size[0]}x{size[1]}"
