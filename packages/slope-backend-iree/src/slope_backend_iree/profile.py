"""How long each dispatch of a compiled module takes, by IREE's own tools.

The Python binding of IREE's profiler can begin and end a profile, and has no way to get at it. The
wheel's programs can: `iree-benchmark-module` calls a module as often as asked and writes a profile,
and `iree-profile` reads it. So a profile runs in a process of its own.
"""

from __future__ import annotations

import collections
import importlib.util
import json
import math
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

from slope.extend import Instr, Timed

from .lower.loop_kernels import cost
from .lower.own_kernels import Cluster

__all__ = ["IreeProfileError", "timed_dispatches"]

_MODES = {"cuda": "dispatch-events"}  # what the drivers can tell; others: on the host
_ON_HOST = "host-execution,executable-metadata"
_EVENTS = ("host_dispatch_event", "dispatch_event")
_NAME = re.compile(
    r".*?_dispatch_\d+_(?P<kind>(?:[a-z]+_)*mmt4d|[a-z]+(?:_[a-z]+)*?)"
    r"(?=_[a-z]?\d|$)(?:_(?P<loops>\d+(?:x\d+)*))?"
)
_PRODUCTS = ("matmul", "mmt", "conv", "matvec", "contract")
_PASSES = ("elementwise", "reduction", "softmax")
_MATMULS = {"matmul": 3, "batch_matmul": 4}  # whose loops tell what they read, in one dtype
_ELEMENT = re.compile(r"\dx?_b?f(\d+)$")
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
    module: bytes,
    driver: str,
    inputs: Sequence[np.ndarray],
    rounds: int,
    kernels: Mapping[str, Instr | Cluster] | None = None,
    entry: str = "main",
) -> list[Timed]:
    """The median time of each dispatch of a module in one call.

    Every call gets the same inputs. A module that writes to donated ones finds there what the call
    before it left, as a training step does.

    Arguments:
        module: what `compile_module` returned.
        driver: what to run it on, such as "local-task".
        inputs: of the function, in order.
        rounds: how many calls to measure, behind one to warm up.
        kernels: the names of dispatches that were not IREE's to name, with what they compute.
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
        run = _lines(
            _program("iree-benchmark-module"),
            f"--module={folder / 'module.vmfb'}",
            f"--function={entry}",
            f"--device={driver}",
            f"--device_profiling_mode={_MODES.get(driver, _ON_HOST)}",
            f"--device_profiling_output={profile}",
            f"--benchmark_min_time={rounds + 1}x",
            *given,
        )
        collections.deque(run, maxlen=0)  # to its end
        words = ("dispatch", "--dispatch_events", "--format=jsonl", str(profile))
        taken = _durations(_lines(_program("iree-profile"), *words))
    known = kernels or {}
    return [
        _timed(key, *_of_one_call(each, rounds + 1), known.get(key)) for key, each in taken.items()
    ]


def _durations(lines: Iterable[str]) -> dict[str, list[float]]:
    """The nanoseconds of each run of a dispatch, by its name, in the order of the runs."""
    taken: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        if '"type":"' not in line:
            continue
        event = json.loads(line)
        if event["type"] in _EVENTS and event.get("valid", True):
            duration = float(event["duration_ns"])
            taken.setdefault(str(event["key"]), []).append((int(event["event_id"]), duration))
    return {key: [each for _, each in sorted(found)] for key, found in taken.items()}


def _of_one_call(taken: Sequence[float], calls: int) -> tuple[float, int]:
    """Seconds and runs of a dispatch in one call; the first call does not count."""
    count, rest = divmod(len(taken), calls)
    if rest or not count:  # not the same in all calls
        return sum(taken) * 1e-9 / calls, max(round(len(taken) / calls), 1)
    sums = [sum(taken[first : first + count]) for first in range(count, len(taken), count)]
    return statistics.median(sums) * 1e-9, count


def _timed(key: str, seconds: float, count: int, work: Instr | Cluster | None) -> Timed:
    """A row: IREE names a dispatch by its main loop nest, as in `main_dispatch_7_matmul_8x4x2_f32`.

    Its operations are counted from the lengths of these loops, tiles filled up included; what was
    fused with it is not in the name. Kernels of our own are known to compute ``work``.
    """
    if isinstance(work, Instr):
        return Timed(key, seconds, count, work)
    if work is not None:
        return _timed_cluster(key, seconds, count, work)
    kind, lengths = key, []
    found = _NAME.match(key)
    if found:
        kind = found["kind"]
        lengths = [int(length) for length in (found["loops"] or "").split("x") if length]
    flops = moved = None
    if lengths and any(word in kind for word in _PRODUCTS):
        flops = 2 * count * math.prod(lengths)
    elif lengths and any(word in kind for word in _PASSES):
        flops = count * math.prod(lengths)
    element = _ELEMENT.search(key)
    if element and kind in _MATMULS and len(lengths) == _MATMULS[kind]:
        *batch, m, n, k = lengths
        moved = count * math.prod(batch) * (m * k + k * n + m * n) * int(element[1]) // 8
    return Timed(kind, seconds, count, flops=flops, bytes=moved, detail=key)


def _timed_cluster(key: str, seconds: float, count: int, cluster: Cluster) -> Timed:
    names = collections.Counter(instr.op.name for instr in cluster.instrs)
    return Timed(
        key,
        seconds,
        count,
        flops=count * round(sum(map(cost, cluster.instrs))),
        bytes=count * sum(var.type.nbytes for var in (*cluster.inputs, *cluster.outputs)),
        detail=", ".join(f"{times} {name}" for name, times in names.most_common()),
        source=next(each.source for each in cluster.instrs if each.op.name == "dot_general"),
    )


def _input(folder: Path, number: int, array: np.ndarray) -> str:
    kind = _TYPES.get(array.dtype, f"i{8 * array.dtype.itemsize}")
    lengths = "".join(f"{length}x" for length in array.shape)
    if not array.size:
        return f"--input={lengths}{kind}"
    path = folder / f"{number}.bin"
    path.write_bytes(np.ascontiguousarray(array).tobytes())
    return f"--input={lengths}{kind}=@{path}"


def _program(tool: str) -> Path:
    found = importlib.util.find_spec("iree._runtime_libs")
    places = found.submodule_search_locations if found else None
    program = next(
        (Path(place) / tool for place in places or [] if (Path(place) / tool).exists()), None
    )
    if program is None:
        raise IreeProfileError(
            f"this IREE has no program {tool!r}, which profiles; install iree-base-runtime >= 3.13."
        )
    return program


def _lines(program: Path, *words: str) -> Iterator[str]:
    """What a program prints, as it comes: a profile of long loops runs to gigabytes.

    Raises:
        IreeProfileError: it fails.
    """
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [program, *words], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as run,
    ):
        yield from run.stdout or ()
        if run.wait():
            errors.seek(0)
            told = errors.read().strip().splitlines()
            raise IreeProfileError(f"{program.name} failed: {' '.join(told[-3:])}")
