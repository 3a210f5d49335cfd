"""A line search for the strong Wolfe conditions, as a loop that compiles.

J. Nocedal, S. Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6, with the safeguards
of M. Schmidt's minFunc, which ``torch.optim.LBFGS`` takes, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import slope

DECREASE: Final = 1e-4  # of the value, as a part of what the slope at 0 promises
FLATTENING: Final = 0.9  # of the slope


class Point(NamedTuple):
    """A point along the line: how far it is, and the function, its gradient and its slope there."""

    at: Any
    value: Any
    gradient: Any
    slope: Any


class _Search(NamedTuple):
    at: Any  # where to look next
    before: Point  # the last point, while no bracket is known
    low: Point  # the better end of the bracket
    high: Point  # the other end
    bracketed: Any
    done: Any
    stuck: Any  # whether the last point was close to an end
    turns: Any  # how often was looked behind the first time


def strong_wolfe(
    evaluate: Callable[[Any], Point], start: Point, at: Any, size: Any, most: Any, tolerance: Any
) -> tuple[Point, Any]:
    """A point where the function has fallen enough and is flatter than at the start.

    Args:
        evaluate: the point at a distance.
        start: the point at 0.
        at: the first distance to try.
        size: the largest element of the direction.
        most: how many more evaluations are allowed than one.
        tolerance: an interval that is shorter, times ``size``, is not cut again.

    Returns:
        The best point that was found, and how often ``evaluate`` was called.
    """

    def unfinished(search: _Search) -> Any:
        return slope.logical_not(search.done)

    def turn(search: _Search) -> _Search:
        new = evaluate(search.at)
        first, later = _first(search, start, new, most), _narrowed(search, start, new)
        search = _choose(search.bracketed, later, first)
        short = slope.abs(search.high.at - search.low.at) * size < tolerance
        over = slope.logical_or(search.turns >= most, slope.logical_and(search.bracketed, short))
        inner, stuck = _inside(search)
        outer = _cubic(search.before, new, new.at + 0.01 * (new.at - search.before.at), new.at * 10)
        return search._replace(
            at=slope.where(search.bracketed, inner, outer),
            before=_choose(search.bracketed, search.before, new),
            stuck=slope.logical_and(search.bracketed, stuck),
            done=slope.logical_or(search.done, over),
            turns=search.turns + 1,
        )

    no = slope.tensor(False)
    begin = _Search(at, start, start, start, no, no, no, slope.tensor(0))
    found = slope.while_loop(unfinished, turn, begin)
    return found.low, found.turns


def _first(search: _Search, start: Point, new: Point, most: Any) -> _Search:
    """What a point tells while no bracket is known."""
    before = search.before
    risen = slope.logical_and(search.turns > 1, new.value >= before.value)
    high = slope.logical_or(_too_high(start, new), risen)
    flat = slope.logical_and(slope.logical_not(high), _is_flat(start, new))
    passed = slope.logical_or(high, slope.logical_and(slope.logical_not(flat), new.slope >= 0))
    spent = search.turns >= most
    other = _choose(spent, start, before)
    bracketed = slope.logical_or(passed, spent)
    done = slope.logical_and(flat, slope.logical_not(spent))
    better = slope.logical_and(bracketed, other.value <= new.value)
    better = slope.logical_and(better, slope.logical_not(done))
    return search._replace(
        low=_choose(better, other, new),
        high=_choose(better, new, other),
        bracketed=slope.logical_and(bracketed, slope.logical_not(done)),
        done=done,
    )


def _narrowed(search: _Search, start: Point, new: Point) -> _Search:
    """What a point inside the bracket tells."""
    low, high = search.low, search.high
    worse = slope.logical_or(_too_high(start, new), new.value >= low.value)
    flat = _is_flat(start, new)
    behind = slope.logical_and(slope.logical_not(flat), new.slope * (high.at - low.at) >= 0)
    lower = slope.logical_and(worse, new.value < low.value)  # it fell, and not enough
    kept = slope.logical_and(worse, slope.logical_not(lower))
    other = _choose(lower, low, _choose(behind, low, high))
    return search._replace(
        low=_choose(kept, low, new),
        high=_choose(kept, new, other),
        done=slope.logical_and(slope.logical_not(worse), flat),
    )


def _too_high(start: Point, new: Point) -> Any:
    return new.value > start.value + DECREASE * new.at * start.slope


def _is_flat(start: Point, new: Point) -> Any:
    return slope.abs(new.slope) <= -FLATTENING * start.slope


def _inside(search: _Search) -> tuple[Any, Any]:
    """Where to cut the bracket, and whether that is close to an end, which happens once a time."""
    bottom = slope.minimum(search.low.at, search.high.at)
    top = slope.maximum(search.low.at, search.high.at)
    at = _cubic(search.low, search.high, bottom, top)
    margin = 0.1 * (top - bottom)
    close = slope.minimum(top - at, at - bottom) < margin
    outside = slope.logical_or(at >= top, at <= bottom)
    moved = slope.logical_and(close, slope.logical_or(search.stuck, outside))
    nearest = slope.where(top - at < at - bottom, top - margin, bottom + margin)
    return (
        slope.where(moved, nearest, at),
        slope.logical_and(close, slope.logical_not(moved)),
    )


def _cubic(one: Point, other: Point, low: Any, high: Any) -> Any:
    """The lowest place, within limits, of the cubic through two points; their middle if none."""
    ordered = one.at <= other.at
    left, right = _choose(ordered, one, other), _choose(ordered, other, one)
    apart = left.slope + right.slope - 3 * (left.value - right.value) / (left.at - right.at)
    square = apart * apart - left.slope * right.slope
    root = slope.sqrt(slope.maximum(square, 0.0))
    share = (right.slope + root - apart) / (right.slope - left.slope + 2 * root)
    lowest = right.at - (right.at - left.at) * share
    middle = (low + high) / 2
    return slope.where(square >= 0, slope.minimum(slope.maximum(lowest, low), high), middle)


def _choose(condition: Any, one: Any, other: Any) -> Any:
    return slope.tree_map(lambda a, b: slope.where(condition, a, b), one, other)
