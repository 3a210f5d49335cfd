"""Interleaved timing: all contenders run in every round, so a busy moment falls on all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Timing(NamedTuple):
    """Seconds per call.

    Attributes:
        median, best: over the rounds.
    """

    median: float
    best: float


def interleaved(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int = 15, seconds: float = 0.15
) -> dict[str, Timing]:
    """Time callables against each other.

    Args:
        contenders: by name; each call does one unit of work and waits for it.
        rounds: how often each is measured; the first round only warms up.
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
    return {name: Timing(statistics.median(each), min(each)) for name, each in taken.items()}


def table(
    title: str, timings: Mapping[str, Timing], *, baseline: str | None, unit: float, unit_name: str
) -> str:
    """A text table; ratios are to the ``baseline``'s median."""
    lines = [title, f"  {'':24} {'median':>10} {'best':>10} {unit_name:<4} {'ratio':>6}"]
    reference = timings[baseline].median if baseline and baseline in timings else None
    for name, timing in sorted(timings.items(), key=lambda item: item[1].median):
        ratio = f"{timing.median / reference:6.2f}" if reference else f"{'':6}"
        lines.append(
            f"  {name:24} {timing.median / unit:10.3f} {timing.best / unit:10.3f} {'':4} {ratio}"
        )
    if baseline in timings:
        lines.append(f"  (ratio to {baseline})")
    return "\n".join(lines)
