"""A split prepared once: memory maps at the network's size, named by what they hold.

``prepare`` reads or renders every frame of a source, brings it to the network's input size and
writes ``FOLDER/<hash>/`` with one .npy file per array and an index.json. The hash is that of the
source's identity, the size and the method, so every study that asks for the same frames shares
one cache, and changed frames never meet an old one. A cache is a copy of somebody's data: its
index says how the truth came about and on which terms they may be used.

A cache is whole or not there: it is written under another name and renamed at the end.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nano.data.arrays import Growing, checksum, load_array
from nano.data.fill_job import fill_frames
from nano.data.filled import FilledSource
from nano.data.fit import METHOD
from nano.data.locks import alone
from nano.data.readers import LISTED, Bad, bad_frames, frames
from nano.data.sample import DepthSet, Intrinsics, Source, Truth
from nano.errors import DataError
from nano.files import (
    canonical_json,
    from_plain,
    read_json,
    short_hash,
    sync_folder,
    unwritable,
    write_json,
)

VERSION = 3  # of the files' layout
FILLED = "filled"  # where a cache folder keeps filled maps

log = logging.getLogger(__name__)

_ELSEWHERE = (
    "prepared data may live elsewhere: --cache FOLDER, or XDG_CACHE_HOME in the environment"
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ArrayEntry:
    """What index.json says of one array file."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    shape: tuple[int, ...]
    dtype: str
    bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Index:
    """index.json: what a cache holds and how to tell that it is whole."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    version: int
    key: str
    name: str
    truth: str
    protocol: str
    licence: str
    size: tuple[int, int]
    method: str
    identity: dict[str, Any]
    names: tuple[str, ...]
    arrays: dict[str, ArrayEntry]
    left_out: tuple[str, ...]  # of each frame that could not be used, why
    checksum: str = ""  # of all of the above

    def sealed(self) -> Index:
        """The same with the checksum that belongs to it."""
        return replace(self, checksum=short_hash(canonical_json(replace(self, checksum=""))))

    def named(self) -> str:
        """The key that belongs to what was prepared; as `cache_key`."""
        return _key(self.size, self.method, self.name, self.truth, self.identity)


def default_cache() -> Path:
    """Where caches live unless another folder is given: ``$XDG_CACHE_HOME/depthnet-nano``."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return root / "depthnet-nano"


def cache_key(source: Source, size: tuple[int, int]) -> str:
    """The name of the folder that holds ``source`` at ``size``: a hash of all that decides it."""
    return _key(size, METHOD, source.name, source.truth, source.identity())


def _key(
    size: tuple[int, int], method: str, name: str, truth: str, identity: Mapping[str, Any]
) -> str:
    what = {
        "version": VERSION,
        "method": method,
        "size": size,
        "name": name,
        "truth": truth,
        "identity": identity,
    }
    return short_hash(canonical_json(what))


def prepare(
    source: Source,
    size: tuple[int, int],
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    bad_share: float = 0.0,
) -> DepthSet:
    """The whole source at ``size`` (height, width), from ``folder`` or made there.

    The result is the same for any number of workers. Two processes that prepare the same cache
    do the work once: the second waits for the first. Frames to be filled are filled first, each
    kept in a file under ``folder``: that is the long part, and it goes on where it stopped.

    Args:
        source: Frames to read or render; picklable when ``workers`` > 1.
        size: Height and width of the network's input.
        folder: Where caches live; made when missing.
        workers: Processes, each with one thread. With more than one, the program's main module
            must be importable without side effects (it is started anew in each).
        progress: Called with (frames done, frames in all) while a cache is made.
        bad_share: Share of the frames that may be bad. They are left out, said, and listed in the
            cache, so that a later call says it again.

    Raises:
        DataError: More bad frames than that, all of them listed; or what stands in the cache's
            place is damaged.
        OutputError: The cache cannot be written, a full disk for example.
    """
    if len(source) == 0:
        raise DataError(f"{source.name}: holds no frames, so there is nothing to prepare")
    key = cache_key(source, size)
    place = folder / key
    if not place.exists():
        with alone(folder / f".{key}.lock", _ELSEWHERE):
            if not place.exists():  # another process may have made it while this one waited
                if isinstance(source, FilledSource):
                    source = replace(source, folder=folder / FILLED / source.label)
                    fill_frames(source, workers=workers, progress=progress, bad_share=bad_share)
                _make(source, size, place, workers, progress, bad_share)
    left_out = _read_index(place).left_out  # an earlier call may have allowed more
    if left_out:
        told = bad_frames(source, left_out, bad_share)
        if len(left_out) > bad_share * len(source):
            raise DataError(told)
        log.warning("%s", told)
    return open_cache(place)


def open_cache(place: Path) -> DepthSet:
    """The split in the cache folder ``place``, memory mapped, after checking that it is whole.

    Sizes and headers are checked to the byte; contents wholly up to 16 MiB a file, by evenly
    spaced blocks beyond that, so that opening costs milliseconds for any data set.

    Raises:
        DataError: A foreign, older, truncated or altered cache; the message says what to delete.
    """
    index = _read_index(place)
    arrays = {name: _open_array(place, name, entry) for name, entry in index.arrays.items()}
    _check_shapes(place, index, arrays)
    return DepthSet(
        name=index.name,
        truth_kind=index.truth,
        names=index.names,
        left_out=len(index.left_out),
        intrinsics=arrays["intrinsics"],
        images=arrays["images"],
        depth=arrays["depth"],
        truth=Truth(
            sizes=arrays["truth_sizes"],
            offsets=arrays["truth_offsets"],
            index=arrays["truth_index"],
            depth=arrays["truth_depth"],
        ),
    )


ARRAYS = (
    "images",
    "depth",
    "truth_sizes",
    "truth_offsets",
    "truth_index",
    "truth_depth",
    "intrinsics",
)
UNKNOWN = (math.nan,) * 4  # intrinsics that nobody states


def _read_index(place: Path) -> Index:
    if not place.is_dir():
        raise DataError(f"{place}: no cache there; `python -m nano.data prepare` makes one")
    plain = read_json(place / "index.json", lambda text: _unusable(place, text))
    version = plain.get("version") if isinstance(plain, dict) else None
    if version != VERSION:
        raise _unusable(place, f"its layout is version {version}, this program's is {VERSION}")
    index = from_plain(Index, plain, str(place / "index.json"), lambda text: _unusable(place, text))
    if not place.name == index.key == index.named() or set(index.arrays) != set(ARRAYS):
        raise _unusable(place, "it was renamed, or put together from several caches")
    if index.checksum != index.sealed().checksum:
        raise _unusable(place, "its index.json was altered")
    return index


def _check_shapes(place: Path, index: Index, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse arrays that are whole but do not belong together, or not to the index."""
    images, (height, width) = len(index.names), index.size
    expected = {
        "images": (images, 3, height, width),
        "depth": (images, height, width),
        "truth_sizes": (images, 2),
        "truth_offsets": (images + 1,),
        "truth_depth": arrays["truth_index"].shape,
        "intrinsics": (images, 4),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise _unusable(place, f"{name}.npy is {arrays[name].shape}, expected {shape}")
    if arrays["truth_offsets"][-1] != len(arrays["truth_index"]):
        raise _unusable(place, "truth_offsets.npy does not end where truth_index.npy does")


def _open_array(place: Path, name: str, entry: ArrayEntry) -> NDArray[Any]:
    path = place / f"{name}.npy"
    try:
        found = path.stat().st_size
        if found != entry.bytes:
            raise _unusable(place, f"{path.name} has {found} bytes, expected {entry.bytes}")
        if checksum(path) != entry.checksum:
            raise _unusable(place, f"the contents of {path.name} were altered")
        array = load_array(path)
    except FileNotFoundError as missing:
        raise _unusable(place, f"{path.name} is missing") from missing
    except (OSError, ValueError) as damaged:
        raise _unusable(place, f"{path.name} cannot be read: {damaged}") from damaged
    if array.shape != entry.shape or array.dtype.str != entry.dtype:
        raise _unusable(place, f"{path.name} holds {array.dtype.str} {array.shape}")
    return array


def _unusable(place: Path, reason: str) -> DataError:
    return DataError(
        f"{place}: this cache cannot be used: {reason}. Delete that folder; it is made again."
    )


def _make(
    source: Source,
    size: tuple[int, int],
    place: Path,
    workers: int,
    progress: Progress | None,
    bad_share: float,
) -> None:
    """Write all frames under a temporary name beside ``place`` and rename it there."""
    for left_over in place.parent.glob(f".{place.name}.*.part"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a killed process: the lock is ours
    part: Path | None = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
        part.chmod(0o755)  # mkdtemp makes 0700; a cache may be shared
        names, entries, bad = _write_frames(source, size, part, workers, progress, bad_share)
        index = Index(
            version=VERSION,
            key=place.name,
            name=source.name,
            truth=source.truth,
            protocol=source.provenance.protocol,
            licence=source.provenance.licence,
            size=size,
            method=METHOD,
            identity=source.identity(),
            names=names,
            arrays=entries,
            left_out=bad,
        )
        if index.named() != place.name:
            raise DataError(f"{source.name}: files changed while they were read; start again")
        write_json(part / "index.json", index.sealed())
        part.replace(place)
        sync_folder(place.parent)
    except OSError as error:
        raise unwritable(place, error) from error
    finally:
        if part is not None and part.exists():
            shutil.rmtree(part, ignore_errors=True)


def _write_frames(
    source: Source,
    size: tuple[int, int],
    part: Path,
    workers: int,
    progress: Progress | None,
    bad_share: float,
) -> tuple[tuple[str, ...], dict[str, ArrayEntry], tuple[str, ...]]:
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    intrinsics: list[Intrinsics] = []
    offsets = [0]
    bad: list[str] = []
    allowed = bad_share * len(source)
    with (
        Growing(part / "images.npy", np.uint8, (3, *size)) as images,
        Growing(part / "depth.npy", np.float16, size) as depth,
        Growing(part / "truth_index.npy", np.int32, ()) as truth_index,
        Growing(part / "truth_depth.npy", np.float32, ()) as truth_depth,
        closing(frames(source, size, workers)) as all_frames,
    ):
        for done, frame in enumerate(all_frames, start=1):
            if isinstance(frame, Bad):
                bad.append(frame.reason)
            elif len(bad) <= allowed:  # after one too many the rest is only looked at
                images.append(frame.image)
                depth.append(frame.depth)
                truth_index.append(frame.index)
                truth_depth.append(frame.truth)
                names.append(frame.name)
                sizes.append(frame.native)
                intrinsics.append(frame.intrinsics or UNKNOWN)
                offsets.append(offsets[-1] + len(frame.index))
            if progress is not None:
                progress(done, len(source))
            if len(bad) == done > max(allowed, LISTED - 1):
                raise DataError(_hopeless(source, bad))
    if len(bad) > allowed:
        raise DataError(bad_frames(source, bad, bad_share))
    np.save(part / "truth_sizes.npy", np.asarray(sizes, dtype=np.int32))
    np.save(part / "truth_offsets.npy", np.asarray(offsets, dtype=np.int64))
    np.save(part / "intrinsics.npy", np.asarray(intrinsics, dtype=np.float32))
    entries = {name: _entry(part / f"{name}.npy") for name in ARRAYS}
    return tuple(names), entries, tuple(bad)


def _hopeless(source: Source, bad: Sequence[str]) -> str:
    """Units, a calibration or a whole set that is wrong shows at once, not after hours."""
    return (
        f"{source.name}: none of the first {len(bad)} of {len(source)} frames can be used:\n  "
        + "\n  ".join(bad[:LISTED])
    )


def _entry(path: Path) -> ArrayEntry:
    """Describe a finished array file and make sure that it is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    array = load_array(path)
    return ArrayEntry(
        shape=array.shape,
        dtype=array.dtype.str,
        bytes=path.stat().st_size,
        checksum=checksum(path),
    )
