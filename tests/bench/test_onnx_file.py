"""ONNX files before they go to a device: what is in them, and what a TensorRT lacks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from made_up_onnx import write_onnx

from nano.bench.flags import Version
from nano.bench.onnx_file import OnnxFile, Operator, check_support, read_onnx
from nano.errors import InputError


def check(path: Path, version: Version, precision: str = "float16") -> OnnxFile:
    model = read_onnx(path)
    check_support(model, version, precision, "m.onnx")
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def test_a_file_of_ours_has_its_design_s_key(path: Path) -> None:
    model = read_onnx(write_onnx(path, metadata={"nano_onnx": "1", "design": "0123456789ab"}))
    assert (model.key, model.ours, model.size, model.opset) == ("0123456789ab", True, (8, 16), 13)
    assert model.operators[0] == Operator(kind="Conv", name="stem")
    assert model.operators[1].words == {"coordinate_transformation_mode": "half_pixel"}
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_foreign_file_has_its_own_hash_as_key(path: Path) -> None:
    model = read_onnx(write_onnx(path, metadata={"design": "a nice one"}))
    assert not model.ours
    assert model.key == f"onnx-{model.sha256[:12]}"


@pytest.mark.parametrize(
    ("options", "precision"),
    [({}, "float32"), ({"half": True}, "float16"), ({"quantised": True}, "int8")],
)
def test_the_precision_is_what_the_file_holds(
    path: Path, options: dict[str, Any], precision: str
) -> None:
    assert read_onnx(write_onnx(path, **options)).precision == precision


@pytest.mark.parametrize("content", [b"", b"\0", b"not ONNX at all", b"\xff" * 100])
def test_what_is_no_onnx_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.onnx: not a"):
        read_onnx(path)


def test_every_cut_of_a_file_is_read_or_refused(path: Path) -> None:
    whole = write_onnx(path).read_bytes()
    refused = 0
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        try:
            read_onnx(path)
        except InputError:
            refused += 1
    assert refused > len(whole) // 14


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.onnx: no such file"):
        read_onnx(path)


@pytest.mark.parametrize("shape", [("batch", 3, 8, 16), (1, 3, "h", "w"), (1, 8), (4, 3, 480, 640)])
def test_another_input_than_one_image_is_refused(path: Path, shape: tuple[Any, ...]) -> None:
    told = ", ".join(str(length) if isinstance(length, int) else r"\?" for length in shape)
    with pytest.raises(InputError, match=rf"takes x \({told}\), and not one image"):
        read_onnx(write_onnx(path, shape=shape))


def test_tensorrt_7_names_the_resize_it_cannot_build(path: Path) -> None:
    write_onnx(path, opset=11)
    with pytest.raises(InputError, match=r"TensorRT 7\.1 has no half_pixel Resize 'up_1'.*8\.0"):
        check(path, (7, 1))
    check(path, (8, 0))
    check(write_onnx(path, opset=11, transform="asymmetric"), (7, 1))


@pytest.mark.parametrize(
    ("version", "newest"),
    [((7, 2), 13), ((8, 2), 13), ((8, 4), 17), ((8, 6), 17), ((10, 3), 20)],
)
def test_opsets_end_where_the_parser_s_do(path: Path, version: Version, newest: int) -> None:
    check(write_onnx(path, opset=newest, transform="asymmetric"), version)
    write_onnx(path, opset=newest + 1, transform="asymmetric")
    said = f"has opset {newest + 1}; .* reads up to {newest}: export it with --opset {newest}$"
    with pytest.raises(InputError, match=said):
        check(path, version)


def test_an_opset_that_is_never_exported_is_not_advised(path: Path) -> None:
    check(write_onnx(path, opset=11, transform="asymmetric"), (7, 1))
    with pytest.raises(InputError, match=r"reads up to 11$"):
        check(write_onnx(path, opset=12, transform="asymmetric"), (7, 1))


def test_an_operator_of_another_s_is_named(path: Path) -> None:
    with pytest.raises(InputError, match=r"Magic 'magic_1' is of com\.example"):
        check(write_onnx(path, domain="com.example"), (8, 5))


@pytest.mark.parametrize(
    ("options", "version", "precision", "reason"),
    [
        ({}, (8, 5), "int8", "is float32, asked for is int8"),
        ({"quantised": True}, (8, 5), "float16", "is int8, asked for is float16"),
        ({"half": True}, (8, 5), "float32", "is float16 and cannot be measured in float32"),
        ({}, (11, 0), "float16", "from TensorRT 11 on a network runs as it is stored"),
        ({"quantised": True, "opset": 11, "transform": "asymmetric"}, (7, 1), "int8", "'scale_1'"),
    ],
)
def test_a_precision_that_the_file_cannot_run_in_is_refused(
    path: Path, options: dict[str, Any], version: Version, precision: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        check(write_onnx(path, **options), version, precision)
