"""Telling a training that will not recover from a noisy one."""

from __future__ import annotations

import math

from nano.errors import Diverged

EXPLOSION = 10.0  # running loss over the start's: far above any batch noise, below overflow
_DECAY = 0.9  # of the running loss: about the last ten steps


class Watch:
    """Follows the loss; raises `Diverged` with the step and the number.

    Attributes:
        start: Loss of the first batch, before any step was taken; None until seen.
        running: Exponential average of the loss.
    """

    def __init__(self, start: float | None = None, running: float = 0.0) -> None:
        self.start = start
        self.running = running

    def see(self, step: int, loss: float, norm: float) -> None:
        """Judge step 1, 2, ...: its loss and the norm of its gradient."""
        if not math.isfinite(loss):
            raise Diverged(f"step {step}: the loss is {loss}")
        if not math.isfinite(norm):
            raise Diverged(f"step {step}: the gradient's norm is {norm}")
        if self.start is None:
            self.start = self.running = loss
        self.running = _DECAY * self.running + (1 - _DECAY) * loss
        if self.running > EXPLOSION * self.start:
            raise Diverged(
                f"step {step}: the running loss {self.running:.4g} is more than {EXPLOSION:g}"
                f" times the {self.start:.4g} before the first step"
            )
