"""profile: where the time of a compiled function goes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from slope.api._jit import Jit, jit
from slope.compile import Compiled
from slope.core.cost import instruction_cost
from slope.core.host import calls_host
from slope.core.trace import EVAL, current_trace
from slope.errors import ArgumentError, boundary
from slope.plugins.backend import Timed

_SHOWN: Final = 30  # rows of a printed table
_DRAWN: Final = 25  # bars of a picture


@dataclass(frozen=True)
class ProfileRow:
    """A part of a compiled function: an instruction, or a kernel of the runtime.

    Attributes:
        name: of the operator or the kernel.
        seconds: in one call.
        fraction: of the sum of all parts' seconds.
        count: how often it runs in a call.
        flops: floating-point operations in a call; ``None`` where they are not known.
        bytes: read and written in a call, likewise; what stays in caches is counted too.
        detail: types or shapes.
        source: the line of the user's code that it comes from, where known.
    """

    name: str
    seconds: float
    fraction: float = 0.0
    count: int = 1
    flops: int | None = None
    bytes: int | None = None
    detail: str = ""
    source: str = ""


@dataclass(frozen=True)
class Profile:
    """Where the time of one call of a compiled function goes; made by :func:`profile`.

    Print it to see the table. It is a sequence of its rows.

    Attributes:
        function: its name.
        backend: that of slope.
        rows: the parts, the longest first.
        seconds: of a whole call, measured without the profiler: the sum of the rows is more where
            the profiler costs time, and less where the runtime spends time between kernels.
    """

    function: str
    backend: str
    rows: tuple[ProfileRow, ...]
    seconds: float

    @property
    def measured(self) -> float:
        """The sum of the rows' seconds."""
        return sum(row.seconds for row in self.rows)

    def __iter__(self) -> Iterator[ProfileRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> ProfileRow:
        return self.rows[place]

    def by_name(self) -> Profile:
        """The same with all rows of a name as one, without their details."""
        groups: dict[str, list[ProfileRow]] = {}
        for row in self.rows:
            groups.setdefault(row.name, []).append(row)
        merged = [
            ProfileRow(
                name,
                sum(row.seconds for row in rows),
                count=sum(row.count for row in rows),
                flops=_sum(row.flops for row in rows),
                bytes=_sum(row.bytes for row in rows),
            )
            for name, rows in groups.items()
        ]
        return replace(self, rows=_sorted(merged))

    def table(self, rows: int | None = _SHOWN) -> str:
        """The table as text.

        Args:
            rows: how many to show, the longest; ``None``: all.
        """
        head = ("us", "share", "count", "Mflop", "GFLOP/s", "kB", "GB/s", "name", "")
        shown = self.rows[:rows]
        cells = [head, *map(_cells, shown)]
        rest = self.rows[len(shown) :]
        if rest:
            seconds, share = sum(row.seconds for row in rest), sum(row.fraction for row in rest)
            told = f"... {len(rest)} more"
            cells.append((f"{seconds * 1e6:.1f}", f"{share:.1%}", *[""] * 5, told, ""))
        widths = [max(len(row[column]) for row in cells) for column in range(8)]
        lines = [
            "  ".join(
                [
                    *map(str.rjust, row[:7], widths),
                    row[7].ljust(widths[7]),
                    row[8],
                ]
            ).rstrip()
            for row in cells
        ]
        return "\n".join([f"{self._title()}{self._apart()}", *lines])

    def _title(self) -> str:
        parts = "1 part" if len(self.rows) == 1 else f"{len(self.rows)} parts"
        return (
            f"{self.function} on {self.backend}: {_time(self.seconds)} a call, "
            f"{_time(self.measured)} in {parts}"
        )

    def _apart(self) -> str:
        """What the parts do not tell of a call, where that is much."""
        outside = self.seconds - self.measured
        if not self.rows:
            return ": nothing is computed"
        if outside > 0.3 * self.seconds:
            return f", {_time(outside)} outside of them: the runtime's own work, or a busy machine"
        if outside < -0.3 * self.seconds:
            return ", more than a call, because the profiler takes time, too"
        return ""

    def __str__(self) -> str:
        return self.table()

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Save a picture of the longest rows as bars; needs matplotlib.

        Args:
            path: the file to write; its ending says the format.

        Returns:
            The file, absolute.
        """
        from matplotlib.figure import Figure

        shown = self.rows[:_DRAWN]
        left = self.measured - sum(row.seconds for row in shown)
        times = [f"  {row.count} times" if row.count > 1 else "" for row in shown]
        names = [
            _short(f"{row.name}{count}  {row.detail}", 76)
            for row, count in zip(shown, times, strict=True)
        ]
        seconds = [row.seconds for row in shown]
        if len(self.rows) > len(shown):
            names.append(f"{len(self.rows) - len(shown)} more")
            seconds.append(left)
        height = 1.2 + 0.26 * max(len(names), 1)
        figure = Figure(figsize=(11, height), dpi=140, layout="constrained")
        axes = figure.add_subplot()
        places = range(len(names))
        scale, unit = (1e3, "ms") if max(seconds, default=0.0) >= 1e-4 else (1e6, "us")
        bars = axes.barh(places, [each * scale for each in seconds], color="#1f5fae")
        total = self.measured or 1.0
        axes.bar_label(bars, [f" {each / total:.1%}" for each in seconds], fontsize=7)
        axes.set_yticks(places, names, fontsize=7)
        axes.invert_yaxis()
        axes.margins(x=0.08, y=0.01)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel(f"{unit} in a call")
        axes.set_title(self._title(), loc="left", fontsize=10)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target)
        return target.absolute()


@boundary
def profile(
    function: Callable[..., Any],
    *args: Any,
    backend: str | None = None,
    rounds: int = 10,
    **kwargs: Any,
) -> Profile:
    """Measure where the time of a compiled function goes.

    On ``numpy`` each row is an instruction of the program, by the clock. On ``onnxruntime`` it is a
    node of the graph that ONNX Runtime made of the program, by its own profiler, in a session of
    its own; what the profiler itself takes of a node, measured on nodes that do next to nothing, is
    subtracted. On ``iree`` it is a dispatch, which may hold many instructions, by IREE's own
    profiler in a process of its own.

    What is measured is the program that a call runs. Donated arguments stay as they are: each call
    gets a copy of them, made before the clock starts.

    Args:
        function: jitted, or a function that is then jitted; it is compiled for the arguments.
        args: what to call it with.
        backend: to profile on instead of the function's own; of functions that are not jitted, the
            current backend.
        rounds: how many calls to measure.
        kwargs: arguments of the function by name.

    Returns:
        The rows, the longest first; print it, read its ``rows``, or ``.plot(path)``.

    Raises:
        ArgumentError: ``rounds`` is no positive int, or the program calls host functions and the
            backend cannot.
        BackendError: the backend cannot tell.

    Example:
        >>> result = slope.profile(lambda x: slope.tanh(x @ x), slope.ones(64, 64), backend="numpy")
        >>> sorted(row.name for row in result)
        ['dot_general', 'tanh']
    """
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ArgumentError(f"profile: rounds must be a positive int, not {rounds!r}.")
    if not callable(function):
        raise ArgumentError(
            f"profile takes a function and what to call it with, and got a "
            f"{type(function).__name__}: write profile(f, x), not profile(f(x))."
        )
    if current_trace() is not EVAL:
        raise ArgumentError(
            "profile measures calls, and there are none within jit, grad, vmap and the like; "
            "profile the outermost function: slope.profile(slope.grad(f), x)."
        )
    jitted = function if isinstance(function, Jit) else jit(function)
    if backend is not None:
        jitted = jitted.on(backend)
    compiled, handles = jitted.prepared(args, kwargs)
    rows = _sorted([_row(part) for part in _parts(jitted, compiled, handles, rounds)])
    seconds = _seconds(compiled, handles, rounds)
    return Profile(jitted.__name__, compiled.backend.name, rows, seconds)


def _parts(jitted: Jit, compiled: Compiled, handles: Sequence[Any], rounds: int) -> Sequence[Timed]:
    """What takes how long."""
    if calls_host(compiled.program, compiled.backend.lowers):
        from slope.staged import Staged  # few programs need it

        assert isinstance(compiled.executable, Staged)
        return compiled.executable.profile(handles, rounds)
    # A backend that does not know of donation is not asked about it.
    donated = {"donated": compiled.donated} if compiled.donated else {}
    return compiled.backend.profile(
        compiled.program, compiled.device, jitted.options.extra, handles, rounds, **donated
    )


def _seconds(compiled: Compiled, handles: Sequence[Any], rounds: int) -> float:
    """The median time of a call, behind one to warm up."""
    backend, seconds = compiled.backend, []
    for _ in range(rounds + 1):
        given = backend.spared(handles, compiled.donated, compiled.device)
        started = time.perf_counter()
        results = compiled.executable(given)
        if compiled.device.kind != "cpu":
            for result in results:  # reading waits for the device
                backend.to_host(result)
        seconds.append(time.perf_counter() - started)
        del given, results  # so that the next call finds their memory free, as calls in turn do
    return statistics.median(seconds[1:])


def _row(part: Timed) -> ProfileRow:
    instr = part.instr
    if instr is None:
        return ProfileRow(
            part.name,
            part.seconds,
            0.0,
            part.count,
            part.flops,
            part.bytes,
            part.detail,
            str(part.source or ""),
        )
    cost = instruction_cost(instr)
    operands = ", ".join(str(atom.type) for atom in instr.inputs)
    results = ", ".join(str(var.type) for var in instr.outputs)
    detail = part.detail or f"{operands} -> {results}"
    source = str(instr.source) if instr.source else ""
    flops, moved = part.count * cost.flops, part.count * cost.bytes
    return ProfileRow(part.name, part.seconds, 0.0, part.count, flops, moved, detail, source)


def _sorted(rows: Iterable[ProfileRow]) -> tuple[ProfileRow, ...]:
    """The longest first, with their fractions."""
    ordered = sorted(rows, key=lambda row: -row.seconds)
    total = sum(row.seconds for row in ordered)
    return tuple(replace(row, fraction=row.seconds / total if total else 0.0) for row in ordered)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """The sum; of unknown numbers unknown."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def _cells(row: ProfileRow) -> tuple[str, ...]:
    flops, moved, seconds = row.flops, row.bytes, row.seconds
    detail = _short(row.detail, 90)
    return (
        f"{seconds * 1e6:.1f}",
        f"{row.fraction:.1%}",
        str(row.count),
        "" if flops is None else f"{flops / 1e6:.2f}",
        f"{flops / seconds / 1e9:.1f}" if flops and seconds else "",
        "" if moved is None else f"{moved / 1e3:.1f}",
        f"{moved / seconds / 1e9:.1f}" if moved and seconds else "",
        row.name,
        f"{detail}  # {row.source.rpartition(os.sep)[2]}" if row.source else detail,
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.1f} us"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
