"""How a network is trained, as a value: everything but the network, the data and the seed."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

from nano.errors import StudyError
from nano.files import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One complete training: ``steps`` steps under a schedule that ends with them.

    A short training is a short complete schedule, never the beginning of a long one: an early
    checkpoint under a high rate ranks networks worse (Spearman .57 against .69, measured).

    Attributes:
        optimiser: ``adamw`` (decoupled decay, on convolution kernels only) or ``adam``.
        learning_rate: The peak rate.
        betas: Decay of the optimiser's two running moments.
        amsgrad: Divide by the largest second moment so far (Reddi et al. 2018).
        weight_decay: Per step, times the rate.
        schedule: ``cosine`` (to zero at the last step) or ``constant``; both after the warm-up.
        warmup: Share of the steps over which the rate rises linearly.
        batch: Images a step, over all its parts and processes.
        accumulate: Parts that a process takes its share of a batch in, one after the other, for
            lack of memory. Batch norm sees a part at a time; all else is as in one go.
        steps: Steps of the whole training.
        target: What the head's number means, a key of `nano.networks.target.TARGETS`.
        loss: ``log-l1`` (L1 of log depth), ``l1`` (L1 of the target), ``densedepth``, which brings
            its own SSIM and gradient terms, or ``ordinal``, for networks that write decisions.
        ssim_weight: Weight of the SSIM term added to ``log-l1`` or ``l1``.
        gradient_weight: Weight of the gradient term added to ``log-l1`` or ``l1``.
        ssim: Window and border of SSIM: ``pooled3`` or ``gauss11``, see `nano.train.ssim`.
        max_depth_m: Truth beyond it is unknown to the loss, as it is to protocols; 0: no limit.
            Measured on scenes, where 3 % lie beyond 80 m: abs_rel .310, without the limit .342.
        precision: ``auto`` (bf16 where the processor has it), ``float32``, ``bf16``, or ``fp16``
            with a loss scaled as far up as its gradients bear (CUDA only).
        channels_last: Memory layout of maps and kernels.
        flip: Probability that an image is mirrored.
        permute: Probability that an image's colour channels change places.
        jitter: Largest changes, in both directions, of brightness, contrast and saturation (shares)
            and of hue (share of the circle), e.g. PackNet's (0.2, 0.2, 0.2, 0.05).
        clip: Largest norm of the whole gradient; 0 leaves it as it is. 5 stays out of the way of
            a sound training; 1 costs delta1 .005 (measured, two starts).
        ema: Decay of the weights' exponential moving average, e.g. 0.999; the averaged weights are
            then what is evaluated and kept. 0: the last step's.
        recalibrate: Training images over which batch norm's statistics are measured again after
            the last step, rounded up to whole batches; 0 keeps the running averages. They teach
            nothing, so they are not counted in `images`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    optimiser: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = 4e-3
    betas: tuple[float, float] = (0.9, 0.999)
    amsgrad: bool = False
    weight_decay: float = 0.01
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.05
    batch: int = 16
    accumulate: int = 1
    steps: int = 600
    target: Literal["log", "inverse", "metres", "ordinal"] = "log"
    loss: Literal["log-l1", "l1", "densedepth", "ordinal"] = "log-l1"
    ssim_weight: float = 0.0
    gradient_weight: float = 0.0
    ssim: Literal["pooled3", "gauss11"] = "pooled3"
    max_depth_m: float = 80.0
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    flip: float = 0.5
    permute: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    clip: float = 5.0
    ema: float = 0.0
    recalibrate: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "steps", "accumulate"):
            if getattr(self, name) < 1:
                raise StudyError(f"recipe {name} = {getattr(self, name)}: at least 1")
        self.part(1)
        weights = ("weight_decay", "ssim_weight", "gradient_weight")
        for name in (*weights, "max_depth_m", "clip", "recalibrate"):
            if not 0 <= getattr(self, name) < math.inf:
                raise StudyError(f"recipe {name} = {getattr(self, name)}: a number from 0 up")
        for name in ("warmup", "flip", "permute"):
            if not 0 <= getattr(self, name) <= 1:
                raise StudyError(f"recipe {name} = {getattr(self, name)}: a share from 0 to 1")
        if not all(0 <= change <= 1 for change in self.jitter):
            raise StudyError(f"recipe jitter = {list(self.jitter)}: shares from 0 to 1")
        if not 0 < self.learning_rate < math.inf:
            raise StudyError(f"recipe learning_rate = {self.learning_rate}: a number above 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise StudyError(f"recipe betas = {list(self.betas)}: each from 0 to below 1")
        if not 0 <= self.ema < 1:
            raise StudyError(f"recipe ema = {self.ema}: from 0 (off) to below 1")
        self._check_loss()

    def _check_loss(self) -> None:
        defined_on = {"log-l1": ("log",), "densedepth": ("inverse",), "ordinal": ("ordinal",)}
        wanted = defined_on.get(self.loss, ("log", "inverse", "metres"))
        if self.target not in wanted:
            raise StudyError(
                f"recipe loss = {self.loss!r} with target = {self.target!r}:"
                f" it is defined on target = {' or '.join(map(repr, wanted))}"
            )
        alone = self.loss in ("densedepth", "ordinal")
        if alone and (self.ssim_weight or self.gradient_weight):
            raise StudyError(
                f"recipe loss = {self.loss!r} has weights of its own, or none:"
                " ssim_weight and gradient_weight belong to 'log-l1' and 'l1'"
            )

    @property
    def images(self) -> int:
        """Training images shown, ``steps * batch``: the spend that trainings are compared by."""
        return self.steps * self.batch

    @property
    def uses_ssim(self) -> bool:
        """Whether the loss has an SSIM term, which needs dense truth."""
        return self.loss == "densedepth" or self.ssim_weight > 0

    def part(self, processes: int) -> int:
        """Images that a network sees at once; a StudyError where a batch has no such parts."""
        parts = self.accumulate * processes
        if self.batch % parts:
            raise StudyError(
                f"recipe batch = {self.batch}: no multiple of accumulate = {self.accumulate}"
                f" times {processes} processes"
            )
        return self.batch // parts

    def for_images(self, images: int) -> Recipe:
        """The same recipe over as many steps as come nearest to ``images`` training images."""
        return replace(self, steps=max(1, round(images / self.batch)))

    def rate(self, step: int) -> float:
        """Learning rate of step 0, 1, ... ``steps - 1``: a pure function, so nothing to save."""
        rise = round(self.warmup * self.steps)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - rise) / (self.steps - rise)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


# DenseDepth (Alhashim and Wonka 2018): Adam at a constant 1e-4, batch 8, images mirrored with
# probability .5 and their channels permuted with .25, no clipping, no decay, no average. The number
# of steps is ours. What differs: docs/training.md.
_DENSEDEPTH = Recipe(
    optimiser="adam",
    learning_rate=1e-4,
    weight_decay=0.0,
    schedule="constant",
    warmup=0.0,
    batch=8,
    steps=20_000,
    target="inverse",
    loss="densedepth",
    ssim="gauss11",
    permute=0.25,
    max_depth_m=0.0,  # not left out but clipped to 80 m, by the target
    clip=0.0,
)

RECIPES: dict[str, Recipe] = {
    "quick": Recipe(),
    "densedepth": _DENSEDEPTH,
    # As its authors' program has it: AMSGrad, batches of 4, and half of the images permuted by
    # one of seven orders of which two are red, green, blue. (Its plateau rule may lower the rate
    # once, to 9e-5.)
    "densedepth-program": replace(_DENSEDEPTH, amsgrad=True, batch=4, permute=0.5 * 5 / 7),
    # DepthNet Nano (2020), section 3: "Adam, 5e-5", otherwise as DenseDepth.
    "depthnet-nano": replace(_DENSEDEPTH, learning_rate=5e-5),
    # DORN's target and loss (Fu et al. 2018) and its rate of 1e-4; the optimiser and the length of
    # the training are the quick recipe's.
    "ordinal": Recipe(target="ordinal", loss="ordinal", learning_rate=1e-4),
}


def named_recipe(name: str) -> Recipe:
    """The recipe of that name; a StudyError lists the names when there is none."""
    if name in RECIPES:
        return RECIPES[name]
    raise StudyError(f"recipe {name!r}: unknown{_perhaps(name, RECIPES)}; {', '.join(RECIPES)}")


def recipe_from_plain(plain: Any, where: str) -> Recipe:
    """The recipe in parsed JSON or TOML.

    A mapping may start from a named recipe, ``{"name": "quick", "batch": 8}``; a text is a name.

    Raises:
        StudyError: An unknown name or key, or a value that does not fit; names ``where``.
    """
    if isinstance(plain, str):
        return named_recipe(plain)
    if not isinstance(plain, Mapping):
        raise StudyError(f"{where}: a recipe is a name or a table, got {plain!r}")
    known = [field.name for field in fields(Recipe)]
    for key in plain:
        if key not in known and key != "name":
            meant = _perhaps(key, known) or f"; known: {', '.join(known)}"
            raise StudyError(f"{where}: unknown key {key!r}{meant}")
    base = named_recipe(plain.get("name", "quick"))
    settings = {key: value for key, value in plain.items() if key != "name"}
    return from_plain(Recipe, to_plain(base) | settings, where, StudyError)


def _perhaps(word: Any, known: Any) -> str:
    near = difflib.get_close_matches(str(word), list(known), n=1)
    near += [name for name in known if _initials(name) == word]  # lr, wd
    return f" (perhaps {near[0]!r}?)" if near else ""


def _initials(name: str) -> str:
    return "".join(part[0] for part in re.split("[_-]", name))
