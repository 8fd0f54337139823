"""nyu_depth_v2_labeled.mat: the 1449 labelled frames as their authors publish them (HDF5).

Silberman, Hoiem, Kohli, Fergus (2012). ``depths`` are the maps whose holes were filled, which
published accuracies are measured on; splits.mat says which frames train (795) and test (654).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nano.data.pairs import Pair
from nano.data.sample import Intrinsics, Provenance, Sample
from nano.errors import DataError, MissingPackage

if TYPE_CHECKING:
    import h5py

LICENCE = (
    "NYU Depth v2 (Silberman, Hoiem, Kohli, Fergus 2012): published for research, with credit; "
    "its authors state no licence"
)
SIZE = (480, 640)
# Of the colour camera, from the authors' toolbox (camera_params.m), which counts pixels from 1.
INTRINSICS: Intrinsics = (518.85790117450188, 519.46961112127485, 324.58244941, 252.73616633)
LABELLED = "nyu_depth_v2_labeled.mat"
SPLITS = "splits.mat"
_LISTS = {"train": "trainNdxs", "test": "testNdxs"}  # MATLAB's numbers, which start at 1


@dataclass(frozen=True, kw_only=True)
class MatSource:
    """A `nano.data.sample.Source` over frames of the .mat, which each read opens anew.

    Attributes:
        name: For captions.
        root: The folder of the .mat.
        frames: Their numbers, from 1 as in splits.mat.
    """

    name: str
    root: Path
    frames: tuple[int, ...]

    @property
    def truth(self) -> str:
        """Kind of truth."""
        return "sensor"

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read one frame.

        Raises:
            DataError: The file is damaged, or is another one.
            MissingPackage: h5py is not installed.
        """
        number = self.frames[index]
        with _opened(self.root / LABELLED) as file:
            # MATLAB stores columns first: 3 x width x height, and width x height.
            image = np.asarray(file["images"][number - 1]).transpose(2, 1, 0)
            depth = np.asarray(file["depths"][number - 1]).T
        return Sample(
            name=f"{number:04d}",
            image=np.ascontiguousarray(image),
            depth=np.ascontiguousarray(depth, dtype=np.float32),
            intrinsics=INTRINSICS if depth.shape == SIZE else None,
        )

    @property
    def provenance(self) -> Provenance:
        """What a cache of the frames says of them."""
        return Provenance(protocol="NYU Depth v2 labelled, holes filled; metres", licence=LICENCE)

    def identity(self) -> dict[str, Any]:
        """What names the cache: the file by size and time of change, and the frames."""
        status = (self.root / LABELLED).stat()
        return {
            "set": "nyu",
            "file": f"{LABELLED} {status.st_size} {status.st_mtime_ns}",
            "frames": list(self.frames),
        }


def mat_frames(root: Path) -> tuple[Pair, ...]:
    """Every frame of the two lists, in folders called train and test, named by its number.

    Raises:
        DataError: splits.mat is missing or damaged, or does not fit the frames.
        MissingPackage: h5py is not installed.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    path = root / SPLITS
    try:
        with path.open("rb") as opened:
            lists = loadmat(opened)
    except FileNotFoundError as missing:
        raise DataError(
            f"{path}: no such file: it comes with {LABELLED} and says which frames train and test"
        ) from missing
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as damage:
        raise DataError(f"{path}: cannot be read: {damage}; copy it again") from damage
    with _opened(root / LABELLED) as file:
        count = len(file["images"])
    frames = []
    for folder, key in _LISTS.items():
        numbers = np.ravel(lists.get(key, np.empty(0))).astype(int)
        if not len(numbers) or numbers.min() < 1 or numbers.max() > count:
            raise DataError(
                f"{path}: {key} does not name frames from 1 to {count}, which {LABELLED} holds"
            )
        frames += [Pair(folder=folder, name=f"{n:04d}", images=(), depths=()) for n in numbers]
    return tuple(sorted(frames, key=lambda frame: (frame.folder, frame.name)))


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        import h5py
    except ImportError as missing:
        raise MissingPackage(
            f"{path}: reading it needs h5py: pip install 'depthnet-nano[nyu]'"
        ) from missing
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, TypeError, IndexError) as damage:
        raise DataError(
            f"{path}: cannot be read as the labelled NYU set: {damage}; it may be truncated: copy "
            "it again"
        ) from damage
