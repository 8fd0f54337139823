"""A table of real trainings: designs of the whole space of a small prototype, at three rungs.

    python -m benchmarks.search.table --workers 2               makes what is missing, or goes on
    python -m benchmarks.search.table --designs 800             extends it

Design number n is the same however many are asked for. Half of them are what knobs expand to, the
other half the preset with every group of widths, every depth and every gene moved by itself; all
are scaled to sizes spread evenly in log parameters, because searches also visit small designs.
Each is trained from one start at every rung and at the final spend, each a complete schedule; every
tenth from three starts, which is what is known of the noise. The file is rewritten whole after each
training, so that an interruption loses at most those in progress.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.search.training import train, trainer_of
from benchmarks.search.widths import depth_columns, masked, to_caps
from nano.console import positive, run, say
from nano.data.cache import default_cache
from nano.data.sets import prepare_sets
from nano.design.design import Design
from nano.design.genes import Genome
from nano.errors import InputError
from nano.explore.caps import Caps
from nano.explore.levels import Levels
from nano.explore.study import StudyFile, parse_study, read_study
from nano.files import from_plain, read_json, write_json
from nano.machine import commit, cores, machine, versions
from nano.score import Requirements, parse_requirement
from nano.seeds import derive_seed

STUDY = Path(__file__).parent / "table.toml"
TABLE = Path(__file__).parent / "results" / "table.json"
DESIGNS = 400
REPEATED = 10  # every so many designs are trained from further starts
STARTS = 3  # of those
_LARGEST = 1.2  # times the preset's parameters
_GOLDEN = 0.6180339887498949
_GROUP_SD = 0.35  # of the log widths of a group
_GENE_SD = 0.15  # of a log width by itself


@dataclass(frozen=True, kw_only=True)
class Source:
    """Who made rows.

    Attributes:
        commit: Of the code.
        machine: As `nano.machine.machine`.
        versions: Of the libraries.
    """

    commit: str | None = None
    machine: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One design from one start.

    Attributes:
        start: 0, 1 or 2: seed of the weights.
        source: Number in the table's sources.
        readings: (delta1, abs_rel) on the validation scenes by stage, and by ``test`` those of
            the final training on the test scenes.
        seconds: Processor time of everything.
    """

    start: int
    source: int
    readings: dict[str, tuple[float, float]]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One design.

    Attributes:
        genome: Its genes, as text: a hundred short numbers read better on one line.
        params: Exact.
        macs: Exact, at the study's size.
        trained: By start.
    """

    genome: str
    params: int
    macs: int
    trained: tuple[Trained, ...] = ()

    @property
    def genes(self) -> Genome:
        """As numbers."""
        return tuple(int(gene) for gene in self.genome.split())


@dataclass(frozen=True, kw_only=True)
class Table:
    """All of it.

    Attributes:
        study: The experiment, as in its TOML file.
        sources: Of the rows.
        rows: By design number.
    """

    study: dict[str, Any]
    sources: tuple[Source, ...] = ()
    rows: dict[str, Row] = field(default_factory=dict)

    def has(self, number: int, start: int) -> bool:
        """Whether this training was made."""
        row = self.rows.get(str(number))
        return row is not None and any(one.start == start for one in row.trained)

    def with_training(self, number: int, row: Row, trained: Trained) -> Table:
        """One training more."""
        known = self.rows.get(str(number), row)
        ordered = sorted((*known.trained, trained), key=lambda one: one.start)
        rows = {**self.rows, str(number): replace(known, trained=tuple(ordered))}
        return replace(self, rows=dict(sorted(rows.items(), key=lambda item: int(item[0]))))


def read_table(path: Path = TABLE) -> Table:
    """The table; raises an InputError where it is missing or damaged."""
    return from_plain(Table, read_json(path), str(path))


# --- designs ---------------------------------------------------------------------------------


def space(study: StudyFile) -> Caps:
    """The study's space, without bounds."""
    return Caps(prototype=study.family(), requirements=study.requirements(), size=study.size)


def design(caps: Caps, number: int) -> Genome:
    """Genome of the design with a number: always the same."""
    random = Random(derive_seed("table", number))
    prototype = caps.prototype
    smallest = caps.cost(prototype.smallest()).params
    largest = _LARGEST * caps.cost(prototype.preset).params
    params = round(smallest * 1.1 * (largest / smallest / 1.1) ** (number * _GOLDEN % 1.0))
    bound = Requirements(items=(parse_requirement("params", f"<= {params}"),))
    tight = replace(caps, requirements=bound)
    if number % 2 == 0:
        knobs = {knob.name: knob.at(random.random()) for knob in prototype.knobs}
        seed = random.randrange(2**31)
        return prototype.expand(tight.shrink(knobs, seed), seed)
    for _ in range(100):
        found = to_caps(tight, _varied(caps, random), grow=True)
        if found is not None:
            return found
    raise InputError(f"no design of {params:,} parameters was found for number {number}")


def _varied(caps: Caps, random: Random) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The preset with other depths, groups and genes; widths may be fractions."""
    prototype = caps.prototype
    genome = np.array(prototype.genome_of(prototype.preset), dtype=float)
    for modules in prototype.optional:
        for part in modules.parts:
            there = genome[part][genome[part] > 0]
            genome[part] = np.where(genome[part] > 0, genome[part], there.mean())
    for columns in Levels(caps).groups.values():
        genome[columns] *= np.exp(random.gauss(0, _GROUP_SD))
    genome *= np.exp([random.gauss(0, _GENE_SD) for _ in genome])
    for column in depth_columns(prototype):
        gene = prototype.genes[column]
        genome[column] = random.randint(int(gene.low), int(gene.high))
    return masked(prototype, genome[None, :])[0].astype(float)


# --- trainings -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training to make."""

    number: int
    genome: Genome
    start: int


def tasks(caps: Caps, table: Table, designs: int) -> Iterator[Task]:
    """What is missing, in the order of the designs."""
    for number in range(designs):
        starts = range(STARTS if number % REPEATED == 0 else 1)
        missing = [start for start in starts if not table.has(number, start)]
        if missing:
            genome = design(caps, number)
            yield from (Task(number=number, genome=genome, start=start) for start in missing)


def trained(study_json: str, task: Task, source: int) -> Trained:
    """Train one design from one start at all stages, in whatever process."""
    study, trainer = trainer_of(study_json)
    network: Design = study.family().design(task.genome)
    readings: dict[str, tuple[float, float]] = {}
    began = time.process_time()
    for stage, images in study.trainings():
        outcome = train(
            trainer,
            network,
            stage,
            images,
            seed=derive_seed("table", network.key, task.start),
            order=task.start,
            confirming=stage == "final",
        )
        first = outcome.validation or outcome.accuracy
        readings[stage] = (round(first.delta1, 5), round(first.abs_rel, 5))
        if outcome.validation is not None:
            readings["test"] = (
                round(outcome.accuracy.delta1, 5),
                round(outcome.accuracy.abs_rel, 5),
            )
    seconds = round(time.process_time() - began, 1)
    return Trained(start=task.start, source=source, readings=readings, seconds=seconds)


def make(out: Path, designs: int, *, workers: int, study: StudyFile | None = None) -> Table:
    """Add the trainings that ``out`` lacks up to a number of designs.

    Raises:
        InputError: ``out`` holds trainings of another study.
    """
    study = study or read_study(STUDY)
    table = _begun(out, study)
    caps = space(study)
    missing = list(tasks(caps, table, designs))
    if not missing:
        return table
    prepare_sets(study.data, Path(), default_cache(), workers=cores())
    here = Source(commit=commit(Path(__file__).parent), machine=machine(), versions=versions())
    sources = table.sources if here in table.sources else (*table.sources, here)
    table = replace(table, sources=sources)
    text = json.dumps(study.plain(), sort_keys=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(trained, text, task, sources.index(here)): task for task in missing}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                task, found = futures[future], future.result()
                table = table.with_training(task.number, _row(caps, task.genome), found)
                write_json(out, table)
                say(
                    f"{done}/{len(missing)} design {task.number} start {task.start}:"
                    f" delta1 {found.readings['final'][0]:.4f} in {found.seconds:.0f} s"
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return table


def _row(caps: Caps, genome: Genome) -> Row:
    cost = caps.cost(caps.prototype.design(genome))
    return Row(genome=" ".join(map(str, genome)), params=cost.params, macs=cost.macs)


def recipe(study: StudyFile) -> tuple[Any, ...]:
    """What the trainings of a study depend on."""
    return study.seed, study.data, study.prototype, study.stages


def _begun(out: Path, study: StudyFile) -> Table:
    """What ``out`` holds; the empty table where there is no file."""
    if not out.exists():
        return Table(study=study.plain())
    table = read_table(out)
    if recipe(parse_study(table.study, str(out))) != recipe(study):
        raise InputError(f"{out}: holds trainings of another study. Give another file: --out FILE")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.search.table", description="Tabulate real trainings."
    )
    options.add_argument("--designs", type=positive, default=DESIGNS, help="how many in all")
    options.add_argument("--workers", type=positive, default=1, help="processes, one core each")
    options.add_argument("--out", type=Path, default=TABLE, metavar="FILE", help="JSON")
    chosen = options.parse_args(arguments)
    table = make(chosen.out, chosen.designs, workers=chosen.workers)
    count = sum(len(row.trained) for row in table.rows.values())
    print(f"{chosen.out}: {len(table.rows)} designs, {count} starts")
    return 0


if __name__ == "__main__":
    run(main)
