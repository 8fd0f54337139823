"""An exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Follows every floating-point tensor of a network: weights and batch norm's statistics.

    Attributes:
        tensors: The averages by their names in the network's state_dict.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        state = network.state_dict()  # shares memory with the network: it is what is followed
        self.live = {name: one for name, one in state.items() if one.is_floating_point()}
        self.tensors = {name: one.clone() for name, one in self.live.items()}

    @torch.no_grad()
    def follow(self, step: int, taken: Tensor | bool = True) -> None:
        """Take in the weights after step 1, 2, ...

        average = b average + (1 - b) weights, b = min(decay, (1 + step) / (10 + step)): early
        averages forget the random start quickly (as tf.train.ExponentialMovingAverage does).

        Args:
            step: Counted from 1, steps that were skipped among them.
            taken: False, or a tensor of it on the weights' device, where the step was skipped:
                the average then stays as it is.
        """
        share = (1 - min(self.decay, (1 + step) / (10 + step))) * taken
        for name, average in self.tensors.items():
            average.lerp_(self.live[name], share)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from these averages."""
        for name, average in self.tensors.items():
            average.copy_(tensors[name])

    @torch.no_grad()
    def give(self) -> None:
        """Make the averages the network's weights."""
        for name, live in self.live.items():
            live.copy_(self.tensors[name])
