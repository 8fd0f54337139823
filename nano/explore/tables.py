"""The tables of a study file: what each may hold, and what it means.

Field by field, because errors, defaults and descriptions are made from them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nano.design.families import FAMILIES
from nano.explore.explain import suggestion
from nano.score import ACCURACY_FORMS, AT_MOST_COUNTED, AT_MOST_MEASURED

HERE, SSH = ("cpu", "cuda"), "ssh:"  # kinds of devices


class Table(BaseModel):
    """Frozen, and knows all of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PrototypeTable(Table):
    """[prototype]: the family that is searched."""

    name: Literal["depthnet", "fastdepth"] = Field(
        default="depthnet",
        description="depthnet: densely connected modules, every one of its own widths; fastdepth: a"
        " MobileNet and a decoder of separable convolutions, of which the widths are free",
    )
    preset: str = Field(
        default=FAMILIES["depthnet"].usual,
        description="the design that seeds it; "
        + "; ".join(
            f"{name}: {', '.join(family.presets)} (usually {family.usual})"
            for name, family in FAMILIES.items()
        ),
    )
    ranges: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="[low, high] by knob, e.g. growth or growth.3, in place of the preset's own",
    )


class UtilityTable(Table):
    """[utility]: what is maximised, 20 log10(a^kappa / (p^beta m^gamma)) in decibels."""

    kind: Literal["netscore"] = Field(default="netscore", description="the only one so far")
    kappa: float = Field(default=0.7, gt=0, description="exponent of the accuracy a in percent")
    beta: float = Field(default=0.15, ge=0, description="exponent of the parameters p in millions")
    gamma: float = Field(default=0.15, ge=0, description="exponent of the MACs m in billions")
    accuracy: str = Field(
        default="d1*(1-abs_rel)",
        description=f"a of delta1 and abs_rel: one of {', '.join(ACCURACY_FORMS)}",
    )

    trade_off: tuple[str, ...] = Field(
        default=(),
        description="costs that are minimised beside the score, so that the search spreads over the"
        f" front between them: of {', '.join(AT_MOST_COUNTED)}; and with [device] of"
        f" {', '.join(AT_MOST_MEASURED)}",
    )

    @field_validator("trade_off")
    @classmethod
    def _costs(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            known = (*AT_MOST_COUNTED, *AT_MOST_MEASURED)
            if name not in known:
                raise ValueError(f"{name}: unknown; {suggestion(name, known)}")
        return tuple(dict.fromkeys(names))

    @field_validator("accuracy")
    @classmethod
    def _known(cls, form: str) -> str:
        if form not in ACCURACY_FORMS:
            raise ValueError(f"unknown form; {suggestion(form, ACCURACY_FORMS)}")
        return form


class GeneratorTable(Table):
    """[generator]: what proposes designs."""

    kind: Literal["generator-inquisitor", "tpe", "cmaes", "nsga2", "evolution", "random"] = Field(
        default="generator-inquisitor",
        description="generator-inquisitor learns whole genomes from every training; tpe, cmaes and"
        " nsga2 are Optuna's, over the knobs; evolution breeds the best knobs; random is the"
        " baseline",
    )


class TrainingTable(Table):
    """One rung, or the final training: a complete schedule of its own."""

    steps: int = Field(gt=0, description="training steps; each shows the recipe's batch of images")


class ConfirmTable(Table):
    """[stages] confirm: what a claim rests on."""

    designs: int = Field(default=3, gt=0, description="finalists that are retrained")
    seeds: int = Field(default=3, gt=0, description="fresh seeds for each")


class StagesTable(Table):
    """[stages]: how a design is trained, cheapest first."""

    rungs: tuple[TrainingTable, ...] = Field(
        default=(), description="short trainings, each longer than the one before"
    )
    final: TrainingTable = Field(
        default=TrainingTable(steps=600), description="the training that requirements belong to"
    )
    keep: float = Field(
        default=1 / 3, gt=0, le=1, description="share of the designs of a rung that goes on"
    )
    confirm: ConfirmTable = Field(
        default=ConfirmTable(), description="retraining of the best with fresh seeds"
    )
    recipe: str | dict[str, Any] = Field(
        default="quick", description="a recipe's name, or a table that may start from one"
    )


class DeviceTable(Table):
    """[device]: where every design is measured before it is trained."""

    kind: str = Field(
        description="cpu or cuda: this machine's processor, or its GPU; ssh:HOST: a Jetson that ssh"
        " reaches by a key; ssh:demo: a made-up one"
    )
    runtime: Literal["eager", "compile", "native", "onnxruntime", "tensorrt", "trtexec"] = Field(
        default="eager", description="what runs the network; on ssh:HOST trtexec, and nothing else"
    )
    precision: Literal["float32", "float16"] = Field(
        default="float32", description="of the computing"
    )
    batch: int = Field(default=1, gt=0, description="images at a time; latency is the batch's")
    threads: int = Field(default=1, gt=0, description="of the CPU")
    power_mode: str | None = Field(
        default=None, description="of ssh:HOST by its name, e.g. MAXN; else the one it is in"
    )
    seconds: float = Field(
        default=1.0,
        gt=0,
        description="that each fresh process times, or more; on ssh:HOST 5 unless told",
    )
    repeats: int = Field(default=2, gt=0, description="fresh processes a design")
    wait_minutes: float = Field(
        default=5.0, ge=0, description="a device that fails is waited for so long, a design"
    )

    @property
    def host(self) -> str | None:
        """Of ``ssh:HOST``; None for this machine."""
        return self.kind.removeprefix(SSH) if self.kind.startswith(SSH) else None

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, plain: Any) -> Any:
        """Defaults of a device that ssh reaches: power is sampled ten times a second."""
        if isinstance(plain, dict) and str(plain.get("kind", "")).startswith(SSH):
            return {"runtime": "trtexec", "seconds": 5.0, **plain}
        return plain

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in HERE and not (kind.startswith(SSH) and kind != SSH):
            raise ValueError(f"no {kind!r} here; {suggestion(kind, (*HERE, f'{SSH}HOST'))}")
        return kind

    @model_validator(mode="after")
    def _fits(self) -> DeviceTable:
        here = self.host is None
        if here == (self.runtime == "trtexec"):
            rest = "ssh:HOST alone" if here else "its only runtime"
            raise ValueError(f'kind = "{self.kind}", runtime = "{self.runtime}": trtexec is {rest}')
        if here and self.power_mode is not None:
            raise ValueError(f'kind = "{self.kind}": power_mode is for ssh:HOST')
        if not here and (self.batch, self.threads) != (1, 1):
            raise ValueError(f'kind = "{self.kind}": batch and threads are for cpu and cuda')
        return self


class WorkersTable(Table):
    """[workers]: what carries trainings; changes no result."""

    engine: Literal["processes", "ray"] = Field(
        default="processes",
        description="processes of this machine; or tasks of the Ray cluster that RAY_ADDRESS names,"
        " else of one that is started here",
    )
    gpus: float = Field(
        default=1.0, ge=0, description="of each Ray task, where the cluster has any"
    )
    cpus: int = Field(default=1, gt=0, description="of each Ray task, and its threads")
    retries: int = Field(
        default=3, ge=0, description="of a Ray task whose node or process was lost"
    )
    grace_minutes: float = Field(
        default=10.0,
        gt=0,
        description="a driver elsewhere that gave no sign of life for so long counts as dead, and"
        " its trials are run again; a database that went away is waited for half as long",
    )


class EvaluateTable(Table):
    """[evaluate]: a function of the user's in place of the built-in training."""

    callable: str = Field(
        description="package.module:function, importable or beside the study file; called as"
        " function(design, images=N, seed=S) at every rung, N being the rung's training images;"
        " returns an Accuracy or a mapping with at least delta1 and abs_rel",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
    )
