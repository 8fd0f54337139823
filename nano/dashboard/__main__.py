"""``python -m nano.dashboard RUN|URL``: Optuna's dashboard of a study, in the browser.

    python -m nano.dashboard runs/quick
    python -m nano.dashboard runs/shared --storage postgresql://HOST/DB

Shows what is there, also while the study runs, and writes nothing: infeasible trials are drawn
apart, the card shows the best feasible trial, each trial has its files, the study its note.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nano.console import Parser, natural, run, say
from nano.errors import InputError, RunError

if TYPE_CHECKING:
    from nano.dashboard.shelf import Shelf
    from nano.dashboard.view import View


def parser() -> Parser:
    """Options of the command."""
    options = Parser(
        prog="python -m nano.dashboard",
        description="Optuna's dashboard of a run, in the browser; it only reads.",
        epilog="Ctrl-C ends it. It listens on this machine alone, unless --host says otherwise.",
    )
    options.add_argument(
        "run", metavar="RUN|URL", help="the folder nano.explore wrote, or an Optuna storage"
    )
    options.add_argument(
        "--storage", metavar="URL", help="where RUN's study is kept (else RUN/study.db)"
    )
    options.add_argument(
        "--port", type=_port, default=8080, metavar="N", help="default 8080; 0 takes a free one"
    )
    options.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)"
    )
    return options


def _port(text: str) -> int:
    if natural(text) > 65535:
        raise InputError(f"--port {text}: ports go up to 65535")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the studies, print the address, answer until Ctrl-C."""
    options = parser().parse_args(arguments)
    from nano.dashboard.server import application, is_loopback, listen

    view, shelf, start = opened(options.run, options.storage)
    app = application(view, shelf, host=options.host)
    with listen(app, options.host, options.port) as server:
        if not is_loopback(options.host):
            say(
                f"warning: everybody who reaches {options.host} can read this; there is no password"
            )
        print(f"http://{options.host}:{server.server_port}/dashboard{start}", flush=True)
        say("Ctrl-C ends it")
        server.serve_forever()
    return 0


def opened(place: str, storage: str | None) -> tuple[View, Shelf | None, str]:
    """The view of a run or a storage, the run's files, and the page to begin with.

    Raises:
        RunError: There is no study, or it cannot be read.
    """
    from optuna.storages import get_storage

    from nano.dashboard.shelf import Shelf
    from nano.dashboard.view import View
    from nano.explore.database import open_storage
    from nano.explore.folder import RunFolder
    from nano.explore.said import redacted

    if "://" in place:
        if storage:
            raise InputError("--storage goes with a run folder; a URL says already where it is")
        folder, url = None, place
    else:
        folder = RunFolder(path=Path(place))
        if not folder.path.is_dir():
            raise RunError(f"{place}: no such folder; give a run's folder or a storage's URL")
        url = folder.storage_url_or(storage)
    name = str(folder.run().get("study", "")) if folder else ""
    shelf = Shelf(folder.path) if folder and name else None
    view = View(get_storage(open_storage(url, create=False)), shelf, name)
    studies = view.ours()
    if not studies:
        raise RunError(f"{place if folder else redacted(url)}: holds no study of nano.explore")
    if not name:
        return view, shelf, f"/studies/{studies[0]._study_id}" if len(studies) == 1 else ""
    try:
        return view, shelf, f"/studies/{view.get_study_id_from_name(name)}"
    except KeyError as missing:
        told = reprlib.repr(name)
        raise RunError(
            f"{place}: is of study {told}, which that storage does not hold"
        ) from missing


if __name__ == "__main__":
    run(main)
