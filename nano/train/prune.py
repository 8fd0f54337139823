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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nano.console import Parser, natural, positive, run
from nano.data.option import add_data_options
from nano.errors import InputError
from nano.train.__main__ import (
    check_target,
    chosen_data,
    chosen_recipe,
    chosen_table,
    is_model,
    stop_on_signal,
    told_divergence,
)

if TYPE_CHECKING:
    from nano.design.fastdepth import FastDepthDesign
    from nano.networks.model import Model
    from nano.networks.netadapt import Narrowing

COUNTED = ("macs", "params", "activations", "bytes")
SHORT_STEPS = 20  # of a proposal's training
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
        "--steps", type=positive, help=f"of every short training (default {SHORT_STEPS})"
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

    from nano.data.sets import fill_method
    from nano.files import file_hash, to_plain
    from nano.memory import keep_freed_memory
    from nano.networks.device import default_device, torch_device
    from nano.networks.model import WEIGHTS_FILE
    from nano.train.earlier import earlier
    from nano.train.processes import ALONE
    from nano.train.pruning import Pruning, as_text, costs

    keep_freed_memory()
    device = str(torch_device(options.device or default_device()))
    model, design = trained_fastdepth(options.design)
    options.size = None
    recipe = chosen_recipe(options, model.design, steps=SHORT_STEPS)
    check_target(options.design, model, recipe)
    first = costs(design, model.size)[name]
    budget = number * (first / 100 if unit == "%" else _UNITS[unit])
    narrowing = asked(options, name, budget, model.size, first)
    narrowing.check_reachable(design)
    table, base = chosen_table(options, model)
    settings = {
        "from": file_hash(Path(options.design) / WEIGHTS_FILE),
        "budget": f"{name} <= {narrowing.budget:.0f}",
        "share": options.share,
        "multiple": options.multiple,
        "keep": sorted(options.keep),
        "recipe": to_plain(recipe),
        "final_steps": options.final_steps,
        "seed": options.seed,
        "fill": fill_method(table),
    }
    earlier(options.out, "pruning", settings)  # before the minutes data may take
    data, validation, protocol = chosen_data(options, table, base, options.out)
    settings |= {
        "data": data.caption,
        "validation": f"{validation.caption}, {protocol.describe()}",
        "frames": [data.fingerprint, validation.fingerprint],
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
    from nano.train.pruning import load_fastdepth

    if not is_model(text):
        raise InputError(
            f"{text}: no folder with model.safetensors; train one first: python -m nano.train"
            " fastdepth-small --out DIR"
        )
    return load_fastdepth(Path(text))


def asked(
    options: argparse.Namespace, name: str, budget: float, size: tuple[int, int], first: float
) -> Narrowing:
    """What the options ask for; an InputError where the budget saves nothing."""
    from nano.networks.netadapt import Narrowing
    from nano.train.pruning import costs

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


if __name__ == "__main__":
    run(main)
