"""Exported models: equal to torch, readable by TensorRT, what int8 loses, how fast on this CPU.

    python -m benchmarks.export

Speed is CPU time of one thread, all forms of `depthnet-nano` at 384x1280 in turn in one process,
as the median of the ratios to eager torch within a round. `relu` is the same graph with ReLU in
place of each SELU: not the same function, but the least time that any SELU could take there. The
floor is what the multiplications of the rewritten network alone would take at the rate of torch's
product of two large matrices, timed in the same rounds. torch.compile, which takes minutes, and
our kernels need a C++ compiler; without one they are left out.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor import config as inductor
from torch.utils.flop_counter import FlopCounterMode

from nano.data.cache import prepare
from nano.data.scene_source import SceneSource
from nano.design.design import Design
from nano.design.presets import PRESETS, preset, prototype
from nano.evaluate.protocol import PROTOCOLS
from nano.evaluate.run import evaluate
from nano.export.native import Native
from nano.export.onnx import Form, to_onnx
from nano.export.quantise import quantised
from nano.export.rewrite import fold_norms, rewritten
from nano.export.same import OnnxNetwork, difference
from nano.networks.depthnet import build
from nano.networks.model import Model
from nano.train.loop import train
from nano.train.recipe import RECIPES

DESIGNS = 20
SIZE = (64, 192)
PAPER = (384, 1280)
TRAINED, STEPS, CALIBRATION = "depthnet-small", 300, 64
SIDE = 1024  # of the matrices whose product gives the floor
# The operators of these models that the TensorRT parser's tables list, 8.0 to 10.
TENSORRT = {"Add", "AveragePool", "Concat", "Conv", "Resize", "Selu"}
TENSORRT |= {"QuantizeLinear", "DequantizeLinear"}
ASKED = {
    "largest_difference": "<= 1e-5",
    "operators_unknown_to_tensorrt": "<= 0",
    "onnxruntime_over_eager": ">= 1.25",
    "fastest_over_eager": ">= 2.3",
}

Run = Callable[[Tensor], Tensor]


def measure(rounds: int = 11) -> dict[str, Any]:
    """All figures."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {**parity(), **accuracy(), **speed(rounds)}
    finally:
        torch.set_num_threads(threads)


def parity() -> dict[str, Any]:
    """Random designs of every family: the largest difference from torch, and the operators."""
    differences, operators = [], set()
    for seed in range(DESIGNS):
        model = random_model(PRESETS[seed % len(PRESETS)], seed)
        made = to_onnx(model, Form())
        differences.append(difference(model, made))
        operators |= {node.op_type for node in made.graph.node}
    return {
        "designs": DESIGNS,
        "largest_difference": max(differences),
        "operators": sorted(operators),
        "operators_unknown_to_tensorrt": len(operators - TENSORRT),
    }


def random_model(family: str, seed: int) -> Model:
    """A member of the family by random knobs, with fresh weights."""
    known, random = prototype(family), Random(seed)
    knobs = {knob.name: knob.at(random.random()) for knob in known.knobs}
    return fresh(known.design(known.expand(knobs, seed)), seed, SIZE)


def fresh(design: Design, seed: int, size: tuple[int, int]) -> Model:
    """A model with the weights that the seed draws."""
    return Model(design=design, network=build(design, seed).eval(), target="log", size=size)


def accuracy() -> dict[str, Any]:
    """delta1 on rendered scenes of a short training, in torch and in each precision."""
    with tempfile.TemporaryDirectory() as folder:
        train_set, validation, test = (
            prepare(SceneSource(split=split, count=count, size=SIZE, seed=0), SIZE, Path(folder))
            for split, count in (("train", 600), ("validation", CALIBRATION), ("test", 200))
        )
        recipe = replace(RECIPES["quick"], steps=STEPS)
        network = train(preset(TRAINED), recipe, train_set, seed=0).network.eval()
        model = Model(design=preset(TRAINED), network=network, target=recipe.target, size=SIZE)
        whole = to_onnx(model, Form())
        forms = {
            "float32": whole,
            "float16": to_onnx(model, Form(precision="float16")),
            "int8": quantised(whole, validation.images, validation.caption),
        }
        networks = {"torch": network} | {name: OnnxNetwork(made) for name, made in forms.items()}
        delta1 = {
            name: evaluate(each, model.target, test, PROTOCOLS["scenes"]).accuracy.delta1
            for name, each in networks.items()
        }
    int8 = {node.op_type for node in forms["int8"].graph.node}
    return {
        "trained": f"{TRAINED}, {STEPS} steps, {test.caption}",
        "delta1": delta1,
        "float16_delta1_loss": delta1["torch"] - delta1["float16"],
        "int8_delta1_loss": delta1["torch"] - delta1["int8"],
        "int8_operators_unknown_to_tensorrt": len(int8 - TENSORRT),
        "bytes": {name: made.ByteSize() for name, made in forms.items()},
    }


def speed(rounds: int) -> dict[str, Any]:
    """Milliseconds of each form, their ratios to eager torch and their differences from it."""
    model = fresh(preset("depthnet-nano"), 0, PAPER)
    image = torch.randn(1, 3, *PAPER, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        runs = forms_of(model)
        wanted = runs["eager"](image)
        differences = {name: float((run(image) - wanted).abs().max()) for name, run in runs.items()}
        square = torch.ones(SIDE, SIDE)
        timed = {name: partial(run, image) for name, run in runs.items()}
        timed["product"] = partial(torch.mm, square, square)
        spent: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, run in timed.items():
                start = time.process_time()
                run()
                spent[name].append(time.process_time() - start)
    ms = {name: 1e3 * statistics.median(times) for name, times in spent.items()}
    floor = ms.pop("product") / SIDE**3 * macs(rewritten(model.network))
    over = {
        name: statistics.median(a / b for a, b in zip(spent["eager"], spent[name], strict=True))
        for name in runs
    }
    same = [name for name in over if not name.startswith("relu")]
    fastest = max(same, key=over.__getitem__)
    return {
        "rounds": rounds,
        "ms": ms,
        "over_eager": over,
        "differences": {name: differences[name] for name in same},
        "onnxruntime_over_eager": over["onnxruntime"],
        "fastest": fastest,
        "fastest_over_eager": over[fastest],
        "floor_ms": floor,
        "fastest_over_floor": ms[fastest] / floor,
    }


def macs(network: nn.Module) -> int:
    """Of one image of the paper's size."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        deepcopy(network).to("meta")(torch.empty(1, 3, *PAPER))
    return counter.get_total_flops() // 2


def forms_of(model: Model) -> dict[str, Run]:
    """What is timed."""
    made = to_onnx(model, Form())
    relu = to_onnx(model, Form())
    for node in relu.graph.node:
        if node.op_type == "Selu":
            node.op_type = "Relu"
            del node.attribute[:]
    runs: dict[str, Run] = {
        "eager": model.network,
        "eager_folded": fold_norms(model.network),
        "onnxruntime_plain": OnnxNetwork(to_onnx(model, Form(rewrite=False)), threads=1),
        "onnxruntime": OnnxNetwork(made, threads=1),
        "relu": OnnxNetwork(relu, threads=1),
    }
    if shutil.which("g++"):
        inductor.freezing = True
        runs["compiled"] = torch.compile(rewritten(model.network))
        runs["native"] = Native(model.network)
    return runs


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
