"""Methods of PyTorch's tensors that say in another way what other functions do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.core.tensor import Tensor
from slope.devices import CPU, Device
from slope.dtypes import DTypeLike, as_dtype
from slope.errors import ShapeError
from slope.functions import creation, shapes
from slope.functions._arguments import dim_of
from slope.functions._base import TensorLike, as_tensor
from slope.functions._devices import placed

__all__ = ["t"]


def t(x: TensorLike) -> Tensor:
    """A matrix with its dimensions exchanged; a vector or a number as it is.

    Raises:
        ShapeError: it has more than two dimensions.
    """
    given = as_tensor(x, "t", "x")
    if given.ndim > 2:
        raise ShapeError(
            f"t takes matrices, vectors and numbers, and got {given.type}; x.mT exchanges the last "
            f"two dimensions."
        )
    return shapes.transpose(given, 0, 1) if given.ndim == 2 else given


def expand_as(x: Tensor, other: TensorLike) -> Tensor:
    """``x`` repeated to the shape of another tensor."""
    return shapes.expand(x, as_tensor(other, "expand_as", "other").shape)


def reshape_as(x: Tensor, other: TensorLike) -> Tensor:
    """``x`` in the shape of another tensor."""
    return shapes.reshape(x, as_tensor(other, "reshape_as", "other").shape)


def ravel(x: Tensor) -> Tensor:
    """All elements in one dimension."""
    return shapes.flatten(x)


def select(x: Tensor, dim: int, index: int | Tensor) -> Tensor:
    """One place of a dimension, which goes: ``x.select(1, 3)`` is ``x[:, 3]``."""
    return x[(*[slice(None)] * dim_of(dim, x.ndim, "select", shape=x.shape), index)]


def cpu(x: Tensor) -> Tensor:
    """The tensor on the CPU."""
    return placed(x, CPU)


def is_floating_point(x: Tensor) -> bool:
    """Whether its elements are floating-point numbers."""
    return x.dtype.is_floating_point


def _options(x: Tensor, dtype: DTypeLike | None, device: Any) -> dict[str, Any]:
    return {
        "dtype": x.dtype if dtype is None else as_dtype(dtype),
        "device": x.device if device is None else device,
    }


def new_zeros(
    x: Tensor, *size: Any, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """Zeros of a shape, with the dtype and on the device of ``x`` unless others are given."""
    return creation.zeros(*size, **_options(x, dtype, device))


def new_ones(
    x: Tensor, *size: Any, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """Ones of a shape, with the dtype and on the device of ``x`` unless others are given."""
    return creation.ones(*size, **_options(x, dtype, device))


def new_full(
    x: Tensor,
    size: Sequence[Any],
    fill_value: float,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """One number in all places of a shape, with the dtype and on the device of ``x``."""
    return creation.full(size, fill_value=fill_value, **_options(x, dtype, device))


def new_tensor(
    x: Tensor,
    data: Any,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """A tensor of values, with the dtype and on the device of ``x`` unless others are given."""
    return creation.tensor(data, **_options(x, dtype, device))
