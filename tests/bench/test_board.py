"""What a Jetson is, from the facts that it tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_board import CONF, FACTS, board

from nano.bench.board import logins_of_others, refuse_if_full, refuse_if_used
from nano.bench.nvpmodel import Mode, parse_modes
from nano.bench.remote import RemoteError
from nano.errors import InputError


def test_modes_are_read_with_the_gpu_s_cap() -> None:
    assert parse_modes(CONF.splitlines()) == (
        Mode(id=0, name="MAXN"),
        Mode(id=3, name="MODE_30W_ALL", gpu_mhz=905),
        Mode(id=4, name="MODE_X"),
    )


def test_a_board_is_named_with_its_releases() -> None:
    assert board().versions() == {
        "l4t": "32.7.1",
        "jetpack": "4.6.1",
        "tensorrt": "8.2.1",
        "soc": "tegra194",
    }
    assert board().mode == Mode(id=3, name="MODE_30W_ALL", gpu_mhz=905)


def test_without_its_release_file_the_package_tells_l4t() -> None:
    told = board(release=None, core="36.4.3-20250107174145").versions()
    assert (told["l4t"], told["jetpack"]) == ("36.4.3", "6.2")


@pytest.mark.parametrize(
    ("packages", "banner", "version"),
    [
        ("libnvinfer7 7.1.3-1+cuda10.2", None, "7.1.3"),
        ("libnvinfer8 8.6.2.3-1\nlibnvinfer10 10.3.0.30-1+cuda12.5", None, "10.3.0"),
        ("libnvinfer7 \nlibnvinfer8 8.5.2-1", None, "8.5.2"),
        ("libnvinfer10 10.3.0-1", "&&&& RUNNING TensorRT.trtexec [TensorRT v8502] #", "8.5.2"),
        (None, "&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --help", "10.3.0"),
        (None, "&&&& RUNNING TensorRT.trtexec # trtexec --help", None),
    ],
)
def test_tensorrt_is_told_by_its_package_or_by_trtexec(
    packages: str | None, banner: str | None, version: str | None
) -> None:
    assert board(tensorrt=packages, banner=banner).tensorrt == version


def test_without_trtexec_it_is_told_what_brings_it() -> None:
    with pytest.raises(InputError, match="no /usr/src/tensorrt/bin/trtexec there; it comes with"):
        board(trtexec=False).version("xavier")
    with pytest.raises(InputError, match="neither dpkg nor trtexec tells"):
        board(tensorrt=None).version("xavier")


def test_a_mode_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(InputError, match="'30W'; it has: MAXN, MODE_30W_ALL, MODE_X"):
        board().mode_named("30W", "xavier")
    with pytest.raises(InputError, match="has no power modes"):
        board(modes=None).mode_named("30W", "xavier")


def test_a_second_user_is_noticed() -> None:
    assert logins_of_others(FACTS) == ("ada pts/0", "bob tty1", "bob pts/1")
    remote = replace(FACTS, logins="ada pts/0 2026-11-26 09:00 (10.0.0.7)")
    assert logins_of_others(remote) == ("ada (10.0.0.7)",)
    refuse_if_used(FACTS, "xavier")
    with pytest.raises(RemoteError, match="in use: bob since Monday measures there"):
        refuse_if_used(replace(FACTS, lock="bob since Monday"), "xavier")
    with pytest.raises(RemoteError, match="in use: someone runs trtexec"):
        refuse_if_used(replace(FACTS, trtexecs=1), "xavier")


def test_a_full_disk_is_told_before_anything_is_sent() -> None:
    refuse_if_full(FACTS, 10**6, "xavier")
    with pytest.raises(RemoteError, match="disk is full there: 1 MiB are free"):
        refuse_if_full(replace(FACTS, free=2**20), 10**6, "xavier")
