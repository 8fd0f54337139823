"""Tiny scenes in DGP format, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from kitti_trees import write_image
from numpy.typing import NDArray

SIZE = (24, 80)
INTRINSICS = {"fx": 40.0, "fy": 40.0, "cx": 40.0, "cy": 12.0, "skew": 0.0}
# The scanner looks along x with z up; a camera along z with y down. This turns camera into scanner.
AHEAD = {"qw": 0.5, "qx": -0.5, "qy": 0.5, "qz": -0.5}
UPRIGHT = {"qw": 1.0}  # protobuf leaves zeros out
CAR_MOVES = 0.5  # metres ahead between scan and image

Plain = dict[str, Any]


def scanner_point(column: float, row: float, z: float) -> list[float]:
    """The point that the camera sees there, z metres off, in the scanner's frame."""
    right = (column - INTRINSICS["cx"]) * z / INTRINSICS["fx"]
    down = (row - INTRINSICS["cy"]) * z / INTRINSICS["fy"]
    return [z + CAR_MOVES, -right, -down, 0.5]


def default_scan() -> NDArray[np.float64]:
    """A wall 10 m off, seen at every fourth column of the lower rows."""
    return np.array(
        [scanner_point(c + 0.5, r + 0.5, 10.0) for c in range(0, 80, 4) for r in (14, 18)]
    )


def scene_plain(samples: int = 2) -> Plain:
    """A scene's JSON: the camera is where the scanner was, one car's move later."""
    data: list[Plain] = []
    listed: list[Plain] = []
    for number in range(samples):
        parts = {
            "CAMERA_01": {
                "image": {
                    "filename": f"rgb/CAMERA_01/{number:03d}.png",
                    "height": SIZE[0],
                    "width": SIZE[1],
                    "pose": {"rotation": AHEAD, "translation": {"x": CAR_MOVES + number}},
                }
            },
            "LIDAR": {
                "point_cloud": {
                    "filename": f"point_cloud/LIDAR/{number:03d}.npz",
                    "pose": {"rotation": UPRIGHT, "translation": {"x": float(number)}},
                }
            },
        }
        keys = [f"{name}{number}" for name in parts]
        data += [
            {"key": key, "id": {"name": name}, "datum": datum}
            for key, (name, datum) in zip(keys, parts.items(), strict=True)
        ]
        listed.append({"calibration_key": "calib", "datum_keys": [*keys, "left out"]})
    return {"data": data, "samples": listed}


def write_scene(folder: Path, plain: Plain | None = None, samples: int = 2) -> Path:
    """A scene with its calibration, images and scans; returns the scene file."""
    calibration = {"names": ["LIDAR", "CAMERA_01"], "intrinsics": [{}, INTRINSICS]}
    (folder / "calibration").mkdir(parents=True)
    (folder / "calibration" / "calib.json").write_text(json.dumps(calibration))
    (folder / "point_cloud" / "LIDAR").mkdir(parents=True)
    for number in range(samples):
        write_image(folder / f"rgb/CAMERA_01/{number:03d}.png", SIZE, seed=number)
        np.savez(folder / f"point_cloud/LIDAR/{number:03d}.npz", data=default_scan())
    path = folder / "scene_abc.json"
    path.write_text(json.dumps(plain or scene_plain(samples)))
    return path


def write_dataset(root: Path, train: int = 3, val: int = 1, **more: Any) -> Path:
    """A dataset of scenes 000, 001, ...; the last ones are of the val split."""
    names = [f"{number:03d}" for number in range(train + val)]
    for name in names:
        write_scene(root / name)
    files = [f"{name}/scene_abc.json" for name in names]
    splits = {"0": {"filenames": files[:train]}, "1": {"filenames": files[train:]}}
    (root / "ddad.json").write_text(json.dumps({"scene_splits": splits} | more))
    return root
