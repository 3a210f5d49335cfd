"""What ONNX Runtime's profiler wrote, as rows of `slope.profile`."""

from __future__ import annotations

import functools
import json
import math
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from slope.extend import Timed
from slope_backend_onnx.graph import Graph
from slope_backend_onnx.sessions import Session, create_session, timed_session

_IDLE: Final = 64  # nodes that do next to nothing
_CALLS: Final = 40
_LEAST: Final = 1e-7  # seconds; nothing runs faster

# Operators that only move elements; of all others each element of the result counts as one
# operation, but for those below.
_MOVES: Final = frozenset((
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity",
    "Pad", "ReorderInput", "ReorderOutput", "Reshape", "ScatterElements", "ScatterND", "Slice",
    "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "DepthToSpace", "SpaceToDepth",
    "Shape", "Constant", "ConstantOfShape", "Col2Im",
))  # fmt: skip
_PRODUCTS: Final = frozenset(("Gemm", "MatMul", "FusedMatMul", "FusedGemm"))
_HOLDERS: Final = frozenset(("Loop", "Scan", "If"))


class Cost(NamedTuple):
    """What the profiler itself takes of each node, in seconds.

    Attributes:
        inside: of what it tells of a node.
        outside: between nodes, which what holds them is charged with: a loop or a branch.
    """

    inside: float
    outside: float


_NOTHING: Final = Cost(0.0, 0.0)


@functools.cache
def profiler_cost() -> Cost:
    """Measured on nodes that do next to nothing, with the profiler and without: 1 and 3 us."""
    graph = Graph()
    x = graph.input("x", np.float32, (1,))
    for _ in range(_IDLE):
        x = graph.op("Neg", x)
    graph.output(x)
    model, inputs = graph.model().SerializeToString(), [np.ones(1, np.float32)]
    plain = create_session(model, work=0, optimize=False)
    with tempfile.TemporaryDirectory() as folder:
        timed = timed_session(model, f"{folder}/slope", work=0, optimize=False)
        sessions = (plain, Session(timed, "cpu:0"))
        taken: tuple[list[float], list[float]] = [], []
        for _ in range(_CALLS):
            for session, each in zip(sessions, taken, strict=True):
                started = time.perf_counter()
                session(inputs)
                each.append((time.perf_counter() - started) / _IDLE)
        nodes = timed_nodes(timed.end_profiling(), {})
    alone, profiled = map(statistics.median, taken)
    told = statistics.fmean(row.seconds for row in nodes)
    inside = max(told - alone, 0.0)
    return Cost(inside, max(profiled - alone - inside, 0.0))


def timed_nodes(path: str, sources: Mapping[str, Any], cost: Cost = _NOTHING) -> list[Timed]:
    """The time of each node in one call, those of bodies of loops too.

    Args:
        path: the file that the profiler wrote, of one call to warm up and those that count.
        sources: the user's line of a node, by the node's name.
        cost: what to subtract from each run of a node.

    Returns:
        A row for each; none if one call has more nodes than the profiler can hold.
    """
    events = json.loads(Path(path).read_text())
    runs = sorted((each for each in events if each.get("name") == "model_run"), key=_start)
    # The first only warms up. The profiler stops at a million events, so there may be fewer.
    counted = runs[1:] or runs
    if not counted:
        return []
    first, last = _start(counted[0]), _end(counted[-1])
    nodes = [each for each in events if each.get("cat") == "Node" and first <= each["ts"] <= last]
    starts, calls = [_start(each) for each in counted], len(counted)
    rows: dict[Any, tuple[Any, list[float], int]] = {}
    for event, own in _own_microseconds(nodes, cost.outside * 1e6):
        key = (event["name"], event["args"].get("node_index"), event["args"]["op_name"])
        _, taken, count = rows.setdefault(key, (event, [0.0] * calls, 0))
        taken[bisect_right(starts, event["ts"]) - 1] += own
        rows[key] = (event, taken, count + 1)
    return [_timed(*row, sources, cost) for row in rows.values()]


def _own_microseconds(nodes: list[Any], outside: float) -> list[tuple[Any, float]]:
    """Each event with its time but that of the events inside: nodes in the body of a loop.

    Args:
        nodes: the events.
        outside: microseconds that the profiler takes for each event inside.
    """
    nodes.sort(key=lambda event: (event["ts"], -event["dur"]))
    own = [float(event["dur"]) for event in nodes]
    holders: list[int] = []  # positions of nodes with bodies that are still running
    for position, event in enumerate(nodes):
        while holders and _end(nodes[holders[-1]]) < _end(event):
            holders.pop()
        if holders:
            own[holders[-1]] -= event["dur"] + outside
        if event["args"]["op_name"] in _HOLDERS:
            holders.append(position)
    return [(event, max(each, 0.0)) for event, each in zip(nodes, own, strict=True)]


def _start(event: Any) -> int:
    return event["ts"]


def _end(event: Any) -> int:
    return event["ts"] + event["dur"]


def _typical(numbers: list[float]) -> float:
    """The mean of the middle half: a median that is finer than the clock's whole microseconds."""
    aside = (len(numbers) + 1) // 4
    return statistics.fmean(sorted(numbers)[aside : len(numbers) - aside])


def _timed(
    event: Any, taken: list[float], count: int, sources: Mapping[str, Any], cost: Cost
) -> Timed:
    """The row of a node from its microseconds in each call, and its runs in all of them."""
    told = event["args"]
    inputs, outputs = _shapes(told["input_type_shape"]), _shapes(told["output_type_shape"])
    times = max(round(count / len(taken)), 1)
    moved = sum(int(told.get(f"{each}_size", 0)) for each in ("activation", "parameter", "output"))
    return Timed(
        told["op_name"],
        max(_typical(taken) * 1e-6 - times * cost.inside, times * _LEAST),
        times,
        flops=times * _flops(told["op_name"], inputs, outputs),
        bytes=times * moved,
        detail=f"{_listed(told['input_type_shape'])} -> {_listed(told['output_type_shape'])}",
        source=sources.get(event["name"].removesuffix("_kernel_time")),
    )


def _shapes(told: list[dict[str, list[int]]]) -> list[list[int]]:
    return [shape for each in told for shape in each.values()]


def _listed(told: list[dict[str, list[int]]]) -> str:
    return ", ".join(f"{dtype}{shape}" for each in told for dtype, shape in each.items())


def _flops(op: str, inputs: list[list[int]], outputs: list[list[int]]) -> int:
    if op in _MOVES or not outputs:
        return 0
    size = math.prod(outputs[0])
    if op in _PRODUCTS and len(inputs) > 1:
        left = inputs[0]
        rows = outputs[0][-2] if len(left) > 1 and len(outputs[0]) > 1 else 1
        summed = math.prod(left[-2:]) // max(rows, 1)  # whether it is transposed or not
        return 2 * size * summed
    if op in ("Conv", "FusedConv") and len(inputs) > 1:
        return 2 * size * math.prod(inputs[1][1:])
    if op == "ConvTranspose" and len(inputs) > 1:
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if op.startswith("Reduce") and inputs:
        return math.prod(inputs[0])
    return size
