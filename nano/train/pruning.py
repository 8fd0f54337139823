"""A run of NetAdapt: its rounds, what it keeps of them on disk, and how it tells of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nano.columns import aligned
from nano.console import say
from nano.cost.count import count
from nano.data.sample import DepthSet
from nano.design.fastdepth import LAYERS, FastDepthDesign
from nano.errors import DesignError, Diverged, RunError
from nano.evaluate.run import evaluate
from nano.files import read_json, to_plain, write_json
from nano.machine import commit, machine, versions
from nano.networks.catalog import architecture_of
from nano.networks.fastdepth import FastDepth
from nano.networks.model import Model, load_model, save_model
from nano.networks.netadapt import Judge, Judged, Narrowing, Proposal, adapt_round
from nano.records import Accuracy, Protocol
from nano.seeds import derive_seed
from nano.train.earlier import CHECKPOINT_FILE, METRICS_FILE, earlier
from nano.train.loop import train
from nano.train.recipe import Recipe

ROUNDS = "rounds"
JUDGED_FILE = "judged.json"


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
        metrics = earlier(self.out, "pruning", settings)
        if metrics is None:
            metrics = {"pruning": to_plain(settings), "rounds": []}
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
        rounds: list[dict[str, Any]] = metrics["rounds"]
        if rounds:
            model, design = load_fastdepth(self._round(len(rounds)))
        while (now := self.narrowing.cost(design)) > self.narrowing.budget:
            number = len(rounds) + 1
            say(f"round {number}: {self.cost} {now:,.0f}, to reach {self.narrowing.budget:,.0f}")
            judge = self._judge(model, number)
            best, told = adapt_round(design, _fastdepth(model), self.narrowing, judge)
            design = best.proposal.design
            model = _model(model, best.proposal.design, best.network)
            save_model(self._round(number), model)
            record = {
                "layer": best.proposal.layer,
                "width": design.widths[LAYERS.index(best.proposal.layer)],
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

        def judge(proposal: Proposal, network: FastDepth) -> Judged:
            folder = self._round(number) / proposal.layer
            if (folder / JUDGED_FILE).is_file():
                kept = read_json(folder / JUDGED_FILE, RunError)
                if kept["key"] == proposal.design.key:
                    again = (
                        network if kept["delta1"] is None else _fastdepth(load_fastdepth(folder)[0])
                    )
                    return Judged(proposal=proposal, network=again, accuracy=kept["delta1"])
            narrower = _model(model, proposal.design, network)
            delta1: float | None = None
            try:
                trained = self._trained(narrower, self.recipe, f"round {number}", folder)
                delta1 = self._accuracy(trained).delta1
                save_model(folder, trained)
            except Diverged as diverged:
                say(f"  {proposal.layer}: diverged at {diverged}")
            write_json(folder / JUDGED_FILE, {"key": proposal.design.key, "delta1": delta1})
            return Judged(proposal=proposal, network=network, accuracy=delta1)

        return judge

    def _trained(self, model: Model, recipe: Recipe, stage: str, folder: Path) -> Model:
        """The model trained further; every proposal of a round sees the same images in order."""
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

    def _write(self, metrics: Mapping[str, Any]) -> None:
        write_json(self.out / METRICS_FILE, metrics)


def _fastdepth(model: Model) -> FastDepth:
    assert isinstance(model.network, FastDepth)  # `load_fastdepth` has seen to it
    return model.network


def _model(model: Model, design: FastDepthDesign, network: Any) -> Model:
    return replace(model, design=architecture_of(design), network=network)


def load_fastdepth(folder: Path) -> tuple[Model, FastDepthDesign]:
    """The MODEL and its design; a DesignError where it is another network's."""
    model = load_model(folder)
    if not isinstance(model.network, FastDepth):
        raise DesignError(f"{folder}: only a fastdepth can be narrowed, this is another network")
    return model, FastDepthDesign(widths=tuple(getattr(model.design, "widths", ())))


def costs(design: FastDepthDesign, size: tuple[int, int]) -> dict[str, int]:
    """Everything counted of a design, by name."""
    return count(design, size).values()


def as_text(out: Path, metrics: Mapping[str, Any]) -> str:
    """The way down, a line a round."""
    head = ("round", "layer", "channels", "MACs", "params", "delta1")
    rows = [
        (str(number), one["layer"], str(one["width"]), *_numbers(one))
        for number, one in enumerate(metrics["rounds"], start=1)
    ]
    before = metrics["before"]
    return "\n".join(
        [
            *aligned([head, *rows]),
            "",
            f"before: {before['macs']:,} MACs, {before['params']:,} parameters,"
            f" delta1 {before['delta1']:.4f}",
            f"after:  {metrics['macs']:,} MACs, {metrics['params']:,} parameters,"
            f" delta1 {metrics['delta1']:.4f}",
            f"{metrics['pruning']['validation']}",
            f"model: {out}",
        ]
    )


def _numbers(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{one['macs']:,}", f"{one['params']:,}", f"{one['delta1']:.4f}"
