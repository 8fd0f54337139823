"""Images and metres: one frame from a source, and a whole split as arrays."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# One fixed normalisation for every data set, so that a network's input never depends on which
# one it was trained on: about zero mean and unit variance for daylight road images in [0, 1].
INPUT_MEAN = 0.45
INPUT_STD = 0.25


Intrinsics = tuple[float, float, float, float]  # fx, fy, cx, cy in pixels


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a copy of somebody's data must carry with it.

    Attributes:
        protocol: How the truth came about: its kind, its rule, its units.
        licence: Whose the data are, and on which terms.
    """

    protocol: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One frame at its native size.

    Attributes:
        name: Identifies the frame in messages and per-image tables.
        image: uint8, height x width x 3, RGB.
        depth: float32, height x width, metres along the camera's axis; 0 where unknown.
        filled: float32, height x width, metres, known everywhere: what training sees where depth
            is unknown. Never truth. None for training on what is known.
        intrinsics: fx, fy, cx, cy in pixels, (0, 0) being the middle of the first pixel; None where
            nobody states them.
    """

    name: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    filled: NDArray[np.float32] | None = None
    intrinsics: Intrinsics | None = None


@runtime_checkable  # the tests execute annotations
class Source(Protocol):
    """Where frames come from: rendered, or read from a disk. Picklable, random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    @property
    def name(self) -> str:
        """For messages and captions, e.g. ``scenes validation``."""

    @property
    def truth(self) -> str:
        """Kind of truth: ``rendered``, ``annotated``, ``raw``, ``single-scan``, ``sensor``."""

    @property
    def provenance(self) -> Provenance:
        """What a cache of the frames says of them."""

    def identity(self) -> dict[str, Any]:
        """Plain data that changes whenever any frame would: names the cache."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Valid truth of a split at native sizes, flat: mixed sizes and sparse maps cost no padding.

    Attributes:
        sizes: int32, N x 2, height and width of each native map.
        offsets: int64, N + 1; image i owns entries ``offsets[i]:offsets[i + 1]``.
        index: int32, M, row * width + column of each valid pixel, ascending per image.
        depth: float32, M, metres.
    """

    sizes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    index: NDArray[np.int32]
    depth: NDArray[np.float32]

    def of(self, i: int) -> tuple[tuple[int, int], NDArray[np.int32], NDArray[np.float32]]:
        """(height, width), flat pixel indices and metres of image ``i``."""
        part = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        height, width = (int(side) for side in self.sizes[i])
        return (height, width), self.index[part], self.depth[part]


@dataclass(frozen=True, kw_only=True)
class DepthSet:
    """One split at the network's input size, usually memory mapped.

    Attributes:
        name: For captions, e.g. ``scenes validation``.
        truth_kind: As `Source.truth`.
        names: One per image.
        images: uint8, N x 3 x H x W.
        depth: float16, N x H x W, metres, 0 where unknown: what training sees, perhaps filled.
        truth: At native sizes: what evaluation compares with.
        left_out: Frames of the split that could not be used and are not among these.
        intrinsics: float32, N x 4, fx, fy, cx, cy of each image at this size, (0, 0) being the
            middle of the first pixel; NaN where unknown, None where no image has any.
    """

    name: str
    truth_kind: str
    names: tuple[str, ...]
    images: NDArray[np.uint8]
    depth: NDArray[np.float16]
    truth: Truth
    left_out: int = 0
    intrinsics: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @property
    def caption(self) -> str:
        """Name, number of images and size, e.g. ``scenes validation, 400 images at 64x192``."""
        height, width = self.size
        unusable = f" ({self.left_out} unusable left out)" if self.left_out else ""
        return f"{self.name}, {len(self)} images at {height}x{width}{unusable}"

    @property
    def fingerprint(self) -> str:
        """Short hash of the names and a few frames: equal captions can hide other pixels."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for place in sorted({0, len(self) // 3, 2 * len(self) // 3, len(self) - 1}):
            digest.update(self.images[place].tobytes())
            digest.update(self.depth[place].tobytes())
        return digest.hexdigest()[:12]


def network_input(images: torch.Tensor) -> torch.Tensor:
    """uint8 images B x 3 x H x W as the float32 the networks read: (x / 255 - mean) / std."""
    return images.float().mul_(1 / (255 * INPUT_STD)).sub_(INPUT_MEAN / INPUT_STD)


def borrowed(array: NDArray[Any]) -> torch.Tensor:
    """A tensor over the array's own memory, to be read only: a memory map cannot be written."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(np.asarray(array))
