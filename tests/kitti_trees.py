"""Tiny copies of KITTI's folders for tests, and where the real frames lie when they are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

REAL = Path(__file__).parents[2] / "shared" / "data"

DATE = "2011_01_01"  # no date of KITTI's, so that images may be tiny
SIZE = (24, 80)
FOCAL, CENTRE = 40.0, (40.0, 12.0)  # pixels; column and row
FORWARD = 0.25  # metres from the Velodyne to the camera
BASELINE = 0.5  # metres from the left to the right camera


def real(*parts: str) -> Path:
    """A path of the real frames; the test is skipped where they are not."""
    path = REAL.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs real KITTI frames in ../shared/data/{'/'.join(parts)}")
    return path


def write_image(path: Path, size: tuple[int, int] = SIZE, seed: int = 0) -> Path:
    """A smooth colour picture, PNG or JPEG by the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    picture.save(path, **({} if path.suffix == ".png" else {"quality": 95}))
    return path


def write_depth(path: Path, size: tuple[int, int] = SIZE, metres: float = 10.0) -> Path:
    """A 16-bit map, known in every second row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = np.zeros(size, dtype=np.uint16)
    steps[::2] = round(metres * 256)
    Image.fromarray(steps).save(path)
    return path


def write_scan(path: Path, points: NDArray[np.float32]) -> Path:
    """A Velodyne file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.asarray(points, dtype="<f4").tobytes())
    return path


def point_at(column: float, row: float, z: float) -> list[float]:
    """The Velodyne point that the left camera of `write_calibration` sees there, z metres off."""
    right, down = (column - CENTRE[0]) * z / FOCAL, (row - CENTRE[1]) * z / FOCAL
    return [z + FORWARD, -right, -down, 0.5]


def calibration_texts(size: tuple[int, int] = SIZE) -> dict[str, dict[str, str]]:
    """Key and value of each line of the two files; the camera looks along the Velodyne's x."""
    projection = f"{FOCAL} 0 {CENTRE[0]} {{}} 0 {FOCAL} {CENTRE[1]} 0 0 0 1 0"
    return {
        "calib_cam_to_cam.txt": {
            "calib_time": "09-Jan-2012 13:57:47",
            "S_rect_02": f"{size[1]} {size[0]}",
            "R_rect_00": "1 0 0 0 1 0 0 0 1",
            "P_rect_02": projection.format(0),
            "P_rect_03": projection.format(-FOCAL * BASELINE),
        },
        "calib_velo_to_cam.txt": {
            "calib_time": "15-Mar-2012 11:37:16",
            "R": "0 -1 0 0 0 -1 1 0 0",
            "T": f"0 0 {-FORWARD}",
        },
    }


def write_calibration(folder: Path, size: tuple[int, int] = SIZE, **changes: str | None) -> Path:
    """The two files, with values changed, or left out where None."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in calibration_texts(size).items():
        kept = {key: changes.get(key, value) for key, value in lines.items()}
        text = "".join(f"{key}: {value}\n" for key, value in kept.items() if value is not None)
        (folder / name).write_text(text)
    return folder
