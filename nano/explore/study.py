"""The study file: one TOML file is the whole experiment.

Checked by pydantic at this boundary; unknown keys are errors with a suggestion, and every problem
is one line that says where it stands.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nano.data.sets import DataTable, ScenesTable
from nano.design.presets import PRESETS, prototype
from nano.design.prototype import Prototype
from nano.errors import StudyError
from nano.score import ACCURACY_FORMS, AT_MOST_MEASURED, Requirements, Utility
from nano.train.recipe import Recipe, recipe_from_plain


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PrototypeTable(_Table):
    """[prototype]: the family that is searched."""

    name: Literal["depthnet"] = "depthnet"
    preset: str = Field(
        default="depthnet-small", description=f"the design that seeds it: {', '.join(PRESETS)}"
    )
    ranges: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="[low, high] by knob, e.g. growth or growth.3, in place of the preset's own",
    )


class UtilityTable(_Table):
    """[utility]: what is maximised, 20 log10(a^kappa / (p^beta m^gamma)) in decibels."""

    kind: Literal["netscore"] = "netscore"
    kappa: float = Field(default=0.7, gt=0)
    beta: float = Field(default=0.15, ge=0)
    gamma: float = Field(default=0.15, ge=0)
    accuracy: str = Field(
        default="d1*(1-abs_rel)", description=f"one of {', '.join(ACCURACY_FORMS)}"
    )

    @field_validator("accuracy")
    @classmethod
    def _known(cls, form: str) -> str:
        if form not in ACCURACY_FORMS:
            raise ValueError(f"unknown form; known: {', '.join(ACCURACY_FORMS)}")
        return form


GENERATORS = ("random", "tpe", "cmaes", "nsga2", "evolution")


class GeneratorTable(_Table):
    """[generator]: what proposes designs."""

    kind: Literal["random", "tpe", "cmaes", "nsga2", "evolution"] = "tpe"


class TrainingTable(_Table):
    """One rung, or the final training: a complete schedule of its own."""

    steps: int = Field(gt=0, description="training steps; each shows the recipe's batch of images")


class ConfirmTable(_Table):
    """[stages] confirm: what a claim rests on."""

    designs: int = Field(default=3, gt=0, description="finalists that are retrained")
    seeds: int = Field(default=3, gt=0, description="fresh seeds for each")


class StagesTable(_Table):
    """[stages]: how a design is trained, cheapest first."""

    rungs: tuple[TrainingTable, ...] = ()
    final: TrainingTable = TrainingTable(steps=600)
    keep: float = Field(
        default=1 / 3, gt=0, le=1, description="share of the designs of a rung that goes on"
    )
    confirm: ConfirmTable = ConfirmTable()
    recipe: str | dict[str, Any] = Field(
        default="quick", description="a recipe's name, or a table that may start from one"
    )


class EvaluateTable(_Table):
    """[evaluate]: a function of the user's in place of the built-in training."""

    callable: str = Field(
        description="package.module:function, importable or beside the study file; called as"
        " function(design, images=N, seed=S) at every rung, N being the rung's training images;"
        " returns an Accuracy or a mapping with at least delta1 and abs_rel",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
    )


class StudyFile(_Table):
    """A complete experiment; nothing that changes its results is a flag of the command."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    about: str = Field(default="", description="free text, shown in the report")
    seed: int = Field(default=0, ge=0)
    trials: int = Field(default=30, gt=0, description="designs that get a trial")
    data: DataTable = ScenesTable()
    prototype: PrototypeTable = PrototypeTable()
    utility: UtilityTable = UtilityTable()
    require: dict[str, str] = Field(default_factory=dict)
    generator: GeneratorTable = GeneratorTable()
    stages: StagesTable = StagesTable()
    evaluate: EvaluateTable | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Input height and width."""
        return self.data.size

    def requirements(self) -> Requirements:
        """The parsed bounds; raises a StudyError for nonsense and for what cannot be measured."""
        requirements = Requirements.parse(self.require)
        for item in requirements.items:
            if item.name in (*AT_MOST_MEASURED, "fps"):
                raise StudyError(
                    f"[require] {item.name}: this version measures nothing on devices; leave it out"
                )
        return requirements

    def weights(self) -> Utility:
        """The utility with its weights."""
        table = self.utility
        return Utility(
            kappa=table.kappa, beta=table.beta, gamma=table.gamma, accuracy=table.accuracy
        )

    def recipe(self) -> Recipe:
        """The recipe; its steps are replaced by each rung's."""
        return recipe_from_plain(self.stages.recipe, "[stages] recipe")

    def family(self) -> Prototype:
        """The prototype with the study's ranges."""
        return prototype(self.prototype.preset, self.prototype.ranges)

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
    _anchor_roots(plain, path.resolve().parent)
    for override in overrides:
        _apply(plain, override)
    _anchor_roots(plain, Path.cwd())
    study = parse_study(plain, str(path), text)
    check_study(study)
    return study


def parse_study(plain: Mapping[str, Any], where: str, text: str = "") -> StudyFile:
    """The study in parsed TOML; ``text`` lets messages name the line."""
    try:
        return StudyFile.model_validate(_defaulted(plain))
    except ValidationError as invalid:
        raise StudyError(_explain(invalid, where, text)) from invalid


def check_study(study: StudyFile) -> None:
    """Everything that can be wrong without looking at data: raises a StudyError or DesignError."""
    study.requirements()
    study.recipe()
    study.family().preset.check_size(study.size)
    spends = [images for _, images in study.trainings()]
    if spends != sorted(set(spends)):
        raise StudyError(f"[stages] rungs and final must grow in steps, got images {spends}")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``key: old -> new`` for everything that changes results; the number of trials may grow."""
    before, after = dict(_flat(old)), dict(_flat(new))
    free = {"trials", "about"}
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in free
    ]


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _defaulted(plain: Mapping[str, Any]) -> dict[str, Any]:
    """``set = "scenes"`` may be left out: the data are told apart by it, so it is filled in."""
    data = plain.get("data", {})
    if isinstance(data, Mapping) and "set" not in data:
        return {**plain, "data": {"set": "scenes", **data}}
    return dict(plain)


def _apply(plain: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    steps = key.strip().split(".")
    if not equals or not all(steps):
        raise StudyError(f"--set {override}: write KEY=VALUE, e.g. --set data.size=[64,192]")
    table = plain
    for step in steps[:-1]:
        inner = table.setdefault(step, {})
        if not isinstance(inner, dict):
            raise StudyError(f"--set {override}: {step} is not a table")
        table = inner
    try:
        table[steps[-1]] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[steps[-1]] = value.strip()  # a bare word or a bound such as >= 0.6


def _anchor_roots(plain: dict[str, Any], base: Path) -> None:
    data = plain.get("data")
    if not isinstance(data, dict) or "root" not in data:
        return
    root = data["root"]
    if isinstance(root, str):
        data["root"] = str(base / Path(root).expanduser())
    elif isinstance(root, list):
        data["root"] = [
            str(base / Path(one).expanduser()) if isinstance(one, str) else one for one in root
        ]


# --- messages ------------------------------------------------------------------------------------


def _explain(invalid: ValidationError, where: str, text: str) -> str:
    first = invalid.errors()[0]
    steps = [str(step) for step in first["loc"] if str(step) not in {"scenes", "kitti"}]
    table, key = ".".join(steps[:-1]), steps[-1] if steps else ""
    line = _line_of(text, table, key)
    place = f"{where}:{line}" if line else where
    name = f"[{table}] {key}" if table else key
    if first["type"] == "extra_forbidden":
        known = _keys_of(steps[:-1])
        near = difflib.get_close_matches(key, known, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(known)}"
        return f"{place}: {name}: unknown key{hint}"
    if first["type"] == "missing":
        return f"{place}: {name}: missing"
    message = first["msg"].removeprefix("Value error, ")
    got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
    return f"{place}: {name}: {message[0].lower()}{message[1:]}{got}"


def _keys_of(steps: Sequence[str]) -> list[str]:
    """Keys of the table at ``steps``, of every kind of data where there are several."""
    schema = StudyFile.model_json_schema()
    node: Mapping[str, Any] = schema
    for step in steps:
        nodes = _resolved(schema, node.get("properties", {}).get(step, {}))
        node = next((n for n in nodes if "properties" in n), {})
        if len(nodes) > 1:
            merged = {k: v for n in nodes for k, v in n.get("properties", {}).items()}
            node = {"properties": merged}
    return sorted(node.get("properties", {}))


def _resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    options = [node, *node.get("anyOf", []), *node.get("oneOf", [])]
    named = [n["$ref"].rpartition("/")[2] for n in options if "$ref" in n]
    return [schema["$defs"][name] for name in named] or [node]


def _line_of(text: str, table: str, key: str) -> int | None:
    """The line where ``key`` is set under ``[table]``, if it stands there in plain sight."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            current = header[1]
            if f"{table}.{key}".lstrip(".") == current:
                return number
        elif current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return None
