"""How the time to trace, differentiate, compile and run grows with a program's length.

The program is a chain of operators.
"""

from __future__ import annotations

import time
from typing import NamedTuple


class Chain(NamedTuple):
    """Seconds for a chain of ``length`` operators on the numpy backend."""

    length: int
    trace: float
    gradient: float
    first_run: float
    eager_gradient: float


def measure(length: int) -> Chain:
    """Trace a chain, trace its gradient, compile and run that; and differentiate it without jit."""
    import slope

    def chain(x: slope.Tensor) -> slope.Tensor:
        for _ in range(length // 2):
            x = slope.sin(x) * 1.01
        return x

    x = slope.tensor(0.5)
    seconds: list[float] = []
    with slope.use_backend("numpy"):
        started = time.perf_counter()
        slope.jit(chain).trace(x)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        slope.jit(slope.grad(chain)).trace(x)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        slope.jit(slope.grad(chain))(x).item()
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        slope.grad(chain)(x).item()
        seconds.append(time.perf_counter() - started)
    return Chain(length, *seconds)


def table(lengths: tuple[int, ...] = (1_000, 10_000, 50_000)) -> str:
    """A text table, in microseconds per operator."""
    lines = [
        "tracing, us per operator",
        f"  {'operators':>10} {'trace':>8} {'gradient':>9} {'+compile+run':>13} {'eager grad':>11}",
    ]
    for length in lengths:
        each = measure(length)
        trace, gradient, first, eager = (value / length * 1e6 for value in each[1:])
        lines.append(f"  {length:10d} {trace:8.1f} {gradient:9.1f} {first:13.1f} {eager:11.1f}")
    return "\n".join(lines)
