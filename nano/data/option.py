"""``--data SET | STUDY.toml`` of the commands, and how they tell of waiting."""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nano.console import positive, say
from nano.errors import StudyError

if TYPE_CHECKING:
    from nano.data.sample import DepthSet, Source
    from nano.data.sets import AnyTable

SECONDS_BETWEEN_LINES = 2.0
SETS_WITH_ROOT = ("kitti", "ddad", "nyu", "folder")  # sets that lie in folders of the user's
SETS = ("scenes", *SETS_WITH_ROOT)
SECONDS_WORTH_TELLING = 60.0  # less is over before it is read


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose data, the same for every command."""
    parser.add_argument(
        "--data",
        default="scenes",
        metavar="SET",
        help=f"{', '.join(SETS)}, or a study's TOML file",
    )
    add_place_options(parser)


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where data are, and where and how prepared."""
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        type=Path,
        help="the data's folder; for KITTI may be repeated",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="leave out, and count, KITTI frames or DDAD scenes that are not there",
    )
    parser.add_argument(
        "--cache", type=Path, help="where prepared data live (default: ~/.cache/depthnet-nano)"
    )
    parser.add_argument("--workers", type=positive, default=1, help="processes that prepare data")


def table_of(options: argparse.Namespace, **changes: object) -> tuple[AnyTable, Path]:
    """The [data] table that the options name, and the folder its relative roots start at.

    Args:
        options: With ``data`` and ``root``.
        changes: Keys of the table to set instead, e.g. ``size``.

    Raises:
        StudyError: No such study, one whose data is no table, or --root missing or out of place.
    """
    from nano.data.sets import data_table

    if options.data in SETS:
        plain: dict[str, object] = {"set": options.data}
        base = Path.cwd()
    else:
        plain, base = read_table(Path(options.data)), Path(options.data).resolve().parent
    if options.root:
        plain["root"] = _root(options, plain.get("set"))
    elif options.data in SETS_WITH_ROOT:
        raise StudyError(f"{options.data} needs --root FOLDER, where the data are")
    if options.partial:
        plain["partial"] = True
    plain |= {name: list(v) if isinstance(v, tuple) else v for name, v in changes.items()}
    where = "[data]" if options.data in SETS else f"{options.data}: [data]"
    return data_table(plain, where), base


def _root(options: argparse.Namespace, name: object) -> str | list[str]:
    """--root as the [data] table of set ``name`` wants it."""
    if name not in SETS_WITH_ROOT:
        raise StudyError(
            f"--root belongs to --data {' or '.join(SETS_WITH_ROOT)};"
            f" {options.data} needs no folder"
        )
    roots = [str(root.resolve()) for root in options.root]
    if name == "kitti":
        return roots
    if len(roots) > 1:
        raise StudyError(f"--root {roots[1]}: set {name} has one folder; {roots[0]} is given too")
    return roots[0]


def read_table(path: Path) -> dict[str, object]:
    """The [data] table of a study file, as it stands there; empty where it has none."""
    try:
        study = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise StudyError(
            f"{path}: no such file; expected a study's TOML file or one of {', '.join(SETS)}"
        ) from missing
    except OSError as unreadable:
        raise StudyError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    except ValueError as damaged:  # also bytes that are not UTF-8
        raise StudyError(f"{path}: not TOML: {damaged}") from damaged
    table = study.get("data", {})
    if not isinstance(table, dict):
        raise StudyError(f"{path}: data = {table!r} is no [data] table")
    return table


def prepared(options: argparse.Namespace, table: AnyTable, frames: Source) -> DepthSet:
    """Frames of the table's at its size, from the cache or made now, which is told.

    Raises:
        DataError: More bad frames than the table bears, or a damaged cache.
        OutputError: The cache cannot be written.
    """
    from nano.data.cache import default_cache, prepare
    from nano.data.sets import bad_share

    return prepare(
        frames,
        table.size,
        options.cache or default_cache(),
        workers=options.workers,
        progress=telling(frames.name),
        bad_share=bad_share(table),
    )


def telling(label: str, doing: str = "preparing") -> Callable[[int, int], None]:
    """A progress callback that says a line every few seconds, and one at the end."""
    started = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            seconds = (now - started) / done * (total - done)
            left = f", about {_duration(seconds)} left" if seconds > SECONDS_WORTH_TELLING else ""
            say(f"{doing} {label}: {done} of {total} frames{left}")

    return tell


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} hours"
