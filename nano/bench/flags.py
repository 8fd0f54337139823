"""What trtexec is asked for: options and defaults changed from TensorRT 7 to 11.

Read in the sources of trtexec of each version (samples/common/sampleOptions.cpp).
"""

from __future__ import annotations

import re
from typing import TypeAlias

from nano.errors import InputError

Version: TypeAlias = tuple[int, int]
OLDEST, NEWEST = (7, 0), (11, 99)
WORKSPACE_MIB = 1024  # up to 8.3 the default is 16, too small for most tactics of a convolution

TIMING_CACHE = (8, 0)
MEMORY_POOLS = (8, 4)  # since then the default workspace is the device's memory
SKIP_INFERENCE = (8, 6)  # called --buildOnly before
NO_TRANSFERS = (7, 2)
EXPLICIT_BATCH = (8, 0)  # since then networks from ONNX have it without being asked
STRONGLY_TYPED = (11, 0)  # the precision is in the file; CUDA graph, spin-wait, no transfers: on


def version_from(text: str) -> Version:
    """``8.5.2`` is (8, 5); raises an InputError for a version nobody knows how to ask."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})", text, re.ASCII)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if not OLDEST <= version <= NEWEST:
        raise InputError(f"TensorRT {text!r}: known are 7 to 11")
    return version


def build_flags(
    version: Version, *, model: str, engine: str, cache: str, precision: str
) -> list[str]:
    """Options to build ``engine`` from ``model`` without running it.

    int8 takes the scales in the file (QuantizeLinear) and lets layers without any run in float16.
    """
    flags = [f"--onnx={model}", f"--saveEngine={engine}"]
    if version < EXPLICIT_BATCH:
        flags.append("--explicitBatch")
    if version < MEMORY_POOLS:
        flags.append(f"--workspace={WORKSPACE_MIB}")
    if version < STRONGLY_TYPED:
        flags += {"float32": [], "float16": ["--fp16"], "int8": ["--int8", "--fp16"]}[precision]
    if version >= TIMING_CACHE:
        flags.append(f"--timingCacheFile={cache}")
    flags.append("--skipInference" if version >= SKIP_INFERENCE else "--buildOnly")
    return flags


def measure_flags(
    version: Version,
    *,
    engine: str,
    times: str,
    warmup_s: float,
    duration_s: float,
    iterations: int,
) -> list[str]:
    """Options to time ``engine``: CUDA graph, spin-wait, no transfers where that can be asked."""
    flags = [
        f"--loadEngine={engine}",
        f"--warmUp={warmup_s * 1000:.0f}",
        f"--duration={duration_s:g}",
        f"--iterations={iterations}",
        f"--exportTimes={times}",
    ]
    if version < STRONGLY_TYPED:
        flags += ["--useSpinWait", "--useCudaGraph"]
    if NO_TRANSFERS <= version < STRONGLY_TYPED:
        flags.append("--noDataTransfers")
    return flags
