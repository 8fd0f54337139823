"""``python -m nano.report RUN``: rebuild trials.csv and report.html from a run's records.

    python -m nano.report runs/quick
    python -m nano.report runs/quick --json

Reads records only: it never trains or times, and is safe while a study is still running.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nano.console import Parser, run, say


def parser() -> Parser:
    """Options of the command."""
    options = Parser(
        prog="python -m nano.report",
        description="Rebuild a run's report.html and trials.csv from its records.",
    )
    options.add_argument("run", metavar="RUN", type=Path, help="the folder nano.explore wrote")
    options.add_argument(
        "--json", action="store_true", help="print the summary as one JSON object instead"
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files, then print the page's path and the headline."""
    options = parser().parse_args(arguments)
    from nano.report.findings import headline
    from nano.report.page import write_page
    from nano.report.run import read_run
    from nano.report.summary import summary
    from nano.report.tables import write_csv

    records = read_run(options.run)
    for problem in records.problems:
        say(f"note: {problem}")
    rows, page = write_csv(records), write_page(records)
    if options.json:
        paths = {"report": str(page), "trials_csv": str(rows)}
        print(json.dumps({**paths, **summary(records)}, indent=1, allow_nan=False))
    else:
        print(page)
        print(headline(records))
    return 0


if __name__ == "__main__":
    run(main)
