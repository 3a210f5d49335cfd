"""Run the benchmarks on every installed backend and peer, interleaved in one run.

python benchmarks/run.py [--workloads W1 W6 tracing] [--backends numpy] [--peers jax torch] [--json
out.json]
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import call_overhead
import conv_step
import decode
import gpt_step
import mlp_step
import tracing
from timing import Timing, interleaved, table

PEERS = ("jax", "torch")
STEPS: dict[str, Any] = {
    "W1": ("MLP step 200 x 784-100-10", mlp_step, mlp_step.W1),
    "W2": ("MLP step 256 x 784-1024-1024-10", mlp_step, mlp_step.W2),
    "W3": ("GPT step 8x128, width 256, 4 layers", gpt_step, gpt_step.W3),
    "W4": ("convolutional step 32x3x32x32, stages 16/32/64", conv_step, conv_step.W4),
    "W5": ("cached decode of one token, width 256, 4 layers", decode, decode.W5),
}


def main() -> None:
    """Parse the command line, run, print, and save."""
    import slope

    installed = [
        name
        for name in ("iree", "onnxruntime", "numpy")
        if find_spec(f"slope_backend_{'onnx' if name == 'onnxruntime' else name}")
    ]
    parser = argparse.ArgumentParser(description="slope's benchmarks")
    parser.add_argument("--workloads", nargs="*", default=[*STEPS, "W6", "tracing"])
    parser.add_argument("--backends", nargs="*", default=installed)
    parser.add_argument("--peers", nargs="*", default=[peer for peer in PEERS if find_spec(peer)])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    print(
        f"slope {slope.__version__}, Python {platform.python_version()}; backends "
        f"{options.backends}, peers {options.peers}"
    )
    for name, (title, module, size) in STEPS.items():
        if name in options.workloads:
            timings = interleaved(
                module.contenders(options.backends, options.peers, size), rounds=options.rounds
            )
            told = f"{name} {title}"
            baseline = best_peer(timings)
            print(table(told, timings, baseline=baseline, unit=1e-3, unit_name="ms"))
            results[name] = as_json(timings)
    if "W6" in options.workloads:
        for count in (1, 10, 100):
            calls = call_overhead.contenders(options.backends, options.peers, count)
            timings = interleaved(calls, rounds=options.rounds, seconds=0.03)
            print(
                table(
                    f"W6 call of x * 2 + 1 on (4,), {count} in a list",
                    timings,
                    baseline="jax",
                    unit=1e-6,
                    unit_name="us",
                )
            )
            results[f"W6/{count}"] = as_json(timings)
    if "tracing" in options.workloads:
        print(tracing.table())
    if options.json:
        options.json.write_text(
            json.dumps(
                {"machine": platform.processor() or platform.machine(), "workloads": results},
                indent=2,
            )
        )


def best_peer(timings: dict[str, Timing]) -> str | None:
    """The fastest contender that is not slope."""
    peers = [name for name in timings if not name.startswith("slope")]
    return min(peers, key=lambda name: timings[name].median) if peers else None


def as_json(timings: dict[str, Timing]) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "unit": "s",
        "systems": {
            name: {"median": each.median, "min": each.best} for name, each in timings.items()
        },
    }


if __name__ == "__main__":
    main()
