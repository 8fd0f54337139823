"""Measuring the designs of a search on a device that ssh reaches: a Jetson, or ``ssh:demo``.

A design is exported with fresh weights, sent, built and timed there (`nano.bench.jetson`). Workers
of this machine queue by a lock here, even to ask what it is, for that takes the device's time too;
whoever else uses it is waited for. Trainings here go on meanwhile: they take nothing from it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nano.bench.afar import DEMO, afar
from nano.bench.board import Board
from nano.bench.flags import STRONGLY_TYPED
from nano.bench.host import GivenUp
from nano.bench.jetson import Plan
from nano.bench.onnx_file import OnnxFile, newest_opset, read_onnx
from nano.bench.remote import Busy, ConnectionLost, Remote
from nano.bench.turns import Turns
from nano.design.kinds import AnyDesign
from nano.errors import DeviceFailed
from nano.export.forms import IR_VERSIONS
from nano.export.onnx import Form, to_onnx, write_onnx
from nano.networks.catalog import architecture_of
from nano.networks.model import Model
from nano.networks.start import started
from nano.networks.target import target_for
from nano.records import Measurement


@dataclass(frozen=True, kw_only=True)
class Afar:
    """A device that ssh reaches.

    Attributes:
        host: A name of ~/.ssh/config, [USER@]ADDRESS, or ``demo``.
        size: Height and width.
        turns: Of the device, for the workers of this machine.
        power_mode: Its name; None: the one that the device is in.
        precision: ``float32`` or ``float16``.
        seconds: That each process of trtexec times.
        repeats: Of them.
    """

    host: str
    size: tuple[int, int]
    turns: Turns
    power_mode: str | None = None
    precision: str = "float32"
    seconds: float = 5.0
    repeats: int = 2

    def check(self) -> None:
        """Whether the name is one of a host, and the made-up device is installed."""
        if self.host == DEMO:
            import nano.bench.demo.server  # noqa: F401 # asks for its package
        else:
            Remote(host=self.host)

    def decides(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """Size, device, power mode, setting and versions; the device is asked every time."""
        with self.turns.measuring(stop), _or_failed(), afar(self.host) as there:
            board = there.identify()
            board.version(self.host)
            if self.power_mode is not None:
                board.mode_named(self.power_mode, self.host)
            plan = self._plan(there.plan)
        current = board.mode.name if board.mode else None
        return {
            "size": self.size,
            "device": board.name,
            "power_mode": self.power_mode or current,
            "pinned": board.facts.sudo.get("jetson_clocks", False),
            "setting": {"precision": self.precision, **asdict(plan)},
            "versions": board.versions(),
        }

    def measure(self, design: AnyDesign, stop: Callable[[], bool]) -> Measurement:
        """As `nano.bench.jetson.measure`; `stop` is heeded between its steps."""

        def tell(step: str) -> None:
            if stop():
                raise GivenUp

        with self.turns.measuring(stop), _or_failed(), afar(self.host) as there:
            model = self._exported(design, there.identify())
            tell("exported")
            result = there.measure(
                model,
                f"design {design.key}",
                precision=self.precision,
                power_mode=self.power_mode,
                plan=self._plan(there.plan),
                tell=tell,
            )
        return result.measurement

    def _plan(self, usual: Plan) -> Plan:
        return replace(usual, duration_s=self.seconds, repeats=self.repeats)

    def _exported(self, design: AnyDesign, board: Board) -> OnnxFile:
        """The design in the form that its TensorRT reads, with fresh weights."""
        version = board.version(self.host)
        newest = newest_opset(version)
        stored = self.precision if version >= STRONGLY_TYPED else "float32"
        form = Form(
            opset=max((o for o in IR_VERSIONS if o <= newest), default=13), precision=stored
        )
        architecture = architecture_of(design)
        model = Model(
            design=architecture,
            network=started(architecture, self.size, 0).eval(),
            target=target_for(architecture.outputs).name,
            size=self.size,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            write_onnx(path, to_onnx(model, form))
            return read_onnx(path)


@contextmanager
def _or_failed() -> Iterator[None]:
    """A device that is away, or somebody else's, may come back; all else stays what it is."""
    try:
        yield
    except (ConnectionLost, Busy) as away:
        raise DeviceFailed(str(away)) from away
