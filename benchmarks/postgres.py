"""A PostgreSQL of one's own on loopback, and a network to it that can be cut; for tests, too."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

PASSWORD = "s3cret"


def programs() -> Path | None:
    """Folder of PostgreSQL's server programs: Debian keeps them off the path."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin")]
    found = shutil.which("postgres")
    places += [Path(found).resolve().parent] if found else []
    return next((place for place in places if (place / "initdb").exists()), None)


def missing() -> str | None:
    """Why there can be no server here, for a skip."""
    if programs() is None:
        return "no PostgreSQL server here: apt-get install postgresql"
    try:
        import_module("psycopg")  # its own library may be missing, too
    except ImportError:
        return "no psycopg here: pip install 'depthnet-nano[postgres]'"
    return None


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """It refuses to run as root, so root runs it as ``postgres``, or else as ``nobody``."""

    def __init__(self, *, fsync: bool = False) -> None:
        found = programs()
        assert found is not None, missing()
        self.programs = found
        self.port = free_port()
        memory = Path("/dev/shm")  # initdb writes a thousand files
        in_memory = not fsync and os.access(memory, os.W_OK)
        self.folder = Path(
            tempfile.mkdtemp(prefix="nano-postgres-", dir=memory if in_memory else None)
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            names = {user.pw_name for user in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", "data", "-U", "nano", "-A", "scram-sha-256", "--no-sync",
                  "--pwfile=password", "-E", "UTF8", "--locale=C")  # fmt: skip
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n")
            # In the folder, where no kill leaves it behind.
            settings.write("dynamic_shared_memory_type = mmap\n")
            settings.write(f"unix_socket_directories = ''\nfsync = {'on' if fsync else 'off'}\n")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", "data"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,
            )
        for _ in range(600):
            ready = subprocess.run(
                [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                check=False,
            )
            if ready.returncode == 0:
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            threading.Event().wait(0.05)
        raise AssertionError("it never answered")

    def kill(self) -> None:
        """Kill the server and its backends at once, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            # What a backend that outlived it for an instant still holds, a new server waits for.
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
            self.process = None

    def make(self, database: str) -> str:
        """A new database; returns its URL, with the password."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "nano", database)
        return self.url(database)

    def url(self, database: str, *, port: int | None = None, password: str = PASSWORD) -> str:
        """Of a database, with a password."""
        return f"postgresql://nano:{password}@127.0.0.1:{port or self.port}/{database}"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Relay:
    """Passes bytes to a server's port until it is cut, as a network is."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._pairs: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def mend(self) -> None:
        """Let connections through."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        self._begin(self._accept, listener)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        if self._listener is not None:
            # shutdown wakes the thread that waits in accept; close alone would not
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            self._threads.pop(0).join()  # it begins no more pairs
        for one in self._pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._pairs:
            one.close()
        self._pairs, self._threads = [], []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                self._pairs.append(near)
                far = socket.create_connection(("127.0.0.1", self.target))
                self._pairs.append(far)
            except OSError:
                return
            for source, sink in ((near, far), (far, near)):
                self._begin(self._pass, source, sink)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(target: int) -> Iterator[Relay]:
    """A relay to a port while the block lasts."""
    one = Relay(target)
    one.mend()
    try:
        yield one
    finally:
        one.cut()
