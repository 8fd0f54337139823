"""Measure a trained model: the eight depth metrics, by a named protocol.

python -m nano.evaluate RUN/best --data scenes
python -m nano.evaluate RUN/best --data kitti --root /data/kitti --protocol eigen652-annotated
python -m nano.evaluate RUN/best --data folder --root /data/mine --csv images.csv
python -m nano.evaluate RUN/best --data scenes --panel worst.png --worst 6
python -m nano.evaluate RUN/best --data RUN/study.toml --split validation --json
python -m nano.evaluate densedepth --weights FILE --target inverse --data kitti --root /data/kitti
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nano.console import Parser, parse_size, run, say
from nano.data.option import add_data_options, prepared, table_of
from nano.errors import DataError, InputError

if TYPE_CHECKING:
    from nano.data.sample import DepthSet
    from nano.evaluate.run import Result
    from nano.networks.model import Model
    from nano.records import Accuracy, Protocol

UNITS = {"sq_rel": "m", "rmse": "m"}
BOOTSTRAP_SEED = 0

Intervals = dict[str, tuple[float, float]]


def parser() -> Parser:
    """The options."""
    main_parser = Parser(
        prog="python -m nano.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument(
        "model", type=Path, help="folder with design.json, model.safetensors; or see --weights"
    )
    main_parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights of yours for the network that MODEL names (a design.json, densedepth, ...);"
        " its input is (RGB / 255 - 0.45) / 0.25, so weights trained on another need their first"
        " layer changed",
    )
    main_parser.add_argument(
        "--target", help="with --weights: what the output means: log, inverse, metres, ordinal"
    )
    main_parser.add_argument(
        "--size", type=parse_size, metavar="HxW", help="with --weights (default: the network's own)"
    )
    add_data_options(main_parser)
    main_parser.add_argument(
        "--split", choices=("train", "validation", "test"), default="test", help="default: test"
    )
    main_parser.add_argument(
        "--protocol", metavar="NAME", help="default: the one that belongs to the data"
    )
    main_parser.add_argument(
        "--flip", action="store_true", help="average image and mirror image, at twice the cost"
    )
    main_parser.add_argument(
        "--median-scaling", action="store_true", help="scale each prediction to the truth's median"
    )
    main_parser.add_argument("--device", help="cpu or cuda (default: cuda where torch sees one)")
    main_parser.add_argument("--json", action="store_true", help="print JSON")
    main_parser.add_argument("--panel", type=Path, metavar="PNG", help="write a picture of frames")
    main_parser.add_argument(
        "--worst",
        type=_count,
        metavar="N",
        help="of --panel: the N images of the lowest delta1, not four evenly spaced ones",
    )
    main_parser.add_argument("--csv", type=Path, metavar="FILE", help="write metrics per image")
    return main_parser


def _count(text: str) -> int:
    """A number of images, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of images, 1 or more")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    if options.worst and not options.panel:
        raise InputError("--worst says what --panel shows: name its file, --panel PNG")

    from nano.evaluate.interval import bootstrap_intervals, worst_images
    from nano.evaluate.panels import panel_of
    from nano.evaluate.run import evaluate
    from nano.files import write_text
    from nano.memory import keep_freed_memory
    from nano.networks.device import default_device, torch_device
    from nano.networks.model import load_model

    keep_freed_memory()
    device = str(torch_device(options.device or default_device()))  # before minutes of reading
    model = supplied(options) if options.weights else load_model(options.model)
    data, protocol, left_out = chosen(options, model)
    result = evaluate(model.network, model.target, data, protocol, device=device)
    if options.csv:
        write_text(options.csv, per_image(result))
    if options.panel:
        panel_of(
            model.network,
            model.target,
            data,
            protocol,
            options.panel,
            chosen=worst_images(result.per_image, options.worst) if options.worst else None,
            title=f"design {model.design.key}" + (", worst delta1 first" * bool(options.worst)),
            device=device,
        )
    told = as_json if options.json else as_text
    intervals = bootstrap_intervals(result.per_image, seed=BOOTSTRAP_SEED)
    print(told(model.design.key, result.accuracy, intervals, left_out))
    return 0


def supplied(options: argparse.Namespace) -> Model:
    """The network that MODEL names, filled with --weights, which must hold all of it."""
    from nano.networks.catalog import Baseline, load_architecture
    from nano.networks.model import Model
    from nano.networks.start import empty
    from nano.networks.target import fitting, target_for
    from nano.networks.weights import load_weights

    design = load_architecture(str(options.model))
    size = options.size or (design.size if isinstance(design, Baseline) else None)
    if size is None:
        raise InputError(f"{options.model}: --weights needs --size HxW, the size of its images")
    if options.target is None:
        raise InputError(
            f"{options.weights}: --weights needs --target, for a file does not tell what the output"
            f" means: {', '.join(fitting(design.outputs))}"
        )
    target = target_for(design.outputs, options.target)
    network = empty(design, size)
    loaded = load_weights(network, options.weights)
    say(loaded.told())
    if loaded.part:
        raise DataError(f"{options.weights}: fills only {loaded.part}; train the rest first")
    return Model(design=design, network=network.eval(), target=target.name, size=size)


def chosen(options: argparse.Namespace, model: Model) -> tuple[DepthSet, Protocol, dict[str, int]]:
    """The split at the model's input size, the protocol, and by reason the frames left out."""
    from dataclasses import replace

    from nano.data.sets import lacking, protocol_changes, source
    from nano.evaluate.protocol import protocol_named, protocol_of
    from nano.evaluate.run import check_truth

    changes: dict[str, object] = {"size": model.size}
    if options.protocol:
        changes |= {"protocol": options.protocol}
        if options.data == "kitti":
            changes |= protocol_changes(protocol_named(options.protocol).truth)
    table, base = table_of(options, **changes)
    frames = source(table, base, options.split, as_measured=True)
    protocol = protocol_of(table, base)
    check_truth(frames.name, frames.truth, protocol)  # before minutes of reading
    data = prepared(options, table, frames)
    left_out = lacking(frames) | ({"unusable": data.left_out} if data.left_out else {})
    flip, scaling = options.flip, options.median_scaling
    return data, replace(protocol, flip=flip, median_scaling=scaling), left_out


def per_image(result: Result) -> str:
    """A CSV table: name, pixels compared and the eight metrics of each image."""
    from nano.records import METRICS

    file = io.StringIO()
    writer = csv.DictWriter(file, ["name", "pixels", *METRICS], lineterminator="\n")
    writer.writeheader()
    for image in result.per_image:
        writer.writerow({"name": image.name, "pixels": image.pixels, **(image.metrics or {})})
    return file.getvalue()


def as_json(key: str, accuracy: Accuracy, intervals: Intervals, left_out: dict[str, int]) -> str:
    """The accuracy, by metric the ends of its 95 % interval, and by reason the frames left out."""
    from nano.files import to_plain

    plain = {"key": key, **to_plain(accuracy), "interval95": intervals, "left_out": left_out}
    return json.dumps(plain, indent=1)


def as_text(key: str, accuracy: Accuracy, intervals: Intervals, left_out: dict[str, int]) -> str:
    """The metrics in lines, with what they were measured on and how far they can be trusted."""
    from nano.evaluate.interval import DRAWS
    from nano.records import METRICS

    lines = [f"design {key}", accuracy.data, accuracy.protocol]
    for name in METRICS:
        value = f"  {name:<9}{getattr(accuracy, name):8.4f} {UNITS.get(name, ''):<2}"
        if name in intervals:
            value += " 95 %: {:.4f} to {:.4f}".format(*intervals[name])
        lines.append(value.rstrip())
    if intervals:
        lines.append(f"  95 %: bootstrap over images, {DRAWS} draws, seed {BOOTSTRAP_SEED}")
    lines.append(compared(accuracy, left_out))
    return "\n".join(lines)


def compared(accuracy: Accuracy, left_out: dict[str, int]) -> str:
    """How many of the list's frames the accuracy is of, and why not of the others."""
    assert accuracy.images is not None  # made by `evaluate`
    reasons = left_out | (
        {"with no pixel to compare": accuracy.skipped} if accuracy.skipped else {}
    )
    total = accuracy.images + sum(reasons.values())
    told = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"{accuracy.images} of {total} frames compared" + (f"; left out: {told}" if told else "")


if __name__ == "__main__":
    run(main)
