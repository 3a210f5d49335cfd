"""Class labels: refused where their values are known, marked with NaN where they are not."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from slope import ops
from slope.core.tensor import Tensor, Tracer
from slope.dtypes import iinfo
from slope.errors import IndexingError
from slope.functions._base import splat_like

P = ParamSpec("P")
R = TypeVar("R")


def refusing_unknown_classes(
    *, ignore_index: int | None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a loss refuse targets that name no class, where their values are known.

    They are known outside of :func:`slope.jit`, of tensors on the CPU; looking at others would
    wait for their device. The loss takes scores ``x``, ``target``, weights and, perhaps, an
    ``ignore_index``.

    Args:
        ignore_index: the loss's default; None if it takes none.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            scores = args[0] if args else kwargs.get("x")
            target = args[1] if len(args) > 1 else kwargs.get("target")
            if isinstance(scores, Tensor) and isinstance(target, Tensor):
                ignored: Any = ignore_index
                if ignored is not None:
                    ignored = args[3] if len(args) > 3 else kwargs.get("ignore_index", ignored)
                _refuse(function.__name__, scores, target, ignored)
            return function(*args, **kwargs)

        return call

    return decorate


def _refuse(function: str, scores: Tensor, target: Tensor, ignored: Any) -> None:
    if isinstance(target, Tracer) or target.device.kind != "cpu" or not scores.ndim:
        return
    count = scores.shape[1 if scores.ndim > 1 else 0]
    if not target.dtype.is_integer or not target.type.size or not isinstance(count, int):
        return
    values = target.host()
    if values.min() >= 0 and values.max() < count:
        return
    strange = (values < 0) | (values >= count)
    if ignored is not None:
        strange &= values != ignored
    if not strange.any():
        return
    place = tuple(map(int, np.argwhere(strange)[0]))
    where = f"[{', '.join(map(str, place))}]" if place else ""
    ways_out = "" if ignored is None else f", or ignore_index, which is {ignored}"
    raise IndexingError(
        f"{function}: target{where} is {values[place]}, and x {scores.type} has {count} classes: "
        f"targets must be from 0 to {count - 1}{ways_out}."
    )


def unknown_classes(target: Tensor, count: Any, counted: Tensor | None) -> Tensor | None:
    """Which targets name no class; None where their dtype can name no other.

    Args:
        target: integers.
        count: how many classes there are; targets beyond a symbolic number stay undetected.
        counted: which targets are not ignored; all of them by default.
    """
    limits, tests = iinfo(target.dtype), []
    if isinstance(count, int) and count <= limits.max:
        tests.append(ops.ge(target, splat_like(count, target)))
    if limits.min < 0:
        tests.append(ops.lt(target, splat_like(0, target)))
    if not tests:
        return None
    strange = functools.reduce(ops.bitwise_or, tests)
    return strange if counted is None else ops.bitwise_and(strange, counted)


def nan_where(strange: Tensor | None, x: Tensor) -> Tensor:
    """``x``, but NaN where something is wrong."""
    return x if strange is None else ops.where(strange, splat_like(math.nan, x), x)
