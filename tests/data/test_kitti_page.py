"""What docs/kitti.md tells is what works: its lists, protocols, tables and commands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from nano.data.__main__ import parser
from nano.data.sets import KittiTable, data_table
from nano.data.splits import SPLITS
from nano.evaluate.protocol import PROTOCOLS, crop_slices

PAGE = (Path(__file__).parents[2] / "docs" / "kitti.md").read_text()


def test_every_list_is_told_with_its_count() -> None:
    told = dict(re.findall(r"^\| `(eigen-[\w-]+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert told == {name: str(len(frames())) for name, frames in SPLITS.items()}


def test_every_protocol_of_kitti_is_told_and_no_other() -> None:
    table = PAGE.split("## Which protocol")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name for cell in first for name in re.findall(r"`([\w-]+)`", cell)}
    kitti = {"annotated", "raw", "single-scan"}
    assert told == {name for name, protocol in PROTOCOLS.items() if protocol.truth in kitti}


def test_the_crops_told_are_those_that_are_cut() -> None:
    for crop, rows, columns in re.findall(r"`(\w+)` (\d+:\d+), (\d+:\d+)", PAGE):
        cut = crop_slices(crop, (375, 1242))
        assert [f"{part.start}:{part.stop}" for part in cut] == [rows, columns]


def test_the_table_is_one() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert isinstance(data_table(tomllib.loads(block)["data"]), KittiTable)


def test_no_line_of_a_command_is_made_up() -> None:
    lines = re.findall(r"^python -m nano\.data (.*?)(?: {2,}#.*)?$", PAGE, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        parser().parse_args(line.split())
