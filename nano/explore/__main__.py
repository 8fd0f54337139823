"""``python -m nano.explore [STUDY.toml]``: from a study file to a chosen, trained network.

Without STUDY it runs studies/quick.toml: rendered street scenes, two cores, minutes. Rerunning a
command resumes. Results on stdout, progress on stderr.

Exit codes: 0 budget reached and a feasible design confirmed; 3 none feasible; 2 bad input;
130/143 interrupted and resumable; 1 a bug.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nano.console import Parser, positive, run
from nano.errors import InputError, StudyError


def parser() -> Parser:
    """The command line: says only how to run; what to run stands in the study file."""
    p = Parser(
        prog="python -m nano.explore",
        description="Search a compact depth network as a study file asks. Rerunning resumes.",
        epilog="Ctrl-C once stops cleanly, twice at once; the same command goes on.",
    )
    p.add_argument("study", nargs="?", type=Path, metavar="STUDY.toml", help="the experiment")
    p.add_argument("--trials", type=positive, metavar="N", help="trials in all (else the file's)")
    p.add_argument("--hours", type=_hours, metavar="H", help="start no new trial after H hours")
    p.add_argument("--workers", type=positive, metavar="W", help="processes (else one per core)")
    p.add_argument("--out", type=Path, metavar="DIR", help="run folder (else runs/NAME)")
    p.add_argument(
        "--storage", metavar="URL", help="Optuna storage (else SQLite in the run folder)"
    )
    p.add_argument("--join", action="store_true", help="add workers to a study that exists")
    instead = p.add_mutually_exclusive_group()
    instead.add_argument(
        "--dry-run", action="store_true", help="check, count and predict; train nothing"
    )
    instead.add_argument(
        "--export", type=Path, metavar="FILE", help="write the run and its study to one file"
    )
    instead.add_argument(
        "--import", type=Path, dest="bring", metavar="FILE", help="bring them from it: a new run"
    )
    shown = p.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="one JSON object per line on stdout")
    shown.add_argument("--quiet", action="store_true", help="only the summary")
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the study file, e.g. data.root=/data/kitti; may be repeated",
    )
    p.add_argument("--schema", action="store_true", help="print the study file's JSON schema")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, then import what is heavy, then explore."""
    options = parser().parse_args(arguments)
    if options.schema:
        from nano.explore.study import StudyFile

        print(json.dumps(StudyFile.model_json_schema(), indent=1))
        return 0
    if options.bring or (options.export and options.out):
        return carry(options, options.out)
    path = options.study or default_study()
    # The generator's matrices are small: threads of theirs would only take cores from trainings,
    # and wait for them: beside two busy processes fitting took thirty times as long with two.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from nano.explore.study import read_study

    study = read_study(path, options.set)
    if options.export:
        return carry(options, Path("runs") / study.name)
    if options.dry_run:
        from nano.explore.dryrun import dry_run

        return dry_run(
            study,
            path.resolve().parent,
            workers=options.workers,
            trials=options.trials,
            hours=options.hours,
            as_json=options.json,
        )
    from nano.explore.options import Options
    from nano.explore.run import explore

    return explore(
        study,
        Options(
            out=options.out or Path("runs") / study.name,
            base=path.resolve().parent,
            trials=options.trials,
            hours=options.hours,
            workers=options.workers,
            storage=options.storage,
            join=options.join,
            show=_show(options),
            command=sys.argv,
        ),
    )


def carry(options: argparse.Namespace, out: Path | None) -> int:
    """Export the run folder ``out`` to a file, or import one into it; tells what was done."""
    from nano.explore.carry import export_run, import_run
    from nano.explore.folder import RunFolder

    if options.bring and options.study:
        raise InputError(f"--import: the file says which study; leave {options.study} away")
    if options.export:
        assert out is not None
        done = export_run(RunFolder(path=out), options.storage, options.export)
        told = f"{done['trials']} trials of study {done['study']}: {done['file']}"
    else:
        done = import_run(options.bring, out, options.storage)
        where = done["folder"]
        told = f"{done['trials']} trials of study {done['study']}: {where}"
        told += f"\nnext: python -m nano.explore {where}/study.toml --out {where}"
        told += " --storage URL" if options.storage else ""
    print(json.dumps(done) if options.json else told)
    return 0


def default_study() -> Path:
    """studies/quick.toml of the clone that the package runs from.

    Raises:
        StudyError: The package was installed without its studies.
    """
    path = Path(__file__).resolve().parents[2] / "studies" / "quick.toml"
    if not path.exists():
        raise StudyError("no STUDY.toml given, and this installation has no studies/quick.toml")
    return path


def _show(options: argparse.Namespace) -> str:
    if options.json:
        return "json"
    if options.quiet:
        return "quiet"
    return "table" if sys.stderr.isatty() else "lines"


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours < float("inf"):
        raise InputError(f"{text!r} is no number of hours")
    return hours


if __name__ == "__main__":
    run(main)
