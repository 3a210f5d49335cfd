"""Windows at computed places.

Traced starts are clamped so that the window fits, as JAX does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.core.types import Shape
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import shown, sizes_of
from slope.functions._base import TensorLike, as_tensor
from slope.functions.scattering import updates_of

__all__ = [
    "dynamic_slice",
    "dynamic_update_slice",
]


def dynamic_slice(x: TensorLike, *starts: Any, sizes: Sequence[int] | None = None) -> Tensor:
    """The window of ``x`` that begins at computed places: ``dynamic_slice(x, (i, 0), (1, 4))``.

    Args:
        x: a tensor.
        starts: for each dimension an int or an integer tensor of shape (); one sequence of them, or
            one after the other.
        sizes: the window's shape: ints. May follow a sequence of starts without its name.

    A start is clamped so that the window fits, as JAX does it; a negative one is clamped to 0.

    Raises:
        ShapeError, ArgumentError: the arguments do not fit.
    """
    if len(starts) == 2 and sizes is None and isinstance(starts[0], (tuple, list)):
        starts, sizes = (starts[0],), starts[1]
    given = as_tensor(x, "dynamic_slice", "x")
    if sizes is None:
        raise ArgumentError(
            "dynamic_slice: sizes is missing; give the window's shape, a tuple of ints."
        )
    window = sizes_of((sizes,), "dynamic_slice", "sizes")
    return ops.dynamic_slice(given, *_starts("dynamic_slice", given, starts, window), sizes=window)


def dynamic_update_slice(x: TensorLike, update: TensorLike, *starts: Any) -> Tensor:
    """``x`` with a window replaced: ``dynamic_update_slice(cache, row, (0, i))``.

    Args:
        x: a tensor.
        update: of ``x``'s dtype, with as many dimensions and nowhere longer.
        starts: see :func:`dynamic_slice`; clamped so that the update fits.

    Raises:
        ShapeError, DTypeError, ArgumentError: the arguments do not fit.
    """
    given = as_tensor(x, "dynamic_update_slice", "x")
    part = updates_of(update, given, (), "dynamic_update_slice", "update")
    return ops.dynamic_update_slice(
        given, part, *_starts("dynamic_update_slice", given, starts, part.shape)
    )


def _starts(function: str, x: Tensor, starts: tuple[Any, ...], sizes: Shape) -> list[Tensor]:
    if len(starts) == 1 and isinstance(starts[0], (tuple, list)):
        starts = tuple(starts[0])
    if len(starts) != x.ndim or len(sizes) != x.ndim:
        raise ShapeError(
            f"{function}: {x.type} needs a start and a size for each dimension, and got "
            f"{len(starts)} starts and sizes {shown(sizes)}."
        )
    if any(
        bool(size > length) or bool(size < 0) for size, length in zip(sizes, x.shape, strict=True)
    ):
        raise ShapeError(
            f"{function}: a window of shape {shown(sizes)} does not fit into {x.type}."
        )
    found = [as_tensor(start, function, f"starts[{number}]") for number, start in enumerate(starts)]
    for number, start in enumerate(found):
        if start.shape != () or not start.dtype.is_integer:
            raise ArgumentError(
                f"{function}: starts[{number}] must be an int or an integer tensor of shape (), "
                f"and is {start.type}."
            )
    return found
