"""Procedural driving scenes with exact depth: the data set that needs no download."""

from __future__ import annotations

from nano.data.scenes.frame import Scene, render
from nano.data.scenes.street import build_world

__all__ = ["Scene", "build_world", "render", "render_scene"]


def render_scene(seed: int, size: tuple[int, int]) -> Scene:
    """The scene of a seed at a size of rows x columns.

    The seed alone decides the world; the size decides how finely it is seen.
    """
    return render(build_world(seed), size)
