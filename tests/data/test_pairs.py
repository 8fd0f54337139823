"""Images find their depth maps by place and name; what is missing, twice or foreign is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nano.data.pairs import DEPTH_ENDINGS, IMAGE_ENDINGS, Kind, Pair, find_pairs, in_folder, whole
from nano.errors import DataError


def touched(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def kinds(
    root: Path, images: tuple[str, str] = ("i", "{name}"), depths: tuple[str, str] = ("d", "{name}")
) -> tuple[Kind, Kind]:
    return (
        Kind(root=root / images[0], names=images[1], endings=IMAGE_ENDINGS),
        Kind(root=root / depths[0], names=depths[1], endings=DEPTH_ENDINGS),
    )


def test_pairs_share_folder_and_name(tmp_path: Path) -> None:
    touched(tmp_path, "i/a/1.jpg", "i/a/b/1.PNG", "d/a/1.npy", "d/a/b/1.png", "i/2.jpeg", "d/2.npz")
    pairs, foreign = find_pairs(*kinds(tmp_path))
    assert [pair.label for pair in pairs] == ["2", "a/1", "a/b/1"]
    assert all(len(pair.images) == len(pair.depths) == 1 for pair in pairs)
    assert foreign == ()


def test_frames_of_a_film_stand_in_the_order_of_time(tmp_path: Path) -> None:
    touched(tmp_path, *(f"i/f_{n}.jpg" for n in (10, 9, 100)), "d/x.png")
    pairs, _ = find_pairs(*kinds(tmp_path))
    assert [pair.name for pair in pairs] == ["f_9", "f_10", "f_100", "x"]


@pytest.mark.parametrize(
    ("image_names", "depth_names", "files"),
    [
        ("rgb_{name}", "sync_depth_{name}", ["rgb_1.jpg", "sync_depth_1.png"]),
        ("{name}", "{name}_depth", ["1.png", "1_depth.png"]),
        ("{name}_colors", "{name}", ["1_colors.png", "1.png"]),
        ("rgb{name}", "depth{name}", ["rgb1.png", "depth1.png"]),
    ],
)
def test_both_kinds_may_share_a_folder(
    tmp_path: Path, image_names: str, depth_names: str, files: list[str]
) -> None:
    touched(tmp_path, *(f"x/{file}" for file in files))
    pairs, foreign = find_pairs(*kinds(tmp_path, ("x", image_names), ("x", depth_names)))
    assert [(pair.label, len(pair.images), len(pair.depths)) for pair in pairs] == [("1", 1, 1)]
    assert pairs[0].images[0].name == files[0]
    assert foreign == ()


def test_the_depth_folder_may_lie_among_the_images(tmp_path: Path) -> None:
    touched(tmp_path, "x/a/1.png", "x/depth/a/1.png")
    pairs, foreign = find_pairs(*kinds(tmp_path, ("x", "{name}"), ("x/depth", "{name}")))
    assert [(pair.label, len(pair.images), len(pair.depths)) for pair in pairs] == [("a/1", 1, 1)]
    assert foreign == ()


def test_foreign_files_are_told_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    touched(tmp_path, "i/1.jpg", "i/notes.txt", "i/.DS_Store", "i/.cache/2.jpg", "d/1.png")
    pairs, foreign = find_pairs(*kinds(tmp_path))
    assert len(pairs) == 1
    assert [path.name for path in foreign] == ["notes.txt"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["i/a/1.jpg"], r"i/a/1\.jpg: has no depth map: expected .*d/a/1 with .* \.png or \.npy"),
        (["d/a/1.png"], r"d/a/1\.png: has no image: expected .*i/a/1 with"),
        (["i/1.jpg", "i/1.png", "d/1.png"], r"one image too many .*also .*1\.png; keep one"),
        (["i/1.jpg", "d/1.npy", "d/1.npz"], "one depth map too many"),
    ],
)
def test_half_and_ambiguous_frames_are_told(tmp_path: Path, files: list[str], told: str) -> None:
    touched(tmp_path, "i/z/z.jpg", "d/z/z.png", *files)
    images, depths = kinds(tmp_path)
    (pair, *_), _ = find_pairs(images, depths)
    with pytest.raises(DataError, match=told):
        whole(pair, images, depths)


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touched(tmp_path, "elsewhere/1.jpg", "i/2.jpg", "d/2.png")
    (tmp_path / "i" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "i" / "circle").symlink_to(tmp_path / "i")
    pairs, _ = find_pairs(*kinds(tmp_path))
    assert [pair.label for pair in pairs] == ["2", "linked/1"]


@pytest.mark.parametrize(
    ("folder", "inside"),
    [(".", True), ("a", True), ("a/", True), ("./a/b", True), ("a/b/c", False), ("ab", False)],
)
def test_a_folder_holds_what_lies_below_it(folder: str, inside: bool) -> None:
    assert in_folder(Pair(folder="a/b", name="1", images=(), depths=()), folder) is inside


NAMES = st.text("ab01_", min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    images=st.sets(st.tuples(st.sampled_from(["", "x/", "x/y/"]), NAMES), max_size=5),
    depths=st.sets(st.tuples(st.sampled_from(["", "x/", "x/y/"]), NAMES), max_size=5),
)
def test_every_file_is_in_exactly_one_frame(
    tmp_path_factory: pytest.TempPathFactory,
    images: set[tuple[str, str]],
    depths: set[tuple[str, str]],
) -> None:
    root = tmp_path_factory.mktemp("pairs")
    (root / "i").mkdir()
    (root / "d").mkdir()
    touched(root, *(f"i/{a}{b}.png" for a, b in images), *(f"d/{a}{b}.png" for a, b in depths))
    pairs, foreign = find_pairs(*kinds(root))
    assert foreign == ()
    assert len(pairs) == len(images | depths)
    assert sum(len(pair.images) for pair in pairs) == len(images)
    assert sum(len(pair.depths) for pair in pairs) == len(depths)
