"""What trtexec is asked for, by the version of TensorRT."""

from __future__ import annotations

import pytest

from nano.bench.flags import build_flags, measure_flags, version_from
from nano.errors import InputError

FP16 = {
    "7.1.3": "--explicitBatch --workspace=1024 --fp16 --buildOnly",
    "8.0.1": "--workspace=1024 --fp16 --timingCacheFile=c --buildOnly",
    "8.2.1": "--workspace=1024 --fp16 --timingCacheFile=c --buildOnly",
    "8.5.2": "--fp16 --timingCacheFile=c --buildOnly",
    "8.6.2": "--fp16 --timingCacheFile=c --skipInference",
    "10.3.0": "--fp16 --timingCacheFile=c --skipInference",
    "11.0.0": "--timingCacheFile=c --skipInference",
}
TIMING = {
    "7.1.3": "--useSpinWait --useCudaGraph",
    "8.0.1": "--useSpinWait --useCudaGraph --noDataTransfers",
    "8.2.1": "--useSpinWait --useCudaGraph --noDataTransfers",
    "8.5.2": "--useSpinWait --useCudaGraph --noDataTransfers",
    "8.6.2": "--useSpinWait --useCudaGraph --noDataTransfers",
    "10.3.0": "--useSpinWait --useCudaGraph --noDataTransfers",
    "11.0.0": "",
}


def built(version: str, precision: str) -> list[str]:
    return build_flags(version_from(version), model="m", engine="e", cache="c", precision=precision)


@pytest.mark.parametrize("version", FP16)
def test_building_asks_for_what_the_version_knows(version: str) -> None:
    assert built(version, "float16") == ["--onnx=m", "--saveEngine=e", *FP16[version].split()]


@pytest.mark.parametrize("version", TIMING)
def test_timing_is_the_same_in_every_version(version: str) -> None:
    flags = measure_flags(
        version_from(version), engine="e", times="t", warmup_s=2, duration_s=30, iterations=100
    )
    always = "--loadEngine=e --warmUp=2000 --duration=30 --iterations=100 --exportTimes=t"
    assert flags == [*always.split(), *TIMING[version].split()]


def test_fp32_is_the_default_and_int8_lets_other_layers_run_in_fp16() -> None:
    assert not {"--fp16", "--int8"} & set(built("8.5.2", "float32"))
    assert {"--fp16", "--int8"} <= set(built("8.5.2", "int8"))


@pytest.mark.parametrize("text", ["6.0.1", "12.0", "", "x.y", "8"])
def test_a_version_nobody_knows_how_to_ask_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="known are 7 to 11"):
        version_from(text)
