"""Make a small record of a real run, to ship: what reports and notebooks read, and no more.

    python -m nano.explore
    python -m benchmarks.record runs/quick studies/recorded

Trials keep their evaluation, curves only if the design was trained to the end; panels keep their
first rows, in fewer colours. Paths of the machine are cut to the file's name. A README beside
the record is left as it is.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from nano.console import Parser, run
from nano.errors import InputError
from nano.files import read_json, to_plain, write_bytes, write_text
from nano.report.findings import reference, state
from nano.report.run import Run, read_run

_WHOLE = ("study.toml", "trials.csv")
_BEST = ("design.json", "metrics.json", "model.safetensors")
_ROWS = 2  # frames of a panel that are kept
_COLOURS = 160
# Of nano.data.pictures: the line of titles, a tile with its text, and what stands below the rows.
_TOP, _ROW, _FOOTER = 40, 126, 74


def parser() -> Parser:
    """The command line."""
    options = Parser(prog="python -m benchmarks.record", description="A small record of a run.")
    options.add_argument("run", metavar="RUN", type=Path, help="the folder nano.explore wrote")
    options.add_argument("to", metavar="FOLDER", type=Path, help="where the record goes")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the record and print its size."""
    options = parser().parse_args(arguments)
    source = read_run(options.run)
    if source.problems:
        raise InputError(f"{options.run}: not whole, so not to be shipped: {source.problems[0]}")
    record(source, options.to)
    size = sum(path.stat().st_size for path in options.to.rglob("*") if path.is_file())
    print(f"{options.to}: {size / 1000:.0f} kB")
    return 0


def record(source: Run, to: Path) -> None:
    """Write the small part of a run folder."""
    for part in ("trials", "confirm", "best"):
        shutil.rmtree(to / part, ignore_errors=True)
    for name in _WHOLE:
        write_bytes(to / name, (source.folder / name).read_bytes())
    about = read_json(source.folder / "run.json")
    _write(
        to / "run.json", {**about, "commands": [without_folders(one) for one in about["commands"]]}
    )
    for evaluation in source.evaluations:
        home = Path("trials", f"{evaluation.number:04d}")
        _write(to / home / "evaluation.json", to_plain(evaluation))
        if state(evaluation) == "complete":
            write_bytes(to / home / "curve.csv", (source.folder / home / "curve.csv").read_bytes())
    for confirmation in source.confirmations:
        _write(to / "confirm" / confirmation.key / "confirmation.json", to_plain(confirmation))
    for name in _BEST:
        write_bytes(to / "best" / name, (source.folder / "best" / name).read_bytes())
    panels = [Path("best", "panel.png")]
    start = reference(source)
    if start is not None and start.confirmed:
        panels.append(Path("confirm", start.key, "seed-0", "panel.png"))
    for panel in panels:
        write_bytes(to / panel, smaller((source.folder / panel).read_bytes()))


def _write(path: Path, plain: Any) -> None:
    write_text(path, json.dumps(plain, separators=(",", ":"), allow_nan=False) + "\n")


def without_folders(command: dict[str, Any]) -> dict[str, Any]:
    """A recorded command without the machine's folders."""
    first, *rest = command["argv"]
    inside = PurePath(*PurePath(first).parts[-3:])  # nano/explore/__main__.py
    cut = [PurePath(word).name if PurePath(word).is_absolute() else word for word in rest]
    return {**command, "argv": [str(inside), *cut]}


def smaller(panel: bytes) -> bytes:
    """The first rows of a panel and its scales, in fewer colours."""
    picture = Image.open(io.BytesIO(panel)).convert("RGB")
    width, height = picture.size
    kept = _TOP + _ROWS * _ROW
    small = Image.new("RGB", (width, kept + _FOOTER))
    small.paste(picture.crop((0, 0, width, kept)), (0, 0))
    small.paste(picture.crop((0, height - _FOOTER, width, height)), (0, kept))
    file = io.BytesIO()
    coded = small.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    coded.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    run(main)
