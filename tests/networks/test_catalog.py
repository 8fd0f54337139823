from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nano.design.presets import PRESETS, preset
from nano.errors import DesignError
from nano.files import write_json
from nano.networks.catalog import BASELINES, load_architecture
from nano.networks.count import count_by_running, count_parts
from nano.networks.start import skeleton

# Name, size, parameters, the same with running statistics, MACs.
TOTALS = [
    ("densedepth", (384, 1280), 42_657_689, 42_816_089, 196_282_613_760),
    ("densedepth-half", (384, 1280), 21_365_405, 21_523_805, 78_704_640_000),
    ("dorn", (385, 513), 99_807_310, 99_913_038, 257_615_201_984),
    ("fastdepth", (224, 224), 3_960_930, 3_988_772, 736_658_944),
    ("fastdepth-pruned", (224, 224), 1_360_786, 1_377_908, 366_393_384),
    ("resnet18", (192, 640), 14_329_236, 14_338_836, 8_013_496_320),
    ("packnet01", (192, 640), 128_294_020, 128_294_020, 205_158_236_160),
]


@pytest.mark.parametrize(("name", "size", "params", "with_statistics", "macs"), TOTALS)
def test_a_baseline_counts_what_is_published(
    name: str, size: tuple[int, int], params: int, with_statistics: int, macs: int
) -> None:
    count = count_by_running(BASELINES[name], size)
    assert (count.params, count.params_with_statistics) == (params, with_statistics)
    assert count.macs == macs


def test_larger_sizes_cost_what_the_reference_tells() -> None:
    assert count_by_running(BASELINES["fastdepth"], (384, 1280)).macs == pytest.approx(7.22e9, 1e-3)
    assert count_by_running(BASELINES["resnet18"], (384, 1280)).macs == pytest.approx(32.05e9, 1e-3)


def test_dorn_s_totals_are_convolutions_and_one_full_connection_at_its_own_size() -> None:
    dorn = BASELINES["dorn"]
    connection = 2048 * 4 * 5 * 512
    (scene,) = (part for part in count_parts(dorn, dorn.size) if part.name == "scene")
    smaller = count_by_running(dorn, (65, 97))  # whose pooled maps are one cell
    whole = count_by_running(dorn, dorn.size)
    assert whole.params - smaller.params == connection - 2048 * 512
    assert scene.count.params > connection
    assert round((whole.macs - connection) / 1e9, 1) == 257.6


def test_every_baseline_has_its_totals_here() -> None:
    assert {row[0] for row in TOTALS} == set(BASELINES)


@pytest.mark.parametrize("name", BASELINES)
def test_parts_add_up_and_the_output_has_the_stated_shape(name: str) -> None:
    baseline = BASELINES[name]
    size = tuple(3 * baseline.multiple + baseline.remainder for _ in range(2))
    whole, parts = count_by_running(baseline, size), count_parts(baseline, size)
    for total in ("params", "params_with_statistics", "macs", "activations"):
        assert sum(getattr(part.count, total) for part in parts) == getattr(whole, total) > 0
    output = skeleton(baseline, size).eval()(torch.empty(2, 3, *size, device="meta"))
    wanted = [side // baseline.output_stride for side in size]
    assert list(output.shape) == [2, baseline.outputs, *wanted]


@pytest.mark.parametrize("name", [*BASELINES, *PRESETS])
def test_a_network_is_found_by_name_and_by_file(name: str, tmp_path: Path) -> None:
    found = load_architecture(name)
    write_json(tmp_path / "design.json", found.plain() if name in BASELINES else found)
    assert load_architecture(str(tmp_path)) == found
    assert load_architecture(str(tmp_path / "design.json")).key == found.key


def test_keys_tell_networks_and_widths_apart() -> None:
    keys = [baseline.key for baseline in BASELINES.values()] + [preset(p).key for p in PRESETS]
    assert len(set(keys)) == len(keys)
    narrow = replace(BASELINES["densedepth"], widths=(832,))
    assert narrow.key == BASELINES["densedepth-half"].key


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"network": "densdepth"}, "unknown network 'densdepth'; known: densedepth"),
        ({"network": "densedepth", "width": [1]}, "unknown key 'width'"),
        ({"network": "densedepth", "widths": []}, r"has 1 widths.*its own are \[1664\], got \[\]"),
        ({"network": "densedepth", "widths": [0]}, r"whole numbers from 1 up"),
        ({"network": "densedepth", "widths": [True]}, r"whole numbers from 1 up"),
        ({"network": "densedepth", "widths": 8}, r"got 8"),
        ({"network": "resnet18", "widths": [8]}, r"resnet18 has 0 widths"),
        ({"network": ["densedepth"]}, r"unknown network \['densedepth'\]"),
    ],
)
def test_a_wrong_file_is_explained(plain: dict[str, object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "design.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(DesignError, match=words):
        load_architecture(str(path))


def test_widths_that_cannot_be_added_are_refused() -> None:
    widths = list(BASELINES["fastdepth"].widths)
    widths[5] = 200
    with pytest.raises(DesignError, match=r"maps of conv5 to those of up2.*got 200 and 256"):
        count_by_running(replace(BASELINES["fastdepth"], widths=tuple(widths)), (32, 32))
    with pytest.raises(DesignError, match="16 maps or more, got 15"):
        count_by_running(replace(BASELINES["densedepth"], widths=(15,)), (32, 32))


def test_a_misspelt_name_is_guessed() -> None:
    with pytest.raises(DesignError, match="perhaps 'densedepth'"):
        load_architecture("densdepth")


@settings(deadline=None)
@given(name=st.sampled_from(sorted(BASELINES)), sides=st.tuples(st.integers(-9, 600), st.just(641)))
def test_a_refused_size_names_one_that_is_taken(name: str, sides: tuple[int, int]) -> None:
    baseline = BASELINES[name]
    try:
        baseline.check_size(sides)
    except DesignError as refused:
        near = str(refused).rpartition("nearest ")[2]
        height, width = map(int, near.split("x"))
        baseline.check_size((height, width))
        assert abs(width - sides[1]) <= baseline.multiple / 2
    else:
        assert all(side % baseline.multiple == baseline.remainder for side in sides)
