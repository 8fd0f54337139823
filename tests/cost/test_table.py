"""The layer table, which the terminal and the report share."""

from nano.cost.count import count
from nano.cost.table import part_rows, told_widths
from nano.design.design import Module
from nano.design.presets import preset


def test_rows_add_up_to_the_whole_network() -> None:
    design, size = preset("depthnet-tiny"), (64, 192)
    rows, cost = part_rows(design, size), count(design, size)
    assert sum(row.params for row in rows) == cost.params
    assert sum(row.macs for row in rows) == cost.macs
    assert abs(sum(row.params_share for row in rows) - 1) < 1e-12
    assert abs(sum(row.macs_share for row in rows) - 1) < 1e-12


def test_a_dense_stage_has_a_size_but_no_one_width() -> None:
    outputs = {row.part: row.output for row in part_rows(preset("depthnet-tiny"), (64, 192))}
    assert outputs["stage 2"] == "@8x24"
    assert outputs["transition 2"] == "10@4x12"
    assert outputs["head"] == "1@32x96"


def test_widths_are_told_by_kind_and_equal_ones_once() -> None:
    modules = (
        Module(squeeze=3, expand=6, width=4),
        Module(expand=6, width=5),
        Module(width=6, kernel=5),
    )
    assert list(told_widths(modules)) == [
        ("width", "4 5 6"),
        ("squeeze", "3 - -"),
        ("expand", "6 6 -"),
        ("kernel", "3 3 5"),
    ]
    assert list(told_widths(modules[:1] * 3)) == [
        ("width", "4 each"),
        ("squeeze", "3 each"),
        ("expand", "6 each"),
    ]
    assert list(told_widths(())) == []
