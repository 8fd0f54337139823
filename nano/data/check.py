"""What a folder of data holds, in plain words, from a look at some of its frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nano.data.fit import fit
from nano.data.kitti_disk import size_text
from nano.data.pair_source import PairSource
from nano.data.pictures import evenly_spaced
from nano.data.sample import Sample, Source
from nano.data.sets import SPLIT_NAMES, AnyTable, source
from nano.errors import DataError

LOOKED_AT = 8  # frames of each split, evenly spaced
NAMED = 5  # files that a line names


def check_report(table: AnyTable, base: Path) -> str:
    """Frames of each split, sizes, depths and problems; nothing is written.

    Args:
        table: The [data] table that names the folder.
        base: Where relative roots start.

    Raises:
        DataError: No split can be opened, all for one reason: there is nothing to report on.
    """
    problems: list[str] = []
    lines: list[str] = []
    for split in SPLIT_NAMES:
        try:
            frames = source(table, base, split)
        except DataError as missing:
            problems.append(str(missing))
            lines.append(f"{split}: cannot be opened, see the problems")
            continue
        looked = evenly_spaced(len(frames), LOOKED_AT)
        lines.append(_split_line(frames, looked, table.size, problems))
        if isinstance(frames, PairSource):
            problems += _of_files(frames)
    problems = list(dict.fromkeys(problems))
    if len(problems) == 1 and all("cannot be opened" in line for line in lines):
        raise DataError(problems[0])
    found = f"problems: {len(problems)}" if problems else "no problems found"
    return "\n".join([*lines, "", found, *(f"- {problem}" for problem in problems)])


def _of_files(frames: PairSource) -> Iterator[str]:
    """What a listing shows without reading: files that belong to nothing, frames cut in half."""
    if frames.foreign:
        named = ", ".join(str(path) for path in frames.foreign[:NAMED])
        more = f" and {len(frames.foreign) - NAMED} more" if len(frames.foreign) > NAMED else ""
        yield f"{len(frames.foreign)} files are neither image nor depth, passed over: {named}{more}"
    yield from frames.incomplete[:NAMED]
    if len(frames.incomplete) > NAMED:
        yield f"{frames.name}: {len(frames.incomplete) - NAMED} more frames are incomplete"


def _split_line(
    frames: Source, looked: Sequence[int], size: tuple[int, int], problems: list[str]
) -> str:
    samples = list(_readable(frames, looked, size, problems))
    line = f"{frames.name}: {len(frames)} frames, {frames.truth} truth"
    if not samples:
        return f"{line}; none of {len(looked)} looked at can be used"
    sizes = sorted({size_text(sample.image.shape[:2]) for sample in samples})
    known = np.concatenate([sample.depth[sample.depth > 0] for sample in samples])
    share = known.size / sum(sample.depth.size for sample in samples)
    depths = "no known depth"
    if known.size:
        least, median, greatest = (float(q) for q in np.quantile(known, (0.0, 0.5, 1.0)))
        depths = (
            f"{least:.2f} to {greatest:.2f} m, median {median:.2f} m, {share:.1%} of pixels known"
        )
    return (
        f"{line}; of {len(looked)} looked at {len(samples)} are good: {', '.join(sizes)}; {depths}"
    )


def _readable(
    frames: Source, looked: Sequence[int], size: tuple[int, int], problems: list[str]
) -> Iterator[Sample]:
    for index in looked:
        try:
            sample = frames[index]
            fit(sample, size)
        except DataError as bad:
            problems.append(str(bad))
        else:
            yield sample
