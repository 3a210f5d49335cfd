"""W7, W10 and W11: what has to be measured in fresh processes.

`python fresh.py start|memory|import ...` is one measurement, printed as JSON; the functions here
run it several times, interleaved.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from timing import Measured, measured

WHAT = {
    "trace": "trace and differentiate the step",
    "cold": "to the first step: trace, compile, run; empty caches",
    "cached": "to the first step in a second process, which finds the first one's cache",
    "whole": "peak memory above that after import, compilation included",
    "steps": "peak memory above that after import, of steps after the first ones",
}
# Workloads whose start is measured, by title.
STARTS = {
    "W1": ("mlp_step", "W1"),
    "W3": ("gpt_step", "W3"),
    "24 layers": ("gpt_step", "DEEP"),
}

# --- in this process


def start(
    systems: Sequence[str], module: str, size: str, rounds: int
) -> dict[str, dict[str, Measured]]:
    """Seconds to trace and to the first step, with empty and with filled caches."""
    taken: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for system in systems:
            with tempfile.TemporaryDirectory() as folder:
                cold = _run(["start", system, module, size], folder)
                cached = _run(["start", system, module, size], folder)
            told = {"trace": cold["trace"], "cold": cold["first"], "cached": cached["first"]}
            for what, seconds in told.items():
                taken.setdefault(what, {}).setdefault(system, []).append(seconds)
    return _measured(taken)


def memory(
    systems: Sequence[str], module: str, size: str, rounds: int
) -> dict[str, dict[str, Measured]]:
    """Bytes above the baseline, at the most."""
    taken: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for system in systems:
            for what, count in _run(["memory", system, module, size]).items():
                taken.setdefault(what, {}).setdefault(system, []).append(count)
    return _measured(taken)


def imports(modules: Sequence[str], rounds: int) -> dict[str, Measured]:
    """Seconds to import each module; one more round, at the start, fills the system's caches."""
    taken: dict[str, list[float]] = {module: [] for module in modules}
    for number in range(rounds + 1):
        for module in modules:
            seconds = _run(["import", module])["seconds"]
            if number:
                taken[module].append(seconds)
    return {module: measured(each) for module, each in taken.items()}


def _measured(taken: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, Measured]]:
    return {
        what: {system: measured(each) for system, each in systems.items()}
        for what, systems in taken.items()
    }


def _run(words: Sequence[str], folder: str | None = None) -> dict[str, float]:
    """One measurement in a fresh process, its compile caches in a folder."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users compile their modules once
    if folder:
        environment |= {
            "SLOPE_CACHE": str(Path(folder) / "slope"),
            "JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    done = subprocess.run(
        [sys.executable, __file__, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# --- in a fresh process


def _start(system: str, module: str, size: str) -> dict[str, float]:
    workload: Any = importlib.import_module(module)
    given = getattr(workload, size)
    kind, _, backend = system.partition("/")
    if kind == "slope":
        program = workload.slope_program(backend, given)
    else:
        program = workload.jax_program(given)
    step: Any = program.step
    started = time.perf_counter()
    step.trace(*program.arguments)
    traced = time.perf_counter()
    program.running()()
    return {"trace": traced - started, "first": time.perf_counter() - started}


def _memory(system: str, module: str, size: str) -> dict[str, float]:
    kind, _, backend = system.partition("/")
    _warm_up(kind, backend)
    before = _status("VmRSS")
    workload: Any = importlib.import_module(module)
    chosen = ([backend], []) if kind == "slope" else ([], [kind])
    made: Mapping[str, Callable[[], float]] = workload.contenders(*chosen, getattr(workload, size))
    call = made[system]
    whole = _status("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    for _ in range(4):
        call()
    steps = _status("VmHWM")  # once: reading it takes memory, too
    return {"whole": max(whole, steps) - before, "steps": steps - before}


def _warm_up(kind: str, backend: str) -> None:
    """Import an engine and let it run one operator, so that all of it is loaded."""
    if kind == "slope":
        import slope

        slope.jit(lambda x: x + 1, backend=backend)(slope.ones(2)).tolist()
    elif kind == "jax":
        import jax.numpy as jnp

        (jnp.ones(2) + 1).tolist()
    else:
        import torch

        (torch.ones(2) + 1).tolist()


def _status(field: str) -> int:
    """A number of bytes from what Linux tells of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; W10 needs Linux.")


def _import(module: str) -> dict[str, float]:
    started = time.perf_counter()
    importlib.import_module(module)
    return {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    commands: dict[str, Callable[..., dict[str, float]]] = {
        "start": _start,
        "memory": _memory,
        "import": _import,
    }
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
