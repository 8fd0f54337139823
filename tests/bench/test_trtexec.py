"""Logs of trtexec, versions 7 to 10, and the JSON it exports."""

from __future__ import annotations

import json

import pytest
from made_up_logs import (
    PROFILE_JSON,
    TRTEXEC_7,
    TRTEXEC_8,
    TRTEXEC_10,
    TRTEXEC_FAILED,
    times_json,
)

from nano.bench.exports import Layer, parse_profile, parse_times
from nano.bench.trtexec import Spread, Trtexec, parse_trtexec, version_of
from nano.errors import InputError


def run_of(text: str) -> Trtexec:
    (run,) = parse_trtexec(text.splitlines())
    return run


@pytest.mark.parametrize(
    ("number", "version"),
    [
        ("7103", "7.1.3"),
        ("8502", "8.5.2"),
        ("8600", "8.6.0"),
        ("100300", "10.3.0"),
        ("101601", "10.16.1"),
    ],
)
def test_version_is_unpacked_from_its_number(number: str, version: str) -> None:
    assert version_of(number) == version


def test_blocks_of_version_7() -> None:
    run = run_of(TRTEXEC_7)
    assert run.version is None
    assert run.passed is True
    assert run.spreads["latency"] == Spread(
        min_ms=2.1, max_ms=3.1, mean_ms=2.4, median_ms=2.3, percentiles_ms={"99": 3.0}
    )
    assert run.spreads["end_to_end"] == Spread(
        min_ms=2.2, max_ms=3.2, mean_ms=2.5, median_ms=2.4, percentiles_ms={"99": 3.1}
    )
    assert run.spreads["enqueue"] == Spread(min_ms=1.1, max_ms=1.4, median_ms=1.2)
    assert run.spreads["gpu_compute"].mean_ms == 2.25
    assert (run.throughput_qps, run.queries, run.wall_s, run.gpu_s) == (1600.5, 1440, 3.5, 3.25)
    assert run.settings == {"Precision": "FP32+INT8", "Batch": "4", "Spin-wait": "Enabled"}


def test_each_query_of_an_implicit_batch_counts_several_times() -> None:
    assert run_of(TRTEXEC_7).implicit_batch == 4
    assert run_of(TRTEXEC_7.replace("--batch=4", "--batch=1")).implicit_batch is None
    assert run_of(TRTEXEC_8).implicit_batch is None


def test_lines_of_version_8() -> None:
    run = run_of(TRTEXEC_8)
    assert run.version == "8.2.1"
    assert run.command == "trtexec --onnx=m.onnx --fp16"
    assert run.spreads["latency"] == Spread(
        min_ms=13.5, max_ms=14.5, mean_ms=13.8, median_ms=13.75, percentiles_ms={"99": 14.4}
    )
    assert run.spreads["end_to_end"].percentiles_ms == {"99": 14.5}
    assert run.spreads["gpu_compute"].min_ms == 13.0
    assert run.device == {"Selected Device": "Xavier", "Compute Capability": "7.2"}
    assert run.queries is None  # the log does not tell it


def test_lines_of_version_10_have_several_percentiles_and_warnings() -> None:
    run = run_of(TRTEXEC_10)
    assert run.version == "10.16.1"
    assert run.spreads["latency"].percentiles_ms == {"90": 0.045, "95": 0.046, "99": 0.05}
    assert run.spreads["latency"].min_ms == 0.04  # printed as 4e-02
    assert run.warnings == ("Throughput may be bound by Enqueue Time rather than GPU Compute.",)


def test_a_failure_has_its_first_error_as_reason() -> None:
    run = run_of(TRTEXEC_FAILED)
    assert run.passed is False
    assert run.reason is not None
    assert run.reason.endswith("Unsupported Resize")
    assert run.errors[-1] == "Engine set up failed"
    assert run.version == "8.5.2"
    assert run.spreads == {}
    assert run.throughput_qps is None


def test_a_log_that_ends_before_the_verdict_neither_passed_nor_failed() -> None:
    run = run_of(TRTEXEC_8.partition("&&&& PASSED")[0])
    assert run.passed is None
    assert run.throughput_qps == 72.25


def test_a_build_without_inference_has_no_latency() -> None:
    lines = [line for line in TRTEXEC_8.splitlines() if " ms" not in line and "qps" not in line]
    run = run_of("\n".join(lines))
    assert (run.passed, run.spreads, run.throughput_qps) == (True, {}, None)


def test_runs_one_after_the_other_are_kept_apart() -> None:
    bare = "\n".join(TRTEXEC_8.splitlines()[1:])  # its RUNNING line was not kept
    runs = parse_trtexec("\n".join([bare, "", bare, TRTEXEC_FAILED, TRTEXEC_10]).splitlines())
    assert [run.passed for run in runs] == [True, True, False, True]
    assert [run.version for run in runs] == ["8.2.1", "8.2.1", "8.5.2", "10.16.1"]


def test_lines_behind_another_program_s_prefix_are_read() -> None:
    run = run_of("\n".join(f"build-1  | {line}" for line in TRTEXEC_8.splitlines()))
    assert run == run_of(TRTEXEC_8)


@pytest.mark.parametrize("old", [True, False])
def test_exported_times_are_summed_up_here(old: bool) -> None:
    times = parse_times(json.loads(times_json([2.0, 4.0, 3.0, 7.0], old=old)), "t.json")
    assert times.queries == 4
    latency = times.spreads["latency"]
    assert (latency.min_ms, latency.median_ms, latency.mean_ms, latency.max_ms) == (2, 3.5, 4, 7)
    assert latency.percentiles_ms["90"] == pytest.approx(4 + 0.7 * 3)  # at place 2.7 of 0 to 3
    assert times.spreads["gpu_compute"].max_ms == 7 - 0.375
    assert times.spreads["h2d"].median_ms == 0.25
    assert times.spreads["d2h"].median_ms == 0.125
    assert times.spreads["enqueue"].mean_ms == 0.5
    assert ("end_to_end" in times.spreads) == old


def test_a_damaged_query_is_named() -> None:
    plain = json.loads(times_json([2.0, 4.0]))
    for damage in ("2", None, True, 1e300, [3]):
        plain[1]["computeMs"] = damage
        with pytest.raises(InputError, match=r"^t\.json: query 2: computeMs is a number"):
            parse_times(plain, "t.json")


def test_profile_has_its_layers_in_order() -> None:
    profile = parse_profile(json.loads(PROFILE_JSON), "p.json")
    assert profile.queries == 640
    assert profile.layers == (
        Layer(name="stem + relu", mean_ms=0.1, share=0.25),
        Layer(name="Reformatting CopyNode", mean_ms=0.3, share=0.75, median_ms=0.29),
    )


@pytest.mark.parametrize("damage", [7, {"averageMs": 1, "percentage": 1}, {"name": "a"}])
def test_a_damaged_layer_is_named(damage: object) -> None:
    with pytest.raises(InputError, match=r"^p\.json: layer 1: "):
        parse_profile([{"count": 1}, damage], "p.json")
