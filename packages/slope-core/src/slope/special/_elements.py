"""What the special functions share: operands, series, and stand-ins outside of a branch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from slope import dtypes
from slope import functions as fn
from slope.core.tensor import Tensor
from slope.functions._at_once import of_tensors_at_once
from slope.functions._base import floating_operands, to_dtype
from slope.special._tables import Series


def elementwise(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of floats element by element: it broadcasts and promotes, half precision too.

    Whole numbers become float32; half precision is computed in float32.
    """
    name = f"special.{function.__name__}"
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        given = floating_operands(name, **signature.bind(*args, **kwargs).arguments)
        dtype = given[0].dtype
        wide = dtypes.accumulator(dtype)
        return to_dtype(function(*(to_dtype(each, wide) for each in given)), dtype)

    return of_tensors_at_once(call)


def chebyshev(t: Tensor, coefficients: Series) -> Tensor:
    """A Chebyshev series by Clenshaw's recurrence, as far as the dtype of ``t`` tells."""
    least = max(map(abs, coefficients)) * (1e-9 if t.dtype is dtypes.float32 else 0.0)
    count = max(k for k, each in enumerate(coefficients) if abs(each) >= least) + 1
    one, two = fn.zeros_like(t), fn.zeros_like(t)
    for coefficient in reversed(coefficients[1:count]):
        one, two = 2.0 * t * one - two + coefficient, one
    return t * one - two + coefficients[0]


def horner(x: Tensor, coefficients: Series) -> Tensor:
    """A power series, the lowest power first."""
    result = fn.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def within(condition: Any, x: Tensor, other: float) -> Tensor:
    """``x`` where a branch computes with it, and elsewhere a number that does it no harm."""
    return fn.where(condition, x, other)
