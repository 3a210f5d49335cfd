"""Operators that are linear in all their operands: they move, repeat, select or add elements.

Their tangent is the operator itself, applied to the tangents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope import dtypes
from slope.core.operator import Operand, Operator, Sample, Tangent, register
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dims import size as count
from slope.dtypes import DType
from slope.errors import DTypeError, ShapeError
from slope.ops._family import draws, flags, insert, ints, require_dim, shifted, splat_like


class LinearOperator(Operator):
    """The family base: linear in all operands jointly.

    Subclasses define ``infer``, ``transpose``, ``batch``.
    """

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        out = self(*primals, **params)
        if all(tangent is None for tangent in tangents):
            return out, None
        full = [
            splat_like(0, primal) if tangent is None else tangent
            for primal, tangent in zip(primals, tangents, strict=True)
        ]
        return out, self(*full, **params)


# --- batching helpers, written with the operators below


def batch_reduction(op: Operator, x: Tensor, at: int, dim: Sequence[int]) -> tuple[Any, int]:
    """What ``batch`` of an operator returns that takes the dimensions ``dim`` away."""
    moved = tuple(shifted(each, at) for each in dim)
    return op(x, dim=moved), at - sum(1 for each in moved if each < at)


def move_dim(x: Tensor, source: int, target: int) -> Tensor:
    """``x`` with one dimension moved."""
    if source == target:
        return x
    order = [dim for dim in range(x.ndim) if dim != source]
    order.insert(target, source)
    return permute(x, dims=tuple(order))


def batched_at(x: Tensor, dim: int | None, size: Any, target: int) -> Tensor:
    """``x`` with its batch dimension at ``target``; repeated along it if it has none."""
    if dim is not None:
        return move_dim(x, dim, target)
    shape = insert(x.shape, target, size)
    if isinstance(x, Splat):
        return Splat(x.value, x.type.with_shape(shape))
    return broadcast(x, shape=shape, dims=tuple(d for d in range(len(shape)) if d != target))


class Reshape(LinearOperator):
    """The same elements in row-major order under another shape.

    Params:
        shape: the new shape; as many elements as before.
    """

    name = "reshape"

    def __call__(self, *args: Any, **params: Any) -> Any:
        (x,) = args
        if isinstance(x, Splat):
            return Splat(x.value, self.infer(x.type, **params))
        return super().__call__(x, **params)

    def infer(self, x: TensorType, *, shape: tuple[Any, ...]) -> TensorType:
        if count(x.shape) != count(shape):
            raise ShapeError(
                f"reshape: {x} has {x.size} elements, shape {tuple(shape)} has {count(shape)}."
            )
        return x.with_shape(shape)

    def transpose(self, cotangent: Any, x: Operand, *, shape: tuple[Any, ...]) -> Sequence[Tangent]:
        return (reshape(cotangent, shape=x.shape),)

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        shape: tuple[Any, ...],
    ) -> tuple[Any, Any]:
        x = batched_at(args[0], in_dims[0], size, 0)
        return reshape(x, shape=(size, *shape)), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, 4),), {"shape": (6, 4)})
        yield Sample((draws(1, 1),), {"shape": ()})
        yield Sample((draws(0, 3),), {"shape": (3, 0, 2)})
        yield Sample((ints(4, 3),), {"shape": (2, 6)}, False)


class Permute(LinearOperator):
    """The dimensions in another order.

    Params:
        dims: result dimension ``i`` is the operand's dimension ``dims[i]``.
    """

    name = "permute"

    def __call__(self, *args: Any, **params: Any) -> Any:
        (x,) = args
        if isinstance(x, Splat):
            return Splat(x.value, self.infer(x.type, **params))
        return super().__call__(x, **params)

    def infer(self, x: TensorType, *, dims: tuple[int, ...]) -> TensorType:
        if sorted(dims) != list(range(x.ndim)):
            raise ShapeError(
                f"permute: dims={tuple(dims)} is no permutation of the {x.ndim} dimensions of {x}."
            )
        return x.with_shape(tuple(x.shape[dim] for dim in dims))

    def transpose(self, cotangent: Any, x: Operand, *, dims: tuple[int, ...]) -> Sequence[Tangent]:
        return (permute(cotangent, dims=inverse(dims)),)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        order = tuple(shifted(dim, at) for dim in params["dims"])
        return permute(args[0], dims=(at, *order)), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, 4),), {"dims": (2, 0, 1)})
        yield Sample((draws(3, 2),), {"dims": (1, 0)})
        yield Sample((draws(),), {"dims": ()})


def inverse(dims: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes ``dims``."""
    return tuple(int(dim) for dim in np.argsort(np.asarray(dims, int), kind="stable"))


class Broadcast(LinearOperator):
    """Repeat an operand along new dimensions.

    Params:
        shape: the result's shape.
        dims: where the operand's dimensions stand in the result, ascending; their lengths do not
            change.
    """

    name = "broadcast"

    def __call__(self, *args: Any, **params: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], Splat):
            return Splat(args[0].value, self.infer(args[0].type, **params))
        return super().__call__(*args, **params)  # which refuses another number of operands

    def infer(self, x: TensorType, *, shape: tuple[Any, ...], dims: tuple[int, ...]) -> TensorType:
        if (
            len(dims) != x.ndim
            or list(dims) != sorted(set(dims))
            or any(not 0 <= dim < len(shape) for dim in dims)
        ):
            raise ShapeError(
                f"broadcast: dims={tuple(dims)} does not place the dimensions of {x} in shape "
                f"{tuple(shape)}."
            )
        if any(shape[dim] != length for dim, length in zip(dims, x.shape, strict=True)):
            raise ShapeError(
                f"broadcast: {x} at dims={tuple(dims)} does not fit shape {tuple(shape)}; lengths "
                f"must be equal."
            )
        return x.with_shape(shape)

    def transpose(
        self, cotangent: Any, x: Operand, *, shape: tuple[Any, ...], dims: tuple[int, ...]
    ) -> Sequence[Tangent]:
        new = tuple(dim for dim in range(len(shape)) if dim not in dims)
        return (sum_(cotangent, dim=new) if new else cotangent,)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        x = batched_at(args[0], in_dims[0], size, 0)
        return broadcast(
            x, shape=(size, *params["shape"]), dims=(0, *(dim + 1 for dim in params["dims"]))
        ), 0

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(3),), {"shape": (2, 3), "dims": (1,)})
        yield Sample((draws(),), {"shape": (2, 2), "dims": ()})
        yield Sample((draws(2, 3),), {"shape": (2, 4, 3, 1), "dims": (0, 2)})
        yield Sample((flags(2),), {"shape": (2, 3), "dims": (0,)}, False)


class Sum(LinearOperator):
    """Sums over dimensions; half-precision sums accumulate in float32. The empty sum is 0.

    Params:
        dim: the dimensions to sum over, ascending; they vanish from the result.
    """

    name = "sum"

    def infer(self, x: TensorType, *, dim: tuple[int, ...]) -> TensorType:
        if x.dtype.kind == "b":
            raise DTypeError(
                f"sum takes numbers, and got {x}; cast it, for instance with x.to(slope.int64)."
            )
        for each in dim:
            require_dim(self, x, each)
        return x.with_shape(tuple(length for each, length in enumerate(x.shape) if each not in dim))

    def transpose(self, cotangent: Any, x: Operand, *, dim: tuple[int, ...]) -> Sequence[Tangent]:
        kept = tuple(each for each in range(x.ndim) if each not in dim)
        return (broadcast(cotangent, shape=x.shape, dims=kept),)

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        dim: tuple[int, ...],
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        return batch_reduction(self, args[0], at, dim)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3, 4),), {"dim": (1,)})
        yield Sample((draws(2, 3, 4),), {"dim": (0, 2)})
        yield Sample((draws(5),), {"dim": (0,)})
        yield Sample((draws(2, 0, 3),), {"dim": (1,)})
        yield Sample((ints(3, 4),), {"dim": (0, 1)}, False)


class Cast(LinearOperator):
    """Elements as another dtype.

    Floating to integer truncates toward zero; values out of range saturate and NaN gives 0.
    Integers wrap around among themselves. Anything to bool is ``x != 0``. Between floating dtypes
    it rounds to nearest even, and is linear.

    Params:
        dtype: the new dtype.
    """

    name = "cast"
    elementwise = True

    def __call__(self, *args: Any, **params: Any) -> Any:
        (x,) = args
        if x.dtype is params["dtype"]:
            return x
        return super().__call__(x, **params)

    def infer(self, x: TensorType, *, dtype: DType) -> TensorType:
        return x.with_dtype(dtype)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x,), (tangent,) = primals, tangents
        dtype = params["dtype"]
        moves = tangent is not None and dtype.is_floating_point
        return cast(x, dtype=dtype), cast(tangent, dtype=dtype) if moves else None

    def transpose(self, cotangent: Any, x: Operand, *, dtype: DType) -> Sequence[Tangent]:
        return (cast(cotangent, dtype=x.dtype),)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], *, dtype: DType
    ) -> tuple[Any, Any]:
        return cast(args[0], dtype=dtype), in_dims[0]

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3),), {"dtype": dtypes.float64})
        yield Sample((draws(2, 3, dtype=np.float64),), {"dtype": dtypes.float32})
        yield Sample(
            (np.array([-2.7, -0.5, 0.5, 2.7, np.nan, 1e20, -1e20], np.float32),),
            {"dtype": dtypes.int32},
            False,
        )
        yield Sample((np.array([-2.7, 0.0, 300.7], np.float32),), {"dtype": dtypes.int64}, False)
        yield Sample((ints(5),), {"dtype": dtypes.float32}, False)
        yield Sample((np.array([300, -1, 127], np.int64),), {"dtype": dtypes.int8}, False)
        yield Sample((ints(5),), {"dtype": dtypes.uint32}, False)
        yield Sample((ints(6, low=-1, high=1),), {"dtype": dtypes.bool_}, False)
        yield Sample((np.array([0.0, 0.3, np.nan], np.float32),), {"dtype": dtypes.bool_}, False)
        yield Sample((flags(5),), {"dtype": dtypes.float32}, False)


reshape = register(Reshape())
permute = register(Permute())
broadcast = register(Broadcast())
sum_ = register(Sum())
cast = register(Cast())
