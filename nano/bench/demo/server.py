"""The made-up Jetson behind a real ssh server, on loopback, for as long as it is asked for.

Commands that reach it are run by this machine's own shell, as this user, with the made-up tools
first on the path. Only the key of the temporary folder opens it, which only this user can read.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nano.bench.demo.device import NAME, Made, make
from nano.bench.remote import Remote
from nano.errors import InputError, MissingPackage

try:
    import asyncssh
except ImportError as missing:
    raise MissingPackage(
        "ssh:demo needs the package asyncssh: pip install 'depthnet-nano[demo]'"
    ) from missing

LOOPBACK = "127.0.0.1"
KEY = "ssh-ed25519"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHUNK = 65536
LAST_WORDS_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one of the commands that reach the server.

    Attributes:
        kind: ``cut`` (the connection), ``hang`` (no answer) or ``fail``.
        at: For ``cut``: not before the command has printed this; empty: before it runs.
        says: For ``fail``: what it prints; its exit code is 1.
    """

    kind: str
    at: bytes = b""
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A server that runs. ``commands`` is what reached it so far."""

    remote: Remote
    root: Path
    commands: list[str]


@contextmanager
def demo(made: Made | None = None, faults: Mapping[int, Fault] | None = None) -> Iterator[Demo]:
    """Serve a made-up device within the block.

    Args:
        made: What it is; default: one on which all goes well.
        faults: By the number of the command that they happen to, from 1 on.
    """
    with tempfile.TemporaryDirectory(prefix="nano-demo.") as name:
        folder = Path(name)
        make(folder / "root", made or Made())
        server = _Server(folder, faults or {})
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            server.ready.wait()
            if server.failed is not None:
                raise InputError(f"ssh:demo cannot listen on {LOOPBACK}: {server.failed}")
            remote = Remote(host=NAME, config=folder / "config")
            yield Demo(remote=remote, root=folder / "root", commands=server.commands)
        finally:
            if server.failed is None:
                server.end()
            thread.join()


class _Server:
    """The server, in an event loop of its own."""

    def __init__(self, folder: Path, faults: Mapping[int, Fault]) -> None:
        self.commands: list[str] = []
        self.ready = threading.Event()  # to serve, or failed
        self.failed: Exception | None = None
        self._folder, self._faults = folder, faults
        self._over = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve to the end, or keep the reason why not for whoever waits."""
        try:
            asyncio.run(self.serve())
        except (OSError, asyncssh.Error) as failed:
            self.failed = failed
        finally:
            self.ready.set()

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        host, user = asyncssh.generate_private_key(KEY), asyncssh.generate_private_key(KEY)
        key = self._folder / "key"
        key.touch(0o600)
        key.write_bytes(user.export_private_key())
        public = user.export_public_key().decode()
        listener = await asyncssh.listen(
            LOOPBACK,
            0,
            server_host_keys=[host],
            authorized_client_keys=asyncssh.import_authorized_keys(public),
            process_factory=self._serve,
            encoding=None,
        )
        async with listener:
            self._configure(listener.get_port(), host.export_public_key().decode())
            self.ready.set()
            await self._over.wait()
        if self._running:  # a command that was cut still undoes what it changed
            await asyncio.wait(self._running, timeout=LAST_WORDS_S)

    def end(self) -> None:
        """Stop serving."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)

    def _configure(self, port: int, host_key: str) -> None:
        known = self._folder / "known_hosts"
        known.write_text(f"[{LOOPBACK}]:{port} {host_key}")
        (self._folder / "config").write_text(
            f"Host {NAME}\n"
            f"HostName {LOOPBACK}\n"
            f"Port {port}\n"
            f"User {NAME}\n"
            f'IdentityFile "{self._folder / "key"}"\n'
            "IdentitiesOnly yes\n"
            "IdentityAgent none\n"
            f'UserKnownHostsFile "{known}"\n'
            "GlobalKnownHostsFile /dev/null\n"
        )

    async def _serve(self, process: Any) -> None:
        self.commands.append(process.command)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        fault = self._faults.get(len(self.commands), Fault(kind="none"))
        match fault:
            case Fault(kind="cut", at=b""):
                process.get_extra_info("connection").abort()
            case Fault(kind="hang"):
                await process.stdin.read()
            case Fault(kind="fail"):
                process.stderr.write(fault.says.encode())
                process.exit(1)
            case _:
                await self._run(process, fault.at)

    async def _run(self, process: Any, cut_at: bytes) -> None:
        root = self._folder / "root"
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": f"{root / 'bin'}:{PATH}", "HOME": str(root), "LANG": "C.UTF-8"},
            cwd=root,
        )
        feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
        cut = process.get_extra_info("connection").abort if cut_at else None
        await asyncio.gather(
            _copy(child.stdout, process.stdout, cut_at, cut), _copy(child.stderr, process.stderr)
        )
        code = await child.wait()
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding
        with suppress(OSError, asyncssh.Error):
            process.exit(code if code >= 0 else 128 - code)


async def _feed(reader: Any, writer: Any) -> None:
    """What comes by ssh goes to the command; the end of the connection is the end of its input."""
    with suppress(OSError, asyncssh.Error):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _copy(reader: Any, writer: Any, cut_at: bytes = b"", cut: Any = None) -> None:
    """What the command prints goes back; one who no longer listens is no reason to stop it."""
    seen = b""
    while chunk := await reader.read(CHUNK):
        seen += chunk
        if cut is not None and cut_at in seen:
            cut()
            cut = None
        with suppress(OSError, asyncssh.Error):
            writer.write(chunk)
