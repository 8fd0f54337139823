"""Write a network as ONNX: one file, checked, and equal to torch.

python -m nano.export RUN/best --onnx model.onnx
python -m nano.export RUN/best --onnx small.onnx --precision int8 --data RUN/study.toml
python -m nano.export RUN/best --folder deploy --data kitti --root /data/kitti
python -m nano.export depthnet-nano --onnx untrained.onnx --size 384x1280
python -m nano.export RUN/best --check model.onnx
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nano.console import Parser, natural, parse_size, positive, run, say
from nano.data.option import add_data_options
from nano.errors import DataError, InputError
from nano.export.forms import PRECISIONS

if TYPE_CHECKING:
    import onnx

    from nano.export.onnx import Form
    from nano.networks.model import Model

CALIBRATION = 64  # images


def parser() -> Parser:
    """The options."""
    main_parser = Parser(
        prog="python -m nano.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main_parser.add_argument(
        "model", help="MODEL, a folder with weights; or DESIGN, which is written with fresh ones"
    )
    main_parser.add_argument("--onnx", type=Path, metavar="FILE", help="the file to write")
    main_parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="a folder to deploy: model, README, accuracy ..."
    )
    main_parser.add_argument(
        "--check", type=Path, metavar="FILE", help="compare a file written earlier with MODEL"
    )
    main_parser.add_argument(
        "--opset", type=positive, default=17, help="13, 17 or 20 (default: 17)"
    )
    main_parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="(default: float32)"
    )
    main_parser.add_argument(
        "--batch", default="1", metavar="N", help="images at a time, or any (default: 1)"
    )
    main_parser.add_argument(
        "--no-rewrite", action="store_true", help="leave out the exact rewrites that save MACs"
    )
    main_parser.add_argument(
        "--size", type=parse_size, metavar="HxW", help="of the input (default: the model's own)"
    )
    main_parser.add_argument(
        "--seed", type=natural, default=0, help="of a DESIGN's fresh weights (default: 0)"
    )
    add_data_options(main_parser)
    main_parser.add_argument(
        "--split", choices=("validation", "test"), default="test", help="that judges; default: test"
    )
    main_parser.add_argument(
        "--protocol", metavar="NAME", help="default: the one that belongs to the data"
    )
    main_parser.add_argument(
        "--calibrate",
        type=positive,
        default=CALIBRATION,
        metavar="N",
        help=f"int8: images of the validation split, evenly spaced (default: {CALIBRATION})",
    )
    main_parser.add_argument("--json", action="store_true", help="print JSON")
    main_parser.set_defaults(data=None, flip=False, median_scaling=False)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Export, check, measure where data are named, and print what was found."""
    options = parser().parse_args(arguments)
    if not (options.onnx or options.folder or options.check):
        raise InputError("nothing to do: give --onnx FILE, --folder DIR or --check FILE")
    from nano.export.onnx import Form

    int8 = options.precision == "int8"
    if int8 and not options.check:
        _check_calibration(options)
    form = Form(
        opset=options.opset,
        precision="float32" if int8 else options.precision,
        batch=batch(options.batch),
        rewrite=not options.no_rewrite,
    )
    if options.folder:
        _check_folder(options, form.batch)
    model = chosen_model(options)
    if options.check:
        told = checked(model, options.check)
    else:
        told = exported(options, model, form, int8=int8)
    print(json.dumps(told, indent=1) if options.json else as_text(told))
    return 0


def batch(text: str) -> int | None:
    """``any`` or a whole number."""
    return None if text == "any" else positive(text)


def chosen_model(options: argparse.Namespace) -> Model:
    """The MODEL with its weights, or a DESIGN with fresh ones, which is said."""
    from dataclasses import replace

    from nano.networks.catalog import Baseline, load_architecture
    from nano.networks.model import Model, load_model
    from nano.networks.start import started
    from nano.networks.target import target_for

    if Path(options.model).is_dir():
        model = load_model(Path(options.model))
        if options.size is not None:
            model.design.check_size(options.size)
            model = replace(model, size=options.size)
        return model
    design = load_architecture(options.model)
    size = options.size or (design.size if isinstance(design, Baseline) else (384, 1280))
    network = started(design, size, options.seed).eval()
    say(f"{options.model} is a design: its weights are fresh (seed {options.seed}), not trained")
    return Model(design=design, network=network, target=target_for(design.outputs).name, size=size)


def checked(model: Model, path: Path) -> dict[str, Any]:
    """What a file of ours says of itself, and how near it is to the network."""
    from nano.export.read import metadata_of, read_onnx
    from nano.export.same import PARITY, check_same, difference

    made = read_onnx(path)
    told = metadata_of(made)
    height, width = model.size
    for name, wanted in (("design", model.design.key), ("size", f"{height}x{width}")):
        if told[name] != wanted:
            raise DataError(f"{path}: made for {name} {told[name]}, the model's is {wanted}")
    bounded = told["precision"] in PARITY
    parity = check_same(model, made) if bounded else difference(model, made)
    return {"file": str(path), **summary(made), "difference": parity}


def exported(
    options: argparse.Namespace, model: Model, form: Form, *, int8: bool
) -> dict[str, Any]:
    """Write what was asked for, after it was found equal to the network."""
    from nano.export.folder import write_folder
    from nano.export.onnx import add_metadata, to_onnx, write_onnx
    from nano.export.same import check_same, difference

    made = to_onnx(model, form)
    found = check_same(model, made)  # of int8 its float32 origin, which must be right
    if int8:
        made = calibrated(options, model, made)
        found = difference(model, made)
    accuracy = measured(options, model, made) if options.data else {}
    if accuracy:
        protocol = accuracy["exported"]["protocol"]
        add_metadata(made, protocol=protocol, accuracy=json.dumps(accuracy["exported"]))
    if options.onnx:
        write_onnx(options.onnx, made)
    if options.folder:
        write_folder(options.folder, model, made, accuracy)
    where = [str(path) for path in (options.onnx, options.folder) if path]
    told = {"files": where, **summary(made), "difference": found}
    return told | ({"accuracy": accuracy} if accuracy else {})


def summary(made: onnx.ModelProto) -> dict[str, Any]:
    """The facts of a file."""
    from nano.export.read import metadata_of

    told = metadata_of(made)
    return {
        "key": told["design"],
        "opset": made.opset_import[0].version,
        "precision": told["precision"],
        "size": told["size"],
        "bytes": made.ByteSize(),
        "nodes": len(made.graph.node),
    }


def _check_calibration(options: argparse.Namespace) -> None:
    if options.data is None:
        raise InputError("--precision int8 is calibrated on images: name them with --data")
    if options.split == "validation":
        raise InputError("--split validation calibrates int8; only the test split may judge it")


def _check_folder(options: argparse.Namespace, images: int | None) -> None:
    if not Path(options.model).is_dir():
        raise InputError(f"--folder deploys trained weights, and {options.model} is a design")
    if images is not None and images > 1:
        raise InputError(f"--batch {images}: a folder's README feeds one image: 1 or any")


def data_options(options: argparse.Namespace, split: str) -> argparse.Namespace:
    """The same options for another split."""
    changed = copy.copy(options)
    changed.split = split
    return changed


def calibrated(options: argparse.Namespace, model: Model, made: onnx.ModelProto) -> onnx.ModelProto:
    """The model in int8, its ranges from the validation split: the test split only judges."""
    from nano.evaluate.__main__ import chosen
    from nano.export.quantise import quantised

    data, _, _ = chosen(data_options(options, "validation"), model)
    places = spaced(len(data.images), options.calibrate)
    told = f"{len(places)} of {len(data.images)}, evenly spaced, of {data.caption}"
    return quantised(made, data.images[places], told)


def spaced(count: int, wanted: int) -> list[int]:
    """Up to ``wanted`` of ``count`` places at even distances: neighbours in a drive look alike."""
    taken = min(count, wanted)
    return [place * count // taken for place in range(taken)]


def measured(options: argparse.Namespace, model: Model, made: onnx.ModelProto) -> dict[str, Any]:
    """The accuracy in torch and as exported, on the same images by the same protocol."""
    from nano.evaluate.__main__ import chosen
    from nano.evaluate.run import evaluate
    from nano.export.same import OnnxNetwork
    from nano.files import to_plain

    data, protocol, _ = chosen(data_options(options, options.split), model)
    torch_accuracy = evaluate(model.network, model.target, data, protocol).accuracy
    onnx_accuracy = evaluate(OnnxNetwork(made), model.target, data, protocol).accuracy
    return {
        "torch": to_plain(torch_accuracy),
        "exported": to_plain(onnx_accuracy),
        "delta1_loss": torch_accuracy.delta1 - onnx_accuracy.delta1,
    }


def as_text(told: dict[str, Any]) -> str:
    """A few lines for a person."""
    places = ", ".join(told["files"]) if "files" in told else told["file"]
    lines = [
        f"design {told['key']}  input 3@{told['size']}  {told['precision']}, opset {told['opset']}",
        f"{told['bytes']:,} bytes, {told['nodes']} nodes, in {places}",
        f"largest difference from torch: {told['difference']:.2g} of the output",
    ]
    if accuracy := told.get("accuracy"):
        lines += [
            f"{accuracy['exported']['data']}; {accuracy['exported']['protocol']}",
            f"delta1 {accuracy['torch']['delta1']:.4f} in torch,"
            f" {accuracy['exported']['delta1']:.4f} as exported",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
