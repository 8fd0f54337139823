"""The accuracy of a network on a split, by a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from nano.data.sample import DepthSet, borrowed, network_input
from nano.errors import DataError
from nano.evaluate.metrics import bounded, depth_metrics, sample_bilinear
from nano.evaluate.protocol import counted
from nano.networks.target import TARGETS
from nano.records import METRICS, Accuracy, Protocol


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """One image's part in an accuracy.

    Attributes:
        name: The frame's name.
        pixels: Truth values that were compared.
        metrics: By the names of `nano.records.METRICS`; None when there was no pixel to compare.
    """

    name: str
    pixels: int
    metrics: dict[str, float] | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """An accuracy, and the images that it is the mean of."""

    accuracy: Accuracy
    per_image: tuple[ImageResult, ...]


def evaluate(
    network: nn.Module,
    target: str,
    data: DepthSet,
    protocol: Protocol,
    *,
    device: str = "cpu",
    batch: int = 16,
) -> Result:
    """Compare the network's depth with the truth, image by image, at the truth's own size.

    Always in float32 (no bf16, no TF32), so that a figure does not depend on the machine's fast
    paths. Each image counts once, however many valid pixels it has; images without any are
    skipped, and ``accuracy.skipped`` says how many. The network is moved to ``device`` and its
    training mode is given back.

    Args:
        network: Images B x 3 x H x W to head output B x 1 x h x w.
        target: What that output means, a key of `nano.networks.target.TARGETS`.
        data: The split, at the network's input size.
        protocol: Of the kind of truth that ``data`` holds.
        device: Where the network runs.
        batch: Images at a time; the result does not depend on it beyond rounding.

    Raises:
        DataError: The truth is not of the protocol's kind, or no image has a pixel to compare.
    """
    check_truth(data.name, data.truth_kind, protocol)
    per_image: list[ImageResult] = []
    for start in range(0, len(data), batch):
        chunk = range(start, min(start + batch, len(data)))
        depths = predict(
            network,
            target,
            data.images[chunk.start : chunk.stop],
            flip=protocol.flip,
            device=device,
        )
        per_image += [
            compare(depth, data, i, protocol) for i, depth in zip(chunk, depths, strict=True)
        ]
    return Result(accuracy=mean_over_images(per_image, data, protocol), per_image=tuple(per_image))


def check_truth(name: str, kind: str, protocol: Protocol) -> None:
    """Refuse truth of another kind than the protocol's: abs_rel may differ by a factor of 2."""
    if protocol.truth not in ("any", kind):
        raise DataError(
            f"protocol {protocol.name} is defined on {protocol.truth} truth, but {name} "
            f"holds {kind} truth; choose a protocol for that kind"
        )


def predict(
    network: nn.Module,
    target: str,
    images: UInt8[np.ndarray, "B 3 H W"],
    *,
    flip: bool = False,
    device: str = "cpu",
) -> Float[np.ndarray, "B h w"]:
    """Depth in metres at the network's output size, float32.

    With ``flip`` it is the mean of the depth of the image and the un-mirrored depth of its mirror
    image, half each (DenseDepth), at twice the cost.
    """
    decode = TARGETS[target].decode
    network.to(device)
    with _measuring(network):
        image = network_input(borrowed(images).to(device))
        depth: Tensor = decode(network(image))
        if flip:
            depth = (depth + decode(network(image.flip(-1))).flip(-1)) / 2
        return depth[:, 0].cpu().numpy()


def compare(
    depth: Float[np.ndarray, "h w"], data: DepthSet, i: int, protocol: Protocol
) -> ImageResult:
    """The metrics of predicted ``depth`` (metres) against the truth of image ``i``."""
    size, index, truth = data.truth.of(i)
    keep = np.flatnonzero(counted(protocol, size, index, truth))
    index, truth = index.take(keep), truth.take(keep)
    if len(truth) == 0:
        return ImageResult(name=data.names[i], pixels=0, metrics=None)
    prediction = bounded(sample_bilinear(depth, size, index), truth, protocol)
    return ImageResult(
        name=data.names[i], pixels=len(truth), metrics=depth_metrics(prediction, truth)
    )


def mean_over_images(
    per_image: Sequence[ImageResult], data: DepthSet, protocol: Protocol
) -> Accuracy:
    """The plain mean over the images that could be compared; never over pooled pixels."""
    compared = [image.metrics for image in per_image if image.metrics is not None]
    if not compared:
        raise DataError(
            f"{data.name}: no image has a truth value that {protocol.describe()} would compare"
        )
    means = {name: sum(one[name] for one in compared) / len(compared) for name in METRICS}
    return Accuracy(
        **means,
        images=len(compared),
        skipped=len(per_image) - len(compared),
        data=data.caption,
        protocol=protocol.describe(),
    )


@contextmanager
def _measuring(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, true float32; the network's mode is restored."""
    training = network.training
    network.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False),
        ):
            yield
    finally:
        network.train(training)
