"""Batch norm's statistics after a short training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics by the plain mean over ``batches`` of network inputs.

    The running averages trail behind the weights: with momentum 0.1 the last ten steps' weights
    are mixed in them. The mean over a fixed set of images under the final weights is what a long
    training would converge to. Runs in float32, as evaluation does. A network without batch norm
    is left as it is, and so is its mode.

    Args:
        network: Changed in place: means and variances only.
        batches: Inputs B x 3 x H x W, as `nano.data.sample.network_input` makes them.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    if not norms:
        return
    training = network.training
    momenta = [norm.momentum for norm in norms]
    network.eval()  # dropout rests, as it does when the statistics are used
    try:
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a cumulative average
        for images in batches:
            network(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(training)
