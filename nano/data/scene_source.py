"""Rendered street scenes as a source: nothing to download, depth exact, any number of frames."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from nano.data.sample import Provenance, Sample
from nano.data.scenes import render_scene
from nano.seeds import derive_seed

WITNESSES = 4  # scenes whose pixels stand for the renderer in a cache's name


@dataclass(frozen=True, kw_only=True)
class SceneSource:
    """Scenes of one split; each split has seeds of its own, so none shares a scene with another.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        count: Number of scenes.
        size: Height and width they are rendered at: the network's input, so nothing is resized.
        seed: Another seed, other scenes.
    """

    split: str
    count: int
    size: tuple[int, int]
    seed: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        seed = derive_seed("scene", self.split, self.seed, index)
        scene = render_scene(seed, self.size)
        return Sample(
            name=f"{self.split}-{index:05d}",
            image=scene.image,
            depth=scene.depth,
            intrinsics=scene.intrinsics,
        )

    @property
    def name(self) -> str:
        """For captions."""
        return f"scenes {self.split} (seed {self.seed})"

    @property
    def truth(self) -> str:
        """Exact, from the renderer."""
        return "rendered"

    @property
    def provenance(self) -> Provenance:
        """What a cache of the scenes says of them."""
        return Provenance(protocol="rendered, exact; metres", licence="rendered here: free to use")

    def identity(self) -> dict[str, Any]:
        """Split, count, size, seed, and a hash of rendered pixels.

        The hash makes a changed renderer, or a machine whose arithmetic differs, ask for a cache
        of its own: nobody has to remember to raise a version number.
        """
        digest = hashlib.sha256()
        for index in range(min(WITNESSES, self.count)):
            sample = self[index]
            digest.update(sample.image.tobytes())
            digest.update(sample.depth.tobytes())
        return {
            "set": "scenes",
            "split": self.split,
            "count": self.count,
            "size": list(self.size),
            "seed": self.seed,
            "pixels": digest.hexdigest(),
        }
