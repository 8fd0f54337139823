"""DDAD, or another set in DGP format: one camera's images with LiDAR depth, to 200 m and more.

DDAD's test images have no depth, so published accuracies are of its ``val`` scenes (50 scenes, 3950
images of each camera); a search selects by whole scenes held out of the training ones.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nano.data.dgp import DgpFrame, Lacking, find_scenes, read_scan, scene_frames
from nano.data.file_tables import DdadTable
from nano.data.images import read_image
from nano.data.kitti_disk import size_text
from nano.data.pinhole import project_points
from nano.data.sample import Provenance, Sample
from nano.errors import DataError
from nano.files import short_hash

LICENCE = (
    "DDAD (Guizilini et al. 2020): CC BY-NC-SA 4.0, for non-commercial use, with credit, shared "
    "alike; another set in DGP format: as its authors state"
)

log = logging.getLogger(__name__)


class DdadSource:
    """A `nano.data.sample.Source` over the samples of scenes; opening it reads their JSON.

    Attributes:
        frames: In order of scene and time; a sample that lacks its image or scan among them, which
            is told when it is read.
    """

    truth = "sensor"

    def __init__(self, scenes: Sequence[Path], *, camera: str, name: str) -> None:
        """Read the scenes.

        Args:
            scenes: Scene files.
            camera: E.g. ``CAMERA_01``, the one ahead.
            name: For captions.

        Raises:
            DataError: A scene is missing or damaged, or has no such camera.
        """
        self.name = name
        self.frames = tuple(frame for scene in scenes for frame in scene_frames(scene, camera))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read one frame.

        Raises:
            DataError: It lacks a part, a file is damaged, or image and scene differ in size.
        """
        frame = self.frames[index]
        if isinstance(frame, Lacking):
            raise DataError(frame.reason)
        image = read_image(frame.image)
        if image.shape[:2] != frame.size:
            raise DataError(
                f"{frame.image}: {size_text(image.shape)}, but its scene states "
                f"{size_text(frame.size)} (height x width), which the intrinsics are for: the "
                "image was resized; use it as it came"
            )
        points = read_scan(frame.scan)
        depth = project_points(points, frame.to_camera, frame.intrinsics, frame.size)
        if not depth.any():
            raise DataError(
                f"{frame.scan}: none of its {len(points)} points lands in {frame.image}: the scan "
                "is damaged, or its pose or calibration belongs to another"
            )
        (fx, _, cx), (_, fy, cy), _ = frame.intrinsics.tolist()
        return Sample(
            name=frame.name,
            image=image,
            depth=depth,
            intrinsics=(fx, fy, cx - 0.5, cy - 0.5),  # DGP counts from the pixel's corner
        )

    @property
    def provenance(self) -> Provenance:
        """What a cache of the frames says of them."""
        return Provenance(
            protocol="DGP, scans by way of their poses into the camera, nearest point; metres",
            licence=LICENCE,
        )

    def identity(self) -> dict[str, Any]:
        """What names the cache: files by name, size and time of change; poses and intrinsics."""
        return {
            "set": "dgp",
            "frames": len(self),
            "files": short_hash("\n".join(_stamp(frame) for frame in self.frames)),
        }


def ddad_source(table: DdadTable, root: Path, split: str) -> DdadSource:
    """One split of a [data] table.

    Raises:
        DataError: No DGP set, unknown, missing or shared scenes, or damaged JSON.
    """
    chosen = _split_scenes(table, root)
    missing = [scene for scene in chosen[split] if not scene.is_file()]
    there = [scene for scene in chosen[split] if scene.is_file()]
    name = f"ddad {split}"
    if missing:
        told = f"{name}: {len(missing)} of {len(chosen[split])} scenes are not under {root}"
        if not there or not table.partial:
            raise DataError(
                f"{told}; the first is {missing[0]}; add them, or ask for a partial list"
            )
        log.warning("%s and left out", told)
    return DdadSource(there, camera=table.camera, name=name)


def _split_scenes(table: DdadTable, root: Path) -> dict[str, Sequence[Path]]:
    dataset, listed = find_scenes(root)
    every = {
        scene.parent.relative_to(root).as_posix(): scene for s in listed.values() for scene in s
    }

    def scenes(chosen: str | tuple[str, ...]) -> Sequence[Path]:
        if isinstance(chosen, str):
            return listed[chosen]
        for name in chosen:
            if name not in every:
                some = ", ".join(sorted(every)[:5])
                raise DataError(f"{dataset}: no scene {name!r}; it lists {some} ...")
        return [every[name] for name in chosen]

    split = {"train": scenes(table.train), "test": scenes(table.test)}
    if isinstance(table.validation, float):
        held_out = max(1, round(table.validation * len(split["train"])))
        split["validation"] = split["train"][len(split["train"]) - held_out :]
        split["train"] = split["train"][: len(split["train"]) - held_out]
    else:
        split["validation"] = scenes(table.validation)
    _check(split, dataset)
    return split


def _check(split: dict[str, Sequence[Path]], dataset: Path) -> None:
    owner: dict[Path, str] = {}
    for name, scenes in split.items():
        if not scenes:
            raise DataError(f"{dataset}: leaves no scene for {name}")
        for scene in scenes:
            if scene in owner:
                raise DataError(
                    f"{dataset}: scene {scene.parent.name} is in both {owner[scene]} and {name}: "
                    "what is judged must not have been trained on or selected by; state scenes for "
                    'each in [data], e.g. train = ["000000"]'
                )
            owner[scene] = name


def _stamp(frame: DgpFrame | Lacking) -> str:
    if isinstance(frame, Lacking):
        return f"{frame.name} lacking"
    parts = [frame.name, frame.size, frame.to_camera.tolist(), frame.intrinsics.tolist()]
    for path in (frame.image, frame.scan):
        try:
            status = path.stat()
        except FileNotFoundError:  # told, counted and listed when the frame is read
            parts.append("missing")
        except OSError as unreadable:
            raise DataError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
        else:
            parts.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return " ".join(map(str, parts))
