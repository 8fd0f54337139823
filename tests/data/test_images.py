from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kitti_trees import real, write_depth, write_image
from PIL import Image

from nano.data.images import image_size, read_depth_png, read_image
from nano.errors import DataError


def saved(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


class TestReadImage:
    def test_png_is_read_exactly(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        image = read_image(saved(tmp_path / "a.png", values))
        assert image.dtype == np.uint8
        assert (image == values).all()

    def test_jpeg_is_read_nearly(self, tmp_path: Path) -> None:
        png = read_image(write_image(tmp_path / "a.png"))
        jpeg = read_image(write_image(tmp_path / "a.jpg"))
        assert jpeg.shape == png.shape
        assert 0 < np.abs(jpeg.astype(int) - png).mean() < 3

    def test_grey_becomes_three_equal_channels(self, tmp_path: Path) -> None:
        values = np.arange(12, dtype=np.uint8).reshape(3, 4)
        image = read_image(saved(tmp_path / "a.png", values))
        assert (image == values[:, :, None]).all()

    def test_a_depth_map_is_no_photograph(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"d\.png: not a photograph.*depth map"):
            read_image(write_depth(tmp_path / "d.png"))

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"gone\.png: no such file"):
            read_image(tmp_path / "gone.png")

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
    def test_what_is_no_image_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.png: .*copy it again"):
            read_image(path)

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="cannot be read as an image"):
            read_image(tmp_path)

    @pytest.mark.parametrize("ending", ["png", "jpg"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_a_truncated_file_is_refused(self, tmp_path: Path, ending: str, share: float) -> None:
        path = write_image(tmp_path / f"a.{ending}", size=(60, 90))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=rf"a\.{ending}: .*truncated"):
            read_image(path)

    def test_the_size_is_read_from_the_header(self, tmp_path: Path) -> None:
        assert image_size(write_image(tmp_path / "a.jpg", size=(11, 23))) == (11, 23)


class TestReadDepthPng:
    def test_steps_are_256ths_of_a_metre_and_0_is_unknown(self, tmp_path: Path) -> None:
        values = np.array([[0, 256, 384], [1, 65535, 20480]], dtype=np.uint16)
        depth = read_depth_png(saved(tmp_path / "d.png", values))
        assert depth.dtype == np.float32
        assert depth.tolist() == [[0, 1, 1.5], [1 / 256, 65535 / 256, 80]]

    def test_a_map_without_any_depth_is_read(self, tmp_path: Path) -> None:
        assert not read_depth_png(saved(tmp_path / "d.png", np.zeros((3, 4), np.uint16))).any()

    @pytest.mark.parametrize("shape", [(3, 4), (3, 4, 3)])
    def test_eight_bits_are_refused(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        path = saved(tmp_path / "d.png", np.full(shape, 80, np.uint8))
        with pytest.raises(DataError, match=r"d\.png: not a 16-bit depth map.*as KITTI ships"):
            read_depth_png(path)

    def test_eight_bits_in_a_16_bit_file_are_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "d.png", np.full((10, 10), 255, np.uint16))
        with pytest.raises(DataError, match=r"all 100 depths are below 1 m.*8 bits"):
            read_depth_png(path)

    def test_a_handful_of_near_pixels_are_no_proof(self, tmp_path: Path) -> None:
        values = np.zeros((10, 10), np.uint16)
        values[0] = 255
        assert np.count_nonzero(read_depth_png(saved(tmp_path / "d.png", values))) == 10

    def test_a_jpeg_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="not a 16-bit depth map"):
            read_depth_png(write_image(tmp_path / "d.jpg"))

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(st.floats(min_value=0, max_value=1), st.booleans())
    def test_damage_never_gives_other_depths(self, tmp_path: Path, place: float, cut: bool) -> None:
        values = np.random.default_rng(0).integers(0, 20000, (12, 17), dtype=np.uint16)
        path = saved(tmp_path / "d.png", values)
        content = bytearray(path.read_bytes())
        at = int(place * (len(content) - 1))
        if cut:
            del content[at:]
        else:
            content[at] ^= 0x10
        path.write_bytes(content)
        try:
            depth = read_depth_png(path)
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert (depth * 256 == values).all()


def test_a_real_annotated_map_is_as_kitti_describes_it() -> None:
    drive = real("kitti_sample", "depth", "train", "2011_09_26_drive_0001_sync", "proj_depth")
    depth = read_depth_png(drive / "groundtruth" / "image_02" / "0000000005.png")
    known = depth > 0
    assert depth.shape == (375, 1242)
    assert round(known.mean(), 3) == 0.195
    assert np.flatnonzero(known.any(axis=1))[[0, -1]].tolist() == [119, 369]
    assert (round(depth[known].min(), 1), round(depth.max(), 1)) == (5.3, 84.9)
