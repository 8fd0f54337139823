"""The server: optuna-dashboard's pages over a view, for reading, and for this machine alone."""

from __future__ import annotations

import errno
import json
import logging
import sys
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.exceptions import StorageInternalError

from nano.dashboard.shelf import Shelf
from nano.dashboard.view import View
from nano.errors import InputError, MissingPackage
from nano.explore.said import said

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_DETAIL = "/api/studies/<study_id:int>"
_ARTIFACTS = "/artifacts/"
# Files of a run folder may be somebody else's: what is opened from there reaches nothing.
_CAGE = "sandbox allow-scripts; default-src 'none'; img-src data:; "
_CAGE += "style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def application(view: View, shelf: Shelf | None, *, host: str) -> WSGIApplication:
    """The dashboard as a WSGI application that only reads.

    Args:
        view: The studies.
        shelf: Their artifacts, if any are at hand.
        host: Where it will listen; on loopback no page of another name is answered.

    Raises:
        MissingPackage: optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ModuleNotFoundError as missing:
        raise MissingPackage(
            "needs optuna-dashboard: pip install -c constraints.txt -e '.[dashboard]'"
        ) from missing
    app = wsgi(view, artifact_store=shelf)
    app.install(_Mended())
    logging.getLogger("optuna_dashboard._bottle_util").addFilter(_ONE_LINE)
    return _guarded(app, local=is_loopback(host))


class _Mended:
    """A Bottle plugin: no crown where nothing is feasible, and a word for what is gone."""

    api = 2
    name = "mended"

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        from bottle import HTTPError

        def answer(*args: Any, **more: Any) -> Any:
            try:
                found = callback(*args, **more)
            except ArtifactNotFound as gone:
                return HTTPError(404, f"no such artifact: {gone}")
            except KeyError as unknown:  # the storage's word for a study that it has not
                return HTTPError(404, f"no such study: {unknown}")
            except StorageInternalError as lost:
                return HTTPError(503, _unread(lost))
            if route.rule == _DETAIL and isinstance(found, dict) and "best_trials" in found:
                found["best_trials"] = [t for t in found["best_trials"] if _is_feasible(t)]
            return found

        return answer


class _OneLine(logging.Filter):
    """A storage that is lost while we answer is one line a look, not a traceback of the page's."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # the page logs where it has caught
        if isinstance(error, StorageInternalError):
            record.msg, record.args = _unread(error), ()
        return True


_ONE_LINE = _OneLine()  # one object: a logger takes each filter once


def _unread(error: StorageInternalError) -> str:
    return f"the storage cannot be read: {said(error)}"


def _is_feasible(trial: dict[str, Any]) -> bool:
    return all(margin <= 0 for margin in trial["constraints"])


def _guarded(app: WSGIApplication, *, local: bool) -> WSGIApplication:
    """Refuse to write, and to answer pages that reached us under a name of their own."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if environ["PATH_INFO"].startswith(_ARTIFACTS):
                headers = [h for h in headers if h[0] != "Access-Control-Allow-Origin"]
                headers += [("Content-Security-Policy", _CAGE)]
                headers += [("X-Content-Type-Options", "nosniff")]
            return start(status, headers, *more)

        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refusal(start, "this page only reads; optuna-dashboard itself can write notes")
        if local and not is_loopback(_name(environ.get("HTTP_HOST", ""))):
            return _refusal(start, "ask for it as 127.0.0.1 or localhost")
        return app(environ, begin)

    return answer


def _name(host: str) -> str:
    """Of a Host header, without its port; nothing of one that is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _refusal(start: StartResponse, reason: str) -> list[bytes]:
    start("403 Forbidden", [("Content-Type", "application/json")])
    return [json.dumps({"reason": reason}).encode()]


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request: a slow figure holds up nothing else."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the page asks for itself every few seconds."""


def listen(app: WSGIApplication, host: str, port: int) -> Server:
    """The server, listening; ``serve_forever`` answers.

    Raises:
        InputError: The port is taken or forbidden, or the host is none of this machine's.
    """
    try:
        return make_server(host, port, app, server_class=Server, handler_class=_Silent)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} of {host} is in use; choose another: --port N, or --port 0 for any"
            ) from error
        raise InputError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from error
