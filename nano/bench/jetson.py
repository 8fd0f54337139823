"""One network measured on one Jetson over ssh.

Every session is the same few commands: tell the facts; make a folder; send the runner and the
model; run the runner; fetch its result; look at the device again; delete the folder. Whatever is
changed there is changed and undone by the runner (`nano.bench.runner`), so that a connection which
is cut leaves nothing changed. The device is never rebooted.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from nano.bench.board import (
    RUNNER,
    TRTEXEC,
    Board,
    identify,
    in_use,
    last_line,
    logins_of_others,
    refuse_if_full,
    refuse_if_used,
)
from nano.bench.flags import Version, build_flags, measure_flags
from nano.bench.host import GivenUp
from nano.bench.nvpmodel import parse_nvpmodel
from nano.bench.onnx_file import OnnxFile, check_support
from nano.bench.raw import Asked, JetsonResult, Raw, result_of
from nano.bench.remote import FULL, Busy, ConnectionLost, Remote, RemoteError, Talk, one_line, told
from nano.bench.trtexec import parse_trtexec
from nano.errors import InputError
from nano.files import from_plain

MODEL, ENGINE, TIMES = "model.onnx", "model.plan", "times.json"  # in the folder there
SHORT_S = 60.0  # for a command that does next to nothing
BYTES_PER_S = 100_000.0  # of the slowest network worth waiting for
RESTORE_S = 90.0  # after a cut: until the device has noticed and undone its changes
OTHERS = "someone else began to measure there before we had ended"
NO_PASSWORD = "a password is required"
SUDOERS = (
    "allow it without a password for these tools alone (sudo visudo on the device): "
    "USER ALL=(root) NOPASSWD: /usr/sbin/nvpmodel, /usr/bin/jetson_clocks, /usr/bin/tegrastats"
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How it is measured: seconds, and how often.

    Attributes:
        repeats: Fresh processes; the one whose median is in the middle is reported.
        duration_s: Timed, per repeat.
        warmup_s: Before it.
        iterations: Queries at least.
        settle_s: After the power mode was set.
        idle_s: Before the first repeat; its power is what "idle" means.
        interval_s: Between samples of power; below .1 s sampling itself costs time.
        build_timeout_s: For the engine: hundreds of layers take a Nano many minutes.
    """

    repeats: int = 3
    duration_s: float = 30.0
    warmup_s: float = 2.0
    iterations: int = 100
    settle_s: float = 5.0
    idle_s: float = 10.0
    interval_s: float = 0.1
    build_timeout_s: float = 3600.0

    @property
    def measure_timeout_s(self) -> float:
        """For one repeat: loading the engine takes a while, a slow network its iterations."""
        return 10 * (self.warmup_s + self.duration_s) + 60

    @property
    def timeout_s(self) -> float:
        """For all of it, setting the mode and back included."""
        waits = self.settle_s + self.idle_s + 10 * SHORT_S
        return waits + self.build_timeout_s + self.repeats * self.measure_timeout_s


def measure(
    remote: Remote,
    model: OnnxFile,
    where: str,
    *,
    precision: str,
    power_mode: str | None = None,
    plan: Plan | None = None,
    root: str = "/",
    tell: Callable[[str], None],
) -> JetsonResult:
    """Latency and energy of ``model`` on the device.

    Args:
        remote: The device.
        model: What to measure.
        where: Its file, for messages.
        precision: One of `nano.export.forms.PRECISIONS`.
        power_mode: Its name; default: the one the device is in. The device is left as it was.
        plan: Default: three repeats of 30 s.
        root: Where the device's file system begins.
        tell: Told each step, for a person who waits; may raise `GivenUp` to end it.

    Raises:
        Busy: Someone else uses the device.
        ConnectionLost: The device cannot be reached, or no longer; it tells what is known of it.
        RemoteError: The device is full, or refuses; what is not as it was is told.
        InputError: No such power mode, an operator that its TensorRT lacks, ...
    """
    plan = plan or Plan()
    tell(f"{remote.host}: asking what it is")
    board = identify(remote, root)
    version = board.version(remote.host)
    mode = board.mode_named(power_mode, remote.host) if power_mode else None
    if mode and board.mode is None:
        raise RemoteError(f"{remote.host}: nvpmodel does not tell its mode: {_said(board)}")
    check_support(model, version, precision, where)
    refuse_if_used(board.facts, remote.host)
    refuse_if_full(board.facts, len(model.content), remote.host)
    l4t = board.release.l4t if board.release else "unknown"
    tell(f"{remote.host}: {board.name}, L4T {l4t}, TensorRT {board.tensorrt}")
    session = _Session(remote, board, root, tell)
    folder = session.make_folder()
    try:
        session.send(folder, model)
        sent = _sent(plan, version, model, root) | {
            "mode": asdict(mode) if mode else None,
            "build": [f"{root}{TRTEXEC}", *_build(version, precision)],
        }
        session.run(folder, sent, plan)
        raw = session.fetch(folder)
        after = session.looked_at_again()
    finally:
        session.delete(folder)
    asked = Asked(
        key=model.key,
        size=model.size,
        precision=precision,
        mode=mode or next((each for each in board.modes if each.name == raw.mode), None),
        warmup_s=plan.warmup_s,
        no_rails=_why_no_rails(board, remote.host),
    )
    others = [OTHERS] if after and (after.facts.trtexecs or after.facts.lock is not None) else []
    return result_of(raw, board, asked, _notes(model, board, after), others)


def _build(version: Version, precision: str) -> list[str]:
    return build_flags(
        version, model=MODEL, engine=ENGINE, cache="timing.cache", precision=precision
    )


def _sent(plan: Plan, version: Version, model: OnnxFile, root: str) -> dict[str, Any]:
    """What the runner is told beside the mode and the precision."""
    timing = measure_flags(
        version,
        engine=ENGINE,
        times=TIMES,
        warmup_s=plan.warmup_s,
        duration_s=plan.duration_s,
        iterations=plan.iterations,
    )
    return {
        "root": root,
        "model": MODEL,
        "sha256": model.sha256,
        "measure": [f"{root}{TRTEXEC}", *timing],
        "times": TIMES,
        "repeats": plan.repeats,
        "settle_s": plan.settle_s,
        "idle_s": plan.idle_s,
        "interval_s": plan.interval_s,
        "build_timeout_s": plan.build_timeout_s,
        "measure_timeout_s": plan.measure_timeout_s,
    }


class _Session:
    """The commands of one measurement, in the order they are used."""

    def __init__(
        self, remote: Remote, board: Board, root: str, tell: Callable[[str], None]
    ) -> None:
        self._remote, self._board, self._root, self._tell = remote, board, root, tell
        self._host = remote.host

    def make_folder(self) -> str:
        """A new folder there that only its owner may read."""
        words = ("mktemp", "-d", "/tmp/nano-bench.XXXXXXXXXX")
        done = self._remote.run(*words, timeout_s=SHORT_S)
        folder = done.out.strip().splitlines()[-1:] or [""]
        if done.code or not folder[0].startswith("/tmp/nano-bench."):
            raise RemoteError(f"{self._host}: no folder could be made: {_full_or(done.err)}")
        return folder[0]

    def send(self, folder: str, model: OnnxFile) -> None:
        self._tell(f"{self._host}: sending {len(model.content) / 1e6:.1f} MB")
        source = RUNNER.read_bytes()
        for content, name in ((source, "runner.py"), (model.content, MODEL)):
            seconds = SHORT_S + len(content) / BYTES_PER_S
            self._remote.put(content, f"{folder}/{name}", timeout_s=seconds)

    def run(self, folder: str, sent: dict[str, Any], plan: Plan) -> None:
        """Run the runner to its good end; raises with what is known of the device otherwise."""
        command = f"cd {shlex.quote(folder)} && exec python3 runner.py measure"
        try:
            with self._remote.talk("sh", "-c", command, timeout_s=plan.timeout_s) as talk:
                talk.say(json.dumps(sent))
                self._listen(talk)
        except ConnectionLost as lost:
            raise ConnectionLost(f"{lost}; {self._after_loss()}") from lost
        except (KeyboardInterrupt, GivenUp):
            self._tell(f"{self._host}: interrupted; {self._after_loss()}")
            raise

    def _listen(self, talk: Talk) -> None:
        said: dict[str, Any] = {}
        for line in talk.lines():
            with suppress(InputError):  # a login script's words
                plain = told(line, "the runner")
                said = plain if isinstance(plain, dict) else {}
                if "step" in said:
                    self._tell(f"{self._host}: {one_line(str(said['step']))}")
        done = talk.end()
        if "failed" in said:
            kind = Busy if said["failed"] in ("lock", "busy") else RemoteError
            raise kind(self._explained(said))
        if done.code or not said.get("done"):
            reason = _full_or(done.err)
            raise RemoteError(f"{self._host}: the measurement ended without a result: {reason}")

    def fetch(self, folder: str) -> Raw:
        done = self._remote.run("cat", f"{folder}/result.json", timeout_s=10 * SHORT_S)
        if done.code:
            raise RemoteError(f"{self._host}: no result could be read: {_full_or(done.err)}")
        where = f"{self._host}: its result"
        return from_plain(Raw, told(last_line(done.out), where), where, RemoteError)

    def looked_at_again(self) -> Board | None:
        """What the device is after the measurement; None where it no longer answers."""
        try:
            return identify(self._remote, self._root)
        except RemoteError:
            return None

    def delete(self, folder: str) -> None:
        """Leave nothing behind; where that fails the folder is told, and /tmp ends with a boot."""
        try:
            done = self._remote.run("rm", "-rf", "--", folder, timeout_s=SHORT_S)
        except RemoteError as lost:
            self._tell(f"{folder} is left there: {lost}")
            return
        if done.code:
            self._tell(f"{self._host}: {folder} is left there: {one_line(done.err)}")

    def _after_loss(self) -> str:
        """What became of the device, asked until its runner has noticed."""
        due = time.monotonic() + RESTORE_S
        while (left := due - time.monotonic()) > 0:
            try:
                now = identify(self._remote, self._root, timeout_s=left)
            except RemoteError:
                before = self._board.mode.name if self._board.mode else "none"
                return (
                    "it cannot be reached again; it undoes its own changes when it notices, "
                    f"unless it lost power: its power mode was {before}"
                )
            if now.facts.lock is None:
                return self._compared(now)
            time.sleep(1)
        return "its measurement still runs there; it is told to end and to undo its changes"

    def _compared(self, now: Board) -> str:
        """What a measurement that ended has left, and the commands that undo it."""
        mode = self._board.mode
        left = [path for path in now.facts.clocks if path not in self._board.facts.clocks]
        commands = [f"sudo jetson_clocks --restore {shlex.quote(path)}" for path in left]
        if mode and now.mode != mode:
            commands.insert(0, f"sudo nvpmodel -m {mode.id}")
        if commands:
            return f"the device is not as it was before: {self._by_hand(commands)}"
        return "the device is as it was before"

    def _by_hand(self, commands: Sequence[str]) -> str:
        return f"set it back by hand: ssh -t {self._host} '{one_line('; '.join(commands))}'"

    def _explained(self, said: dict[str, Any]) -> str:
        """A step of the runner's that failed, as one line for a person."""
        step, text = str(said["failed"]), str(said.get("text", ""))
        commands = [str(each) for each in said.get("by_hand", ())]
        if commands:
            back = f"not set back ({one_line(text)}); {self._by_hand(commands)}"
            return f"{self._host}: {step}: {back}"
        if step == "lock":
            return f"{self._host}: {in_use(text)}"
        if step == "busy":
            return f"{self._host}: is in use: its GPU is at {one_line(text)} % with nothing of ours"
        if step == "mode":
            return f"{self._host}: {self._mode_refused(text)}; its mode is what it was before"
        return f"{self._host}: {step}: {_trtexec_said(text)}"

    def _mode_refused(self, text: str) -> str:
        said = parse_nvpmodel(text.splitlines())
        if NO_PASSWORD in text:
            user = self._board.user
            return f"the power mode needs sudo; {SUDOERS.replace('USER', user)}"
        if said.needs_reboot is not None:
            return (
                f"power mode {said.needs_reboot} needs a reboot, which is never done from here: "
                f"set it on the device (sudo nvpmodel -m {said.needs_reboot}), then measure"
            )
        reason = said.errors[0] if said.errors else text
        return f"the power mode was not taken: {one_line(reason)}"


def _trtexec_said(text: str) -> str:
    """The error that the others follow from."""
    if FULL in text:
        return "the disk is full there"
    runs = parse_trtexec(text.splitlines())
    reasons = [run.reason for run in runs if run.reason]
    return one_line(reasons[-1] if reasons else text)


def _full_or(text: str) -> str:
    return "the disk is full there" if FULL in text else one_line(text)


def _said(board: Board) -> str:
    return one_line(board.facts.mode)


def _why_no_rails(board: Board, host: str) -> str:
    """What to do on a device that tells no power."""
    allowed = board.facts.sudo.get("tegrastats", False)
    if allowed:
        return "tegrastats tells no rails of a known module"
    return f"{host} tells no power rails to {board.user}; {SUDOERS.replace('USER', board.user)}"


def _notes(model: OnnxFile, board: Board, after: Board | None) -> list[str]:
    """What a reader of the figures must know, beside the figures' own notes."""
    notes = []
    if not model.ours:
        notes.append(f"not a file of nano's: its key {model.key} is the file's, no design's")
    looks = [board.facts, *([after.facts] if after else [])]
    others = dict.fromkeys(each for facts in looks for each in logins_of_others(facts))
    if others:
        notes.append(f"logged in there as well: {', '.join(map(one_line, others))}")
    if after is None:
        return [*notes, "it did not answer a last look: who else used it is known from before only"]
    if after.mode != board.mode:
        name = after.mode.name if after.mode else "none"
        notes.append(f"its power mode is {name} now, and was not that before: someone changed it")
    return notes
