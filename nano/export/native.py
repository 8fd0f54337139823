"""A DepthNet on the CPU by kernels of its own: the same function, without its largest maps.

torch and ONNX Runtime write every expanded map to memory, read it again for SELU, which they
compute slowly, and again for the next layer; and they copy what a dense stage concatenates. Here an
expansion, its depthwise convolution and its projection are one loop over rows that stay in cache,
SELU is computed where a result leaves the registers, and the modules of a stage write side by side
into one array. All of it in float32 on one thread. The kernels (``native.cpp``) are compiled for
this processor, in seconds, by the compiler that ``CXX`` names, else g++.
"""

from __future__ import annotations

import copy
import ctypes
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nano.errors import InputError
from nano.export.rewrite import MixedLow, PooledFirst, rewritten
from nano.networks.blocks import EP, PBEP, Conv, ConvSelu, DenseStage, UpconvPair
from nano.networks.depthnet import DepthNet

LANES = 8  # floats of a vector in native.cpp
PANEL = 3 * LANES  # output channels of one pass over the inputs
FLAGS = ["-O3", "-march=native", "-std=c++17", "-fPIC", "-shared"]
FLAGS += ["-ffinite-math-only", "-fno-signed-zeros"]  # else a minimum takes two instructions
# Pointers and numbers that each kernel takes.
SIGNATURES = {
    "convolve": "pnnnnnppnpnnnnn",
    "expand_project": "pnnppnnnpppnnnn",
    "pool": "pnpnnnn",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """Maps of one image, channels last, in an array that may have room for more.

    Attributes:
        array: h x w x room, contiguous; the maps are its first ``channels``.
        channels: How many there are.
    """

    array: Tensor
    channels: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.array.shape[0], self.array.shape[1]

    def padded(self, reach: int) -> Maps:
        """With that many zeros around; the same maps for none."""
        if not reach:
            return self
        around = (0, 0, reach, reach, reach, reach)
        array = functional.pad(self.array[:, :, : self.channels], around)
        return Maps(array=array, channels=self.channels)


def room_for(size: tuple[int, int], channels: int) -> Maps:
    """No maps yet, and room for that many: the kernels write whole vectors."""
    array = torch.empty(*size, whole(channels), dtype=torch.float32, device="cpu")
    return Maps(array=array, channels=0)


def whole(channels: int) -> int:
    """Rounded up to whole vectors."""
    return -(-channels // LANES) * LANES


class Native:
    """A trained DepthNet as calls of the kernels; reads what `DepthNet.forward` reads.

    Raises:
        InputError: Not a DepthNet, or the kernels cannot be had (see `kernels`).
    """

    def __init__(self, network: nn.Module) -> None:
        if not isinstance(network, DepthNet):
            raise InputError(f"the native kernels run DepthNets, not a {type(network).__name__}")
        kernels()
        network = rewritten(copy.deepcopy(network).eval().float().cpu())
        assert isinstance(network, DepthNet)
        self.design = network.design
        self.stem = Convolution(network.stem.conv, activate=True)
        self.stages = [Stage(stage) for stage in network.stages]
        self.decoder = [Step(pair) for pair in network.decoder]
        self.head = Convolution(network.head, activate=False)

    def __call__(self, image: Tensor) -> Float[Tensor, "B 1 h w"]:
        """The head's raw output, at half the size of images of B x 3 x H x W.

        Raises:
            InputError: The image is not float32 on the CPU, or of a shape that does not fit.
        """
        if image.dtype != torch.float32 or image.device.type != "cpu":
            what = f"{image.dtype} on {image.device}"
            raise InputError(f"the native kernels read torch.float32 on cpu, not {what}")
        if image.dim() != 4 or image.shape[1] != 3:
            raise InputError(f"the native kernels read B x 3 x H x W, not {tuple(image.shape)}")
        height, width = image.shape[2:]
        self.design.check_size((height, width))
        output = image.new_empty(len(image), 1, height // 2, width // 2)
        for one, place in zip(image, output, strict=True):
            place.copy_(self._one(one))
        return output

    def _one(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "1 H/2 W/2"]:
        stem = self.stem(Maps(array=image.permute(1, 2, 0).contiguous(), channels=3))
        skips, maps = [stem], pool(stem)
        for stage in self.stages:
            skips.append(maps)
            maps = stage(maps)
        for step, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            maps = step(maps, skip)
        return self.head(maps).array[None, :, :, 0]


class Convolution:
    """A full convolution and, if asked, a SELU."""

    def __init__(self, conv: Conv, *, activate: bool) -> None:
        self.side, self.step = conv.kernel_size[0], conv.stride[0]
        self.inputs, self.outputs = conv.in_channels, conv.out_channels
        self.weights, self.activate = packed(conv), activate

    def __call__(self, maps: Maps, low: Maps | None = None, into: Maps | None = None) -> Maps:
        """Of ``maps``, plus ``low`` upsampled by two; behind what is in ``into``, if given."""
        height, width = maps.size
        size = height // self.step, width // self.step
        into = into or room_for(size, self.outputs)
        padded = maps.padded(self.side // 2)
        kernels().convolve(
            *read(padded), padded.size[1], self.side, self.step, self.inputs,
            self.weights.data_ptr(), *read(low), *write(into), *size,
            self.outputs, self.activate,
        )  # fmt: skip
        return Maps(array=into.array, channels=into.channels + self.outputs)


class Expansion:
    """An expansion, its depthwise convolution and its projection, with the SELUs between."""

    def __init__(self, expand: Conv, depthwise: Conv, project: Conv) -> None:
        self.inputs, self.expanded = expand.in_channels, expand.out_channels
        self.side, self.outputs = depthwise.kernel_size[0], project.out_channels
        self.expand, self.project = packed(expand), packed(project)
        self.depthwise = packed_depthwise(depthwise)

    def __call__(self, maps: Maps, low: Maps | None = None, into: Maps | None = None) -> Maps:
        """As `Convolution`; ``low`` is added to what was expanded."""
        into = into or room_for(maps.size, self.outputs)
        kernels().expand_project(
            *read(maps), self.inputs, self.expand.data_ptr(), *read(low), self.expanded,
            self.side, self.depthwise.data_ptr(), self.project.data_ptr(),
            *write(into), *maps.size, self.outputs,
        )  # fmt: skip
        return Maps(array=into.array, channels=into.channels + self.outputs)


class Member:
    """A module of any kind: its last part may write behind other maps, its first may add to some.

    Args:
        part: The module.
        first: The convolution that reads its input, where that is no longer in the module.
    """

    def __init__(self, part: nn.Module, first: Conv | None = None) -> None:
        self.squeeze = None
        if isinstance(part, PBEP):
            self.squeeze = Convolution(first or part.squeeze, activate=False)
            self.last: Convolution | Expansion = Expansion(
                part.expand, part.depthwise, part.project
            )
        elif isinstance(part, EP):
            self.last = Expansion(first or part.expand, part.depthwise, part.project)
        else:
            assert isinstance(part, ConvSelu)
            self.last = Convolution(first or part.conv, activate=True)

    def __call__(self, maps: Maps, low: Maps | None = None, into: Maps | None = None) -> Maps:
        """As `Convolution`."""
        if self.squeeze is None:
            return self.last(maps, low, into)
        return self.last(self.squeeze(maps, low), into=into)


class Stage:
    """A dense stage: what a module makes stands behind what it read, so nothing is concatenated."""

    def __init__(self, stage: nn.Module) -> None:
        assert isinstance(stage, PooledFirst | DenseStage)
        self.members = [Member(member) for member in stage.members]
        self.pooled = isinstance(stage, PooledFirst)
        self.transition = Convolution(stage.transition, activate=True)

    def __call__(self, maps: Maps) -> Maps:
        """The maps after the transition."""
        array = room_for(maps.size, self.transition.inputs + LANES - 1).array
        array[:, :, : maps.channels] = maps.array[:, :, : maps.channels]
        maps = Maps(array=array, channels=maps.channels)
        for member in self.members:
            maps = member(maps, into=maps)
        return self.transition(pool(maps) if self.pooled else maps)


class Step:
    """A step of the decoder."""

    def __init__(self, pair: nn.Module) -> None:
        assert isinstance(pair, MixedLow | UpconvPair)
        self.low = None
        if isinstance(pair, MixedLow):
            self.low = Convolution(pair.low, activate=False)
            self.a = Member(pair.a, pair.skip)
        else:
            self.a = Member(pair.a)
        self.b = Member(pair.b)

    def __call__(self, maps: Maps, skip: Maps) -> Maps:
        """Maps at the skip's size."""
        if self.low is not None:
            return self.b(self.a(skip, self.low(maps)))
        larger = functional.interpolate(
            maps.array[None, :, :, : maps.channels].permute(0, 3, 1, 2),
            scale_factor=2.0, mode="bilinear", align_corners=False,
        )[0].permute(1, 2, 0)  # fmt: skip
        both = torch.cat((larger, skip.array[:, :, : skip.channels]), dim=2).contiguous()
        return self.b(self.a(Maps(array=both, channels=both.shape[2])))


def pool(maps: Maps) -> Maps:
    """Means of 2 x 2 pixels."""
    size = maps.size[0] // 2, maps.size[1] // 2
    smaller = room_for(size, maps.channels)
    kernels().pool(*read(maps), *write(smaller), *size, maps.channels)
    return Maps(array=smaller.array, channels=maps.channels)


def packed(conv: Conv) -> Tensor:
    """Weights in the order in which native.cpp reads them: by panels, each with its bias first."""
    matrix = conv.weight.permute(2, 3, 1, 0).reshape(-1, conv.out_channels)
    bias = matrix.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
    rows = torch.cat((bias[None], matrix)).detach()
    rows = functional.pad(rows, (0, whole(conv.out_channels) - conv.out_channels))
    return torch.cat([panel.flatten() for panel in torch.split(rows, PANEL, dim=1)])


def packed_depthwise(conv: Conv) -> Tensor:
    """As `packed`, by vectors of channels."""
    assert conv.bias is not None
    rows = torch.cat((conv.bias[None], conv.weight.flatten(1).t())).detach()
    rows = functional.pad(rows, (0, whole(conv.out_channels) - conv.out_channels))
    return torch.cat([vector.flatten() for vector in torch.split(rows, LANES, dim=1)])


def read(maps: Maps | None) -> tuple[int, int]:
    """Where maps stand, and the floats from a pixel to the next."""
    return (0, 0) if maps is None else (maps.array.data_ptr(), maps.array.stride(1))


def write(into: Maps) -> tuple[int, int]:
    """As `read`, behind the maps that are there."""
    place, step = read(into)
    return place + into.array.element_size() * into.channels, step


@cache
def kernels() -> ctypes.CDLL:
    """The kernels, compiled for this processor: once in a process, in seconds.

    Raises:
        InputError: There is no C++ compiler, it cannot compile them, or the folder for temporary
            files may hold no programs.
    """
    source = Path(__file__).with_suffix(".cpp")
    compiler = os.environ.get("CXX", "g++")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "native.so"
        command = [compiler, *FLAGS, str(source), "-o", str(library)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (FileNotFoundError, PermissionError):
            raise InputError(
                f"the native kernels need a C++ compiler, and {compiler} is no program here"
            ) from None
        except subprocess.CalledProcessError as failed:
            told = failed.stderr.strip()
            raise InputError(f"{compiler} cannot compile {source.name}: {told}") from None
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError as failed:
            raise InputError(
                f"the native kernels cannot be loaded: {failed}; TMPDIR may name another folder"
            ) from None
    for function, arguments in SIGNATURES.items():
        kinds = [{"p": ctypes.c_void_p, "n": ctypes.c_long}[kind] for kind in arguments]
        getattr(loaded, function).argtypes = kinds
        getattr(loaded, function).restype = None
    return loaded
