"""NYU Depth v2 in each of its layouts; the real pair goes all the way to an accuracy."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_trees import write_depth_png
from kitti_trees import real, write_image
from numpy.typing import NDArray

from nano.data.__main__ import main as data_command
from nano.data.array_files import read_image_array
from nano.data.cache import prepare
from nano.data.file_tables import NyuTable
from nano.data.nyu import nyu_source
from nano.data.sample import Source
from nano.data.sets import SPLIT_NAMES, SplitName, data_table, source
from nano.errors import DataError, MissingPackage, StudyError
from nano.evaluate.__main__ import main as evaluate_command
from nano.evaluate.protocol import protocol_of
from nano.evaluate.run import compare
from nano.train.__main__ import main as train_command


def nyu(root: Path, split: SplitName = "test", **changes: Any) -> Source:
    table = data_table({"set": "nyu", "root": str(root), "validation": ["validation"]} | changes)
    return source(table, root, split)


@pytest.mark.parametrize(
    ("image", "depth"),
    [("rgb_00045.jpg", "sync_depth_00045.png"), ("00045_colors.png", "00045_depth.png")],
)
def test_extracted_files_are_read_in_millimetres(tmp_path: Path, image: str, depth: str) -> None:
    for folder in SPLIT_NAMES:
        write_image(tmp_path / folder / "kitchen" / image, (24, 32))
        write_depth_png(tmp_path / folder / "kitchen" / depth, metres=4.0)
    found = nyu(tmp_path)
    assert (len(found), found.name, found.truth) == (1, "nyu test", "sensor")
    assert found[0].name == "test/kitchen/00045"
    assert found[0].depth.max() == pytest.approx(3.913)


def test_maps_of_8_bits_as_some_archives_hold_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    write_image(tmp_path / "test/00045_colors.png", (24, 32))
    Image.fromarray(np.full((24, 32), 90, np.uint8)).save(tmp_path / "test/00045_depth.png")
    with pytest.raises(DataError, match="not a 16-bit depth map"):
        nyu(tmp_path)[0]


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_nyu_says_what_is_expected(tmp_path: Path, made: bool) -> None:
    root = tmp_path if made else tmp_path / "none"
    told = r"nyu_depth_v2_labeled\.mat, or .*rgb_\{name\}" if made else "no such folder"
    with pytest.raises(DataError, match=told):
        nyu(root)


def test_test_folders_that_hold_nothing_are_told(tmp_path: Path) -> None:
    write_image(tmp_path / "official/rgb_1.jpg", (24, 32))
    write_depth_png(tmp_path / "official/sync_depth_1.png")
    with pytest.raises(DataError, match=r"\[data\] test = \['test'\].*no frame of 1.*: official"):
        nyu(tmp_path)
    assert len(nyu(tmp_path, test=["official"])) == 1


def test_other_protocols_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"protocol: .*'nyu' or 'nyu-fastdepth', got 'ddad'"):
        data_table({"set": "nyu", "root": "x", "protocol": "ddad"})
    described = protocol_of(data_table({"set": "nyu", "root": "x"}), tmp_path).describe()
    assert described.startswith("nyu (crop nyu, 0.001-10 m, sensor truth")


def test_a_map_that_is_unknown_in_the_crop_is_counted_as_skipped(tmp_path: Path) -> None:
    from PIL import Image

    steps = np.zeros((480, 640), np.uint16)
    steps[:20] = 2000  # above the crop, which starts at row 45
    write_image(tmp_path / "test/rgb_1.jpg", (480, 640))
    Image.fromarray(steps).save(tmp_path / "test/sync_depth_1.png")
    data = prepare(nyu(tmp_path), (32, 32), tmp_path / "cache")
    protocol = protocol_of(data_table({"set": "nyu", "root": "x"}), tmp_path)
    result = compare(np.full((16, 16), 2.0, np.float32), data, 0, protocol)
    assert (result.pixels, result.metrics) == (0, None)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((4, 5)), r"height x width x 3; the shape of this is \(4, 5\)"),
        (np.full((4, 5, 3), 255.0), "fractions from 0 to 1; this is float64 from 255 to 255"),
        (np.full((4, 5, 3), 3), "this is int64"),
        (np.full((4, 5, 3), np.nan), "from nan"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(
    tmp_path: Path, array: NDArray[Any], told: str
) -> None:
    np.save(tmp_path / "rgb.npy", array)
    with pytest.raises(DataError, match=told):
        read_image_array(tmp_path / "rgb.npy")


# --- the labelled .mat ---------------------------------------------------------------------------


def write_mat(root: Path, frames: int = 6, train: tuple[int, ...] = (1, 2, 3, 4)) -> Path:
    """A small labelled set, stored columns first as MATLAB does."""
    h5py = pytest.importorskip("h5py")
    from scipy.io import savemat

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (frames, 24, 32, 3), np.uint8)
    depths = random.uniform(1, 9, (frames, 24, 32)).astype(np.float32)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["depths"] = depths.transpose(0, 2, 1)
    rest = [number for number in range(1, frames + 1) if number not in train]
    lists = {"trainNdxs": np.array([train]).T, "testNdxs": np.array([rest]).T}
    savemat(root / "splits.mat", lists)
    np.savez(root / "expected.npz", images=images, depths=depths)
    return root


def test_labelled_frames_are_read_by_the_authors_lists(tmp_path: Path) -> None:
    root = write_mat(tmp_path)
    found = pickle.loads(pickle.dumps(nyu(root, "test", validation=0.25, gap=0)))
    expected = np.load(root / "expected.npz")
    assert [found[i].name for i in range(len(found))] == ["0005", "0006"]
    np.testing.assert_array_equal(found[0].image, expected["images"][4])
    np.testing.assert_array_equal(found[0].depth, expected["depths"][4])
    assert [len(nyu(root, s, validation=0.25, gap=0)) for s in SPLIT_NAMES] == [3, 1, 2]
    assert len(prepare(found, (32, 32), tmp_path / "cache")) == 2
    assert found[0].intrinsics is None  # the authors' camera is of 480x640 images
    assert "Silberman" in found.provenance.licence


def test_a_labelled_set_cut_short_is_refused(tmp_path: Path) -> None:
    root = write_mat(tmp_path)
    path = root / "nyu_depth_v2_labeled.mat"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"labeled\.mat: cannot be read .*copy it again"):
        nyu(root)


def test_lists_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    root = write_mat(tmp_path, train=(1, 7))
    with pytest.raises(DataError, match=r"splits\.mat: trainNdxs does not name frames from 1 to 6"):
        nyu(root)
    (root / "splits.mat").write_bytes(b"no lists here")
    with pytest.raises(DataError, match=r"splits\.mat: cannot be read"):
        nyu(root)
    (root / "splits.mat").unlink()
    with pytest.raises(DataError, match=r"splits\.mat: no such file: it comes with"):
        nyu(root)


def test_without_h5py_the_command_that_brings_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    (tmp_path / "nyu_depth_v2_labeled.mat").touch()
    savemat(tmp_path / "splits.mat", {})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackage, match=r"pip install 'depthnet-nano\[nyu\]'"):
        nyu(tmp_path)


# --- the real pair -------------------------------------------------------------------------------


def linked_sample(root: Path) -> Path:
    """Three splits of the one real pair: enough to run everything, not to learn anything."""
    for split in SPLIT_NAMES:
        folder = root / split / "office"
        folder.mkdir(parents=True)
        for name in ("rgb.npy", "depth.npy"):
            (folder / name).symlink_to(real("nyu_sample", name).resolve())
    return root


def test_real_pair_is_an_indoor_scene_in_metres(tmp_path: Path) -> None:
    table = data_table({"set": "nyu", "root": "x"})
    assert isinstance(table, NyuTable)
    sample = nyu_source(
        linked_sample(tmp_path),
        "test",
        table.splits,
    )[0]
    assert sample.image.shape == (224, 224, 3)
    known = sample.depth[sample.depth > 0]
    assert known.size == 224 * 224
    assert 0.5 < known.min() < np.median(known) < known.max() < 10


def test_real_pair_is_checked_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = linked_sample(tmp_path / "nyu")
    assert data_command(["nyu", "--check", str(root)]) == 0
    assert "nyu test: 1 frames, sensor truth; of 1 looked at 1 are good: 224x224" in (
        capsys.readouterr().out
    )
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "indoors"\n[data]\nset = "nyu"\nroot = "{root}"\nsize = [32, 32]\n'
        'validation = ["validation"]\nprotocol = "nyu-fastdepth"\n'
    )
    place = ["--data", str(study), "--cache", str(tmp_path / "cache")]
    out = str(tmp_path / "out")
    assert train_command(["depthnet-tiny", *place, "--steps", "2", "--out", out]) == 0
    capsys.readouterr()
    assert evaluate_command([out, *place, "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)
    assert (accuracy["images"], accuracy["data"]) == (1, "nyu test, 1 images at 32x32")
    assert accuracy["protocol"].startswith("nyu-fastdepth (crop none, 0.001-10 m, sensor truth")
    with pytest.raises(DataError, match="NYU crop is defined at 480x640, the truth is 224x224"):
        evaluate_command([out, *place, "--protocol", "nyu"])
