"""Tiny folders of a person's own images and depth, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from kitti_trees import write_image
from PIL import Image

SIZE = (24, 32)
MANIFEST = 'units = "millimetres"\nrange_m = [0.3, 12.0]\n'


def write_depth_png(path: Path, metres: float = 3.0, size: tuple[int, int] = SIZE) -> Path:
    """A 16-bit map in millimetres that recedes by half over its height; every fifth row unknown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(metres, metres / 2, size[0])[:, None].repeat(size[1], 1)
    steps = np.round(rows * 1000).astype(np.uint16)
    steps[::5] = 0
    Image.fromarray(steps).save(path)
    return path


def write_folder(
    root: Path, frames: int = 3, manifest: str = MANIFEST, folders: tuple[str, ...] = ()
) -> Path:
    """A folder with ``frames`` pairs in each of its folders, which are the three splits'."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "manifest.toml").write_text(manifest)
    for folder in folders or ("train", "validation", "test"):
        for number in range(frames):
            name = f"{folder}/{number:04d}"
            write_image(root / "images" / f"{name}.jpg", SIZE, seed=number)
            write_depth_png(root / "depth" / f"{name}.png", metres=2.0 + number)
    return root
