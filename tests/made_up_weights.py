"""Networks whose every number matters, without a training."""

from __future__ import annotations

import torch

from nano.design.design import Design
from nano.networks.depthnet import DepthNet, build


def trained(design: Design, seed: int) -> DepthNet:
    """Biases and batch-norm statistics as after a training, not at their start."""
    network = build(design, seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("var"):
                tensor.uniform_(0.5, 2, generator=random)
            elif tensor.dtype.is_floating_point and tensor.dim() == 1:
                tensor.add_(0.3 * torch.randn(tensor.shape, generator=random))
    return network.eval()
