"""Images and the depth maps that belong to them, matched by their place and name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nano.data.manifest import NAME
from nano.errors import DataError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
DEPTH_ENDINGS = (".png", ".npy", ".npz")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One frame: the files that carry its name, which should be one of each kind.

    Attributes:
        folder: Below the images' folder, ``.`` for that folder itself.
        name: What image and depth map share.
        images: Image files of that name.
        depths: Depth maps of that name.
    """

    folder: str
    name: str
    images: tuple[Path, ...]
    depths: tuple[Path, ...]

    @property
    def label(self) -> str:
        """For messages and tables: folder and name."""
        return self.name if self.folder == "." else f"{self.folder}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Where one half of the pairs lies, and how its files are called.

    Attributes:
        root: Folder, searched to any depth.
        names: A file's name without its ending, ``{name}`` being the shared part.
        endings: Of the files, lower case.
    """

    root: Path
    names: str
    endings: tuple[str, ...]

    def shared_name(self, file: str) -> str | None:
        """The shared part of a file's name, or None for a file of another kind."""
        stem, ending = Path(file).stem, Path(file).suffix
        before, _, after = self.names.partition(NAME)
        if ending.lower() not in self.endings or len(stem) < len(before) + len(after):
            return None
        fits = stem.startswith(before) and stem.endswith(after)
        return stem[len(before) : len(stem) - len(after)] if fits else None


def find_pairs(images: Kind, depths: Kind) -> tuple[tuple[Pair, ...], tuple[Path, ...]]:
    """All frames in order of folder and name, also those that lack one half; and foreign files.

    Hidden files are passed over. Where both kinds share a folder, a file that fits both is of
    the kind whose pattern says more; where one lies below the other, its files are its own.

    Raises:
        DataError: A folder is missing or cannot be listed.
    """
    shared = images.root == depths.root
    depth_first = shared and len(depths.names) >= len(images.names)
    found: dict[tuple[str, str], tuple[list[Path], list[Path]]] = {}
    foreign: list[Path] = []
    for kind, other, which in ((images, depths, 0), (depths, images, 1)):
        yields = shared and depth_first == (which == 0)  # to the other kind
        for folder, file in _files(kind.root):
            path = kind.root / folder / file
            if kind.root in other.root.parents and other.root in path.parents:
                continue
            name = kind.shared_name(file)
            if name is None or (yields and other.shared_name(file) is not None):
                foreign.append(path)
            else:
                found.setdefault((folder, name), ([], []))[which].append(path)
    claimed = {path for halves in found.values() for half in halves for path in half}
    pairs = tuple(
        Pair(folder=key[0], name=key[1], images=tuple(halves[0]), depths=tuple(halves[1]))
        for key, halves in sorted(found.items(), key=lambda item: _natural("\0".join(item[0])))
    )
    return pairs, tuple(path for path in dict.fromkeys(foreign) if path not in claimed)


def whole(pair: Pair, images: Kind, depths: Kind) -> tuple[Path, Path]:
    """The image and the depth map of a frame.

    Raises:
        DataError: One is missing, or there are several; says which, and where one would belong.
    """
    for kind, files, other, what in (
        (images, pair.images, pair.depths, "image"),
        (depths, pair.depths, pair.images, "depth map"),
    ):
        if not files:
            name = kind.names.replace(NAME, pair.name)
            expected = Path(os.path.normpath(kind.root / pair.folder / name))
            raise DataError(
                f"{other[0]}: has no {what}: expected {expected} with the ending "
                f"{_either(kind.endings)}; add it or remove the other half"
            )
        if len(files) > 1:
            also = ", ".join(str(path) for path in files[1:])
            raise DataError(f"{files[0]}: one {what} too many for its frame: also {also}; keep one")
    return pair.images[0], pair.depths[0]


def in_folder(pair: Pair, folder: str) -> bool:
    """Whether the frame lies in ``folder`` or below it; ``.`` holds every frame."""
    wanted = os.path.normpath(folder)
    return wanted == "." or pair.folder == wanted or pair.folder.startswith(wanted + "/")


def _files(root: Path) -> Iterator[tuple[str, str]]:
    """(folder below the root, file) of every file; symbolic links are followed, once."""
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for place, folders, files in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(place).relative_to(root).as_posix()
        yield from ((below, name) for name in sorted(files) if not name.startswith("."))


def _natural(text: str) -> list[tuple[int, str]]:
    """Sorts frame_9 before frame_10: a film's frames must stand in the order of time."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", text)
    ]


def _either(endings: Sequence[str]) -> str:
    return " or ".join(endings)
