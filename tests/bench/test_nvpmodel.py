"""Power modes and releases as devices print them."""

from __future__ import annotations

import pytest
from made_up_logs import (
    NVPMODEL_FAN,
    NVPMODEL_NO_ROOT,
    NVPMODEL_REBOOT,
    NVPMODEL_VERBOSE,
    RELEASE,
)

from nano.bench.nvpmodel import PowerMode, Setting, parse_nvpmodel
from nano.bench.release import Release, jetpack_of, parse_releases


def mode_of(text: str) -> PowerMode:
    return parse_nvpmodel(text.splitlines())


def test_the_answer_is_a_name_and_the_number_below_it() -> None:
    assert mode_of("NV Power Mode: MODE_30W\n2\n") == PowerMode(name="MODE_30W", id=2)


def test_what_only_root_may_read_is_no_error() -> None:
    mode = mode_of(NVPMODEL_NO_ROOT)
    assert (mode.name, mode.id, mode.fan) == ("MODE_30W_ALL", 3, "quiet")
    assert mode.unreadable == ("EMC.MAX_FREQ",)
    assert mode.errors == ("Fan failed to set mode:quiet",)


def test_another_reason_not_to_open_a_file_is_an_error() -> None:
    mode = mode_of("NVPM ERROR: Error opening /sys/x: 2\nNV Power Mode: MAXN\n0\n")
    assert mode.errors == ("Error opening /sys/x: 2",)


def test_a_warning_before_the_answer_is_kept_apart() -> None:
    mode = mode_of(NVPMODEL_FAN)
    assert mode == PowerMode(name="MAXN", id=0, warnings=("fan mode is not set to cool",))


def test_verbose_tells_what_is_and_what_the_mode_asks_for() -> None:
    mode = mode_of(NVPMODEL_VERBOSE)
    assert (mode.name, mode.id) == ("25W", 3)
    assert mode.settings == {
        "CPU_ONLINE.CORE_0": Setting(actual="1", configured="1"),
        "GPU.MAX_FREQ": Setting(actual="408000000", configured="-1"),
    }
    assert (mode.warnings, mode.errors) == ((), ())


def test_a_mode_that_needs_a_reboot_was_not_entered() -> None:
    mode = mode_of(NVPMODEL_REBOOT)
    assert (mode.name, mode.id) == (None, None)
    assert (mode.needs_reboot, mode.declined) == (1, True)
    assert mode.warnings == ("Golden image context is already created",)
    assert mode.errors == ()


def test_a_prompt_that_nobody_has_answered_is_not_declined() -> None:
    mode = mode_of("\n".join(NVPMODEL_REBOOT.splitlines()[:3]))
    assert (mode.needs_reboot, mode.declined) == (1, False)


def test_the_last_answer_counts_and_a_missing_number_is_none() -> None:
    assert mode_of("NV Power Mode: 15W\n2\nNV Power Mode: MAXN\n0\n").name == "MAXN"
    assert mode_of("NV Power Mode: MAXN").id is None
    assert mode_of("NV Power Mode: MAXN\ncpu0: Online=1\n").id is None


def test_release_has_l4t_jetpack_board_and_date() -> None:
    assert parse_releases(RELEASE.splitlines()) == [
        Release(
            l4t="32.7.1",
            jetpack="4.6.1",
            board="t186ref",
            date="Wed Feb  2 21:33:23 UTC 2022",
        )
    ]


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("32.7.1", "4.6.1"),
        ("32.5.1", "4.5 or 4.5.1"),
        ("36.4.3", "6.2"),
        ("36.4.9", None),
        ("38.2.0", "7.0"),
        ("99.1", None),
    ],
)
def test_jetpack_is_known_by_the_release_or_not_at_all(l4t: str, jetpack: str | None) -> None:
    assert jetpack_of(l4t) == jetpack


def test_a_release_line_may_lack_board_and_date() -> None:
    (found,) = parse_releases(["# R36 (release), REVISION: 4.3"])
    assert found == Release(l4t="36.4.3", jetpack="6.2")
