"""How long each dispatch of a compiled module takes, by IREE's own tools.

The Python binding of IREE's profiler can begin and end a profile, and has no way to get at it. The
wheel's programs can: `iree-benchmark-module` calls a module as often as asked and writes a profile,
and `iree-profile` reads it. So a profile runs in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from slope.extend import Timed

__all__ = ["IreeProfileError", "timed_dispatches"]

_MODES = {"cuda": "dispatch-events"}  # what the drivers can tell; others: on the host
_ON_HOST = "host-execution,executable-metadata"
_GROUPS = ("host_dispatch_group", "dispatch_group")
_NAME = re.compile(
    r".*?_dispatch_\d+_(?P<kind>(?:[a-z]+_)*mmt4d|[a-z]+(?:_[a-z]+)*?)"
    r"(?=_[a-z]?\d|$)(?:_(?P<loops>\d+(?:x\d+)*))?"
)
_PRODUCTS = ("matmul", "mmt", "conv", "matvec", "contract")
_PASSES = ("elementwise", "reduction", "softmax")
_TYPES = {
    np.dtype(np.bool_): "i8",
    np.dtype(np.float16): "f16",
    np.dtype(ml_dtypes.bfloat16): "bf16",
    np.dtype(np.float32): "f32",
    np.dtype(np.float64): "f64",
}


class IreeProfileError(Exception):
    """The tools are missing, or one failed; the text says why."""


def timed_dispatches(
    module: bytes, driver: str, inputs: Sequence[np.ndarray], rounds: int, entry: str = "main"
) -> list[Timed]:
    """The mean time of each dispatch of a module in one call.

    Arguments:
        module: what `compile_module` returned.
        driver: what to run it on, such as "local-task".
        inputs: of the function, in order.
        rounds: how many calls to measure.
        entry: the function.

    Raises:
        IreeProfileError: IREE's programs are missing (before 3.12 they knew no profiles), or the
            driver cannot be profiled.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "module.vmfb").write_bytes(module)
        given = [_input(folder, number, array) for number, array in enumerate(inputs)]
        profile = folder / "profile.ireeprof"
        _run(
            "iree-benchmark-module",
            f"--module={folder / 'module.vmfb'}",
            f"--function={entry}",
            f"--device={driver}",
            f"--device_profiling_mode={_MODES.get(driver, _ON_HOST)}",
            f"--device_profiling_output={profile}",
            f"--benchmark_min_time={rounds}x",
            *given,
        )
        lines = _run("iree-profile", "dispatch", "--format=jsonl", str(profile)).splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    groups = [each for each in told if each.get("type") in _GROUPS]
    return [_timed(each, rounds) for each in groups]


def _timed(group: Mapping[str, Any], rounds: int) -> Timed:
    """A row: IREE names a dispatch by its main loop nest, as in `main_dispatch_7_matmul_8x4x2_f32`.

    Its operations are counted from the lengths of these loops, tiles filled up included; what was
    fused with it is not in the name.
    """
    key, count = str(group["key"]), max(round(group["count"] / rounds), 1)
    kind, lengths = key, []
    found = _NAME.match(key)
    if found:
        kind = found["kind"]
        lengths = [int(length) for length in (found["loops"] or "").split("x") if length]
    flops = None
    if lengths and any(word in kind for word in _PRODUCTS):
        flops = 2 * count * math.prod(lengths)
    elif lengths and any(word in kind for word in _PASSES):
        flops = count * math.prod(lengths)
    seconds = float(group["total_ns"]) * 1e-9 / rounds
    return Timed(kind, seconds, count, flops=flops, detail=key)


def _input(folder: Path, number: int, array: np.ndarray) -> str:
    kind = _TYPES.get(array.dtype, f"i{8 * array.dtype.itemsize}")
    lengths = "".join(f"{length}x" for length in array.shape)
    if not array.size:
        return f"--input={lengths}{kind}"
    path = folder / f"{number}.bin"
    path.write_bytes(np.ascontiguousarray(array).tobytes())
    return f"--input={lengths}{kind}=@{path}"


def _run(tool: str, *words: str) -> str:
    found = importlib.util.find_spec("iree._runtime_libs")
    places = found.submodule_search_locations if found else None
    program = next(
        (Path(place) / tool for place in places or [] if (Path(place) / tool).exists()), None
    )
    if program is None:
        raise IreeProfileError(
            f"this IREE has no program {tool!r}, which profiles; install iree-base-runtime >= 3.13."
        )
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines()
        raise IreeProfileError(f"{tool} failed: {' '.join(told[-3:])}")
    return done.stdout
