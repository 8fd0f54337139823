"""manifest.toml: what a person says of a folder of images and depth, so that nobody guesses.

    units = "millimetres"           # of the depth files; or metres per step, e.g. 0.00390625
    range_m = [0.3, 12.0]           # depths that are compared when a network is judged

    [splits]                        # folders below images/; this is what stands there by default
    train = ["train"]
    validation = ["validation"]     # or a share, e.g. 0.1: the last tenth of each folder
    test = ["test"]

Units are stated or the folder is refused: a wrong guess is a network that is wrong by a factor of
a thousand, and no loss shows it.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nano.data.sample import Intrinsics
from nano.errors import DataError

MANIFEST = "manifest.toml"

METRES_PER_UNIT = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
NAME = "{name}"  # stands for the part that an image's name and its depth map's share

Share = Annotated[float, Field(gt=0, lt=0.5)]
Folders = Annotated[tuple[str, ...], Field(min_length=1)]


class SplitsTable(BaseModel):
    """[splits]: folders below the images' folder, or shares held out of the training folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Folders = Field(default=("train",), description='folders; ["."] is all of them')
    validation: Share | Folders = Field(
        default=("validation",), description="folders, or the share held out of each of train's"
    )
    test: Share | Folders = Field(default=("test",), description="as validation")
    gap: int = Field(
        default=10,
        ge=0,
        description="frames dropped before a held-out share: neighbours in a film look alike;"
        " 0 for photographs that have nothing to do with each other",
    )


class Manifest(BaseModel):
    """What manifest.toml holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    units: str | Annotated[float, Field(gt=0)] = Field(
        description=f"of the depth files: {', '.join(METRES_PER_UNIT)}, or metres per step"
    )
    range_m: tuple[float, float] = Field(
        description="least and greatest depth in metres that are compared, e.g. [0.3, 12.0]"
    )
    truth: Literal["sensor", "annotated", "rendered"] = Field(
        default="sensor", description="how the depth came about; printed with every accuracy"
    )
    images: str = Field(default="images", description="folder of the images")
    depth: str = Field(default="depth", description="folder of the depth maps")
    image_names: str = Field(
        default=NAME, description='file names without their ending, e.g. "rgb_{name}"'
    )
    depth_names: str = Field(default=NAME, description='likewise, e.g. "depth_{name}"')
    mixed_sizes: bool = Field(
        default=False, description="images of several sizes are meant, not a mistake"
    )
    licence: str = Field(
        default="not stated in manifest.toml",
        description="whose the data are and on which terms; goes into every prepared cache",
    )
    intrinsics: tuple[float, float, float, float] | None = Field(
        default=None,
        description="fx, fy, cx, cy of the camera in pixels of the images, counted from the middle"
        " of the first one",
    )
    splits: SplitsTable = Field(default=SplitsTable(), description="which frames are for what")

    @field_validator("units")
    @classmethod
    def _known(cls, units: str | float) -> str | float:
        if isinstance(units, str) and units not in METRES_PER_UNIT:
            near = difflib.get_close_matches(units, METRES_PER_UNIT, n=1)
            hint = f" (perhaps {near[0]}?)" if near else ""
            known = ", ".join(METRES_PER_UNIT)
            raise ValueError(f"unknown{hint}; write {known}, or how many metres one step is")
        return units

    @field_validator("range_m")
    @classmethod
    def _rising(cls, range_m: tuple[float, float]) -> tuple[float, float]:
        if not 0 < range_m[0] < range_m[1]:
            raise ValueError("must be two depths in metres, both above 0, the smaller one first")
        return range_m

    @field_validator("intrinsics")
    @classmethod
    def _a_camera(cls, intrinsics: Intrinsics | None) -> Intrinsics | None:
        if intrinsics is not None and min(intrinsics[:2]) <= 0:
            raise ValueError("must be fx, fy, cx, cy, both focal lengths above 0")
        return intrinsics

    @field_validator("image_names", "depth_names")
    @classmethod
    def _with_name(cls, names: str) -> str:
        if names.count(NAME) != 1:
            raise ValueError(f"must hold {NAME} once, e.g. rgb_{NAME}")
        return names

    @property
    def metres_per_unit(self) -> float:
        """What a depth file's numbers are multiplied with."""
        return METRES_PER_UNIT[self.units] if isinstance(self.units, str) else self.units


def read_manifest(root: Path) -> Manifest:
    """The manifest of the folder ``root``.

    Raises:
        DataError: There is none, it is no TOML, a key is unknown or a value cannot be meant.
    """
    path = root / MANIFEST
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise DataError(_none(root)) from missing
    except OSError as unreadable:
        raise DataError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    except ValueError as damaged:  # also bytes that are not UTF-8
        raise DataError(f"{path}: not TOML: {damaged}") from damaged
    return manifest_of(plain, str(path))


def manifest_of(plain: dict[str, Any], where: str) -> Manifest:
    """Check a manifest as TOML gives it.

    Raises:
        DataError: As `read_manifest`; names ``where``.
    """
    try:
        # By way of JSON, where strict types still admit a list for a tuple.
        manifest = Manifest.model_validate_json(json.dumps(plain, default=str), strict=True)
    except ValidationError as invalid:
        raise DataError(f"{where}: {_explain(plain, invalid)}") from invalid
    if manifest.intrinsics is not None and manifest.mixed_sizes:
        raise DataError(
            f"{where}: intrinsics is of one camera, but mixed_sizes = true; leave one out"
        )
    return manifest


def _none(root: Path) -> str:
    if not root.is_dir():
        return f"{root}: no such folder: expected images, depth maps and {MANIFEST} in it"
    return (
        f"{root / MANIFEST}: no such file: write one that states at least\n"
        '  units = "metres"          # of the depth files, or millimetres, centimetres, a number\n'
        "  range_m = [0.3, 12.0]     # depths in metres that are compared"
    )


def _explain(plain: dict[str, Any], invalid: ValidationError) -> str:
    # A misspelt key says more than the missing one that it leaves; of what may be a number or a
    # word, the complaint about the kind that came says more than that it is not the other kind.
    first = min(
        invalid.errors(),
        key=lambda error: (error["type"] != "extra_forbidden", error["type"].endswith("_type")),
    )
    in_splits = first["loc"][0] == "splits" and len(first["loc"]) > 1
    model: type[BaseModel] = SplitsTable if in_splits else Manifest
    key = str(first["loc"][1 if in_splits else 0])
    name = f"[splits] {key}" if in_splits else key
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, model.model_fields, n=1)
        known = f"did you mean {near[0]}?" if near else f"known: {', '.join(model.model_fields)}"
        return f"unknown key {name!r}; {known}"
    table = plain["splits"] if in_splits else plain
    if first["type"] == "missing" and key not in table:
        return f"{name} is missing: {model.model_fields[key].description}"
    message = first["msg"].removeprefix("Value error, ")
    about = model.model_fields[key].description
    return f"{name} = {table[key]!r}: {message} ({about})"
