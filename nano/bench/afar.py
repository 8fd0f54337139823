"""How a device that ssh reaches is measured on: a host of the user's, or the made-up one.

``ssh:demo`` is a server that runs for as long as it is asked for (`nano.bench.demo.server`); all
that comes from it says that it is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from nano.bench.board import Board, identify
from nano.bench.jetson import Plan, measure
from nano.bench.onnx_file import OnnxFile
from nano.bench.raw import JetsonResult
from nano.bench.remote import Remote

DEMO = "demo"
MADE_UP = "made up: ssh:demo is no device, and this is no measurement"
QUICK = Plan(repeats=3, duration_s=3, warmup_s=0.5, iterations=10, settle_s=0, idle_s=1)


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A device that can be asked.

    Attributes:
        remote: By which it is reached.
        root: Where its file system begins.
        plan: How it is measured unless told otherwise.
        notes: To stand with every result.
    """

    remote: Remote
    root: str
    plan: Plan
    notes: tuple[str, ...] = ()

    def identify(self) -> Board:
        """What it is; as `nano.bench.board.identify`."""
        return identify(self.remote, self.root)

    def measure(
        self,
        model: OnnxFile,
        where: str,
        *,
        precision: str,
        power_mode: str | None,
        tell: Callable[[str], None],
        plan: Plan | None = None,
    ) -> JetsonResult:
        """As `nano.bench.jetson.measure`."""
        result = measure(
            self.remote,
            model,
            where,
            precision=precision,
            power_mode=power_mode,
            plan=plan or self.plan,
            root=self.root,
            tell=tell,
        )
        told = (*self.notes, *result.measurement.notes)
        return replace(result, measurement=replace(result.measurement, notes=told))


@contextmanager
def afar(host: str) -> Iterator[Reached]:
    """The device of that name within the block.

    Raises:
        InputError: What is no name of a host.
        MissingPackage: The made-up device needs asyncssh.
    """
    if host != DEMO:
        yield Reached(remote=Remote(host=host), root="/", plan=Plan())
        return
    from nano.bench.demo.server import demo

    with demo() as running:
        root = f"{running.root}/"
        yield Reached(remote=running.remote, root=root, plan=QUICK, notes=(MADE_UP,))
