"""The study's [data] table: which frames train, which ones the search selects by, which confirm.

    [data]
    set = "scenes"                # rendered here, nothing to download
    size = [64, 192]
    train = 2000
    validation = 200
    test = 400
    seed = 0

    [data]
    set = "kitti"
    root = ["/data/kitti/raw", "/data/kitti/depth"]
    size = [384, 1280]
    truth = "annotated"
    train = "eigen-fit"           # a named list of nano.data.splits, or a list of drives
    validation = "eigen-validation"
    test = "eigen-test-annotated"
    fill = "levin"                # dense depth to train on; validation and test stay as measured

The tables of other sets: `nano.data.file_tables`.

A search reads its validation split hundreds of times and keeps what scored best there, luck
included. What it found is therefore confirmed on the test split, which it never read; the three
must share no drive, because neighbouring frames of a drive are nearly the same picture. Where
there are too few drives, ``validation = 0.2`` holds out the last fifth of each training drive
instead, with ``gap`` frames before it that belong to neither.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nano.data.cache import prepare
from nano.data.ddad import ddad_source
from nano.data.file_tables import FILL, DdadTable, FolderTable, NyuTable
from nano.data.fill import Method
from nano.data.filled import FilledSource
from nano.data.folder import folder_source
from nano.data.hold_out import hold_out_ends
from nano.data.kitti import KittiSource, drive_frames
from nano.data.nyu import nyu_source
from nano.data.sample import DepthSet, Source
from nano.data.scene_source import SceneSource
from nano.data.splits import SPLITS, Drive, Frame, listed_frames, role, standing_frames
from nano.errors import DataError, StudyError
from nano.files import short_hash

log = logging.getLogger(__name__)

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")

Pixels = Annotated[int, Field(gt=0)]
Size = tuple[Pixels, Pixels]
Drives = str | tuple[str, ...]


class ScenesTable(BaseModel):
    """[data] with ``set = "scenes"``: rendered streets, as many as asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Literal["scenes"] = "scenes"
    size: Size = Field(default=(64, 192), description="height and width of the network's input")
    train: int = Field(default=2000, gt=0, description="number of scenes to train on")
    validation: int = Field(default=200, gt=0, description="number of scenes the search selects by")
    test: int = Field(
        default=400, gt=0, description="number of scenes that finalists are judged by"
    )
    seed: int = Field(default=0, ge=0, description="another seed, other scenes")
    protocol: str = Field(default="scenes", description="a name of nano.evaluate.protocol")


class KittiTable(BaseModel):
    """[data] with ``set = "kitti"``: frames of the user's copy of KITTI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: Literal["kitti"]
    root: str | tuple[str, ...] = Field(
        description="one folder or several; relative ones start at the study file's folder"
    )
    size: Size = Field(default=(384, 1280), description="height and width of the network's input")
    truth: Literal["annotated", "single-scan", "raw"] = "annotated"
    legacy: bool = Field(
        default=False, description="project raw scans as published results on the 697 frames do"
    )
    train: Drives = Field(default="eigen-fit", description="a named list, or a list of drives")
    validation: Annotated[float, Field(gt=0, lt=0.5)] | Drives = Field(
        default="eigen-validation",
        description="a named list, a list of drives, or the share held out of each training drive",
    )
    test: Drives = Field(default="eigen-test-annotated", description="as train")
    fill: Method = Field(default="none", description=FILL)
    gap: int = Field(
        default=10, ge=0, description="frames (0.1 s each) dropped before a held-out share"
    )
    camera: Literal[2, 3] | None = Field(
        default=None,
        description="2 the left colour camera, 3 the right; unless set what the list has, and of"
        " drives the left",
    )
    standing: str = Field(
        default="",
        description="a list of frames in which the car stands still, left out of train, as"
        " SfMLearner's static_frames.txt; a relative path starts at the study file's folder",
    )
    partial: bool = Field(
        default=False, description="leave out, and count, frames that the disk does not have"
    )
    protocol: str = Field(default="", description="a name of nano.evaluate.protocol")

    def model_post_init(self, context: Any) -> None:
        """Choose the protocol that belongs to the truth where none is named."""
        if not self.protocol:
            object.__setattr__(self, "protocol", KITTI_PROTOCOLS[self.truth])


KITTI_PROTOCOLS = {
    "annotated": "eigen652-annotated",
    "single-scan": "kitti-single-scan",
    "raw": "eigen697-raw",
}

AnyTable = ScenesTable | KittiTable | DdadTable | NyuTable | FolderTable
DataTable = Annotated[AnyTable, Field(discriminator="set")]
TABLES: dict[str, type[AnyTable]] = {
    get_args(table.model_fields["set"].annotation)[0]: table for table in get_args(AnyTable)
}


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The three splits as frames at native size."""

    train: Source
    validation: Source
    test: Source


@dataclass(frozen=True, kw_only=True)
class Sets:
    """The three splits at the network's input size."""

    train: DepthSet
    validation: DepthSet
    test: DepthSet


def data_table(plain: Mapping[str, Any], where: str = "[data]") -> AnyTable:
    """Check a [data] table as TOML gives it; without ``set`` it is of scenes, as in a study.

    Raises:
        StudyError: An unknown set or key, a missing key or a value of another kind; names
            ``where``.
    """
    adapter: TypeAdapter[AnyTable] = TypeAdapter(DataTable)
    plain = {"set": "scenes", **plain}
    try:
        # By way of JSON, where strict types still admit a list for a tuple.
        return adapter.validate_json(json.dumps(plain), strict=True)
    except ValidationError as invalid:
        raise StudyError(f"{where}: {_explain(plain, invalid)}") from invalid


def sources(table: AnyTable, base: Path) -> Sources:
    """The splits that a table names; relative roots start at ``base``.

    Raises:
        DataError: Folders or frames are missing, or two splits share a drive.
    """
    return Sources(**{name: source(table, base, name) for name in SPLIT_NAMES})


def source(table: AnyTable, base: Path, split: SplitName, *, as_measured: bool = False) -> Source:
    """One split alone: an evaluation needs no training frames on its disk.

    Args:
        table: As `sources`.
        base: As `sources`.
        split: Which one. Only ``train`` is ever filled.
        as_measured: Not that one either: for what judges by training frames.

    Raises:
        DataError: As `sources`.
    """
    if isinstance(table, ScenesTable):
        count = getattr(table, split)
        return SceneSource(split=split, count=count, size=table.size, seed=table.seed)
    measured = _measured(table, base, split)
    if split != "train" or as_measured or fill_method(table) == "none":
        return measured
    return FilledSource(inner=measured, method=table.fill, label=_filled_label(table, base))


def _measured(
    table: KittiTable | DdadTable | NyuTable | FolderTable, base: Path, split: SplitName
) -> Source:
    if isinstance(table, KittiTable):
        return _kitti(table, base, split)
    root = root_of(base, table.root)
    if isinstance(table, DdadTable):
        return ddad_source(table, root, split)
    if isinstance(table, NyuTable):
        return nyu_source(root, split, table.splits)
    return folder_source(root, split)


def lacking(source: Source) -> dict[str, int]:
    """Frames of the split's list that have no truth on this disk and are not of the source.

    Returns:
        How many, by reason. KITTI's lists alone name frames; of other sets what is lacking is a
        frame of the source that cannot be read, or a scene whose frames nobody knows.
    """
    if not isinstance(source, KittiSource):
        return {}
    return dict(Counter(reason for _, reason in source.left_out))


def _filled_label(table: KittiTable | DdadTable | NyuTable | FolderTable, base: Path) -> str:
    """Names a folder of filled maps: KITTI's frames have the same names on every disk."""
    if isinstance(table, KittiTable):
        rule = "-legacy" if table.legacy else ""
        return f"kitti-{table.truth}{rule}-{table.fill}"
    root = root_of(base, table.root).resolve()
    return f"{table.set}-{root.name}-{short_hash(str(root))}-{table.fill}"


def truth_kind(table: AnyTable) -> str:
    """Kind of truth as far as the table says it; a folder's manifest says it instead."""
    if isinstance(table, ScenesTable):
        return "rendered"
    if isinstance(table, KittiTable):
        return table.truth
    return "any" if isinstance(table, FolderTable) else "sensor"


def bad_share(table: AnyTable) -> float:
    """The share of a split's frames that may be left out as unusable.

    None of KITTI's: its lists are compared with published numbers, frame by frame.
    """
    return 0.0 if isinstance(table, ScenesTable | KittiTable) else table.bad_share


def fill_method(table: AnyTable) -> str:
    """How depth to train on is filled; ``none`` where it is not."""
    return "none" if isinstance(table, ScenesTable) else table.fill


def prepare_sets(
    table: AnyTable,
    base: Path,
    cache: Path,
    *,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Sets:
    """The splits at the table's size, from the cache folder or made there.

    Args:
        table: What to prepare.
        base: Where relative roots start: the study file's folder.
        cache: Where caches live, see `nano.data.cache.default_cache`.
        workers: Processes that read or render.
        progress: Called with (split, frames done, frames in all) for what must be made.

    Raises:
        DataError: Missing or bad frames.
        OutputError: The cache cannot be written.
    """
    found = sources(table, base)

    def prepared(name: SplitName) -> DepthSet:
        report = None if progress is None else lambda done, total: progress(name, done, total)
        return prepare(
            getattr(found, name),
            table.size,
            cache,
            workers=workers,
            progress=report,
            bad_share=bad_share(table),
        )

    return Sets(**{name: prepared(name) for name in SPLIT_NAMES})


def check_splits(table: AnyTable) -> None:
    """Whether the splits can be told apart, as far as that is known without the data.

    Raises:
        DataError: An unknown list or drive, a drive that two splits share, or one of Eigen's test
            drives in ``train`` or ``validation``.
    """
    if isinstance(table, KittiTable):
        chosen = {"train": table.train, "validation": table.validation, "test": table.test}
        splits = {name: _drives(drives) for name, drives in chosen.items()}
        _refuse_shared_drives(splits)
        _refuse_test_drives({"train": splits["train"], "validation": splits["validation"]})


def protocol_changes(truth: str) -> dict[str, object]:
    """The keys of a KITTI table that a protocol's kind of truth decides, for the Eigen lists."""
    test = "eigen-test-annotated" if truth == "annotated" else "eigen-test"
    return {"truth": truth, "legacy": truth == "raw", "test": test}


def _explain(plain: Mapping[str, Any], invalid: ValidationError) -> str:
    first = invalid.errors()[0]
    if first["type"] == "union_tag_invalid":
        names = ", ".join(f'"{name}"' for name in TABLES)
        return f"set must be one of {names}, got {plain.get('set')!r}"
    model = TABLES[plain["set"]]
    key = str(first["loc"][1])  # after the union's tag
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; known keys: {', '.join(model.model_fields)}"
    if first["type"] == "missing":
        return f"{key} is missing: {model.model_fields[key].description}"
    return f"{key}: {first['msg']}, got {plain.get(key)!r}"


def root_of(base: Path, root: str) -> Path:
    """A root of a table; a relative one starts at ``base``."""
    return base / Path(root).expanduser()


def _kitti(table: KittiTable, base: Path, split: SplitName) -> KittiSource:
    named = (table.root,) if isinstance(table.root, str) else table.root
    roots = [root_of(base, root) for root in named]
    frames = _kitti_frames(table, roots, split)
    if table.standing and split == "train":
        frames = _moving(frames, root_of(base, table.standing))
    return KittiSource(
        roots,
        frames,
        truth=table.truth,
        name=f"kitti {split}",
        legacy=table.legacy,
        partial=table.partial,
    )


def _moving(frames: tuple[Frame, ...], path: Path) -> tuple[Frame, ...]:
    """The frames without those of a list in which the car stands still; says how many go."""
    standing = standing_frames(path)
    moving = tuple(frame for frame in frames if (frame.drive, frame.index) not in standing)
    if len(moving) == len(frames):
        raise DataError(
            f"{path}: lists {len(standing)} standing frames, none of which is among the"
            f" {len(frames)} training frames: another list, or other drives?"
        )
    log.warning(
        "kitti train: %d of %d frames left out: the car stands still, says %s",
        len(frames) - len(moving),
        len(frames),
        path,
    )
    return moving


def _kitti_frames(table: KittiTable, roots: list[Path], split: SplitName) -> tuple[Frame, ...]:
    check_splits(table)

    def frames(chosen: Drives) -> tuple[Frame, ...]:
        if isinstance(chosen, str):
            return listed_frames(chosen, table.camera)
        return drive_frames(roots, [Drive.parse(drive) for drive in chosen], table.camera or 2)

    if split == "test":
        return frames(table.test)
    if not isinstance(table.validation, float):
        return frames(table.train if split == "train" else table.validation)
    kept, held_out = hold_out(frames(table.train), table.validation, table.gap)
    return kept if split == "train" else held_out


def _drives(chosen: float | Drives) -> set[Drive]:
    if isinstance(chosen, float):
        return set()
    if not isinstance(chosen, str):
        return {Drive.parse(drive) for drive in chosen}
    if chosen not in SPLITS:
        raise DataError(
            f"unknown list of KITTI frames {chosen!r}; known: {', '.join(SPLITS)}; "
            'drives are given as a list, e.g. ["2011_09_26_drive_0001"]'
        )
    return {frame.drive for frame in SPLITS[chosen]()}


def hold_out(
    frames: tuple[Frame, ...], share: float, gap: int
) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    """Training frames kept, and the last ``share`` of each drive held out for validation.

    Whole consecutive stretches, not random frames: a random frame's neighbours, a tenth of a
    second away, would stay in training and the score would say little about new streets. The
    ``gap`` frames before the stretch belong to neither.

    Raises:
        DataError: Every drive is too short to hold out anything, or nothing is left to train on.
    """
    drives: dict[Drive, dict[int, list[Frame]]] = {}  # both cameras' images of an instant together
    for frame in sorted(frames):
        drives.setdefault(frame.drive, {}).setdefault(frame.index, []).append(frame)
    films = (list(instants.values()) for instants in drives.values())
    kept, held_out = (list(chain(*part)) for part in hold_out_ends(films, share, gap))
    if not kept or not held_out:
        part = "to train on" if not kept else "for validation"
        raise DataError(
            f"a held-out share of {share:g} with a gap of {gap} frames leaves nothing {part}: "
            f"the {len(drives)} training drives have {len(frames)} frames in all"
        )
    return tuple(kept), tuple(held_out)


def _refuse_shared_drives(splits: Mapping[str, set[Drive]]) -> None:
    owner: dict[Drive, str] = {}
    for split, drives in splits.items():
        for drive in sorted(drives):
            if drive in owner:
                raise DataError(
                    f"{drive.folder} is in both {owner[drive]} and {split}: what is judged must "
                    "not have been trained on or selected by"
                )
            owner[drive] = split


def _refuse_test_drives(splits: Mapping[str, set[Drive]]) -> None:
    """Whatever the study itself is judged by: its network may be compared with published ones."""
    for split, drives in splits.items():
        for drive in sorted(drives):
            if role(drive) == "test":
                raise DataError(
                    f"{drive.folder} is in {split}, but is one of the 28 test drives of Eigen et"
                    " al., by which every published result is judged; what has seen it cannot be"
                    " compared: leave it to test"
                )
