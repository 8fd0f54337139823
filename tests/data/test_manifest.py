"""manifest.toml: units are stated, or refused; what is wrong is told with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.data.manifest import manifest_of, read_manifest
from nano.errors import DataError

LEAST = {"units": "metres", "range_m": [0.3, 12]}


@pytest.mark.parametrize(
    ("units", "metres"),
    [("metres", 1.0), ("centimetres", 0.01), ("millimetres", 0.001), (0.00390625, 1 / 256)],
)
def test_units_say_how_many_metres_a_number_is(units: str | float, metres: float) -> None:
    assert manifest_of(LEAST | {"units": units}, "m").metres_per_unit == metres


def test_two_lines_are_enough() -> None:
    manifest = manifest_of(LEAST, "m")
    assert (manifest.images, manifest.depth, manifest.range_m) == ("images", "depth", (0.3, 12.0))
    assert manifest.splits.train == ("train",)
    assert not manifest.mixed_sizes


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"units": "meters"},
            r"units = 'meters': unknown \(perhaps metres\?\); write metres, cent",
        ),
        ({"units": "feet"}, "write metres, centimetres, millimetres, or how many metres"),
        ({"units": 0}, "units = 0: .*greater than 0"),
        ({"units": True}, "units = True"),
        ({"range_m": [12, 0.3]}, "the smaller one first"),
        ({"range_m": [0, 12]}, "both above 0"),
        ({"range_m": [1]}, r"range_m = \[1\]: Field required"),
        ({"range_m": "1-12"}, "range_m = '1-12'"),
        ({"unitz": "metres"}, "unknown key 'unitz'; did you mean units?"),
        ({"colour": 1}, "unknown key 'colour'; known: units, range_m"),
        ({"splits": {"trian": ["a"]}}, r"unknown key '\[splits\] trian'; did you mean train\?"),
        ({"splits": {"test": 0.5}}, r"\[splits\] test = 0.5: .*less than 0.5"),
        ({"splits": {"train": []}}, r"\[splits\] train = \[\]"),
        ({"splits": {"gap": -1}}, r"\[splits\] gap = -1"),
        ({"splits": 3}, "splits = 3"),
        ({"image_names": "rgb"}, r"image_names = 'rgb': .*must hold \{name\} once"),
        ({"intrinsics": [0, 1, 2, 3]}, r"intrinsics = \[0, 1, 2, 3\]: .*focal lengths above 0"),
        ({"intrinsics": [9, 9, 2]}, r"intrinsics = \[9, 9, 2\]"),
        (
            {"intrinsics": [9, 9, 2, 3], "mixed_sizes": True},
            "is of one camera, but mixed_sizes = true",
        ),
        ({"truth": "lidar"}, "truth = 'lidar': .*'sensor'"),
    ],
)
def test_what_is_wrong_is_told(change: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=rf"^mine/manifest\.toml: .*{told}"):
        manifest_of(LEAST | change, "mine/manifest.toml")


@pytest.mark.parametrize("key", LEAST)
def test_units_and_range_must_be_stated(key: str) -> None:
    rest = {name: value for name, value in LEAST.items() if name != key}
    with pytest.raises(DataError, match=f"{key} is missing: "):
        manifest_of(rest, "m")


def test_a_folder_without_manifest_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'manifest\.toml: no such file[\s\S]*units = "metres"'):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match="none: no such folder"):
        read_manifest(tmp_path / "none")


@pytest.mark.parametrize("content", [b"units = ", b"\xff\xfe", b"units = 'm\n"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.toml").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.toml: not TOML"):
        read_manifest(tmp_path)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["units", "range_m", "splits", "images", "depth_names", "x"]), PLAIN
    )
)
def test_any_table_is_read_or_refused_in_words(plain: dict[str, object]) -> None:
    try:
        manifest = manifest_of(plain, "m")
    except DataError as refused:
        assert str(refused).startswith("m: ")
    else:
        assert manifest.metres_per_unit > 0
