"""A Jetson's facts, made up: an AGX Xavier with three modes."""

from __future__ import annotations

from dataclasses import replace

from made_up_logs import NVPMODEL_NO_ROOT, RELEASE

from nano.bench.board import Board, Facts, board_of
from nano.bench.jetson import Plan

HASTY = Plan(
    repeats=1,
    duration_s=0.6,
    warmup_s=0.05,
    iterations=1,
    settle_s=0,
    idle_s=0.3,
    interval_s=0.02,
    build_timeout_s=30,
)
CONF = """\
# a comment: < POWER_MODEL ID=9 NAME=OLD >
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
GPU MAX_FREQ 2147483647
EMC MAX_FREQ 0
< POWER_MODEL ID=3 NAME=MODE_30W_ALL >
GPU MIN_FREQ 0
GPU MAX_FREQ 905250000
< POWER_MODEL ID=4 NAME=MODE_X >
GPU MAX_FREQ -1
< PM_CONFIG DEFAULT=3 >
"""
FACTS = Facts(
    release=RELEASE,
    core=None,
    model="Jetson-AGX",
    compatible="nvidia,jetson-xavier nvidia,tegra194",
    modes=CONF,
    mode=NVPMODEL_NO_ROOT,
    tensorrt="libnvinfer8 8.2.1-1+cuda10.2",
    trtexec=True,
    banner=None,
    user="ada",
    sudo={"nvpmodel": True},
    rails=(),
    free=2**40,
    logins="ada pts/0 2000-01-01\nbob tty1 2000-01-01\nbob pts/1 2000-01-01",
    trtexecs=0,
    lock=None,
    clocks=(),
    python="3.6.9",
)


def board(**changes: object) -> Board:
    """The board, with some of its facts changed."""
    return board_of(replace(FACTS, **changes))  # type: ignore[arg-type]
