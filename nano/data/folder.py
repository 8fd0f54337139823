"""A person's own images and depth maps: a folder with a manifest, no code.

/data/mine/manifest.toml
/data/mine/images/train/0001.jpg        any folders below, any names
/data/mine/depth/train/0001.png         the same place and name; .png (16 bit), .npy or .npz
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from nano.data.hold_out import hold_out_ends
from nano.data.manifest import MANIFEST, Manifest, SplitsTable, read_manifest
from nano.data.pair_source import PairSource, first_size
from nano.data.pairs import DEPTH_ENDINGS, IMAGE_ENDINGS, Kind, Pair, find_pairs, in_folder
from nano.errors import DataError

_NAMED = 5  # folders that a message lists


def folder_source(root: Path, split: str) -> PairSource:
    """One split of a folder with a manifest.

    Args:
        root: The folder that holds the manifest.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: The manifest is missing or wrong, folders are missing, or the split is empty.
    """
    manifest = read_manifest(root)
    images, depths = _kinds(root, manifest)
    pairs, foreign = find_pairs(images, depths)
    return PairSource(
        name=f"folder {root.resolve().name} {split}",
        truth=manifest.truth,
        images=images,
        depths=depths,
        pairs=split_pairs(pairs, manifest.splits, split, f"{root / MANIFEST}: [splits]"),
        foreign=foreign,
        metres_per_unit=manifest.metres_per_unit,
        range_m=manifest.range_m,
        usual=None if manifest.mixed_sizes else first_size(pairs),
        licence=manifest.licence,
        intrinsics=manifest.intrinsics,
    )


def split_pairs(
    pairs: Sequence[Pair], splits: SplitsTable, split: str, where: str
) -> tuple[Pair, ...]:
    """The frames of one split.

    Args:
        pairs: All frames, in order.
        splits: Folders and shares.
        split: Which one.
        where: What states the splits, for messages.

    Raises:
        DataError: The split has no frame, or a frame is in two splits.
    """
    chosen = {"train": _below(pairs, splits.train)}
    for name, wanted in (("test", splits.test), ("validation", splits.validation)):
        if isinstance(wanted, float):
            films = [list(film) for _, film in groupby(chosen["train"], lambda pair: pair.folder)]
            chosen["train"], chosen[name] = hold_out_ends(films, wanted, splits.gap)
        else:
            chosen[name] = _below(pairs, wanted)
    _refuse_shared(chosen, where)
    if not chosen[split]:
        wanted = getattr(splits, split)
        folders = sorted({pair.folder for pair in pairs})
        more = f" and {len(folders) - _NAMED} more" if len(folders) > _NAMED else ""
        raise DataError(
            f"{where} {split} = {_text(wanted)} (gap {splits.gap}) leaves no frame of "
            f"{len(pairs)}; folders with frames: {', '.join(folders[:_NAMED]) or 'none'}{more}"
        )
    return tuple(chosen[split])


def _kinds(root: Path, manifest: Manifest) -> tuple[Kind, Kind]:
    images = Kind(root=root / manifest.images, names=manifest.image_names, endings=IMAGE_ENDINGS)
    depths = Kind(root=root / manifest.depth, names=manifest.depth_names, endings=DEPTH_ENDINGS)
    if images.root == depths.root and images.names == depths.names:
        raise DataError(
            f"{root / MANIFEST}: images and depth maps share the folder {manifest.images} and the "
            f'names "{images.names}": state depth_names, e.g. "{{name}}_depth"'
        )
    for key, kind in (("images", images), ("depth", depths)):
        if not kind.root.is_dir():
            raise DataError(
                f'{kind.root}: no such folder: make it, or state {key} = "..." in {root / MANIFEST}'
            )
    return images, depths


def _below(pairs: Sequence[Pair], folders: Sequence[str]) -> list[Pair]:
    return [pair for pair in pairs if any(in_folder(pair, folder) for folder in folders)]


def _refuse_shared(chosen: dict[str, list[Pair]], where: str) -> None:
    owner: dict[tuple[str, str], str] = {}
    for split, pairs in chosen.items():
        for pair in pairs:
            key = pair.folder, pair.name
            if key in owner:
                raise DataError(
                    f"{where} {pair.label} is in both {owner[key]} and {split}: what is "
                    "judged must not have been trained on or selected by"
                )
            owner[key] = split


def _text(wanted: float | Sequence[str]) -> str:
    return f"{wanted:g}" if isinstance(wanted, float) else str(list(wanted))
