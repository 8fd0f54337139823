"""Narrow a trained FastDepth layer by layer until a budget is met: NetAdapt (Yang et al. 2018).

python -m nano.train fastdepth-small --data scenes --out runs/fastdepth
python -m nano.train.prune runs/fastdepth --data scenes --budget macs=60% --out runs/pruned
python -m nano.train.prune runs/fastdepth --data scenes --budget params=100k --steps 20

Every round asks for a share of the first cost less. Each layer makes one proposal, the widest that
saves enough by itself; it keeps its strongest filters, is trained briefly, and the proposal that
is most accurate on the validation split goes on. Once the budget is met, one long training ends it.

Writes DIR/{design.json, model.safetensors, metrics.json}, and of every round the network and what
was judged in DIR/rounds. Ctrl-C leaves all that; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nano.console import Parser, natural, positive, run, say
from nano.data.option import add_data_options
from nano.errors import DesignError, Diverged, InputError, RunError
from nano.train.__main__ import (
    METRICS_FILE,
    chosen_data,
    chosen_recipe,
    chosen_table,
    is_model,
    stop_on_signal,
    told_divergence,
)

if TYPE_CHECKING:
    from nano.data.sample import DepthSet
    from nano.design.fastdepth import FastDepthDesign
    from nano.networks.fastdepth import FastDepth
    from nano.networks.model import Model
    from nano.networks.netadapt import Judge, Judged, Narrowing, Proposal
    from nano.records import Accuracy, Protocol
    from nano.train.recipe import Recipe

ROUNDS = "rounds"
JUDGED_FILE = "judged.json"
CHECKPOINT_FILE = "checkpoint"
COUNTED = ("macs", "params", "activations", "bytes")
_BUDGET = re.compile(r"(?P<name>\w+)=(?P<number>\d+(?:\.\d+)?)(?P<unit>[kMG%]?)", re.ASCII)
_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def parser() -> Parser:
    """The options."""
    options = Parser(
        prog="python -m nano.train.prune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("design", metavar="MODEL", help="a trained FastDepth's folder")
    add_data_options(options)
    options.add_argument(
        "--fill", metavar="HOW", help="make sparse depth dense to train on: levin, linear, ..."
    )
    options.add_argument(
        "--budget",
        required=True,
        metavar="COST=N",
        help=f"what to reach: {', '.join(COUNTED)}, as a number (12M) or a share of MODEL's (60%%)",
    )
    options.add_argument(
        "--share",
        type=_part,
        default=0.03,
        metavar="S",
        help="of MODEL's cost that a round saves (default 0.03)",
    )
    options.add_argument(
        "--multiple", type=positive, default=8, help="new widths are multiples of it (default 8)"
    )
    options.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="LAYER",
        help="leave a layer as it is, e.g. conv0; may be repeated",
    )
    options.add_argument("--recipe", help="of every training (default quick)")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a field of the recipe, e.g. learning_rate=1e-3; may be repeated",
    )
    options.add_argument(
        "--steps", type=positive, default=20, help="of every short training (default 20)"
    )
    options.add_argument(
        "--final-steps", type=positive, default=600, help="of the long training (default 600)"
    )
    options.add_argument("--seed", type=natural, default=0, help="of the orders of images")
    options.add_argument("--device", help="cpu or cuda (default: cuda where torch sees one)")
    options.add_argument("--out", type=Path, required=True, metavar="DIR")
    options.add_argument("--json", action="store_true", help="print metrics.json")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    name, number, unit = read_budget(options.budget)

    from nano.files import to_plain
    from nano.memory import keep_freed_memory
    from nano.networks.device import default_device, torch_device
    from nano.train.__main__ import check_target
    from nano.train.processes import ALONE

    keep_freed_memory()
    device = str(torch_device(options.device or default_device()))
    model, design = trained_fastdepth(options.design)
    options.size = None
    recipe = chosen_recipe(options, model.design)
    check_target(options.design, model, recipe)
    first = costs(design, model.size)[name]
    narrowing = asked(options, name, number * first / 100 if unit == "%" else number * _UNITS[unit],
                      model.size, first)  # fmt: skip
    narrowing.check_reachable(design)
    table, base = chosen_table(options, model)
    data, validation, protocol = chosen_data(options, table, base, options.out)
    settings = {
        "from": _fingerprint(Path(options.design)),
        "budget": f"{name} <= {narrowing.budget:.0f}",
        "share": options.share,
        "multiple": options.multiple,
        "keep": sorted(options.keep),
        "recipe": to_plain(recipe),
        "final_steps": options.final_steps,
        "seed": options.seed,
        "data": data.caption,
        "validation": f"{validation.caption}, {protocol.describe()}",
    }
    with stop_on_signal(ALONE) as stop, told_divergence(ALONE):
        pruning = Pruning(
            out=options.out,
            cost=name,
            narrowing=narrowing,
            recipe=recipe,
            final_steps=options.final_steps,
            seed=options.seed,
            data=data,
            validation=validation,
            protocol=protocol,
            device=device,
            stop=stop,
        )
        metrics = pruning.run(model, design, settings)
    print(json.dumps(metrics, indent=1) if options.json else as_text(options.out, metrics))
    return 0


def read_budget(text: str) -> tuple[str, float, str]:
    """``macs=12M`` or ``macs=60%`` as name, number and unit; an InputError says what is wrong."""
    match = _BUDGET.fullmatch(text)
    if match is None or match["name"] not in COUNTED:
        raise InputError(
            f"--budget {text}: write one of {', '.join(COUNTED)} and a bound, e.g. macs=12M or"
            " macs=60%"
        )
    number = float(match["number"])
    if number <= 0 or (match["unit"] == "%" and number >= 100):
        raise InputError(f"--budget {text}: a number above 0, or a share between 0% and 100%")
    return match["name"], number, match["unit"]


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise InputError(f"--share {text}: a share above 0, up to 1, e.g. 0.03")
    return value


def trained_fastdepth(text: str) -> tuple[Model, FastDepthDesign]:
    """The MODEL and its design; an InputError where there are no weights, or another network's."""
    from nano.design.fastdepth import FastDepthDesign
    from nano.networks.fastdepth import FastDepth
    from nano.networks.model import load_model

    if not is_model(text):
        raise InputError(
            f"{text}: no folder with model.safetensors; train one first: python -m nano.train"
            " fastdepth-small --out DIR"
        )
    model = load_model(Path(text))
    if not isinstance(model.network, FastDepth):
        raise DesignError(f"{text}: only a fastdepth can be narrowed, this is another network")
    return model, FastDepthDesign(widths=tuple(getattr(model.design, "widths", ())))


def costs(design: FastDepthDesign, size: tuple[int, int]) -> dict[str, int]:
    """Everything counted of a design, by name."""
    from nano.cost.count import count

    return count(design, size).values()


def asked(
    options: argparse.Namespace, name: str, budget: float, size: tuple[int, int], first: float
) -> Narrowing:
    """What the options ask for; an InputError where the budget saves nothing."""
    from nano.networks.netadapt import Narrowing

    if budget >= first:
        raise InputError(
            f"--budget {options.budget}: {options.design} has {name} {first:,} already;"
            " ask for less"
        )
    return Narrowing(
        cost=lambda design: costs(design, size)[name],
        budget=budget,
        ask=options.share * first,
        multiple=options.multiple,
        keep=tuple(options.keep),
    )


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What a run of NetAdapt needs.

    Attributes:
        out: Where all is kept.
        cost: Name of what is to be saved.
        narrowing: How far, and by how much a round.
        recipe: Of the short trainings.
        final_steps: Of the long one.
        seed: Of the orders of images.
        data: To train on.
        validation: To judge by.
        protocol: Of every accuracy.
        device: ``cpu`` or ``cuda``.
        stop: True when work must end.
    """

    out: Path
    cost: str
    narrowing: Narrowing
    recipe: Recipe
    final_steps: int
    seed: int
    data: DepthSet
    validation: DepthSet
    protocol: Protocol
    device: str
    stop: Callable[[], bool]

    def run(
        self, model: Model, design: FastDepthDesign, settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """All rounds and the long training, from wherever an earlier run was stopped.

        Raises:
            RunError: ``out`` holds a pruning with other settings.
        """
        from nano.files import to_plain, write_json
        from nano.machine import commit, machine, versions

        metrics = self._begun(settings)
        if "accuracy" in metrics:
            say(f"{self.out}: already pruned")
            return metrics
        if "before" not in metrics:
            metrics["before"] = self._told(design, self._accuracy(model))
            self._write(metrics)
        model, design = self._narrow(model, design, metrics)
        say(f"the budget is met; the long training: {self.final_steps} steps")
        trained = self._trained(
            model, replace(self.recipe, steps=self.final_steps), "final", self.out
        )
        after = self._accuracy(trained)
        from nano.networks.model import save_model

        save_model(self.out, trained)
        metrics |= {
            **self._told(design, after),
            "accuracy": to_plain(after),
            "machine": machine(),
            "versions": versions(),
            "commit": commit(Path(__file__).parent),
        }
        write_json(self.out / METRICS_FILE, metrics)
        (self.out / CHECKPOINT_FILE).unlink(missing_ok=True)
        return metrics

    def _narrow(
        self, model: Model, design: FastDepthDesign, metrics: dict[str, Any]
    ) -> tuple[Model, FastDepthDesign]:
        """Rounds until the budget is met; each is in ``metrics`` once it is whole."""
        from nano.networks.fastdepth import FastDepth
        from nano.networks.model import save_model
        from nano.networks.netadapt import adapt_round

        rounds: list[dict[str, Any]] = metrics["rounds"]
        if rounds:
            model, design = trained_fastdepth(str(self._round(len(rounds))))
        while (now := self.narrowing.cost(design)) > self.narrowing.budget:
            number = len(rounds) + 1
            say(f"round {number}: {self.cost} {now:,.0f}, to reach {self.narrowing.budget:,.0f}")
            network = model.network
            assert isinstance(network, FastDepth)
            best, told = adapt_round(design, network, self.narrowing, self._judge(model, number))
            design = best.proposal.design
            model = _model(model, best.proposal.design, best.network)
            save_model(self._round(number), model)
            record = {
                "layer": best.proposal.layer,
                "width": design.widths[_position(best.proposal.layer)],
                **costs(design, model.size),
                "delta1": best.accuracy,
                "judged": told,
            }
            rounds.append(record)
            self._write(metrics)
            for folder in self._round(number).glob("*/"):
                shutil.rmtree(folder)
            say(
                f"round {number}: {record['layer']} to {record['width']} channels,"
                f" {self.cost} {record[self.cost]:,}, delta1 {best.accuracy:.4f}"
            )
        return model, design

    def _judge(self, model: Model, number: int) -> Judge:
        """Trains a proposal briefly, or finds that it was trained before the run was stopped."""
        from nano.files import read_json, write_json
        from nano.networks.netadapt import Judged

        def judge(proposal: Proposal, network: FastDepth) -> Judged:
            folder = self._round(number) / proposal.layer
            if (folder / JUDGED_FILE).is_file():
                kept = read_json(folder / JUDGED_FILE, RunError)
                if kept["key"] == proposal.design.key:
                    again = network if kept["delta1"] is None else _fastdepth(str(folder))
                    return Judged(proposal=proposal, network=again, accuracy=kept["delta1"])
            narrower = _model(model, proposal.design, network)
            delta1: float | None = None
            try:
                trained = self._trained(narrower, self.recipe, f"round {number}", folder)
                delta1 = self._accuracy(trained).delta1
                from nano.networks.model import save_model

                save_model(folder, trained)
            except Diverged as diverged:
                say(f"  {proposal.layer}: diverged at {diverged}")
            write_json(folder / JUDGED_FILE, {"key": proposal.design.key, "delta1": delta1})
            return Judged(proposal=proposal, network=network, accuracy=delta1)

        return judge

    def _trained(self, model: Model, recipe: Recipe, stage: str, folder: Path) -> Model:
        """The model trained further; every proposal of a round sees the same images in order."""
        from nano.seeds import derive_seed
        from nano.train.loop import train

        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / CHECKPOINT_FILE
        trained = train(
            model.design,
            recipe,
            self.data,
            seed=self.seed,
            order_seed=derive_seed(self.seed, "netadapt", stage),
            device=self.device,
            checkpoint=checkpoint,
            stop=self.stop,
            start=model.network,
        )
        return replace(model, network=trained.network)

    def _accuracy(self, model: Model) -> Accuracy:
        from nano.evaluate.run import evaluate

        return evaluate(
            model.network, model.target, self.validation, self.protocol, device=self.device
        ).accuracy

    def _told(self, design: FastDepthDesign, accuracy: Accuracy) -> dict[str, Any]:
        return {
            "key": design.key,
            "widths": list(design.widths),
            **costs(design, self.data.size),
            "delta1": accuracy.delta1,
            "abs_rel": accuracy.abs_rel,
        }

    def _round(self, number: int) -> Path:
        return self.out / ROUNDS / f"{number:03d}"

    def _begun(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What an earlier run left; a RunError where it had other settings."""
        from nano.files import read_json, to_plain

        path = self.out / METRICS_FILE
        if not path.exists():
            return {"settings": to_plain(settings), "rounds": []}
        metrics: dict[str, Any] = read_json(path, RunError)
        there = metrics.get("settings", {})
        differing = [name for name in settings if there.get(name) != to_plain(settings[name])]
        if differing:
            raise RunError(
                f"{self.out}: holds another work, which differs in {', '.join(differing)}; name"
                " another folder with --out"
            )
        return metrics

    def _write(self, metrics: Mapping[str, Any]) -> None:
        from nano.files import write_json

        write_json(self.out / METRICS_FILE, metrics)


def _fastdepth(text: str) -> FastDepth:
    from nano.networks.fastdepth import FastDepth

    network = trained_fastdepth(text)[0].network
    assert isinstance(network, FastDepth)
    return network


def _model(model: Model, design: FastDepthDesign, network: Any) -> Model:
    from nano.networks.catalog import architecture_of

    return replace(model, design=architecture_of(design), network=network)


def _position(layer: str) -> int:
    from nano.design.fastdepth import LAYERS

    return LAYERS.index(layer)


def _fingerprint(folder: Path) -> str:
    """Short hash of a MODEL's weights."""
    import hashlib

    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]


def as_text(out: Path, metrics: Mapping[str, Any]) -> str:
    """The way down, a line a round."""
    from nano.columns import aligned

    rows = [("round", "layer", "channels", "MACs", "params", "delta1")]
    for number, one in enumerate(metrics["rounds"], start=1):
        rows.append((
            str(number), one["layer"], str(one["width"]),
            f"{one['macs']:,}", f"{one['params']:,}", f"{one['delta1']:.4f}",
        ))  # fmt: skip
    before = metrics["before"]
    return "\n".join(
        [
            *aligned(rows),
            "",
            f"before: {before['macs']:,} MACs, {before['params']:,} parameters,"
            f" delta1 {before['delta1']:.4f}",
            f"after:  {metrics['macs']:,} MACs, {metrics['params']:,} parameters,"
            f" delta1 {metrics['delta1']:.4f}",
            f"{metrics['settings']['validation']}",
            f"model: {out}",
        ]
    )


if __name__ == "__main__":
    run(main)
