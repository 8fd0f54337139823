"""What runs on the device: tells facts, or measures. Sent there by `nano.bench.jetson`.

One file, the standard library of Python 3.6 (JetPack 4) alone, where annotations like list[str] are
strings. Two ways to call it:

    python3 - facts ROOT TRTEXEC      print the device's facts as one line of JSON
    python3 runner.py measure         read one line of JSON, the plan; tell each step, one line of
                                      JSON each; leave result.json in the working folder

Whatever it changes (power mode, clocks) it undoes itself: at its end, at an error, at a signal, and
when its input ends, which is how it notices that the connection was cut. It interprets as little as
possible: what the tools print goes home as it is, stamped by one monotonic clock.
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

TOOL_S = 30.0  # for nvpmodel and jetson_clocks; a reboot's prompt ends at once with no input
MODE = re.compile(r"NV Power Mode:\s*(\S+)")
SUDO_TRIES = {
    "nvpmodel": ["nvpmodel", "-q"],
    "jetson_clocks": ["jetson_clocks", "--show"],
    "tegrastats": ["tegrastats", "--help"],
}
RAILS = (  # label, millivolts, milliamperes: the driver of JetPack 5 and later, then of 4
    ("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*", "in{}_label", "in{}_input", "curr{}_input"),
    (
        "sys/bus/i2c/drivers/ina3221x/*/iio:device*",
        "rail_name_{}",
        "in_voltage{}_input",
        "in_current{}_input",
    ),
)
CHANNELS = range(4)  # 1 to 3, or 0 to 2; what is not there is left out
ALARMS = (  # over-current, counts of it, and coolers that hold clocks down
    "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr*_alarm",
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
)
COOLERS = "sys/class/thermal/cooling_device*"
COOLS_CLOCKS = re.compile("cpufreq|devfreq|throttl", re.IGNORECASE)
GPU_LOAD = re.compile(r"GR3D_FREQ (\d{1,3})%")
FIRST_SAMPLE_S = 10.0
MOST_IDLE_PERCENT = 20  # a desktop draws a little; above, someone computes
TIMES = ("latencyMs", "computeMs")
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
GONE = threading.Event()  # whoever started this no longer listens


class Failed(Exception):
    """A step that did not work, and what the tool said."""

    def __init__(self, step: str, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.text = text


class Stop(Exception):
    """A signal, or the end of the connection."""


def tell(**words: Any) -> None:
    """One line of JSON to whoever started this; one who is gone is no reason not to clean up."""
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()


def text_of(path: str) -> "str | None":
    """A file's text without the NUL bytes of device trees; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace").replace("\0", " ").strip()
    except OSError:
        return None


def output(command: "list[str]", seconds: float = TOOL_S) -> "tuple[int | None, str]":
    """Exit code and all that a command prints; None and the reason where it did not end itself."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return None, "{} did not end within {:g} s".format(command[0], seconds)
    except OSError as error:
        return None, "{}: {}".format(command[0], error.strerror)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def sudo() -> "list[str]":
    """The words before a command that needs root; in a container of root's there may be no sudo."""
    return ["sudo", "-n"] if shutil.which("sudo") else []


# --- facts


def facts(root: str, trtexec: str) -> "dict[str, Any]":
    """Everything that is read without changing anything; None for what is not there."""
    lock = holder(root)  # first: where it is free, the mode below is no longer about to change
    trtexec = os.path.join(root, trtexec)
    there = os.access(trtexec, os.X_OK)
    return {
        "release": text_of(root + "etc/nv_tegra_release"),
        "core": found(["dpkg-query", "--showformat=${Version}", "--show", "nvidia-l4t-core"]),
        "model": text_of(root + "proc/device-tree/model"),
        "compatible": text_of(root + "proc/device-tree/compatible"),
        "modes": text_of(root + "etc/nvpmodel.conf"),
        "mode": output(["nvpmodel", "-q"])[1],
        "tensorrt": found(
            ["dpkg-query", "--showformat=${Package} ${Version}\n", "--show", "libnvinfer[0-9]*"]
        ),
        "trtexec": there,
        "banner": output([trtexec, "--help"])[1][:2000] if there else None,
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "sudo": {tool: output(sudo() + words)[0] == 0 for tool, words in SUDO_TRIES.items()},
        "rails": [label for label, _, _ in rails(root)],
        "free": shutil.disk_usage(tempfile.gettempdir()).free,
        "logins": found(["who"]),
        "trtexecs": others(root),
        "lock": lock,
        "python": sys.version.split()[0],
    }


def found(command: "list[str]") -> "str | None":
    """What a command prints where it ends well."""
    code, text = output(command)
    return text.strip() if code == 0 else None


def others(root: str) -> int:
    """How many trtexec run there now, whoever's they are."""
    return sum(text_of(path) == "trtexec" for path in glob.glob(root + "proc/[0-9]*/comm"))


# --- one at a time


def lock_path(root: str) -> str:
    """Where those who measure take turns; the lock itself ends with its process."""
    return os.path.join(root, "tmp/nano-bench.lock")


@contextlib.contextmanager
def only_one(root: str) -> "Iterator[None]":
    """Hold the device's lock."""
    path = lock_path(root)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        os.close(handle)
        raise Failed("lock", holder(root) or "someone") from taken
    try:
        # Only its owner can sign a file in /tmp; another's turn is then told without a name.
        with contextlib.suppress(OSError):
            writable = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
            with open(writable, "w") as file:
                file.write("{} since {}".format(pwd.getpwuid(os.geteuid()).pw_name, time.ctime()))
        yield
    finally:
        os.close(handle)


def holder(root: str) -> "str | None":
    """Who measures there now; None when nobody does."""
    try:
        handle = os.open(lock_path(root), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return text_of(lock_path(root)) or "someone"
    finally:
        os.close(handle)
    return None


# --- sampling


def rails(root: str) -> "list[tuple[str, str, str]]":
    """Name, file of millivolts and file of milliamperes of each rail that may be read."""
    known = []
    for places, label, volts, amperes in RAILS:
        for place in sorted(glob.glob(root + places)):
            for channel in CHANNELS:
                name = text_of(os.path.join(place, label.format(channel)))
                files = [os.path.join(place, one.format(channel)) for one in (volts, amperes)]
                if name and name != "NC" and all(text_of(file) for file in files):
                    known.append((name, files[0], files[1]))
    return known


def alarms(root: str) -> "dict[str, int]":
    """Counters and states that tell of throttling, by their files."""
    files = [path for pattern in ALARMS for path in glob.glob(root + pattern)]
    for cooler in glob.glob(root + COOLERS):
        if COOLS_CLOCKS.search(text_of(os.path.join(cooler, "type")) or ""):
            files.append(os.path.join(cooler, "cur_state"))
    read = [(path[len(root) :], text_of(path)) for path in sorted(files)]
    return {path: int(text) for path, text in read if text and text.isdigit()}


class Sampler:
    """Rails and lines of tegrastats, each with the time it was read, until closed."""

    def __init__(self, root: str, interval_s: float) -> None:
        self.rails = rails(root)
        self.milliwatts: "list[list[float]]" = []
        self.lines: "list[tuple[float, str]]" = []
        self._interval_s = interval_s
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read_lines, daemon=True)]
        if self.rails:
            self._threads.append(threading.Thread(target=self._read_rails, daemon=True))
        self._process = self._tegrastats(["tegrastats", "--interval", str(int(interval_s * 1000))])
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Until each source has told something, or will not: what is timed begins after that."""
        due = time.monotonic() + FIRST_SAMPLE_S
        while time.monotonic() < due:
            ended = self._process is None or self._process.poll() is not None
            if (self.lines or ended) and (self.milliwatts or not self.rails):
                break
            time.sleep(0.01)

    def close(self) -> None:
        """End; a tegrastats of root's, which we may not kill, ends at its next line."""
        self._over.set()
        if self._process is not None:
            with contextlib.suppress(PermissionError):
                self._process.terminate()
        for thread in self._threads:
            thread.join(5)

    def _tegrastats(self, command: "list[str]") -> "subprocess.Popen[bytes] | None":
        allowed = output(sudo() + SUDO_TRIES["tegrastats"])[0] == 0
        try:
            return subprocess.Popen(
                (sudo() if allowed else []) + command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return None

    def _read_lines(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        with self._process.stdout as lines:
            for line in lines:
                if self._over.is_set():
                    break
                self.lines.append((time.monotonic(), line.decode("utf-8", "replace").strip()))
        self._process.wait()

    def _read_rails(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            begin = time.monotonic()
            volts_amperes = [[text_of(path) for path in paths] for _, *paths in self.rails]
            middle = (begin + time.monotonic()) / 2
            with contextlib.suppress(TypeError, ValueError):  # a read that failed: no sample
                milliwatts = [int(v) * int(a) / 1000 for v, a in volts_amperes]  # type: ignore[arg-type]
                self.milliwatts.append([middle, *milliwatts])
            due += self._interval_s
            self._over.wait(max(0.0, due - time.monotonic()))


# --- changing the device, and back


def mode_now() -> str:
    """The power mode's name."""
    text = output(["nvpmodel", "-q"])[1]
    names = MODE.findall(text)
    if not names:
        raise Failed("mode", text)
    return str(names[-1])


def enter(name: str, number: int, step: str) -> None:
    """Set the power mode and read it again: nvpmodel's exit code tells nothing."""
    _, text = output([*sudo(), "nvpmodel", "-m", str(number)])
    if mode_now() != name:
        raise Failed(step, text)


@contextlib.contextmanager
def power_mode(plan: "dict[str, Any]") -> "Iterator[None]":
    """Within it the device is in the mode asked for."""
    wanted, before = plan["mode"], plan["mode_before"]
    if wanted is None or wanted["name"] == mode_now():
        yield
        return
    tell(step="power mode {}".format(wanted["name"]))
    try:
        enter(wanted["name"], wanted["id"], "mode")
        yield
    finally:
        undisturbed()
        if mode_now() != before["name"]:
            enter(before["name"], before["id"], "mode back")


@contextlib.contextmanager
def pinned_clocks() -> "Iterator[str | None]":
    """Within it clocks are at the mode's highest; the reason where they could not be pinned."""
    # In a folder of its own: the measurement's may be taken away when the connection is cut.
    with tempfile.TemporaryDirectory(prefix="nano-bench-clocks.") as folder:
        kept = os.path.join(folder, "clocks.conf")
        code, text = output([*sudo(), "jetson_clocks", "--store", kept])
        if code != 0:
            yield text.strip() or "jetson_clocks failed"
            return
        try:
            code, text = output([*sudo(), "jetson_clocks"])
            yield None if code == 0 else text.strip() or "jetson_clocks failed"
        finally:
            undisturbed()
            code, text = output([*sudo(), "jetson_clocks", "--restore", kept])
            if code != 0:
                raise Failed("clocks back", text)


# --- measuring


def trtexec(command: "list[str]", seconds: float, step: str) -> "list[tuple[float, str]]":
    """Run it to a good end; its lines, stamped as they came."""
    tell(step=step)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    late = threading.Event()

    def kill() -> None:
        late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    alarm = threading.Timer(seconds, kill)
    alarm.start()
    lines = []
    try:
        if process.stdout is not None:
            with process.stdout as pipe:
                for line in pipe:
                    lines.append((time.monotonic(), line.decode("utf-8", "replace").rstrip()))
        code = process.wait()
    finally:
        alarm.cancel()
        if process.poll() is None:
            kill()
            process.wait()
    if late.is_set():
        raise Failed(step, "trtexec did not end within {:g} s".format(seconds))
    if code != 0:
        raise Failed(step, "\n".join(text for _, text in lines) or "exit code {}".format(code))
    return lines


def times_of(path: str) -> "list[dict[str, float]]":
    """Of every query, what is used of it: the rest of --exportTimes is most of its size."""
    with open(path, encoding="utf-8", errors="replace") as file:
        queries = json.load(file)
    return [{name: query[name] for name in TIMES if name in query} for query in queries]


def refuse_busy(lines: "list[tuple[float, str]]") -> None:
    """Time nothing on a GPU that computes for someone else."""
    loads = sorted(int(load) for _, line in lines for load in GPU_LOAD.findall(line))
    if loads and loads[len(loads) // 2] > MOST_IDLE_PERCENT:
        raise Failed("busy", str(loads[len(loads) // 2]))


def measured(plan: "dict[str, Any]") -> "dict[str, Any]":
    """Build, be idle, time; everything sampled on one clock."""
    root = plan["root"]
    with power_mode(plan), pinned_clocks() as unpinned:
        time.sleep(plan["settle_s"])
        trtexec(plan["build"], plan["build_timeout_s"], "build the engine")
        before = alarms(root)
        sampler = Sampler(root, plan["interval_s"])
        try:
            tell(step="idle")
            sampler.wait()
            idle = [time.monotonic()]
            time.sleep(plan["idle_s"])
            idle.append(time.monotonic())
            refuse_busy(sampler.lines)
            repeats = []
            for number in range(1, plan["repeats"] + 1):
                step = "measure, {} of {}".format(number, plan["repeats"])
                lines = trtexec(plan["measure"], plan["measure_timeout_s"], step)
                repeats.append({"lines": lines, "times": times_of(plan["times"])})
            time.sleep(2 * plan["interval_s"])  # the window's end lies between two samples
        finally:
            sampler.close()
        return {
            "mode": mode_now() if plan["mode_before"] else None,
            "unpinned": unpinned,
            "idle": idle,
            "repeats": repeats,
            "rails": [name for name, _, _ in sampler.rails],
            "milliwatts": sampler.milliwatts,
            "tegrastats": sampler.lines,
            "alarms": {"before": before, "after": alarms(root)},
        }


def measure(folder: str) -> int:
    """The plan comes as one line; the end of the input, or a signal, ends everything."""
    plan = json.loads(sys.stdin.readline())
    for one in SIGNALS:
        signal.signal(one, stop)
    threading.Thread(target=watch_input, daemon=True).start()
    try:
        with only_one(plan["root"]):
            with open(plan["model"], "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != plan["sha256"]:
                    raise Failed("upload", "the model did not arrive as it was sent")
            result = measured(plan)
        if GONE.is_set():
            raise Stop
        with open("result.json", "w") as file:
            json.dump(result, file)
    except Failed as failed:
        tell(failed=failed.step, text=failed.text[-20000:])
        return 1
    except Stop:
        shutil.rmtree(folder, ignore_errors=True)  # nobody will come for it
        return 1
    except OSError as error:
        tell(failed="files", text=error.strerror or str(error))
        return 1
    tell(done=True)
    return 0


def stop(number: int, frame: Any) -> None:
    """Only the first signal counts."""
    undisturbed()
    raise Stop


def undisturbed() -> None:
    """From here on changes are undone, which no signal is to cut short."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)


def watch_input() -> None:
    """Whoever started this keeps its input open as long as they listen."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    GONE.set()
    os.kill(os.getpid(), signal.SIGHUP)


def main(words: "list[str]") -> int:
    """Run the part that is asked for."""
    if words[0] == "facts":
        tell(**facts(words[1], words[2]))
        return 0
    return measure(os.getcwd())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
