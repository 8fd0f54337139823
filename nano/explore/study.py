"""The study file: one TOML file is the whole experiment.

Checked by pydantic at this boundary; unknown keys are errors with a suggestion, and every problem
is one line that says where it stands (`nano.explore.explain`).
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    ValidationError,
)

from nano.data.file_tables import FolderTable
from nano.data.sets import AnyTable, DataTable, ScenesTable, check_splits, truth_kind
from nano.design.families import FAMILIES, AnyFamily, check_preset, family_around
from nano.errors import InputError, StudyError
from nano.evaluate.protocol import PROTOCOLS
from nano.evaluate.run import check_truth
from nano.explore.explain import Origin, explain, suggestion
from nano.explore.overrides import override
from nano.explore.tables import (
    DeviceTable,
    EvaluateTable,
    GeneratorTable,
    PrototypeTable,
    StagesTable,
    Table,
    UtilityTable,
    WorkersTable,
)
from nano.score import (
    MEASURED,
    REQUIRABLE,
    Requirements,
    Utility,
    parse_requirement,
)
from nano.train.recipe import Recipe, recipe_from_plain


class StudyFile(Table):
    """A complete experiment; nothing that changes its results is a flag of the command."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
        description="of the study in its storage, and of the run folder",
    )
    about: str = Field(default="", description="free text, shown in the report")
    seed: int = Field(default=0, ge=0, description="decides proposals, starts and orders of images")
    trials: int = Field(default=30, gt=0, description="designs that get a trial")
    patience: int = Field(
        default=0,
        ge=0,
        description="ends the search after so many trials in a row without a feasible design that"
        " scores .05 dB more; 0: only trials or hours end it",
    )
    data: DataTable = Field(
        default=ScenesTable(),
        description="images with depth: set = scenes, kitti, ddad, nyu or folder",
    )
    prototype: PrototypeTable = Field(
        default=PrototypeTable(), description="the family that is searched"
    )
    utility: UtilityTable = Field(default=UtilityTable(), description="what is maximised")
    require: dict[str, str] = Field(
        default_factory=dict,
        description='what must hold, by name, e.g. delta1 = ">= 0.89 + 0.005" (the search asks for'
        f' 0.005 more) or params = "<= 2M"; names: {", ".join(REQUIRABLE)}; of these'
        f" {', '.join(MEASURED)} need [device]",
    )
    generator: GeneratorTable = Field(default=GeneratorTable(), description="what proposes designs")
    stages: StagesTable = Field(
        default=StagesTable(), description="how a design is trained, cheapest first"
    )
    device: DeviceTable | None = Field(
        default=None, description="where designs are measured; without it nothing is"
    )
    workers: WorkersTable = Field(
        default=WorkersTable(), description="what carries trainings; changes no result"
    )
    evaluate: EvaluateTable | None = Field(
        default=None, description="a function of the user's in place of the built-in training"
    )

    @property
    def size(self) -> tuple[int, int]:
        """Input height and width."""
        return self.data.size

    def requirements(self) -> Requirements:
        """The parsed bounds."""
        return Requirements.parse(self.require)

    def weights(self) -> Utility:
        """The utility with its weights."""
        table = self.utility
        return Utility(
            kappa=table.kappa,
            beta=table.beta,
            gamma=table.gamma,
            accuracy=table.accuracy,
            trade_off=table.trade_off,
        )

    def recipe(self) -> Recipe:
        """The recipe; its steps are replaced by each rung's."""
        recipe = recipe_from_plain(self.stages.recipe, "[stages] recipe")
        if recipe.target == "ordinal":
            raise StudyError(
                "[stages] recipe: target 'ordinal' is for networks that write decisions (dorn);"
                " a design writes one number a pixel: use 'log' or 'inverse'"
            )
        return recipe

    def family(self) -> AnyFamily:
        """The prototype with the study's ranges."""
        table = self.prototype
        return family_around(table.name, table.preset, table.ranges)

    def trainings(self) -> tuple[tuple[str, int], ...]:
        """(stage, training images) of every rung and of the final training, in order."""
        batch = self.recipe().batch
        named = [(f"rung {i}", rung.steps) for i, rung in enumerate(self.stages.rungs, start=1)]
        named.append(("final", self.stages.final.steps))
        return tuple((stage, steps * batch) for stage, steps in named)

    def plain(self) -> dict[str, Any]:
        """The experiment as data that TOML can hold."""
        return self.model_dump(mode="json", exclude_none=True)


def read_study(path: Path, overrides: Sequence[str] = ()) -> StudyFile:
    """Read a study file and apply ``KEY=VALUE`` overrides, e.g. ``data.size=[64, 192]``.

    Relative roots of data are made absolute: those in the file start at the file's folder, those
    of overrides at the working directory.

    Raises:
        StudyError: One line: file, line, table, key, and what would be right.
        DesignError: Likewise, for a prototype or a size from which no network can be built.
        DataError: Likewise, for splits that cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as missing:
        raise StudyError(f"{path}: no such study file") from missing
    except (OSError, UnicodeDecodeError) as unreadable:
        raise StudyError(f"{path}: cannot be read: {unreadable}") from unreadable
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as damaged:
        raise StudyError(f"{path}: not TOML: {damaged}") from damaged
    _anchor_roots(plain, path.resolve().parent, str(path))
    overridden = {override(plain, text): text for text in overrides}
    _anchor_roots(plain, Path.cwd(), "--set")
    origin = Origin(where=str(path), text=text, overrides=overridden)
    study = _validated(plain, origin)
    check_study(study, origin)
    return study


def parse_study(plain: Mapping[str, Any], where: str) -> StudyFile:
    """The study in parsed TOML; raises a StudyError that names ``where``."""
    return _validated(plain, Origin(where=where, overrides={}))


def _validated(plain: Mapping[str, Any], origin: Origin) -> StudyFile:
    plain = _plainer(plain)
    try:
        # By way of JSON, where strict types still admit a list for a tuple.
        return StudyFile.model_validate_json(json.dumps(plain, default=str), strict=True)
    except ValidationError as invalid:
        schema = StudyFile.model_json_schema()
        raise StudyError(explain(invalid, plain, schema, origin)) from invalid


def check_study(study: StudyFile, origin: Origin) -> None:
    """Everything else that can be wrong without looking at data or counting.

    Raises:
        StudyError: Requirements, recipe, protocol or rungs that cannot be meant.
        DesignError: A prototype or a size from which no network can be built.
        DataError: Splits that cannot be, or truth that the protocol is not defined on.
    """

    def grow() -> None:
        images = [images for _, images in study.trainings()]
        if images != sorted(set(images)):
            steps = [one.steps for one in (*study.stages.rungs, study.stages.final)]
            raise StudyError(f"[stages] rungs and final must grow in steps, got {steps}")

    checks: list[tuple[tuple[str, ...], Callable[[], object]]] = [
        *(
            (("require", name), partial(_requirement, study, name, text))
            for name, text in study.require.items()
        ),
        (("stages", "recipe"), study.recipe),
        (
            ("prototype", "preset"),
            lambda: check_preset(study.prototype.name, study.prototype.preset),
        ),
        (("prototype", "ranges"), study.family),
        (("data", "size"), lambda: study.family().preset.check_size(study.size)),
        (("data", "protocol"), lambda: _check_protocol(study.data)),
        (("data",), lambda: check_splits(study.data)),
        (("stages", "rungs"), grow),
        (("device", "runtime"), partial(_check_runtime, study)),
        (("utility", "trade_off"), partial(_check_trade_off, study)),
    ]
    for path, check in checks:
        try:
            check()
        except InputError as wrong:
            raise type(wrong)(f"{origin.place(path, str(wrong))}: {wrong}") from wrong


def _requirement(study: StudyFile, name: str, text: str) -> None:
    parse_requirement(name, text)
    _check_measured(study, "[require]", name)


def _check_measured(study: StudyFile, table: str, name: str) -> None:
    if name in MEASURED and study.device is None:
        raise StudyError(
            f'{table} {name}: measured where? Add [device] with kind = "cpu", "cuda" or "ssh:HOST"'
        )


def _check_protocol(data: AnyTable) -> None:
    if isinstance(data, FolderTable):
        return  # one protocol, whose range the folder's manifest states
    if data.protocol not in PROTOCOLS:
        raise StudyError(
            f'[data] protocol = "{data.protocol}": unknown; {suggestion(data.protocol, PROTOCOLS)}'
        )
    check_truth(f'[data] set = "{data.set}"', truth_kind(data), PROTOCOLS[data.protocol])


def _check_runtime(study: StudyFile) -> None:
    if study.device is None or study.device.runtime != "native":
        return
    if study.prototype.name != "depthnet":
        raise StudyError(
            f'[device] runtime = "native" runs depthnets, not [prototype] name ='
            f' "{study.prototype.name}"; use "eager", "compile" or "onnxruntime"'
        )


def _check_trade_off(study: StudyFile) -> None:
    for name in study.utility.trade_off:
        _check_measured(study, "[utility] trade_off:", name)
    if study.utility.trade_off and study.generator.kind != "generator-inquisitor":
        raise StudyError(
            f'[generator] kind = "{study.generator.kind}" maximises the score alone;'
            ' with [utility] trade_off use "generator-inquisitor"'
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``key: old -> new`` for everything that changes results.

    The number of trials may grow, patience may change, and data may move to another folder; how
    long a device is waited for is free, too, and so is what carries trainings. A key
    that an older version did not know had what is its default now.
    """
    usual = dict(_flat(StudyFile(name="usual").plain()))
    before, after = dict(_flat(old)), dict(_flat(new))
    free = {"trials", "patience", "about", "data.root", "device.wait_minutes"}
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, usual.get(key)) != after.get(key, usual.get(key))
        and key not in free
        and not key.startswith("workers.")
    ]


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plainer(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a person may leave out or write otherwise, as the models want it."""
    plain = dict(plain)
    data, prototype = plain.get("data", {}), plain.get("prototype")
    if isinstance(data, Mapping) and "set" not in data:
        plain["data"] = {"set": "scenes", **data}  # the kinds of data are told apart by it
    if isinstance(prototype, Mapping):
        plain["prototype"] = _plainer_prototype(prototype)
    return plain


def _plainer_prototype(prototype: Mapping[str, Any]) -> dict[str, Any]:
    prototype = dict(prototype)
    name, ranges = prototype.get("name"), prototype.get("ranges")
    if "preset" not in prototype and isinstance(name, str) and name in FAMILIES:
        prototype["preset"] = FAMILIES[name].usual
    if isinstance(ranges, Mapping):
        # growth.3 = [4, 8] is a table in a table to TOML, and one knob to us.
        prototype["ranges"] = dict(_flat(ranges))
    return prototype


def _anchor_roots(plain: dict[str, Any], base: Path, where: str) -> None:
    """Make the paths of data absolute, in place."""

    def anchored(root: Any) -> Any:
        try:
            if not isinstance(root, str):
                return root
            return os.path.normpath(base / Path(root).expanduser())
        except RuntimeError as nobody:
            raise StudyError(f'{where}: [data] root = "{root}": {nobody}') from nobody

    data = plain.get("data")
    for key in ("root", "standing"):
        if isinstance(data, dict) and data.get(key):
            named = data[key]
            data[key] = [anchored(n) for n in named] if isinstance(named, list) else anchored(named)
