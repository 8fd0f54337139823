"""Logs in the formats of devices with numbers of our own: tests ship these, never recordings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[2] / "shared" / "data" / "jetson_logs"


def recorded(name: str) -> Path:
    """A log of a real device; the test is skipped where it is not."""
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"needs recorded logs in ../shared/data/jetson_logs/{name}")
    return path


def rails(style: str, **milliwatts: int) -> str:
    """``GPU 1/1``, ``GPU 1mW/1mW`` or ``GPU 1mW/1mW/1mW``; the mean is told 7 mW lower."""
    unit = "" if style == "plain" else "mW"
    third = "/{0}mW" if style == "three" else ""
    return " ".join(
        f"{name} {now}{unit}/{now - 7}{unit}{third.format(now + 5)}"
        for name, now in milliwatts.items()
    )


TX1_L4T28 = "RAM 700/3983MB (lfb 9x4MB) cpu [5%,off,7%,0%]@1734 EMC 3%@1600 APE 25 GR3D 41%@998"
TX2 = (
    "RAM 900/7859MB (lfb 26x4MB) SWAP 0/3929MB (cached 0MB) CPU [4%@345,off,off,1%@2035,0%@345,"
    "2%@345] EMC_FREQ 4%@1600 GR3D_FREQ 20%@624 APE 150 PLL@37.5C MCPU@37.5C PMIC@100C GPU@35C "
    "Tdiode@34.25C "
) + rails("plain", VDD_SYS_GPU=500, VDD_SYS_SOC=700, VDD_4V0_WIFI=10, VDD_IN=3000, VDD_SYS_CPU=400)
NANO = (
    "RAM 536/3964MB (lfb 98x4MB) SWAP 5/1982MB (cached 1MB) IRAM 0/252kB(lfb 252kB) CPU [16%@204,"
    "9%@204,0%@204,0%@204] EMC_FREQ 0%@204 GR3D_FREQ 99%@921 APE 25 PLL@34C PMIC@50C GPU@36C "
) + rails("plain", POM_5V_IN=4000, POM_5V_GPU=2000, POM_5V_CPU=300)
AGX_XAVIER = (
    "RAM 721/31927MB (lfb 7291x4MB) SWAP 0/15963MB (cached 0MB) CPU [2%@1190,0%@1190,off,off,off,"
    "off,off,off] EMC_FREQ 0%@665 GR3D_FREQ 99%@1377 APE 150 MTS fg 0% bg 6% AO@37.5C GPU@49.5C "
    "PMIC@100C CPU@37.5C thermal@36.9C "
) + rails("plain", GPU=18102, CPU=2455, SOC=4604, CV=0, VDDRQ=2915, SYS5V=4592)
AGX_XAVIER_NO_ROOT = (
    "RAM 3149/31920MB (lfb 5889x4MB) SWAP 0/15960MB (cached 0MB) CPU [57%@2188,56%@2188,off,off] "
    "EMC_FREQ 0% GR3D_FREQ 39% AO@35C GPU@35C"
)
XAVIER_NX = (
    "10-01-2025 20:05:55 RAM 2274/6834MB (lfb 27x4MB) SWAP 542/3417MB (cached 2MB) CPU [99%@1189,"
    "100%@1188,off,off] EMC_FREQ 0% GR3D_FREQ 22% AUX@36.5C CPU@40C thermal@37.85C GPU@38C "
) + rails("mW", VDD_IN=5542, VDD_CPU_GPU_CV=1594, VDD_SOC=1234)
AGX_ORIN = (
    "04-24-2023 00:01:24 RAM 1282/62795MB (lfb 15152x4MB)    SWAP 0/31398MB (cached 0MB) CPU "
    "[3%@729,100%@2201] EMC_FREQ 1%@2133 GR3D_FREQ 97%@[1305,0] GR3D2_FREQ 0%@0 NVENC      off  "
    "NVDEC 40%@115 VIC_FREQ 729 PVA0_FREQ off         APE           174 CV0@-256C cpu@53.062C "
    "tj@54.5C  "
) + rails("mW", VDD_GPU_SOC=3205, VDD_CPU_CV=4405, VIN_SYS_5V0=4767, NC=9, VDDQ_VDD2_1V8AO=301)
ORIN_NANO_L4T39 = (
    "09-01-2026 09:25:18 RAM 5739/7546MB (lfb 1x2MB) SWAP 2047/2048MB (cached 209MB) CPU [72%@1728,"
    "75%@1728] GR3D_FREQ 33% cpu@50C/51C gpu@48.75C/48.75C "
) + rails("three", VDD_IN=9761, VDD_CPU_GPU_CV=4238, VDD_SOC=1825)
AGX_THOR = (
    "09-01-2026 09:25:18 RAM 9000/125000MB (lfb 1x2MB) CPU [72%@1728,75%@1728] GR3D_FREQ "
    "@[1000,1000,1000] cpu@50C/51C "
) + rails("three", VDD_GPU=-392, VDD_CPU_SOC_MSS=3924, VIN_SYS_5V0=6500, VIN=23000)
TK1 = (
    "RAM 250/490MB (lfb 17x1MB) Carveout 12/12MB (lfb 0kB) GART 28/32MB (lfb 4MB) IRAM 36/256kB "
    "(lfb 128kb) | DFS(%@MHz): cpu [61%,45%]@835 avp 17%@100 vde 34%@216 emc 25%@333"
)
GENERATIONS = {
    "tk1": TK1,
    "tx1-l4t28": TX1_L4T28,
    "tx2": TX2,
    "nano": NANO,
    "agx-xavier": AGX_XAVIER,
    "agx-xavier-no-root": AGX_XAVIER_NO_ROOT,
    "xavier-nx": XAVIER_NX,
    "agx-orin": AGX_ORIN,
    "orin-nano-l4t39": ORIN_NANO_L4T39,
    "agx-thor": AGX_THOR,
}


def tegrastats_log(watts: Sequence[float], *, first_second: int | None = None) -> str:
    """One AGX Orin sample a second with the module's power given; without timestamps for None."""
    lines = []
    for number, watt in enumerate(watts):
        second = (first_second or 0) + number
        clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        stamp = "" if first_second is None else f"08-14-2025 {clock} "
        parts = {"VDD_GPU_SOC": round(watt * 1000) - 3000, "VDD_CPU_CV": 1000, "VIN_SYS_5V0": 2000}
        lines.append(f"{stamp}RAM 100/62841MB (lfb 2x4MB) CPU [2%@1036] " + rails("mW", **parts))
    return "\n".join(lines) + "\n"


NVPMODEL_NO_ROOT = """\
NV Fan Mode:quiet
NV Power Mode: MODE_30W_ALL
3
NVPM ERROR: Error opening /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: 13
NVPM ERROR: failed to read PARAM EMC: ARG MAX_FREQ: PATH /sys/kernel/nvpmodel_emc_cap/emc_iso_cap
NVPM ERROR: Fan failed to set mode:quiet
"""
NVPMODEL_VERBOSE = """\
NVPM VERB: Config file: /etc/nvpmodel.conf
NVPM VERB: Current mode: NV Power Mode: 25W
3
NVPM VERB: PARAM CPU_ONLINE: ARG CORE_0: PATH /sys/cpu0/online: REAL_VAL: 1 CONF_VAL: 1
NVPM VERB: PARAM GPU: ARG MAX_FREQ: PATH /sys/devfreq/max_freq: REAL_VAL: 408000000 CONF_VAL: -1
"""
NVPMODEL_FAN = "NVPM WARN: fan mode is not set to cool\nNV Power Mode: MAXN\n0\n"
NVPMODEL_REBOOT = """\
NVPM WARN: Golden image context is already created
NVPM WARN: Reboot required for changing to this power mode: 1
NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:
NVPM ERROR: bad input!
NVPM ERROR: optMask is 1, no request for power mode
"""
RELEASE = (
    "# R32 (release), REVISION: 7.1, GCID: 12345678, BOARD: t186ref, EABI: aarch64, "
    "DATE: Wed Feb  2 21:33:23 UTC 2022\n"
)

TRTEXEC_7 = """\
&&&& RUNNING TensorRT.trtexec # trtexec --deploy=net.prototxt --int8 --batch=4
[02/21/2021-22:46:03] [I] === Build Options ===
[02/21/2021-22:46:03] [I] Precision: FP32+INT8
[02/21/2021-22:46:03] [I] Batch: 4
[02/21/2021-22:46:03] [I] Spin-wait: Enabled
[02/21/2021-22:49:52] [I] Timing trace has 1440 queries over 3.5 s
[02/21/2021-22:49:52] [I] Trace averages of 3 runs:
[02/21/2021-22:49:52] [I] Average on 3 runs - GPU latency: 2 ms - Host latency: 2.1 ms
[02/21/2021-22:49:52] [I] Host Latency
[02/21/2021-22:49:52] [I] min: 2.1 ms (end to end 2.2 ms)
[02/21/2021-22:49:52] [I] max: 3.1 ms (end to end 3.2 ms)
[02/21/2021-22:49:52] [I] mean: 2.4 ms (end to end 2.5 ms)
[02/21/2021-22:49:52] [I] median: 2.3 ms (end to end 2.4 ms)
[02/21/2021-22:49:52] [I] percentile: 3 ms at 99% (end to end 3.1 ms at 99%)
[02/21/2021-22:49:52] [I] throughput: 1600.5 qps
[02/21/2021-22:49:52] [I] walltime: 3.5 s
[02/21/2021-22:49:52] [I] Enqueue Time
[02/21/2021-22:49:52] [I] min: 1.1 ms
[02/21/2021-22:49:52] [I] max: 1.4 ms
[02/21/2021-22:49:52] [I] median: 1.2 ms
[02/21/2021-22:49:52] [I] GPU Compute
[02/21/2021-22:49:52] [I] min: 2 ms
[02/21/2021-22:49:52] [I] max: 3 ms
[02/21/2021-22:49:52] [I] mean: 2.25 ms
[02/21/2021-22:49:52] [I] median: 2.125 ms
[02/21/2021-22:49:52] [I] percentile: 2.75 ms at 99%
[02/21/2021-22:49:52] [I] total compute time: 3.25 s
&&&& PASSED TensorRT.trtexec # trtexec --deploy=net.prototxt --int8 --batch=4
"""
TRTEXEC_8 = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=m.onnx --fp16
[05/18/2023-21:52:10] [I] Precision: FP32+FP16
[05/18/2023-21:52:10] [I] CUDA Graph: Disabled
[05/18/2023-21:52:10] [I] === Device Information ===
[05/18/2023-21:52:10] [I] Selected Device: Xavier
[05/18/2023-21:52:10] [I] Compute Capability: 7.2
[05/18/2023-21:52:15] [I] === Performance summary ===
[05/18/2023-21:52:15] [I] Throughput: 72.25 qps
[05/18/2023-21:52:15] [I] Latency: min = 13.5 ms, max = 14.5 ms, mean = 13.8 ms, \
median = 13.75 ms, percentile(99%) = 14.4 ms
[05/18/2023-21:52:15] [I] End-to-End Host Latency: min = 13.6 ms, max = 14.6 ms, mean = 13.9 ms, \
median = 13.85 ms, percentile(99%) = 14.5 ms
[05/18/2023-21:52:15] [I] GPU Compute Time: min = 13 ms, max = 14 ms, mean = 13.3 ms, \
median = 13.25 ms, percentile(99%) = 13.9 ms
[05/18/2023-21:52:15] [I] Total Host Walltime: 3.03 s
[05/18/2023-21:52:15] [I] Total GPU Compute Time: 2.99 s
&&&& PASSED TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=m.onnx --fp16
"""
TRTEXEC_10 = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v101601] [b11] # trtexec --loadEngine=m.plan
[07/07/2026-02:10:45] [I] Selected Device: Orin
[07/07/2026-02:10:45] [I] TensorRT version: 10.16.1
[07/07/2026-02:10:58] [I] Timing trace has 46125 queries over 3.00013 s
[07/07/2026-02:10:58] [I] Throughput: 15374.3 qps
[07/07/2026-02:10:58] [I] Latency: min = 4e-02 ms, max = 0.15 ms, mean = 0.044 ms, \
median = 0.043 ms, percentile(90%) = 0.045 ms, percentile(95%) = 0.046 ms, percentile(99%) = 0.05 ms
[07/07/2026-02:10:58] [I] Enqueue Time: min = 0.02 ms, max = 0.03 ms, mean = 0.025 ms, \
median = 0.024 ms, percentile(90%) = 0.026 ms, percentile(95%) = 0.027 ms, percentile(99%) = 0.03 ms
[07/07/2026-02:10:58] [W] * Throughput may be bound by Enqueue Time rather than GPU Compute.
[07/07/2026-02:10:58] [W]   If not already in use, --useCudaGraph may increase the throughput.
&&&& PASSED TensorRT.trtexec [TensorRT v101601] [b11] # trtexec --loadEngine=m.plan
"""
TRTEXEC_FAILED = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --onnx=m.onnx --workspace=2048
[11/20/2025-08:32:51] [E] Error[4]: [graphShapeAnalyzer.cpp::analyzeShapes] Unsupported Resize
[11/20/2025-08:32:52] [E] Engine set up failed
&&&& FAILED TensorRT.trtexec [TensorRT v8502] # trtexec --onnx=m.onnx --workspace=2048
"""


def times_json(latencies_ms: Sequence[float], *, old: bool = False) -> str:
    """``--exportTimes``: h2d takes .25 ms, d2h .125 ms, enqueueing .5 ms; ``old`` is TensorRT 7.

    There the pair that is named for enqueueing tells the copy, and the other way round.
    """
    h2d, d2h = ("inMs", "outMs") if old else ("h2dMs", "d2hMs")
    return json.dumps(
        [
            {"startEnqMs": 10.0 * n, "endEnqMs": 10.0 * n + (0.25 if old else 0.5)}
            | ({"startInMs": 10.0 * n, "endInMs": 10.0 * n + 0.5} if old else {})
            | {h2d: 0.25, d2h: 0.125}
            | {"computeMs": latency - 0.375, "latencyMs": latency}
            | ({"endToEndMs": latency + 1} if old else {})
            for n, latency in enumerate(latencies_ms)
        ]
    )


PROFILE_JSON = json.dumps(
    [
        {"count": 640},
        {"name": "stem + relu", "timeMs": 64.0, "averageMs": 0.1, "percentage": 25.0},
        {
            "name": "Reformatting CopyNode",
            "timeMs": 192.0,
            "averageMs": 0.3,
            "medianMs": 0.29,
            "percentage": 75.0,
        },
    ]
)
TEXTS = {
    "tegrastats-old": "\n".join([TK1, TX1_L4T28, NANO]),
    "tegrastats-plain": "\n".join([AGX_XAVIER] * 3),
    "tegrastats-new": "\n".join([AGX_ORIN, AGX_ORIN, AGX_THOR, ORIN_NANO_L4T39]),
    "tegrastats-run": tegrastats_log([12.0 + n % 3 for n in range(24)], first_second=50),
    "trtexec-7": TRTEXEC_7,
    "trtexec-8": TRTEXEC_8,
    "trtexec-10": TRTEXEC_10 + TRTEXEC_FAILED,
    "nvpmodel": NVPMODEL_NO_ROOT,
    "nvpmodel-verbose": NVPMODEL_VERBOSE,
    "nvpmodel-reboot": NVPMODEL_REBOOT,
    "release": RELEASE,
    "times": times_json([2.0, 3.0, 4.0]),
    "times-7": times_json([2.0, 3.0], old=True),
    "profile": PROFILE_JSON,
}
