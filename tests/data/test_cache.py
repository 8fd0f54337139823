"""A cache holds what its source gave, whole, or it is not there."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nano.data import readers
from nano.data.arrays import checksum
from nano.data.cache import Index, cache_key, open_cache, prepare
from nano.data.sample import DepthSet, Provenance, Sample
from nano.errors import DataError, OutputError
from nano.files import from_plain, write_json

SIZE = (8, 16)


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """Frames of mixed sizes from their number alone; some of them bad on request."""

    count: int = 19
    bad: tuple[int, ...] = ()
    version: int = 0
    delay: float = 0.0
    name: str = "made up"
    truth: str = "sensor"
    intrinsics: tuple[float, float, float, float] | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self.bad:
            raise DataError(f"frame-{index}.png: truncated")
        time.sleep(self.delay)
        random = np.random.default_rng((self.version, index))
        height, width = 12 + index % 3, 20 + index % 2
        depth = random.uniform(1, 80, (height, width)).astype(np.float32)
        depth[random.random(depth.shape) < 0.8] = 0
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        name = f"frame-{index}"
        return Sample(name=name, image=image, depth=depth, intrinsics=self.intrinsics)

    @property
    def provenance(self) -> Provenance:
        return Provenance(protocol="made up", licence="free")

    def identity(self) -> dict[str, Any]:
        return {"count": self.count, "version": self.version}


def arrays(data: DepthSet) -> list[np.ndarray]:
    truth = data.truth
    return [data.images, data.depth, truth.sizes, truth.offsets, truth.index, truth.depth]


def test_cache_holds_every_frame_and_its_truth_at_native_size(tmp_path: Path) -> None:
    source = MadeUp()
    data = prepare(source, SIZE, tmp_path)
    assert len(data) == len(source)
    assert data.names == tuple(f"frame-{i}" for i in range(19))
    assert (data.name, data.truth_kind, data.size) == ("made up", "sensor", SIZE)
    for i in range(len(source)):
        depth = source[i].depth
        size, index, metres = data.truth.of(i)
        assert size == depth.shape
        restored = np.zeros(depth.size, np.float32)
        restored[index] = metres
        np.testing.assert_array_equal(restored.reshape(depth.shape), depth)


def test_index_says_what_the_data_are_and_on_which_terms(tmp_path: Path) -> None:
    prepare(MadeUp(), SIZE, tmp_path)
    index = json.loads((tmp_path / cache_key(MadeUp(), SIZE) / "index.json").read_text())
    assert (index["protocol"], index["licence"]) == ("made up", "free")
    assert (index["truth"], index["size"], len(index["names"])) == ("sensor", list(SIZE), 19)
    assert set(index["arrays"]) == {
        path.stem for path in (tmp_path / cache_key(MadeUp(), SIZE)).glob("*.npy")
    }
    assert all(len(entry["checksum"]) == 64 for entry in index["arrays"].values())


def test_intrinsics_are_those_of_the_images_in_the_cache(tmp_path: Path) -> None:
    found = prepare(MadeUp(intrinsics=(20.0, 12.0, 9.5, 5.5), count=2), SIZE, tmp_path).intrinsics
    assert found is not None
    np.testing.assert_allclose(
        found,
        [[16.0, 8.0, 7.5, 3.5], [20 * 16 / 21, 12 * 8 / 13, 10 * 16 / 21 - 0.5, 6 * 8 / 13 - 0.5]],
        rtol=1e-6,
    )
    unknown = prepare(MadeUp(count=2), SIZE, tmp_path / "other").intrinsics
    assert unknown is not None and np.isnan(unknown).all() and unknown.shape == (2, 4)


def test_any_number_of_workers_makes_the_same_cache(tmp_path: Path) -> None:
    alone = prepare(MadeUp(), SIZE, tmp_path / "one")
    many = prepare(MadeUp(), SIZE, tmp_path / "two", workers=2)
    for one, two in zip(arrays(alone), arrays(many), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    key = cache_key(MadeUp(), SIZE)
    files = [(tmp_path / part / key / "index.json").read_text() for part in ("one", "two")]
    assert files[0] == files[1]


def test_second_call_opens_without_reading_a_frame(tmp_path: Path) -> None:
    prepare(MadeUp(), SIZE, tmp_path)
    unreadable = replace(MadeUp(), bad=tuple(range(19)))  # the same identity
    assert len(prepare(unreadable, SIZE, tmp_path)) == 19


def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    data = prepare(MadeUp(), SIZE, tmp_path)
    assert isinstance(data.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 0


def test_other_frames_or_another_size_get_another_cache(tmp_path: Path) -> None:
    keys = {
        cache_key(source, size)
        for source in (MadeUp(), MadeUp(version=1), MadeUp(count=3), MadeUp(name="other"))
        for size in (SIZE, (8, 24))
    }
    assert len(keys) == 8


def test_progress_counts_every_frame_once(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    prepare(MadeUp(), SIZE, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 19) for i in range(1, 20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_all_bad_frames_are_listed_and_nothing_is_left(tmp_path: Path, workers: int) -> None:
    source = MadeUp(bad=(2, 17))
    with pytest.raises(DataError, match=r"2 of 19 frames") as refused:
        prepare(source, SIZE, tmp_path, workers=workers)
    assert "frame-2.png: truncated" in str(refused.value)
    assert "frame-17.png" in str(refused.value)
    assert not list(tmp_path.glob("*/")) and not list(tmp_path.glob(".*.part"))


def test_a_place_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"cache/\..*cannot be written: .*--cache FOLDER"):
        prepare(MadeUp(), SIZE, tmp_path / "cache")


def test_source_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no frames"):
        prepare(MadeUp(count=0), SIZE, tmp_path)


def test_frames_without_any_truth_are_kept(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Blank(MadeUp):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            return replace(sample, depth=np.zeros_like(sample.depth))

    data = prepare(Blank(count=2), SIZE, tmp_path)
    assert [len(data.truth.of(i)[1]) for i in range(2)] == [0, 0]
    assert not data.depth.any()


def harm_truncate(place: Path) -> None:
    path = place / "depth.npy"
    os.truncate(path, path.stat().st_size - 1)


def harm_alter(place: Path) -> None:
    path = place / "images.npy"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def harm_missing(place: Path) -> None:
    (place / "truth_index.npy").unlink()


def harm_no_index(place: Path) -> None:
    (place / "index.json").unlink()


def harm_half_index(place: Path) -> None:
    text = (place / "index.json").read_text()
    (place / "index.json").write_text(text[: len(text) // 2])


def harm_version(place: Path) -> None:
    plain = json.loads((place / "index.json").read_text())
    (place / "index.json").write_text(json.dumps(plain | {"version": 0}))


def harm_foreign(place: Path) -> None:
    (place / "index.json").write_text("[1, 2]")


@pytest.mark.parametrize(
    "harm",
    [
        harm_truncate,
        harm_alter,
        harm_missing,
        harm_no_index,
        harm_half_index,
        harm_version,
        harm_foreign,
    ],
)
def test_damaged_cache_is_refused_with_what_to_delete(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    prepare(MadeUp(), SIZE, tmp_path)
    place = tmp_path / cache_key(MadeUp(), SIZE)
    harm(place)
    for use in (lambda: open_cache(place), lambda: prepare(MadeUp(), SIZE, tmp_path)):
        with pytest.raises(DataError, match="Delete that folder") as refused:
            use()
        assert str(place) in str(refused.value)


def test_renamed_cache_is_refused(tmp_path: Path) -> None:
    prepare(MadeUp(), SIZE, tmp_path)
    (tmp_path / cache_key(MadeUp(), SIZE)).rename(tmp_path / "0123456789ab")
    with pytest.raises(DataError, match="renamed"):
        open_cache(tmp_path / "0123456789ab")


def edit(place: Path, **changes: object) -> None:
    """Change the index as somebody would who does not know of checksums."""
    path = place / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ["frame-0"]},
        {"names": [f"frame-{i}" for i in reversed(range(19))]},
        {"name": "kitti test"},
        {"truth": "annotated"},
        {"identity": {"set": "kitti"}},
        {"size": [16, 16]},
        {"method": "nearest"},
        {"licence": "public domain"},
        {"protocol": "KITTI"},
        {"left_out": ["frame-3.png: truncated"]},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_an_edited_index_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    prepare(MadeUp(), SIZE, tmp_path)
    place = tmp_path / cache_key(MadeUp(), SIZE)
    edit(place, **changes)
    with pytest.raises(DataError, match=r"renamed|was altered"):
        open_cache(place)


def test_another_cache_under_this_name_is_refused_even_where_its_key_was_edited(
    tmp_path: Path,
) -> None:
    prepare(MadeUp(version=1), SIZE, tmp_path)
    place = tmp_path / cache_key(MadeUp(), SIZE)
    (tmp_path / cache_key(MadeUp(version=1), SIZE)).rename(place)
    edit(place, key=place.name)
    with pytest.raises(DataError, match="renamed, or put together"):
        prepare(MadeUp(), SIZE, tmp_path)


@pytest.mark.parametrize("name", ["images", "depth", "truth_sizes", "truth_offsets", "intrinsics"])
def test_arrays_that_do_not_belong_together_are_refused(tmp_path: Path, name: str) -> None:
    prepare(MadeUp(), SIZE, tmp_path)
    place = tmp_path / cache_key(MadeUp(), SIZE)
    array = np.load(place / f"{name}.npy")[1:]
    np.save(place / f"{name}.npy", array)
    index = from_plain(Index, json.loads((place / "index.json").read_text()), "index.json")
    path = place / f"{name}.npy"
    entry = replace(
        index.arrays[name], shape=array.shape, bytes=path.stat().st_size, checksum=checksum(path)
    )
    forged = replace(index, arrays=index.arrays | {name: entry})
    write_json(place / "index.json", forged.sealed())
    with pytest.raises(DataError, match=rf"{name}\.npy is \(.*, expected \("):
        open_cache(place)


def test_frames_that_change_while_they_are_read_make_no_cache(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Changing(MadeUp):
        asked: list[int]

        def identity(self) -> dict[str, Any]:
            self.asked.append(0)
            return super().identity() | {"asked": len(self.asked)}

    with pytest.raises(DataError, match="made up: files changed while they were read"):
        prepare(Changing(asked=[]), SIZE, tmp_path)
    assert not list(tmp_path.glob("*/"))


def test_folder_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"python -m nano\.data prepare"):
        open_cache(tmp_path / "nothing")


def test_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        prepare(MadeUp(), SIZE, tmp_path / "file" / "caches")


def test_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            prepare(MadeUp(), SIZE, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.glob("*/")) and not list(tmp_path.glob(".*.part"))
    assert len(prepare(MadeUp(), SIZE, tmp_path)) == 19


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_cache import SIZE, MadeUp
from nano.data.cache import prepare
if __name__ == "__main__":
    prepare(MadeUp(delay=0.02), SIZE, Path({folder!r}), workers={workers},
            progress=lambda done, total: print(done, flush=True))
"""


def start(tmp_path: Path, workers: int = 1) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    script = tmp_path / "script.py"
    folder = str(tmp_path / "caches")
    script.write_text(SCRIPT.format(here=str(here), folder=folder, workers=workers))
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(here.parents[1])},
    )


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_preparation_leaves_nothing_that_is_taken_for_a_cache(
    tmp_path: Path, workers: int
) -> None:
    process = start(tmp_path, workers)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    helpers = children(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    folder = tmp_path / "caches"
    assert list(folder.glob(".*.part"))  # killed midway, it could not tidy up
    assert not list(folder.glob("[!.]*"))
    assert len(prepare(MadeUp(), SIZE, folder)) == 19
    assert not list(folder.glob(".*.part"))
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in helpers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in helpers)


def test_two_processes_at_once_make_one_whole_cache(tmp_path: Path) -> None:
    both = [start(tmp_path), start(tmp_path)]
    lines = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(map(len, lines)) == [0, 19]  # the second waited, then opened
    assert [place.name for place in (tmp_path / "caches").glob("[!.]*")] == [
        cache_key(MadeUp(), SIZE)
    ]


def test_checksum_sees_the_first_and_the_last_byte_of_a_sampled_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = bytearray(100_000)
    sums = set()
    for changed in (None, 0, len(content) - 1):
        if changed is not None:
            content[changed] ^= 255
        path.write_bytes(content)
        sums.add(checksum(path, blocks=4, block_bytes=64))
    assert len(sums) == 3


def test_workers_inherit_one_thread_each_and_the_parent_gets_its_own_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with readers.one_thread_each():
        assert {os.environ[name] for name in readers.THREADS} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
