"""Check, prepare and preview data.

python -m nano.data scenes --preview scenes.png                 rendered streets and their depth
python -m nano.data kitti --check /data/kitti                   what a folder has, what it lacks
python -m nano.data folder --check /data/mine                   likewise, of your own images
python -m nano.data prepare studies/quick.toml                  make a study's caches beforehand
python -m nano.data fill /data/kitti --out /data/filled         dense depth maps of all its frames
python -m nano.data fill studies/my-kitti.toml                  those a study trains on
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nano.console import Parser, natural, parse_size, positive, run, say, share
from nano.data.option import add_place_options, prepared, read_table, table_of, telling
from nano.errors import InputError, StudyError

if TYPE_CHECKING:
    from nano.data.filled import FilledSource

METHODS = ("levin", "levin-half", "linear", "nearest")  # of nano.data.fill, which is slow to load
TRUTHS = ("annotated", "single-scan", "raw")  # of nano.data.kitti

CHECKED = {
    "ddad": "DDAD, or another set in DGP format",
    "nyu": "NYU Depth v2",
    "folder": "images and depth of your own, with a manifest.toml",
}


def parser() -> Parser:
    """The options."""
    main_parser = Parser(
        prog="python -m nano.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main_parser.add_subparsers(dest="command", required=True)
    scenes = commands.add_parser("scenes", help="render scenes and look at them")
    scenes.add_argument(
        "--preview", type=Path, metavar="PNG", required=True, help="write a picture"
    )
    scenes.add_argument("--size", type=parse_size, default=(96, 320), help="default: 96x320")
    scenes.add_argument("--count", type=positive, default=4, help="scenes in the picture")
    scenes.add_argument("--seed", type=natural, default=0)
    for name, told in CHECKED.items():
        checked = commands.add_parser(name, help=f"tell what a folder has: {told}")
        checked.add_argument(
            "--check", type=Path, metavar="ROOT", required=True, help=f"the folder with {told}"
        )
    kitti = commands.add_parser("kitti", help="tell what KITTI folders have, lack and mislay")
    kitti.add_argument(
        "--check",
        type=Path,
        nargs="+",
        metavar="ROOT",
        required=True,
        help="folders that hold drives, in any of KITTI's layouts (docs/kitti.md shows them)",
    )
    prepare = commands.add_parser("prepare", help="make a study's caches")
    prepare.add_argument("--preview", type=Path, metavar="PNG", help="write a picture of frames")
    prepare.add_argument(
        "data", metavar="STUDY", help="a study's TOML file, or a set such as scenes"
    )
    add_place_options(prepare)
    add_fill_options(commands.add_parser("fill", help="fill sparse depth maps; rerun to resume"))
    return main_parser


def add_fill_options(fill: argparse.ArgumentParser) -> None:
    """What to fill, how, and within what."""
    fill.add_argument(
        "places",
        type=Path,
        nargs="+",
        metavar="PLACE",
        help="a study's TOML file, or KITTI folders",
    )
    fill.add_argument("--out", type=Path, metavar="DIR", help="where maps of KITTI folders go")
    fill.add_argument("--method", choices=METHODS, help="of KITTI folders; default: levin")
    fill.add_argument("--truth", choices=TRUTHS, help="of KITTI folders; default: annotated")
    fill.add_argument("--cache", type=Path, help="where a study's prepared data live")
    fill.add_argument("--workers", type=positive, help="processes; default: one a core")
    fill.add_argument(
        "--memory", type=positive, metavar="GB", help="for all of them; default: 80 %% of the free"
    )
    fill.add_argument(
        "--bad-share",
        type=share,
        default=0.01,
        help="end with an error when more of the frames are bad; default: 0.01",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    match options.command:
        case "scenes":
            preview_scenes(options)
        case "kitti":
            from nano.data.kitti import check_report

            print(check_report(options.check))
        case "prepare":
            prepare_study(options)
        case "fill":
            fill_maps(options)
        case name:
            from nano.data.check import check_report as check_set
            from nano.data.sets import data_table

            plain = {"set": name, "root": str(options.check.resolve())}
            table = data_table(plain | ({"partial": True} if name == "ddad" else {}))
            print(check_set(table, Path.cwd()))
    return 0


def preview_scenes(options: argparse.Namespace) -> None:
    """Render a few scenes and write a picture of images and depth."""
    import tempfile

    from nano.data.cache import prepare
    from nano.data.pictures import preview
    from nano.data.scene_source import SceneSource
    from nano.files import write_bytes

    source = SceneSource(split="train", count=options.count, size=options.size, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(source, options.size, Path(folder))
        write_bytes(options.preview, preview(data, range(len(data))))
    print(options.preview)


def prepare_study(options: argparse.Namespace) -> None:
    """Make the caches of the three splits and say where they are."""
    from nano.data.cache import cache_key, default_cache
    from nano.data.pictures import evenly_spaced, preview
    from nano.data.sets import SPLIT_NAMES, source
    from nano.files import write_bytes
    from nano.memory import keep_freed_memory

    keep_freed_memory()
    table, base = table_of(options)
    folder = options.cache or default_cache()
    for split in SPLIT_NAMES:
        frames = source(table, base, split)
        data = prepared(options, table, frames)
        print(f"{data.caption}: {folder / cache_key(frames, table.size)}")
        if split == "train" and options.preview:
            write_bytes(options.preview, preview(data, evenly_spaced(len(data), 4)))


def fill_maps(options: argparse.Namespace) -> None:
    """Fill what was asked for; say where the maps are, and which frames have none and why."""
    from nano.data.fill_job import fill_frames
    from nano.data.readers import bad_frames

    if options.places[0].suffix == ".toml":
        source = source_of_study(options)
    else:
        source = source_of_folders(options)
    report = fill_frames(
        source,
        workers=options.workers,
        memory=options.memory and options.memory * 10**9,
        bad_share=options.bad_share,
        progress=telling(source.name, "filling"),
    )
    if report.bad:
        say(bad_frames(source, report.bad))
    maps = report.filled + report.kept
    print(f"{source.folder}: {maps} of {len(source)} maps, {report.filled} of them new")


def source_of_study(options: argparse.Namespace) -> FilledSource:
    """The training frames of the study's file, with the folder that its cache looks into."""
    from dataclasses import replace

    from nano.data.cache import FILLED, default_cache
    from nano.data.filled import FilledSource
    from nano.data.sets import data_table, source

    study, *more = options.places
    given = {"another place": more, "--out": options.out, "--method": options.method}
    for name, value in (given | {"--truth": options.truth}).items():
        if value:
            raise StudyError(f"{study} says what to fill, and how: leave out {name}")
    table = data_table(read_table(study), f"{study}: [data]")
    frames = source(table, study.resolve().parent, "train")
    if not isinstance(frames, FilledSource):
        raise StudyError(
            f'{study}: [data] asks for no filling; set fill = "levin", or another method'
        )
    return replace(frames, folder=(options.cache or default_cache()) / FILLED / frames.label)


def source_of_folders(options: argparse.Namespace) -> FilledSource:
    """Every left image of the folders that has truth of the kind."""
    from nano.data.filled import FilledSource
    from nano.data.kitti import KittiSource, drive_frames

    if options.out is None:
        raise InputError("to fill KITTI folders say where the maps go: --out DIR")
    truth, method = options.truth or "annotated", options.method or "levin"
    frames = drive_frames(options.places)
    inner = KittiSource(options.places, frames, truth=truth, partial=True)
    label = f"kitti-{truth}-{method}"
    return FilledSource(inner=inner, method=method, label=label, folder=options.out)


if __name__ == "__main__":
    run(main)
