"""Check, prepare and preview data.

python -m nano.data scenes --preview scenes.png                 rendered streets and their depth
python -m nano.data kitti --check /data/kitti                   what a folder has, what it lacks
python -m nano.data folder --check /data/mine                   likewise, of your own images
python -m nano.data prepare studies/quick.toml                  make a study's caches beforehand
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nano.console import Parser, natural, parse_size, positive, run
from nano.data.option import add_place_options, table_of, telling

CHECKED = ("ddad", "nyu", "folder")


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
    for name in CHECKED:
        checked = commands.add_parser(name, help=f"read some frames of a {name} root, tell of them")
        checked.add_argument("--check", type=Path, metavar="ROOT", required=True)
    kitti = commands.add_parser("kitti", help="tell what KITTI folders have and lack")
    kitti.add_argument("--check", type=Path, nargs="+", metavar="ROOT", required=True)
    prepare = commands.add_parser("prepare", help="make a study's caches")
    prepare.add_argument("--preview", type=Path, metavar="PNG", help="write a picture of frames")
    prepare.add_argument(
        "data", metavar="STUDY", help="a study's TOML file, or a set such as scenes"
    )
    add_place_options(prepare)
    return main_parser


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
    from nano.data.cache import cache_key, default_cache, prepare
    from nano.data.pictures import evenly_spaced, preview
    from nano.data.sets import SPLIT_NAMES, bad_share, source
    from nano.files import write_bytes

    table, base = table_of(options)
    folder = options.cache or default_cache()
    for split in SPLIT_NAMES:
        frames = source(table, base, split)
        told = telling(frames.name)
        data = prepare(
            frames,
            table.size,
            folder,
            workers=options.workers,
            progress=told,
            bad_share=bad_share(table),
        )
        print(f"{data.caption}: {folder / cache_key(frames, table.size)}")
        if split == "train" and options.preview:
            write_bytes(options.preview, preview(data, evenly_spaced(len(data), 4)))


if __name__ == "__main__":
    run(main)
