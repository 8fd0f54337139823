"""How many street scenes one core renders a second, building the world included.

    python -m benchmarks.scenes

CPU time of one thread. Each scene is rendered several times and its fastest run counts, so that
neighbours on the machine disturb the figure little; the texture tiles, made once a process, are
timed apart.
"""

from __future__ import annotations

import json
import time
from typing import Any

from nano.data.scenes import build_world, render_scene
from nano.data.scenes.texture import billows, grain, speckle

SIZES = ((96, 320), (64, 192), (192, 640))
ASKED = {"fps_96x320": ">= 80", "fps_64x192": ">= 180"}


def measure(scenes: int = 40, rounds: int = 5) -> dict[str, Any]:
    """Scenes a second and CPU milliseconds a scene at each size, and what a scene is made of."""
    began = time.process_time()
    for tile in (speckle, billows, grain):
        tile()
    figures: dict[str, Any] = {
        "scenes": scenes,
        "rounds": rounds,
        "tiles_ms": round(1e3 * (time.process_time() - began), 1),
    }
    for size in SIZES:
        seconds = _seconds_per_scene(size, scenes, rounds)
        name = f"{size[0]}x{size[1]}"
        figures[f"fps_{name}"] = round(1 / seconds, 1)
        figures[f"ms_{name}"] = round(1e3 * seconds, 2)
    worlds = [build_world(seed) for seed in range(scenes)]
    figures["solids"] = round(sum(len(world.solids) for world in worlds) / scenes, 1)
    figures["ellipsoids_and_cylinders"] = round(
        sum(len(world.rounds) for world in worlds) / scenes, 1
    )
    return figures


def _seconds_per_scene(size: tuple[int, int], scenes: int, rounds: int) -> float:
    fastest = [float("inf")] * scenes
    for _ in range(rounds):
        for seed in range(scenes):
            began = time.process_time()
            render_scene(seed, size)
            fastest[seed] = min(fastest[seed], time.process_time() - began)
    return sum(fastest) / scenes


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
