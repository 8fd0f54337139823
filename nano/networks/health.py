"""Stimulus and reaction: mean and spread of the signal through depth, before any training.

The ranges rest on measurements of the preset at its start. LeCun normal: spread 0.76 to 1.06
everywhere, output 0.52. Torch's own start: output 0.02, encoder gradients below 1e-4, a plateau.
He normal: output 23, gradients 150 times LeCun's. A healthy start is therefore within a factor
of two of one, and the sick ones are off by more than twenty; `SPREAD_RANGE` lies between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from nano.networks.blocks import DenseStage, UpconvPair
from nano.networks.depthnet import DepthNet

SPREAD_RANGE = (0.05, 10.0)  # sd of a healthy signal; see above
LARGEST_MEAN = 10.0  # of a signal whose spread is about one
# Spread of the output inside one image, and between images, as a part of its whole spread. Noise
# images give about 1 and 1; a network that has stopped listening gives rounding errors.
SMALLEST_REACTION = 1e-3


@dataclass(frozen=True, kw_only=True)
class LayerHealth:
    """Mean and standard deviation over all images, channels and pixels of one signal.

    Attributes:
        name: Where, in reading order, e.g. ``stage 3 module 12`` or ``stage 3 concatenation``.
        mean: Of all values.
        sd: Of all values; not finite when any value is not.
    """

    name: str
    mean: float
    sd: float


def health(network: nn.Module, images: Float[Tensor, "B 3 H W"]) -> tuple[LayerHealth, ...]:
    """What every part of the network makes of the images, from the input to the output.

    In training mode with batch norm on the images' own statistics, as the first training step
    would see it; the network, its mode and its running statistics stay as they were.

    Args:
        network: Any state of training, on the images' device.
        images: Made by `nano.data.sample.network_input`; more than one pixel at the deepest maps.
    """
    found, _ = _react(network, images)
    return found


def alive(network: nn.Module, images: Float[Tensor, "B 3 H W"]) -> str | None:
    """None when the signal lives from the input to the output, else the first reason why not.

    Judged are the trunk's signals (stem, concatenations, transitions, upconvs, output); one thin
    module may be quiet by the luck of its draw, and its neighbours carry on.

    Args:
        network: As `nano.networks.start.started` made it.
        images: Two or more, different from each other; about zero mean and unit variance.

    Raises:
        ValueError: One image cannot show whether the output depends on the input.
    """
    if len(images) < 2:
        raise ValueError(f"alive needs at least 2 images, got {len(images)}")
    found, output = _react(network, images)
    for layer in found[1:]:  # [0] is the input
        if reason := _sick(layer):
            return reason
    return _unmoved(output)


def _react(network: nn.Module, images: Tensor) -> tuple[tuple[LayerHealth, ...], Tensor]:
    """Statistics of each signal in reading order, and the output."""
    found = [_measure("input", images)]
    # Batch norm writes its running statistics into these copies, not into the network.
    scratch = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.no_grad(), _training_mode(network), _listening(network, found):
        output: Tensor = functional_call(network, scratch, (images,))
    return tuple(found), output


def _measure(name: str, values: Tensor) -> LayerHealth:
    values = values.double()
    sd, mean = torch.std_mean(values, correction=0)
    return LayerHealth(name=name, mean=mean.item(), sd=sd.item())


@contextmanager
def _training_mode(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.train()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _listening(network: nn.Module, found: list[LayerHealth]) -> Iterator[None]:
    """Append to ``found`` what passes the parts of the network while the context lasts."""
    handles = [
        module.register_forward_hook(_output_hook(name, found))
        if of_output
        else module.register_forward_pre_hook(_input_hook(name, found))
        for name, module, of_output in _listening_points(network)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _listening_points(network: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Name, module, and whether its output (rather than its input) is the signal.

    Of a network that is no `DepthNet`: what each of its parts hands on.
    """
    if not isinstance(network, DepthNet):
        yield from ((name, part, True) for name, part in network.named_children())
        return
    yield "stem", network.stem, True
    for number, stage in enumerate(network.stages, start=1):
        assert isinstance(stage, DenseStage)  # a ModuleList forgets the type
        for position, member in enumerate(stage.members, start=1):
            yield f"stage {number} module {position}", member, True
        yield f"stage {number} concatenation", stage.transition, False
        yield f"stage {number} {'transition' if stage.pool else 'bridge'}", stage, True
    for number, upconv in enumerate(network.decoder, start=1):
        assert isinstance(upconv, UpconvPair)
        yield f"upconv {number} a", upconv.a, True
        yield f"upconv {number} b", upconv.b, True
    yield "output", network.head, True


def _output_hook(name: str, found: list[LayerHealth]) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(_measure(name, output))

    return hook


def _input_hook(name: str, found: list[LayerHealth]) -> Callable[..., None]:
    def hook(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        found.append(_measure(name, inputs[0]))

    return hook


def _sick(layer: LayerHealth) -> str | None:
    """The reason why one signal is dead or exploding, or None."""
    if not (math.isfinite(layer.sd) and math.isfinite(layer.mean)):
        return f"{layer.name}: values that are not finite"
    if " module " in layer.name:
        return None
    low, high = SPREAD_RANGE
    if layer.sd < low:
        return f"{layer.name}: the signal dies, sd {layer.sd:.2g} (below {low:g})"
    if layer.sd > high:
        return f"{layer.name}: the signal explodes, sd {layer.sd:.2g} (above {high:g})"
    if abs(layer.mean) > LARGEST_MEAN:
        return f"{layer.name}: the signal drifts, mean {layer.mean:.2g} (beyond {LARGEST_MEAN:g})"
    return None


def _unmoved(output: Float[Tensor, "B 1 h w"]) -> str | None:
    """The reason when an output is flat, or the same for every image, or None."""
    output = output.double()
    whole = output.std(correction=0)
    if output.std(dim=(1, 2, 3), correction=0).min() < SMALLEST_REACTION * whole:
        return "output: the same number at every pixel of an image"
    if output.std(dim=0, correction=0).mean() < SMALLEST_REACTION * whole:
        return "output: the same map for every image"
    return None
