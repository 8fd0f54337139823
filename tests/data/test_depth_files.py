"""Depth maps of a person's own: metres, or a message with the number that gives them away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folder_trees import write_depth_png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nano.data.depth_files import read_depth
from nano.errors import DataError

INDOORS = (0.3, 12.0)


def array(metres: float = 3.0) -> np.ndarray:
    depth = np.full((6, 8), metres, np.float32)
    depth[0] = 0
    return depth


def test_png_is_read_in_the_units_stated(tmp_path: Path) -> None:
    depth = read_depth(write_depth_png(tmp_path / "a.png", metres=4.0), 0.001, INDOORS)
    assert depth.dtype == np.float32
    assert depth.max() == pytest.approx(3.913)
    assert not depth[::5].any()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "named.npz"])
def test_arrays_are_read_and_what_is_no_number_is_unknown(tmp_path: Path, name: str) -> None:
    depth = array()
    depth[1, :3] = np.nan, np.inf, -np.inf
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, depth)
    elif name == "a.npz":
        np.savez(path, anything=depth)
    else:
        np.savez(path, depth=depth, confidence=depth)
    read = read_depth(path, 1.0, INDOORS)
    assert not read[1, :3].any()
    assert (read[1, 3:] == 3.0).all()


@pytest.mark.parametrize(
    ("stored", "stated", "told"),
    [
        (
            3000.0,
            1.0,
            r"median depth would be 3000 m .*in 1/256 metres or millimetres it would fit",
        ),
        (300.0, 1.0, r"median depth would be 300 m .*in centimetres"),
        (3.0 * 256, 1.0, r"median depth would be 768 m .*1/256 metres"),
        (3.0, 0.001, r"median depth would be 0.003 m .*in metres it would fit"),
    ],
)
def test_wrong_units_are_refused_with_the_number_and_those_that_fit(
    tmp_path: Path, stored: float, stated: float, told: str
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array(stored))
    with pytest.raises(DataError, match=rf"a\.npy: its {told}"):
        read_depth(path, stated, INDOORS)


def test_metres_read_as_millimetres_are_refused_whatever_the_least_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array(20.0))
    with pytest.raises(DataError, match=r"greatest 0\.02 m"):
        read_depth(path, 0.001, (1e-3, 80.0))


@pytest.mark.parametrize("metres", [0.4, 3.0, 12.0, 100.0])
def test_depth_somewhat_outside_the_range_is_no_matter_of_units(
    tmp_path: Path, metres: float
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array(metres))
    assert read_depth(path, 1.0, INDOORS).max() == pytest.approx(metres)


def spoil(path: Path, kind: str) -> Path:
    """A depth file with one thing wrong."""
    match kind:
        case "truncated.png":
            content = write_depth_png(path / "a.png").read_bytes()
            (path / "a.png").write_bytes(content[: len(content) // 2])
        case "8-bit.png":
            Image.fromarray(np.full((6, 8), 200, np.uint8)).save(path / "a.png")
        case "through-8-bits.png":
            Image.fromarray(np.full((6, 8), 200, np.uint16)).save(path / "a.png")
        case "text.png":
            (path / "a.png").write_text("a note")
        case "truncated.npy":
            np.save(path / "a.npy", array())
            (path / "a.npy").write_bytes((path / "a.npy").read_bytes()[:-9])
        case "truncated.npz":
            np.savez(path / "a.npz", depth=array())
            (path / "a.npz").write_bytes((path / "a.npz").read_bytes()[:-40])
        case "empty.npy":
            (path / "a.npy").touch()
        case "text.npy":
            (path / "a.npy").write_text("a note")
        case "objects.npy":
            np.save(path / "a.npy", np.array([{"depth": 1}]), allow_pickle=True)
        case "words.npy":
            np.save(path / "a.npy", np.array([["far", "near"]]))
        case "three-axes.npy":
            np.save(path / "a.npy", array()[:, :, None])
        case "negative.npy":
            np.save(path / "a.npy", -array())
        case "nothing.npy":
            np.save(path / "a.npy", array() * np.nan)
        case "several.npz":
            np.savez(path / "a.npz", left=array(), right=array())
    return path / f"a{Path(kind).suffix}"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("truncated.png", "truncated: copy it again"),
        ("8-bit.png", "not a 16-bit depth map .*write 16-bit PNG again"),
        ("through-8-bits.png", "largest value is 200 of 16 bits, 0.2 m: .*through 8 bits"),
        ("text.png", "not an image"),
        ("truncated.npy", "may be truncated: copy it again"),
        ("truncated.npz", "may be truncated: copy it again"),
        ("empty.npy", "copy it again"),
        ("text.npy", "copy it again"),
        ("objects.npy", "cannot be read"),
        ("words.npy", "holds <U4, expected numbers"),
        ("three-axes.npy", r"height x width; its shape is \(6, 8, 1\)"),
        ("negative.npy", r"40 depths are negative \(least -3\)"),
        ("nothing.npy", "no pixel has a depth"),
        ("several.npz", "left, right: expected one, or one named depth"),
    ],
)
def test_damaged_maps_are_refused_with_the_file_and_the_remedy(
    tmp_path: Path, kind: str, told: str
) -> None:
    path = spoil(tmp_path, kind)
    with pytest.raises(DataError, match=told) as refused:
        read_depth(path, 0.001 if path.suffix == ".png" else 1.0, INDOORS)
    assert str(refused.value).startswith(f"{path}: ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), changed=st.integers(0, 255), ending=st.sampled_from(["npy", "npz"]))
def test_any_damage_is_a_message_or_a_map(
    tmp_path: Path, cut: int, changed: int, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    (np.save if ending == "npy" else np.savez)(path, array())
    content = bytearray(path.read_bytes())
    content[cut % len(content)] = changed
    path.write_bytes(content)
    try:
        depth = read_depth(path, 1.0, INDOORS)
    except DataError as refused:
        assert str(path) in str(refused)
    else:
        assert np.isfinite(depth).all()
