"""``python -m nano.report RUN``: rebuild trials.csv and report.html from a run's records.

    python -m nano.report runs/quick
    python -m nano.report runs/quick --json
    python -m nano.report table1
    python -m nano.report table2 measured.json

Reads records only: it never trains or times, and is safe while a study is still running. ``table1``
needs no run: it prints the costs that DepthNet Nano's Table 1 quotes for three networks beside what
torch counts on ours. ``table2`` prints the speeds that its Table 2 quotes beside those in the files
that ``python -m nano.bench ... --json`` wrote, or, where no file is named, in benchmarks/results.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nano.console import Parser, run, say
from nano.errors import InputError

TABLE1, TABLE2 = Path("table1"), Path("table2")  # a run of that name is told by its whole path


def parser() -> Parser:
    """Options of the command."""
    options = Parser(
        prog="python -m nano.report",
        description="Rebuild a run's report.html and trials.csv from its records; or print the"
        " costs of the paper's Table 1, quoted and counted, or the speeds of its Table 2, quoted"
        " and measured.",
    )
    options.add_argument(
        "run",
        metavar="RUN|table1|table2",
        type=Path,
        help="the folder nano.explore wrote; or a table's name",
    )
    options.add_argument(
        "measured",
        metavar="FILE",
        type=Path,
        nargs="*",
        help="table2: measurements, or folders of them (default: benchmarks/results)",
    )
    options.add_argument(
        "--json", action="store_true", help="print the summary, or the table, as one JSON object"
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files, then print the page's path and the headline."""
    options = parser().parse_args(arguments)
    if options.run == TABLE2:
        return print_table2(options.measured, json_wanted=options.json)
    if options.measured:
        raise InputError(f"{options.measured[0]}: only table2 takes files of measurements")
    if options.run == TABLE1:
        return print_table1(json_wanted=options.json)
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


def print_table1(*, json_wanted: bool) -> int:
    """Count the networks and print the table."""
    from nano.report.table1 import as_json, as_text, counted_rows

    rows = counted_rows()
    print(json.dumps(as_json(rows), indent=1) if json_wanted else as_text(rows))
    return 0


def print_table2(files: Sequence[Path], *, json_wanted: bool) -> int:
    """Read the measurements and print the table."""
    from nano.report.table2 import (
        as_json,
        as_text,
        kept_measurements,
        measured_rows,
        read_measurements,
    )

    rows = measured_rows(read_measurements(files) if files else kept_measurements())
    print(json.dumps(as_json(rows), indent=1) if json_wanted else as_text(rows))
    return 0


if __name__ == "__main__":
    run(main)
