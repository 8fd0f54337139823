"""Commands and files on another machine, by the system's own ssh.

So the user's ssh configuration, agent, jump hosts and known hosts are what counts, and no password
or key passes through this program: ssh is told never to ask (BatchMode), and a host whose key is
unknown or has changed is refused, never learned. Arguments reach the other side's shell quoted.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nano.errors import InputError
from nano.files import parse_json

CONNECT_S = 10
ALIVE_S, ALIVE_COUNT = 5, 3  # a connection without an answer for 15 s is lost
OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    f"ConnectTimeout={CONNECT_S}",
    f"ServerAliveInterval={ALIVE_S}",
    f"ServerAliveCountMax={ALIVE_COUNT}",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "RemoteCommand=none",  # the user's own may name a shell or tmux
    "UpdateHostKeys=no",  # known hosts are read, never written
)
HOST = re.compile(r"(?!-)[\w.@:%-]+", re.ASCII)  # nothing that ssh could take for an option
SSH_FAILED = 255  # ssh's own exit code; a command's is passed through
MOST_CHARACTERS = 300  # of what a device said, in one line of error

HINTS = (  # what OpenSSH says, and what a person can do about it
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is not the one in known_hosts: another machine answers, or it was "
        "reinstalled. If you know that it was: ssh-keygen -R HOST, then log in once by hand",
    ),
    (
        "Host key verification failed",
        "its host key is not in known_hosts, and is never added unseen: compare the fingerprint "
        "on the device (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) in one `ssh HOST`",
    ),
    (
        "Permission denied",
        "it accepts none of your keys, and passwords are never asked for: ssh-copy-id HOST",
    ),
    ("Could not resolve hostname", "no such host: check the name, or ~/.ssh/config"),
    ("Connection refused", "no ssh server answers there: check the address and the port"),
    ("Connection timed out", "nothing answers there: is it on, and on this network?"),
    ("No route to host", "nothing answers there: is it on, and on this network?"),
    ("Bad configuration option", "your ~/.ssh/config has an option that this ssh does not know"),
)
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
FULL = "No space left on device"


class RemoteError(InputError):
    """A machine that cannot be reached, or does not do what it was asked for."""


class Busy(RemoteError):
    """Somebody else uses the machine now."""


class ConnectionLost(RemoteError):
    """The machine could be reached before, or never; what ran there is not known to have ended."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A host as ssh knows it.

    Attributes:
        host: A name of ~/.ssh/config, or [USER@]ADDRESS.
        config: A configuration file in place of the user's.
    """

    host: str
    config: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what ssh could read as something else than a host."""
        if not HOST.fullmatch(self.host):
            raise InputError(f"{self.host!r} is no host: write ssh:NAME or ssh:USER@ADDRESS")

    def run(self, *words: str, timeout_s: float, stdin: bytes = b"") -> Done:
        """Run a command there and wait for its end.

        Raises:
            ConnectionLost: It could not be reached, the connection broke, or there was no end
                within ``timeout_s``.
        """
        try:
            done = subprocess.run(
                self._ssh(words), input=stdin, capture_output=True, timeout=timeout_s
            )
        except subprocess.TimeoutExpired as late:
            raise self._late(words, timeout_s) from late
        except FileNotFoundError as missing:
            raise _no_ssh() from missing
        return self._done(done.returncode, text_of(done.stdout), text_of(done.stderr))

    def put(self, content: bytes, path: str, *, timeout_s: float) -> None:
        """Write a file there, readable by its owner only; its sum is the caller's to check.

        Raises:
            RemoteError: It cannot be written; a full disk is told as such.
        """
        command = f"umask 077; exec cat > {shlex.quote(path)}"
        done = self.run("sh", "-c", command, timeout_s=timeout_s, stdin=content)
        if done.code:
            if FULL in done.err:
                raise RemoteError(f"{self.host}: {path}: the disk is full there")
            raise RemoteError(f"{self.host}: {path}: cannot be written: {one_line(done.err)}")

    @contextmanager
    def talk(self, *words: str, timeout_s: float) -> Iterator[Talk]:
        """Run a command whose input stays open: its end tells the other side that we are gone."""
        try:
            process = subprocess.Popen(
                self._ssh(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as missing:
            raise _no_ssh() from missing
        talk = Talk(process, lambda: self._late(words, timeout_s), self._done)
        alarm = threading.Timer(timeout_s, talk.give_up)
        alarm.start()
        try:
            yield talk
        finally:
            alarm.cancel()
            talk.close()

    def _ssh(self, words: Sequence[str]) -> list[str]:
        chosen = ["-F", str(self.config)] if self.config else []
        options = [part for option in OPTIONS for part in ("-o", option)]
        command = " ".join(shlex.quote(word) for word in words)
        return ["ssh", "-T", *chosen, *options, "--", self.host, command]

    def _done(self, code: int, out: str, err: str) -> Done:
        if code == SSH_FAILED:
            hints = [hint.replace("HOST", self.host) for sign, hint in HINTS if sign in err]
            raise ConnectionLost(f"{self.host}: {hints[0] if hints else _broken(err)}")
        return Done(code=code, out=out, err=err)

    def _late(self, words: Sequence[str], timeout_s: float) -> ConnectionLost:
        return ConnectionLost(f"{self.host}: {words[0]} did not end within {timeout_s:g} s")


class Talk:
    """A command under way on the other machine."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        late: Callable[[], ConnectionLost],
        done: Callable[[int, str, str], Done],
    ) -> None:
        self._process, self._late, self._done = process, late, done
        self._gave_up = False
        self._errors: list[bytes] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def say(self, line: str) -> None:
        """Send one line; a connection that broke is told by `lines`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def lines(self) -> Iterator[str]:
        """Each line as it comes, to the last."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield text_of(line).rstrip("\r\n")

    def end(self) -> Done:
        """How it ended; raises as `Remote.run` does."""
        code = self._process.wait()
        self._reader.join()
        if self._gave_up:
            raise self._late()
        return self._done(code, "", text_of(b"".join(self._errors)))

    def give_up(self) -> None:
        """End the connection: the time is over."""
        self._gave_up = True
        self._process.kill()

    def close(self) -> None:
        """End the connection if it still stands, and leave nothing open."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:  # what was not sent will not be
            return

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


def text_of(content: bytes) -> str:
    """The text; bytes that are none become U+FFFD, because a device's words are only quoted."""
    return content.decode(errors="replace")


def printable(text: str) -> str:
    """The text without what could steer a terminal; lines stay lines."""
    return "".join(c if c.isprintable() or c in "\n\t\r" else UNPRINTABLE for c in text)


def told(text: str, where: str) -> Any:
    """What a device tells as JSON, with every text made printable; RemoteError where it is none."""
    return _cleaned(parse_json(text, where, RemoteError))


def _cleaned(plain: Any) -> Any:
    match plain:
        case str():
            return printable(plain)
        case list():
            return [_cleaned(each) for each in plain]
        case dict():
            return {printable(name): _cleaned(each) for name, each in plain.items()}
    return plain


def one_line(text: str, otherwise: str = "it said nothing") -> str:
    """What a device said as one short line that cannot harm a terminal."""
    words = " ".join(text.split())
    return printable(words)[:MOST_CHARACTERS] or otherwise


def _broken(err: str) -> str:
    return f"the connection failed: {one_line(err, 'ssh said nothing')}"


def _no_ssh() -> InputError:
    return InputError("no ssh on this machine: install OpenSSH's client (openssh-client)")
