"""What families of operators share: splats, batching helpers, sample inputs, messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slope.core.operator import Linear, Operator
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.errors import DTypeError, ShapeError

KIND_NAMES = {"b": "bool", "iu": "an integer dtype", "f": "a floating-point dtype"}


def splat_like(value: bool | float, like: Tensor | Linear) -> Splat:
    """A tensor of ``like``'s type with one number everywhere."""
    return Splat(value, like.type)


def require_kind(op: Operator, tensor_type: TensorType, kinds: str) -> None:
    """Refuse a dtype whose kind is not among ``kinds``.

    Raises:
        DTypeError: names the operator and the dtypes it takes.
    """
    if tensor_type.dtype.kind not in kinds:
        allowed = " or ".join(name for key, name in KIND_NAMES.items() if set(key) & set(kinds))
        raise DTypeError(
            f"{op.name} takes {allowed}, and got {tensor_type}; cast it, for instance with "
            f"x.to(slope.float32)."
        )


def require_dim(op: Operator, tensor_type: TensorType, dim: int, name: str = "dim") -> None:
    """Refuse a dimension that the type does not have (operators take non-negative ones only)."""
    if not 0 <= dim < tensor_type.ndim:
        raise ShapeError(f"{op.name}: {name}={dim} is out of range for an operand {tensor_type}.")


def require_rank(op: Operator, values: Sequence[Any], tensor_type: TensorType, name: str) -> None:
    """Refuse a parameter that does not have one entry for each dimension."""
    if len(values) != tensor_type.ndim:
        raise ShapeError(
            f"{op.name}: {name}={tuple(values)} has {len(values)} entries for an operand "
            f"{tensor_type} of {tensor_type.ndim} dimensions."
        )


def draws(
    *shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0, dtype: Any = np.float32
) -> Any:
    """Sample inputs: evenly spread, shuffled, free of ties, the same at every run."""
    count = int(np.prod(shape, dtype=int))
    aside = 0.1 * (high - low) / (count + 2)  # so that 0 is rare, whatever the range
    values = np.linspace(low, high, count + 3)[1:-2] + aside
    return np.random.default_rng(seed).permutation(values).reshape(shape).astype(dtype)


def ints(*shape: int, seed: int = 0, low: int = -9, high: int = 9, dtype: Any = np.int64) -> Any:
    """Sample integer inputs, the same at every run."""
    return np.random.default_rng(seed).integers(low, high, size=shape, endpoint=True).astype(dtype)


def flags(*shape: int, seed: int = 0) -> Any:
    """Sample bool inputs, the same at every run."""
    return np.random.default_rng(seed).integers(0, 2, size=shape).astype(bool)


def shifted(dim: int, at: int) -> int:
    """Where a dimension stands once another one was put in at ``at``."""
    return dim if dim < at else dim + 1


def without(items: Sequence[Any], positions: Sequence[int]) -> tuple[Any, ...]:
    """The items that stand at none of the positions."""
    return tuple(item for position, item in enumerate(items) if position not in positions)


def insert(items: Sequence[Any], position: int, item: Any) -> tuple[Any, ...]:
    """The items with one more at a position."""
    return (*items[:position], item, *items[position:])
