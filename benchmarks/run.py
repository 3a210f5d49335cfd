"""Run the benchmarks on slope's backends and on other engines, interleaved in one run.

python benchmarks/run.py --workloads W1,W3 --backends onnxruntime,numpy --peers jax,torch
    --json out.json --plot out.png

By default all workloads, all installed backends, and all peers that can run here. With `--device
cuda:0`, W1 to W5 run on that device. `benchmarks/NOTES.md` says what each workload is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timing import Result, table


def main() -> None:
    """Measure, print, and save."""
    options = arguments()
    prepare(options.device)
    import picture
    import systems
    from workloads import STEPS, WORKLOADS, Asked

    on_cpu = options.device.startswith("cpu")
    backends, reasons = systems.backends_on_device()
    if not backends:
        told = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
        sys.exit(
            f"No backend of slope has the device {options.device} here:"
            f"{told or ' none is installed.'}"
        )
    wanted = picked(options.workloads, WORKLOADS if on_cpu else STEPS, "workload")
    backends = picked(options.backends, backends, "backend")
    peers = picked(options.peers, systems.PEERS, "peer")
    lacking = {peer: systems.why_not(peer) for peer in peers}
    for peer, reason in lacking.items():
        if reason:
            print(f"without {peer}: {reason}")
    peers = [peer for peer in peers if lacking[peer] is None]
    peak = systems.peak()
    reached = "not measured, for lack of PyTorch" if peak is None else f"{peak / 1e9:.0f} GFLOP/s"
    print(f"{machine()}; {options.device}; sgemm of 2048^3: {reached}")
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if busy > 0.5 * (os.cpu_count() or 1):
        print(f"The machine is busy (load {busy:.1f}): engines whose threads wait for one another")
        print("suffer far more than others. benchmarks/NOTES.md says how to run ahead of the rest.")
    results: list[Result] = []
    for name in wanted:
        started = time.perf_counter()
        for result in WORKLOADS[name](name, Asked(backends, peers, options.rounds)):
            results.append(result)
            print(f"\n{table(result, peak)}", flush=True)
            save(options, results, peak)
        print(f"  (took {time.perf_counter() - started:.0f} s)", flush=True)
    if options.plot:
        print(f"\nPicture {picture.ratios(options.plot, results, machine())}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="slope's benchmarks")
    parser.add_argument("--workloads", nargs="+", metavar="W1", help="such as W1,W3; all")
    parser.add_argument("--backends", nargs="+", metavar="NAME", help="of slope; all installed")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="such as jax,torch; all usable")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured")
    parser.add_argument("--device", default="cpu:0", help="cpu:0 or cuda:0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the numbers")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="save a picture of the ratios")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {options.rounds}")
    return options


def picked(given: Sequence[str] | None, known: Sequence[str] | Any, what: str) -> list[str]:
    """The names that were given, by spaces or commas, in the order of the known; all if none were.

    W9, which turns on float64 in JAX for the rest of the process, has to come behind W1 to W8.
    Exits with a message for a name that is not known.
    """
    if given is None:
        return list(known)
    names = [name for word in given for name in word.split(",") if name]
    for name in names:
        if name not in known:
            sys.exit(f"There is no {what} {name!r} here; choose from {', '.join(known)}.")
    return [name for name in known if name in names]


def prepare(device: str) -> None:
    """Tell every engine, before it is imported, which device to use."""
    os.environ["DEFAULT_DEVICE"] = device
    os.environ["JAX_PLATFORMS"] = "cpu" if device.startswith("cpu") else "cuda"
    os.environ["DEV"] = "CPU" if device.startswith("cpu") else "CUDA"


def machine() -> str:
    """The processor, how many cores, and the Python."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.exists():
        lines = [line for line in told.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def save(options: argparse.Namespace, results: Sequence[Result], peak: float | None) -> None:
    """Write the numbers so far, so that a run that is stopped leaves them."""
    if not options.json:
        return
    workloads = {
        each.name: {
            "unit": each.unit,
            "flops": each.flops,
            "systems": {name: numbers._asdict() for name, numbers in each.systems.items()},
        }
        for each in results
    }
    told = {"machine": machine(), "device": options.device, "sgemm_flops_per_s": peak}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({**told, "workloads": workloads}, indent=2))


if __name__ == "__main__":
    main()
