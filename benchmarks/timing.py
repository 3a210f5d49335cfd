"""Interleaved timing: all contenders run in every round, so a busy moment falls on all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

SCALES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")),
}


class Measured(NamedTuple):
    """Numbers of several rounds, in the unit of the result that holds them.

    Attributes:
        median, min, max: over the rounds.
    """

    median: float
    min: float
    max: float


class Result(NamedTuple):
    """What was measured of one workload.

    Attributes:
        name: such as ``"W1"`` or ``"W6/100"``.
        title: what it is, in a line.
        systems: the measurements by contender.
        unit: ``"s"`` for each call, or ``"bytes"``.
        flops: floating-point operations in a call, where they are counted.
    """

    name: str
    title: str
    systems: dict[str, Measured]
    unit: str = "s"
    flops: int | None = None

    @property
    def peer(self) -> str | None:
        """The best contender that is not slope."""
        peers = [name for name in self.systems if not name.startswith("slope")]
        return min(peers, key=lambda name: self.systems[name].median) if peers else None


def measured(numbers: Iterable[float]) -> Measured:
    """The median and the extremes of numbers."""
    each = list(numbers)
    return Measured(statistics.median(each), min(each), max(each))


def interleaved(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int = 15, seconds: float = 0.15
) -> dict[str, Measured]:
    """Time callables against each other.

    Args:
        contenders: by name; each call does one unit of work and waits for it.
        rounds: how often each is measured; one more round, at the start, only warms up.
        seconds: how long each measurement of a round should take.

    Returns:
        Seconds per call of each.
    """
    counts: dict[str, int] = {}
    for name, call in contenders.items():
        call()
        started = time.perf_counter()
        call()
        counts[name] = max(1, int(seconds / max(time.perf_counter() - started, 1e-7)))
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            count = counts[name]
            started = time.perf_counter()
            for _ in range(count):
                call()
            if number:
                taken[name].append((time.perf_counter() - started) / count)
    return {name: measured(each) for name, each in taken.items()}


def table(result: Result, peak: float | None = None) -> str:
    """A text table; ratios are to the best peer's median.

    Args:
        result: what to show.
        peak: the machine's floating-point operations in a second, to show fractions of it.
    """
    smallest = min(each.median for each in result.systems.values())
    fitting = (pair for pair in SCALES[result.unit] if smallest >= pair[0])
    scale, unit = next(fitting, SCALES[result.unit][-1])
    counted = result.flops is not None and peak is not None
    head = f"  {unit:24} {'median':>9} {'min':>9} {'max':>9} {'ratio':>7}"
    lines = [f"{result.name}: {result.title}", head + "  of peak" * counted]
    for name, each in sorted(result.systems.items(), key=lambda item: item[1].median):
        numbers = " ".join(f"{number / scale:9.3f}" for number in each)
        ratio = f"{each.median / result.systems[result.peer].median:7.2f}" if result.peer else ""
        line = f"  {name:24} {numbers} {ratio:>7}"
        if result.flops is not None and peak is not None:
            line += f"  {result.flops / each.median / peak:6.1%}"
        lines.append(line)
    lines.append(f"  (ratio to {result.peer})" if result.peer else "  (no peer to compare with)")
    return "\n".join(lines)
