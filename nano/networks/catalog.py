"""The networks that others published, by name: what compact designs are measured against.

A `Baseline` is a value as a `Design` is, and the commands treat both alike by what they share:
``key``, ``check_size``, ``output_stride`` and ``outputs``. Nothing here loads torch; a network's
own file is imported when it is built (`nano.networks.start`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nano.design.design import Design, design_from_plain
from nano.design.presets import PRESETS, preset
from nano.errors import DesignError
from nano.files import canonical_json, read_json, short_hash, to_plain
from nano.networks import fastdepth_widths

if TYPE_CHECKING:
    from torch import nn

DESIGN_FILE = "design.json"
Widths: TypeAlias = tuple[int, ...]
Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A published network, whole: nothing is free but its widths.

    Attributes:
        network: Which network, a key of `BASELINES`; with the widths it is the identity.
        paper: Where it is described.
        size: Height and width that its published cost is told for.
        multiple: Sides of images are multiples of it, plus ``remainder``.
        remainder: See there.
        least: The smallest side, where that is not one ``multiple`` plus ``remainder``.
        output_stride: Input pixels per output pixel, in each direction.
        outputs: Numbers it writes for a pixel: 1, or two for each decision of an ordinal head.
        widths: Channels that the builder lets vary, in its own order; () when none.
        build: The network of these widths for images of a size, weights as torch starts them.
    """

    network: str
    paper: str
    size: Size
    multiple: int = 32
    remainder: int = 0
    least: int = 0
    output_stride: int = 1
    outputs: int = 1
    widths: Widths = ()
    build: Callable[[Widths, Size], nn.Module]

    @cached_property
    def key(self) -> str:
        """Short hash of the network's name and widths."""
        return short_hash(canonical_json(self.plain()))

    def plain(self) -> dict[str, Any]:
        """What a MODEL's design.json holds: ``{"network": "densedepth", "widths": [1664]}``."""
        return {"network": self.network, "widths": list(self.widths)}

    def check_size(self, size: Size) -> None:
        """Raise a DesignError unless the network takes images of ``size``."""
        least = max(self.least, self.multiple + self.remainder)
        if all(side >= least and side % self.multiple == self.remainder for side in size):
            return
        steps = [round((side - self.remainder) / self.multiple) for side in size]
        near = [max(least, step * self.multiple + self.remainder) for step in steps]
        more = f" plus {self.remainder}" if self.remainder else ""
        raise DesignError(
            f"size {size[0]}x{size[1]}: {self.network} takes sides that are multiples of"
            f" {self.multiple}{more}, from {least} on; nearest {near[0]}x{near[1]}"
        )


Architecture: TypeAlias = Design | Baseline


def plain_architecture(architecture: Architecture) -> Any:
    """What a design.json holds of it; `read_architecture` reads it back."""
    return architecture.plain() if isinstance(architecture, Baseline) else to_plain(architecture)


def _densedepth(widths: Widths, size: Size) -> nn.Module:
    from nano.networks.densedepth import DenseDepth

    return DenseDepth(*widths)


def _dorn(widths: Widths, size: Size) -> nn.Module:
    from nano.networks.dorn import DORN

    return DORN(size)


def _fastdepth(widths: Widths, size: Size) -> nn.Module:
    from nano.networks.fastdepth import FastDepth

    return FastDepth(widths)


def _resnet18(widths: Widths, size: Size) -> nn.Module:
    from nano.networks.resnet18 import ResNet18Depth

    return ResNet18Depth()


def _packnet01(widths: Widths, size: Size) -> nn.Module:
    from nano.networks.packnet import PackNet01

    return PackNet01()


_DENSEDEPTH = Baseline(
    network="densedepth",
    paper="Alhashim and Wonka 2018, High Quality Monocular Depth Estimation via Transfer Learning",
    size=(384, 1280),
    output_stride=2,
    widths=(1664,),  # of the decoder's beginning
    build=_densedepth,
)
_FASTDEPTH = Baseline(
    network="fastdepth",
    paper="Wofk et al. 2019, FastDepth: Fast Monocular Depth Estimation on Embedded Systems",
    size=(224, 224),
    widths=fastdepth_widths.FULL,
    build=_fastdepth,
)
BASELINES: dict[str, Baseline] = {
    "densedepth": _DENSEDEPTH,
    "densedepth-half": replace(_DENSEDEPTH, widths=(832,)),
    "dorn": Baseline(
        network="dorn",
        paper="Fu et al. 2018, Deep Ordinal Regression Network for Monocular Depth Estimation",
        size=(385, 513),
        multiple=8,
        remainder=1,
        outputs=2 * 71,  # its ordinal decisions
        build=_dorn,
    ),
    "fastdepth": _FASTDEPTH,
    "fastdepth-pruned": replace(_FASTDEPTH, widths=fastdepth_widths.PRUNED),
    "resnet18": Baseline(
        network="resnet18",
        paper="Godard et al. 2019, Digging Into Self-Supervised Monocular Depth Estimation",
        size=(192, 640),
        least=64,  # padding by reflection needs two pixels at a 32nd of the size
        build=_resnet18,
    ),
    "packnet01": Baseline(
        network="packnet01",
        paper="Guizilini et al. 2020, 3D Packing for Self-Supervised Monocular Depth Estimation",
        size=(192, 640),
        build=_packnet01,
    ),
}


def load_architecture(text: str) -> Architecture:
    """A network by name (a preset's or a baseline's), a design.json, or a folder that holds one.

    Raises:
        DesignError: It is none of these, or the file does not hold a network.
    """
    if text in BASELINES:
        return BASELINES[text]
    if text in PRESETS:
        return preset(text)
    path = Path(text)
    if path.is_dir():
        path = path / DESIGN_FILE
    if not path.exists():
        names = (*PRESETS, *BASELINES)
        near = difflib.get_close_matches(text, names, n=1)
        hint = f"perhaps {near[0]!r}? " if near else ""
        raise DesignError(
            f"{text}: neither a network by name ({hint}{', '.join(names)})"
            " nor a design.json nor a folder with one"
        )
    return read_architecture(path)


def read_architecture(path: Path) -> Architecture:
    """Read a design.json; raises a DesignError that names the file and what is wrong."""
    plain = read_json(path, DesignError)
    if isinstance(plain, Mapping) and "network" in plain:
        return _baseline_from_plain(plain, str(path))
    return design_from_plain(plain, str(path))


def _baseline_from_plain(plain: Mapping[str, Any], where: str) -> Baseline:
    name, widths = plain["network"], plain.get("widths", [])
    if not isinstance(name, str) or name not in BASELINES:
        raise DesignError(f"{where}: unknown network {name!r}; known: {', '.join(BASELINES)}")
    if foreign := sorted(plain.keys() - {"network", "widths"}):
        raise DesignError(f"{where}: unknown key {foreign[0]!r} beside network and widths")
    usual = BASELINES[name]
    whole = isinstance(widths, list) and all(type(w) is int and w >= 1 for w in widths)
    if not whole or len(widths) != len(usual.widths):
        raise DesignError(
            f"{where}: {name} has {len(usual.widths)} widths, whole numbers from 1 up;"
            f" its own are {list(usual.widths)}, got {widths!r}"
        )
    return replace(usual, widths=tuple(widths))
