"""What docs/data.md tells is what works: its manifest, its tables and its commands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from nano.data.manifest import Manifest, SplitsTable, manifest_of
from nano.data.sets import data_table
from nano.evaluate.protocol import PROTOCOLS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
TOML: list[dict[str, Any]] = [
    tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
]


def test_the_manifest_is_one() -> None:
    (manifest,) = [block for block in TOML if "data" not in block]
    assert manifest_of(manifest, "docs/data.md").metres_per_unit == 0.001


@pytest.mark.parametrize("plain", [block["data"] for block in TOML if "data" in block])
def test_every_table_is_one(plain: dict[str, Any]) -> None:
    assert data_table(plain).set == plain["set"]


def test_every_key_of_the_manifest_is_told() -> None:
    untold = [
        key
        for key in (*Manifest.model_fields, *SplitsTable.model_fields)
        if f"`{key}`" not in PAGE and f"{key} =" not in PAGE and f"[{key}]" not in PAGE
    ]
    assert not untold


def test_every_protocol_of_these_sets_is_told() -> None:
    told = set(re.findall(r"^\| `([\w-]+)`.*-.* m \|", PAGE, re.MULTILINE))
    assert {"nyu", "nyu-fastdepth", "ddad"} <= told <= set(PROTOCOLS)


def test_no_line_of_a_command_is_made_up() -> None:
    from nano.data.__main__ import parser as data_parser
    from nano.evaluate.__main__ import parser as evaluate_parser
    from nano.train.__main__ import parser as train_parser

    parsers = {"data": data_parser, "train": train_parser, "evaluate": evaluate_parser}
    (block,) = re.findall(r"```bash\n(python -m nano\.data.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        name, *words = line.removeprefix("python -m nano.").split()
        parsers[name]().parse_args(words)
