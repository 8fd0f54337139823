from __future__ import annotations

import errno
import json
import math
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nano.errors import DataError, InputError, OutputError, RunError
from nano.files import (
    canonical_json,
    from_plain,
    read_json,
    replacing,
    short_hash,
    to_plain,
    unwritable,
    write_bytes,
    write_json,
    write_text,
)

# --- whole or not there --------------------------------------------------------------------------


def only_file_in(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.bin"
    write_bytes(path, b"one")
    assert path.read_bytes() == b"one"
    write_text(path, "zwei ü\n")
    assert path.read_bytes() == "zwei ü\n".encode()
    assert only_file_in(path.parent) == path


def test_a_result_can_be_read_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_what_fails_while_writing_leaves_the_old_file_and_no_litter(
    failure: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(failure), replacing(path) as part:
        part.write_text("half of the n")
        raise failure
    assert path.read_text() == "old"
    assert only_file_in(tmp_path) == path


def test_two_writers_at_once_each_write_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other
        assert not path.exists()
    assert path.read_text() == "one"  # the context that ends last
    assert only_file_in(tmp_path) == path


FILL = """
import sys
from pathlib import Path
from nano.files import write_text

letters = "abcdefgh"
print("ready", flush=True)
for turn in range(10**9):
    write_text(Path(sys.argv[1]), letters[turn % 8] * 400_000)
"""


def test_a_kill_at_any_instant_leaves_the_old_or_the_new_file_whole(tmp_path: Path) -> None:
    path, dice, seen = tmp_path / "file", random.Random(5), set()
    for _ in range(12):
        path.write_text("z" * 400_000)
        writer = subprocess.Popen(
            [sys.executable, "-S", "-c", FILL, str(path)], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(dice.uniform(0, 0.03))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        text = path.read_text()
        assert len(text) == 400_000
        assert len(set(text)) == 1
        seen.add(text[0])
    assert len(seen) > 2  # the kills did fall at different instants


FILE_TOO_LARGE = """
import resource, sys
from pathlib import Path
from nano.errors import OutputError
from nano.files import write_bytes

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_bytes(Path(sys.argv[1]), bytes(1_000_000))
except OutputError as told:
    print(told)
"""


def test_a_disk_that_takes_no_more_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    told = subprocess.run(
        [sys.executable, "-S", "-c", FILE_TOO_LARGE, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith(f"{path}: cannot be written: ")
    assert path.read_text() == "old"
    assert only_file_in(tmp_path) == path


def test_the_content_is_on_the_disk_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, take = os.fsync, Path.replace

    def synced(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        calls.append(f"sync {kind}")
        sync(handle)

    def taken(self: Path, target: Path) -> Path:
        calls.append("rename")
        return take(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", taken)
    write_text(tmp_path / "file", "text")
    assert calls == ["sync file", "rename", "sync folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_told_in_a_persons_words(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(OutputError, match=f"{path}: cannot be written: the disk is full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert only_file_in(tmp_path) == path


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder with one file that this process may read but not write."""
    folder = Path(tempfile.mkdtemp())  # not under tmp_path, which others may not enter
    (folder / "file").write_text("old")
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # root writes everywhere
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    (folder / "file").unlink()
    folder.rmdir()


@pytest.mark.parametrize("name", ["file", "new", "deep/new"])
def test_a_read_only_folder_is_named_with_the_reason(name: str, read_only: Path) -> None:
    with pytest.raises(OutputError, match=f"{name}: cannot be written: Permission denied"):
        write_text(read_only / name, "new")
    assert (read_only / "file").read_text() == "old"
    assert only_file_in(read_only) == read_only / "file"


def test_a_folder_that_is_a_file_and_a_file_that_is_a_folder_are_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "file" / "inner", "new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder: cannot be written"):
        write_text(tmp_path / "folder", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_without_a_number_still_says_what_it_is() -> None:
    assert str(unwritable(Path("x"), OSError("odd"))) == "x: cannot be written: odd"


# --- JSON ----------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_comes_back_from_a_file_as_it_was(plain: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.json"
        write_json(path, plain)
        assert read_json(path) == plain


@given(PLAIN)
def test_equal_values_have_one_canonical_text(plain: Any) -> None:
    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: shuffled(node[key]) for key in reversed(node)}
        return tuple(map(shuffled, node)) if isinstance(node, list) else node

    text = canonical_json(plain)
    assert canonical_json(shuffled(plain)) == text
    assert json.loads(text) == plain
    assert "\n" not in text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_are_never_written(number: float, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"fine": 1.0})
    for value in (number, [number], {"deep": {"er": (number,)}}):
        with pytest.raises(ValueError, match="JSON compliant"):
            write_json(path, value)
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical_json(value)
    assert read_json(path) == {"fine": 1.0}
    assert only_file_in(tmp_path) == path


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON: Expecting value: line 1 column 1"),
        (b'{"a": 1', "not JSON: .* line 1 column 8"),
        (b'{"a": 1}}', "not JSON: Extra data"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": NaN}', "not JSON: NaN is not a finite number"),
        (b'{"a": [-Infinity]}', "not JSON: -Infinity is not a finite number"),
        (b'{"a": 1e400}', "not JSON: 1e400 is not a finite number"),
        (b"\xff\x00", "not JSON: .*decode"),
        (b"\xef\xbb\xbf{}", "not JSON: .*BOM"),
        (b"[" * 100_000, "not JSON of ours: nested too deeply"),
        (b'{"a":' * 100_000, "not JSON of ours: nested too deeply"),
        (b"1" * 10_000, "not JSON"),
    ],
)
@pytest.mark.parametrize("error", [InputError, RunError, DataError])
def test_damage_is_told_with_the_file_and_the_place(
    content: bytes, told: str, error: type[InputError], tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(error, match=f"file.json: {told}"):
        read_json(path, error)


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing: no such file"):
        read_json(tmp_path / "nothing", RunError)
    with pytest.raises(RunError, match="cannot be read: Is a directory"):
        read_json(tmp_path, RunError)


@given(st.binary(max_size=40))
def test_any_bytes_are_json_or_an_input_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.json"
        path.write_bytes(content)
        try:
            plain = read_json(path)
        except InputError as told:
            assert "file.json: " in str(told)
        else:
            canonical_json(plain)  # nothing but finite numbers


# --- frozen values -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Leaf:
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    size: tuple[int, int]
    note: str | None = None
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.size[0] < 0:
            raise ValueError(f"height {self.size[0]} is below zero")


@dataclass(frozen=True, kw_only=True)
class Tree:
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    leaves: tuple[Leaf, ...] = ()
    named: dict[str, tuple[Leaf, ...]] | None = None
    best: Leaf | None = None


LEAVES = st.builds(
    Leaf,
    size=st.tuples(st.integers(0), st.integers()),
    note=st.none() | st.text(),
    share=st.floats(allow_nan=False, allow_infinity=False),
)
TREES = st.builds(
    Tree,
    leaves=st.lists(LEAVES, max_size=3).map(tuple),
    named=st.none() | st.dictionaries(st.text(), st.lists(LEAVES, max_size=2).map(tuple)),
    best=st.none() | LEAVES,
)


@given(TREES)
def test_nested_values_come_back_equal_and_none_is_left_out(tree: Tree) -> None:
    text = canonical_json(tree)
    again = from_plain(Tree, json.loads(text), "tree.json")
    assert again == tree
    assert canonical_json(again) == text
    plain = json.loads(text)
    assert ("best" in plain) is (tree.best is not None)
    noted = ["note" in leaf for leaf in plain["leaves"]]
    assert noted == [leaf.note is not None for leaf in tree.leaves]


def nested(depth: int) -> list[Any]:
    """Lists in a list."""
    held: list[Any] = []
    for _ in range(depth):
        held = [held]
    return held


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        ({"leaves": [{"size": [1, 2]}, {"size": [1]}]}, "t.json: leaves.1.size"),
        ({"leaves": [{"size": [1, 2, 3]}]}, "t.json: leaves.0.size"),
        ({"leaves": [{"size": "12"}]}, "t.json: leaves.0.size: .*, got '12'"),
        ({"leaves": [{"siez": [1, 2]}]}, "leaves.0.siez: unknown key; perhaps 'size'?"),
        ({"leaves": [{"size": [1, 2], "colour": 3}]}, "colour: unknown key; known: size, note"),
        ({"named": {"a": [{"size": [1, 2], "nte": ""}]}}, "named.a.0.nte: unknown key"),
        ({"best": {"size": [1, 2], "sharee": 1}}, "best.sharee: unknown key; perhaps 'share'?"),
        ({"best": {"size": [-3, 2]}}, "t.json: best: height -3 is below zero$"),
        ({"best": {"size": [1, 2], "share": "0.5"}}, "best.share: .*number, got '0.5'"),
        ({"best": {"size": [1, 2], "share": True}}, "best.share: .*number, got True"),
        ({"best": {"size": [1.0, 2]}}, "best.size.0: .*integer, got 1.0"),
        ({"best": {"size": [1, 2], "note": 3}}, "best.note: .*string, got 3"),
        ({"best": {"size": [1, 2], "note": "\ud800"}}, "t.json: Tree: Error serializing to JSON"),
        ({"best": {"size": nested(240)}}, r"^t.json: Tree: Invalid JSON: recursion .*column \d+$"),
        ({"best": {"size": nested(5000)}}, "t.json: Tree: .*depth exceeded$"),
        ({"best": {}}, "best.size: missing"),
        ({"leavs": []}, "t.json: leavs: unknown key; perhaps 'leaves'?"),
        ([], "t.json: Tree: .*object"),
        (None, "t.json: Tree: .*object, got None"),
        ({"best": {"size": "x" * 10_000}}, "^.{0,200}$"),
    ],
)
def test_what_does_not_fit_is_told_with_file_place_and_value(plain: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        from_plain(Tree, plain, "t.json", DataError)


def test_whole_numbers_are_floats_where_floats_are_meant() -> None:
    leaf = from_plain(Leaf, {"size": [1, 2], "share": 1}, "leaf.json")
    assert leaf.share == 1.0
    assert type(leaf.share) is float


def test_to_plain_makes_keys_text_and_leaves_plain_data_alone() -> None:
    assert to_plain({1: (2, [3, None])}) == {"1": [2, [3, None]]}
    assert to_plain(None) is None
    assert to_plain("text") == "text"


def test_a_short_hash_is_twelve_digits_that_stay_what_they_were() -> None:
    assert short_hash("") == "e3b0c44298fc"  # the known SHA-256 of nothing
    assert short_hash("a") != short_hash("b")
