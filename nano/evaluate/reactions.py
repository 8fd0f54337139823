"""What passes through a trained network, beside what passed before its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nano.data.fit import resize_image
from nano.data.sample import network_input
from nano.data.sets import data_table, source
from nano.networks.health import LayerHealth, health
from nano.networks.model import load_model
from nano.networks.start import started

BEFORE, AFTER = "before training", "after training"


def reactions(
    model: Path, data: Mapping[str, Any], seed: int, *, images: int = 8
) -> dict[str, tuple[LayerHealth, ...]]:
    """Mean and spread of every signal of the network at its start, and of the same one trained.

    Args:
        model: A MODEL folder, e.g. RUN/best.
        data: The study's [data] table; relative roots start at the current folder.
        seed: Of the network's start, as best/metrics.json keeps it.
        images: From the validation split, evenly spaced.

    Returns:
        ``before training`` and ``after training``, in reading order.

    Raises:
        StudyError: The table is wrong.
        DesignError: The model's design is.
        DataError: The model or the frames cannot be read.
    """
    trained = load_model(model)
    frames = source(data_table(data), Path.cwd(), "validation")
    places = np.linspace(0, len(frames) - 1, images).round().astype(int)
    seen = np.stack([resize_image(frames[int(i)].image, trained.size) for i in places])
    stimulus = network_input(torch.from_numpy(seen))
    fresh = started(trained.design, trained.size, seed)
    return {BEFORE: health(fresh, stimulus), AFTER: health(trained.network, stimulus)}
