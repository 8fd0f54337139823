"""What the inquisitor learned, in terms a person can use: what widening each part would change."""

from __future__ import annotations

import numpy as np

from nano.design.kinds import AnyDesign
from nano.explore.inquisitor import Inquisitor
from nano.explore.levels import Levels
from nano.records import Lesson, Lessons

WIDENED = 1.1  # by how much a part is widened


def lessons(inquisitor: Inquisitor, levels: Levels, around: AnyDesign) -> Lessons:
    """What is expected of a design when one part of it gets a tenth wider.

    Costs are exact, delta1 is the inquisitor's expectation. A module too narrow to grow by a tenth
    grows by one channel.

    Args:
        inquisitor: Of the study.
        levels: Of the study's genomes.
        around: The design that is varied.
    """
    genome = np.array([levels.caps.prototype.nearest_genome(around)], np.int64)
    names = [name for name in levels.groups if not name.endswith("depth")]
    rows = np.repeat(genome, len(names) + 1, axis=0)
    for row, name in enumerate(names, start=1):
        columns = levels.groups[name]
        widths = rows[row, columns]
        wider = np.maximum(np.rint(widths * WIDENED).astype(np.int64), widths + 1)
        rows[row, columns] = np.where(widths > 0, wider, 0)
    delta1, _ = inquisitor.foresee(rows).accuracy()
    cost = levels.cost(rows)
    found = [
        Lesson(
            part=name,
            delta1=float(delta1[row] - delta1[0]),
            params=float(cost.params[row] / cost.params[0] - 1),
            macs=float(cost.macs[row] / cost.macs[0] - 1),
        )
        for row, name in enumerate(names, start=1)
    ]
    return Lessons(key=around.key, read=inquisitor.read, noise=inquisitor.noise, parts=tuple(found))
