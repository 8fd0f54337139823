r"""Train one network, or train a model further, and measure it on the validation split.

python -m nano.train depthnet-small --data scenes --out runs/small
python -m nano.train depthnet-tiny --data scenes --steps 60
python -m nano.train densedepth --data scenes --weights densenet169.safetensors
python -m nano.train runs/small --data kitti --root /data/kitti --recipe quick --set batch=8
python -m nano.train depthnet-small --data folder --root /data/mine --size 96x128

The paper's training, on one GPU and on eight (a batch is that of all of them together):

python -m nano.train depthnet-nano --data kitti --root DIR --fill levin --recipe depthnet-nano \
    --workers 16
torchrun --nproc-per-node 8 -m nano.train depthnet-nano ... as above

Writes DIR/{design.json, model.safetensors, metrics.json, curve.csv}. Ctrl-C leaves a checkpoint
there, from which the same command goes on as if it had never been interrupted.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from nano.console import Parser, Terminated, natural, parse_size, run, say
from nano.data.option import SECONDS_BETWEEN_LINES, add_data_options, prepared, table_of
from nano.errors import DataError, Diverged, InputError

if TYPE_CHECKING:
    from torch import nn

    from nano.data.sample import DepthSet
    from nano.data.sets import AnyTable
    from nano.networks.catalog import Architecture
    from nano.networks.model import Model
    from nano.records import Protocol
    from nano.train.processes import Processes
    from nano.train.recipe import Recipe
    from nano.train.session import CurvePoint, Trained


def parser() -> Parser:
    """The options."""
    options = Parser(
        prog="python -m nano.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "design",
        metavar="DESIGN|MODEL",
        help="a network's name or a design.json; or a folder with model.safetensors, to go on from",
    )
    add_data_options(options)
    options.add_argument(
        "--size", type=parse_size, metavar="HxW", help="input size (default: the data's, MODEL's)"
    )
    options.add_argument(
        "--fill",
        metavar="HOW",
        help="make sparse depth dense to train on, as SSIM needs it: levin, linear, ...",
    )
    options.add_argument(
        "--recipe",
        help="quick (default), depthnet-nano (the paper's), densedepth, densedepth-program, ordinal"
        " (the default of dorn): docs/training.md",
    )
    options.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="start from weights of yours, for the whole network or a part of it: safetensors, or"
        " a state_dict that torch.save wrote",
    )
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a field of the recipe, e.g. learning_rate=1e-3, accumulate=4, ema=0.999;"
        " may be repeated",
    )
    options.add_argument("--steps", type=int, help="steps of the whole schedule")
    options.add_argument(
        "--seed", type=natural, default=0, help="of the weights' start (default 0)"
    )
    options.add_argument("--device", help="cpu or cuda (default: cuda where torch sees one)")
    options.add_argument(
        "--out", type=Path, metavar="DIR", help="default: runs/train-KEY-seedN, KEY the design's"
    )
    options.add_argument("--json", action="store_true", help="print metrics.json")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)

    from nano.memory import keep_freed_memory
    from nano.networks.device import default_device, torch_device
    from nano.train.processes import joined

    keep_freed_memory()
    with joined(str(torch_device(options.device or default_device()))) as (processes, device):
        return trained_and_told(options, processes, device)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be trained, on what, and where to; ``training`` tells it in metrics.json."""

    design: Architecture
    recipe: Recipe
    start: nn.Module | None
    data: DepthSet
    validation: DepthSet
    protocol: Protocol
    out: Path
    training: dict[str, Any]


def trained_and_told(options: argparse.Namespace, processes: Processes, device: str) -> int:
    """What the command does, in every process of the training."""
    from nano.train.earlier import earlier

    with processes.first_ahead():
        job = chosen_job(options, processes, device)
        metrics = earlier(job.out, "training", job.training)
    if metrics is not None:
        say(f"{job.out}: already trained")
    else:
        trained = trained_by(job, options.seed, processes, device)
        if processes.first:
            metrics = keep(job, trained, processes, device)
        processes.wait()
    if metrics is not None:
        print(json.dumps(metrics, indent=1) if options.json else as_text(job.out, metrics))
    return 0


def chosen_job(options: argparse.Namespace, processes: Processes, device: str) -> Job:
    """What the options ask for; all that can be wrong comes before the minutes data may take."""
    from nano.data.sets import fill_method
    from nano.files import file_hash, to_plain
    from nano.networks.catalog import load_architecture
    from nano.networks.device import torch_device
    from nano.networks.model import WEIGHTS_FILE, load_model
    from nano.train.earlier import earlier
    from nano.train.loop import check_outputs
    from nano.train.precision import resolve_precision

    model = load_model(Path(options.design)) if is_model(options.design) else None
    design = model.design if model else load_architecture(options.design)
    recipe = chosen_recipe(options, design)
    recipe.part(processes.world)
    resolve_precision(recipe.precision, torch_device(device))
    check_outputs(design, recipe)
    check_target(options.design, model, recipe)
    table, base = chosen_table(options, model)
    design.check_size(table.size)
    start = chosen_start(options, model, table.size)
    out: Path = options.out or Path("runs") / f"train-{design.key}-seed{options.seed}"
    given = Path(options.design) / WEIGHTS_FILE if model else options.weights
    training: dict[str, Any] = {
        "from": options.design if model else str(options.weights or "fresh"),
        "from_hash": given and file_hash(given),
        "key": design.key,
        "recipe": to_plain(recipe),
        "seed": options.seed,
        "fill": fill_method(table),
    }
    earlier(out, "training", training)
    data, validation, protocol = chosen_data(options, table, base, out)
    training |= {
        "data": data.caption,
        "validation": f"{validation.caption}, {protocol.describe()}",
        "frames": [data.fingerprint, validation.fingerprint],
    }
    return Job(
        design=design,
        recipe=recipe,
        start=start,
        data=data,
        validation=validation,
        protocol=protocol,
        out=out,
        training=training,
    )


def trained_by(job: Job, seed: int, processes: Processes, device: str) -> Trained:
    """The training, which Ctrl-C stops; the first process tells how it goes."""
    from nano.train.earlier import CHECKPOINT_FILE
    from nano.train.loop import train

    with stop_on_signal(processes) as stop, told_divergence(processes):
        return train(
            job.design,
            job.recipe,
            job.data,
            seed=seed,
            device=device,
            checkpoint=job.out / CHECKPOINT_FILE,
            stop=stop,
            progress=telling_loss(job.recipe),
            start=job.start,
            processes=processes,
        )


def chosen_recipe(options: argparse.Namespace, design: Architecture, **usual: object) -> Recipe:
    """The named recipe with --set and --steps; a StudyError says what does not fit.

    Args:
        options: With ``recipe``, ``set`` and ``steps``.
        design: What is to be trained.
        usual: Fields of the recipe unless the options say otherwise.
    """
    from nano.errors import StudyError
    from nano.train.recipe import recipe_from_plain

    own = "quick" if design.outputs == 1 else "ordinal"
    table: dict[str, Any] = {"name": options.recipe or own, **usual}
    said = {"name": ("--recipe", options.recipe), "steps": ("--steps", options.steps)}
    for setting in options.set:
        key, equals, value = setting.partition("=")
        if not equals:
            raise StudyError(f"--set {setting}: write KEY=VALUE, e.g. batch=8")
        option, given = said.get(key, ("", None))
        if given is not None:
            raise StudyError(f"--set {setting}: {option} says that too; leave out one of them")
        try:
            table[key] = json.loads(value)
        except ValueError:
            table[key] = value  # a word, such as schedule=constant
    if options.steps is not None:
        table["steps"] = options.steps
    return recipe_from_plain(table, "--recipe and --set")


def is_model(text: str) -> bool:
    """Whether DESIGN|MODEL names a folder with weights."""
    return (Path(text) / "model.safetensors").is_file()


def chosen_start(
    options: argparse.Namespace, model: Model | None, size: tuple[int, int]
) -> nn.Module | None:
    """The network to go on from: a MODEL's, or one with --weights, told part by part."""
    if options.weights is None:
        return model.network if model else None
    if model:
        raise InputError(f"{options.design}: has weights of its own; leave out --weights")
    from nano.networks.catalog import load_architecture
    from nano.networks.start import started
    from nano.networks.weights import load_weights

    network = started(load_architecture(options.design), size, options.seed)
    say(load_weights(network, options.weights).told())
    return network


def check_target(name: str, model: Model | None, recipe: Recipe) -> None:
    """A DataError where a model's output means something else than the recipe teaches."""
    if model and model.target != recipe.target:
        raise DataError(
            f"{name}: was trained on target {model.target!r}, the recipe's is"
            f" {recipe.target!r}: what its output means cannot change"
        )


def chosen_table(options: argparse.Namespace, model: Model | None) -> tuple[AnyTable, Path]:
    """The [data] table at the size to train at, and the folder its relative roots start at."""
    if model and options.size not in (None, model.size):
        raise DataError(f"{options.design}: is for images of {model.size}; leave out --size")
    size = model.size if model else options.size
    changes = {"size": size, "fill": options.fill}
    return table_of(options, **{key: value for key, value in changes.items() if value})


def chosen_data(
    options: argparse.Namespace, table: AnyTable, base: Path, out: Path
) -> tuple[DepthSet, DepthSet, Protocol]:
    """The training and the validation split, prepared, and the protocol that belongs to them.

    The frames are looked for, and ``out`` is made, before any is prepared.
    """
    from nano.data.sets import SplitName, source
    from nano.evaluate.protocol import protocol_of

    splits: tuple[SplitName, ...] = ("train", "validation")
    found = [source(table, base, split) for split in splits]
    made(out)
    train, validation = (prepared(options, table, frames) for frames in found)
    return train, validation, protocol_of(table, base)


def made(out: Path) -> None:
    """Make the folder before the work; an OutputError says why it cannot be."""
    from nano.files import unwritable

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error


@contextmanager
def told_divergence(processes: Processes) -> Iterator[None]:
    """A training that diverged as the first's one line: the recipe, or the design, is no good."""
    try:
        yield
    except Diverged as diverged:
        if not processes.first:
            raise
        raise InputError(
            f"the training diverged at {diverged}; try a lower rate, such as --set"
            " learning_rate=1e-3, or another design"
        ) from diverged


def keep(job: Job, trained: Trained, processes: Processes, device: str) -> dict[str, Any]:
    """Measure and write; metrics.json comes last and marks the training as finished."""
    from nano.evaluate.run import evaluate
    from nano.files import to_plain, write_json, write_text
    from nano.machine import commit, machine, versions
    from nano.networks.model import Model, save_model
    from nano.train.earlier import CHECKPOINT_FILE, METRICS_FILE

    target, out = job.recipe.target, job.out
    result = evaluate(trained.network, target, job.validation, job.protocol, device=device)
    model = Model(design=job.design, network=trained.network, target=target, size=job.data.size)
    save_model(out, model)
    rows = (f"{p.step},{p.images},{p.loss:.6g},{p.learning_rate:.6g}" for p in trained.curve)
    write_text(out / "curve.csv", "\n".join(["step,images,loss,learning_rate", *rows]) + "\n")
    metrics: dict[str, Any] = {
        "training": job.training,
        "accuracy": to_plain(result.accuracy),
        "images": trained.images,
        "seconds": round(trained.seconds, 2),
        "precision": trained.precision,
        "weights": "averaged" if job.recipe.ema else "last step",
        "processes": processes.world,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(Path(__file__).parent),
    }
    write_json(out / METRICS_FILE, metrics)
    (out / CHECKPOINT_FILE).unlink(missing_ok=True)
    return metrics


@contextmanager
def stop_on_signal(processes: Processes) -> Iterator[Callable[[], bool]]:
    """``stop()`` for `train`: true after Ctrl-C or SIGTERM; a second one ends at once.

    Not where there are several processes: torchrun passes on what a scheduler has sent to all of
    them already, and ends at once what does not stop in time.

    Left by `Stopped`, or after a signal that came too late to stop anything, it goes on as the
    signal would have: exit code 130 or 143.
    """
    from nano.train.loop import Stopped

    received: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        if received and processes.world == 1:
            raise KeyboardInterrupt
        received.append(signum)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
        if processes.any(bool(received)):
            raise Stopped("stopped after the last step")
    except Stopped as stopped:
        say(f"{stopped}; the same command goes on from there")
        # Nothing received: it was another process that was asked to stop.
        ending = KeyboardInterrupt if received[:1] == [signal.SIGINT] else Terminated
        raise ending from stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def telling_loss(recipe: Recipe) -> Callable[[CurvePoint], None]:
    """A progress callback that says a line every few seconds, the first and the last among them."""
    last = -SECONDS_BETWEEN_LINES

    def tell(point: CurvePoint) -> None:
        nonlocal last
        now = time.monotonic()
        if point.step == recipe.steps or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            say(
                f"step {point.step} of {recipe.steps}  loss {point.loss:.4f}"
                f"  rate {point.learning_rate:.2g}"
            )

    return tell


def as_text(out: Path, metrics: dict[str, Any]) -> str:
    """The outcome in a few lines, with what it was measured on."""
    from nano.records import METRICS

    accuracy = metrics["accuracy"]
    how = f"weights: {metrics['weights']}, processes: {metrics['processes']}"
    numbers = "  ".join(f"{name} {accuracy[name]:.4f}" for name in METRICS if name in accuracy)
    return (
        f"{out}: design {metrics['training']['key']}, {metrics['images']} training images,"
        f" {metrics['seconds']:.0f} s, {metrics['precision']}, {how}\n"
        f"{numbers}\n{accuracy['data']}; {accuracy['protocol']}"
    )


if __name__ == "__main__":
    run(main)
