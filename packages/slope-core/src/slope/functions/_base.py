"""What all functions share: taking operands in, promoting them and broadcasting them.

Three sorts of operand take part in an operation: tensors with dimensions, tensors without, and
*weak* ones (Python and NumPy scalars, and traced tensors made of such). Each sort decides the dtype
only where it is of a higher kind (bool < integer < floating) than the sorts before it. That is
PyTorch's rule; :mod:`slope.dtypes` has the table within a sort.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor, aligned_empty, splat_scalar
from slope.core.trace import EVAL, current_trace
from slope.core.types import Shape, TensorType, type_of_array
from slope.devices import ANYWHERE, CPU, Device
from slope.dims import DimExpr, DimLike, bounds, dim_max, install_numbers, is_static, same
from slope.dtypes import DType
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import (
    Scalar,
    article,
    dim_of,
    scalar_kind,
    scalar_of,
    shown,
)

TensorLike = Tensor | Scalar | np.ndarray[Any, Any] | np.generic
Operand = Tensor | Scalar


# --- taking operands in


def operand(value: object, function: str, argument: str) -> Operand:
    """A tensor or a Python number out of whatever a user gave.

    Raises:
        ArgumentError: it is neither a tensor, a number nor a NumPy array.
    """
    if isinstance(value, Tensor):
        return value
    number = scalar_of(value)
    if number is not None:
        if type(number) is int and not -(2**63) <= number < 2**64:
            raise ArgumentError(f"{function}: {argument}={number} fits no integer dtype.")
        return number
    if isinstance(value, np.ndarray):
        try:
            return copied(value)
        except DTypeError as error:
            raise DTypeError(f"{function}: {argument}: {error}") from None
    if isinstance(value, DimExpr):
        return dimension(value)
    convertible = isinstance(value, (list, tuple)) or hasattr(value, "__array__")
    hint = (
        "slope.tensor(...) makes a tensor of it" if convertible else "it takes tensors and numbers"
    )
    library = type(value).__module__.partition(".")[0]
    whose = f" of {library}" if type(value).__name__ == "Tensor" else ""
    raise ArgumentError(
        f"{function}: {argument} is {article(value)}{whose} ({value!r:.60}); {hint}."
    )


def dimension(length: DimExpr) -> Tensor:
    """A symbolic dimension as a number that is known when the program runs; weak, as an int is.

    Raises:
        ShapeError: no program is traced.
    """
    if current_trace() is EVAL:
        raise ShapeError(
            f"the dimension {length} is a number only in a function that is traced with it; "
            f"dimensions divide with //."
        )
    if bounds(length)[0] >= 0:
        number = _counted(length)
    else:  # perhaps negative, such as n - m
        number = ops.sub(_counted(dim_max(length, 0)), _counted(dim_max(-length, 0)))
    return weakly(number, True)


def _counted(length: DimLike) -> Tensor:
    """A length as a number: so many ones, added up."""
    return ops.sum_(Splat(1, TensorType((length,), dtypes.int64)), dim=(0,))


install_numbers(dimension)


def as_tensor(value: object, function: str, argument: str) -> Tensor:
    """A tensor of what a user gave; numbers and weak tensors take the default dtype of their kind.

    Raises:
        ArgumentError: it is neither a tensor, a number nor a NumPy array.
    """
    if type(value) is Tensor:
        return value
    given = operand(value, function, argument)
    if isinstance(given, Tensor):
        return to_dtype(given, dtypes.default_dtype(given.dtype.kind)) if given.weak else given
    return splat(given, TensorType((), dtypes.default_dtype(scalar_kind(given))))


def copied(array: np.ndarray[Any, Any], dtype: DType | None = None, device: Device = CPU) -> Tensor:
    """A tensor with a copy of an array's elements; ``device`` is the CPU or ``ANYWHERE``.

    Raises:
        DTypeError: the elements are no real numbers: complex ones, texts, dates or objects.
    """
    if dtype is None or array.dtype.kind in "cOSUMm":  # NumPy would convert those, at a loss
        dtype = dtypes.as_dtype(array.dtype.newbyteorder("="))
    host = aligned_empty(array.shape, dtype.numpy)
    with np.errstate(invalid="ignore", over="ignore"):
        host[...] = array
    return Tensor(TensorType(array.shape, dtype), device, host=host)


def of_host(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that owns an array nobody else holds; it follows other operands to their device."""
    return Tensor(type_of_array(array), ANYWHERE, host=array)


def splat(value: Scalar, tensor_type: TensorType) -> Splat:
    """A number as a tensor; written as the dtype's kind of number."""
    kind = tensor_type.dtype.kind
    if kind in "iu" and isinstance(value, float) and not math.isfinite(value):
        raise DTypeError(f"{value} fits no integer dtype, and the tensor is {tensor_type}.")
    return Splat(
        float(value) if kind == "f" else bool(value) if kind == "b" else int(value), tensor_type
    )


def splat_like(value: Scalar, x: Tensor) -> Splat:
    """A tensor of ``x``'s type with one number everywhere."""
    return splat(value, x.type)


def filled_like(value: Scalar | DimExpr, x: Tensor) -> Tensor:
    """As :func:`splat_like`, of what may be a symbolic dimension."""
    if isinstance(value, DimExpr):
        return expand_to(to_dtype(dimension(value), x.dtype), x.shape)
    return splat_like(value, x)


# --- promotion


def result_dtype(function: str, operands: Sequence[Operand], *, wide: bool = False) -> DType:
    """The dtype that operands are brought to.

    Args:
        function: for messages.
        operands: tensors and Python numbers.
        wide: give float64 instead of float32 where all operands are weak (weak results do not lose
            digits).

    Raises:
        DTypeError: no dtype holds both (uint64 with a signed integer).
    """
    with_dims: DType | None = None
    without: DType | None = None
    weak: DType | None = None
    try:
        for each in operands:
            if not isinstance(each, Tensor):
                weak = _join(weak, dtypes.default_dtype(scalar_kind(each)))
            elif each.weak:
                weak = _join(weak, dtypes.default_dtype(each.dtype.kind))
            elif each.type.shape:
                with_dims = _join(with_dims, each.dtype)
            else:
                without = _join(without, each.dtype)
        found = _over(with_dims, _over(without, weak))
    except DTypeError as error:
        raise DTypeError(f"{function}: {error}") from None
    assert found is not None
    if wide and found is dtypes.float32 and with_dims is None and without is None:
        return dtypes.float64
    return found


def _join(first: DType | None, second: DType) -> DType:
    return second if first is None else dtypes.promote_types(first, second)


_ORDER = {"b": 0, "u": 1, "i": 1, "f": 2}


def _over(higher: DType | None, lower: DType | None) -> DType | None:
    """What a sort of operands makes of the dtype of a lesser sort."""
    if higher is None or lower is None:
        return higher or lower
    return lower if _ORDER[lower.kind] > _ORDER[higher.kind] else higher


def is_weak(each: Operand) -> bool:
    """Whether an operand is a number, or a tensor made of numbers alone."""
    return not isinstance(each, Tensor) or each.weak


def to_dtype(x: Tensor, dtype: DType) -> Tensor:
    """``x`` as another dtype."""
    if x.dtype is dtype:
        return x
    if type(x) is Splat and (dtype.kind == "f" or x.dtype.kind == "b"):
        value = splat_scalar(x.value, x.dtype)
        return splat(float(value) if x.dtype.kind == "f" else int(value), x.type.with_dtype(dtype))
    return ops.cast(x, dtype=dtype)


def strong(x: Tensor) -> Tensor:
    """The same value without weakness. The object is shared, so its flag stays."""
    return ops.reshape(x, shape=x.shape) if x.weak else x


# --- broadcasting


def broadcast_shapes(function: str, *shapes: Shape) -> Shape:
    """The shape that shapes broadcast to (NumPy's rule).

    Raises:
        ShapeError: two lengths differ and neither is 1.
    """
    first = shapes[0]
    if all(shape == first if _ints(shape, first) else same(shape, first) for shape in shapes[1:]):
        return first
    ndim = max(map(len, shapes))
    result: list[Any] = []
    for place in range(-ndim, 0):
        length: Any = 1
        for shape in shapes:
            if len(shape) < -place:
                continue
            other = shape[place]
            if is_one(length):
                length = other
            elif not is_one(other) and not _equal(length, other):
                given = " and ".join(map(shown, shapes))
                raise ShapeError(
                    f"{function}: shapes {given} do not broadcast: dimension {place} is {length} "
                    f"and {other}. Lengths must be equal, or one of them 1."
                )
        result.append(length)
    return tuple(result)


def _ints(*shapes: Shape) -> bool:
    return not any(isinstance(length, DimExpr) for shape in shapes for length in shape)


def is_one(length: Any) -> bool:
    """Whether a length is known to be 1."""
    return not isinstance(length, DimExpr) and length == 1


def _equal(a: Any, b: Any) -> bool:
    return same((a,), (b,)) or bool(a == b)


def expand_to(x: Tensor, shape: Shape) -> Tensor:
    """``x`` repeated to a shape that it broadcasts to (which is not checked)."""
    if same(x.type.shape, shape):
        return x
    if isinstance(x, Splat):
        return Splat(x.value, x.type.with_shape(shape))
    new = len(shape) - x.ndim
    kept = [
        at for at, length in enumerate(x.shape) if not is_one(length) or is_one(shape[at + new])
    ]
    if len(kept) == x.ndim and all(is_one(length) for length in shape[:new]):
        return ops.reshape(x, shape=shape)
    if len(kept) != x.ndim:
        x = ops.reshape(x, shape=tuple(x.shape[at] for at in kept))
    return ops.broadcast(x, shape=shape, dims=tuple(at + new for at in kept))


def materialize(each: Operand, dtype: DType, shape: Shape) -> Tensor:
    """An operand as a tensor of this dtype and shape."""
    if not isinstance(each, Tensor):
        return splat(each, TensorType(shape, dtype))
    return expand_to(to_dtype(each, dtype), shape)


def operands_of(function: str, dtype: DType | None, **values: object) -> list[Tensor]:
    """Operands promoted to one dtype (``dtype`` if given) and broadcast to one shape.

    None is weak any more.

    Args:
        function: the name of the function that takes them, for messages.
        dtype: the dtype to bring them to; None: what PyTorch's promotion gives.
        **values: tensors, numbers and NumPy arrays, by the names of the arguments.

    Raises:
        ArgumentError: one is none of these.
        DTypeError, ShapeError: they have no dtype in common, or do not broadcast.
    """
    given = [operand(value, function, argument) for argument, value in values.items()]
    dtype = dtype or result_dtype(function, given)
    shape = broadcast_shapes(
        function, *[each.shape for each in given if isinstance(each, Tensor)] or [()]
    )
    return [materialize(each, dtype, shape) for each in given]


def floating_operands(function: str, **values: object) -> list[Tensor]:
    """Operands promoted to one floating-point dtype (float32 for whole numbers) and one shape."""
    given = {name: operand(value, function, name) for name, value in values.items()}
    dtype = result_dtype(function, list(given.values()))
    return operands_of(function, dtype if dtype.kind == "f" else dtypes.float32, **given)


def binary(function: str, x: object, y: object) -> tuple[Tensor, Tensor, bool]:
    """Two operands, promoted and broadcast, and whether the result is weak."""
    if isinstance(x, Tensor) and isinstance(y, Tensor):  # the commonest cases, without a detour
        if x.type == y.type and not x.weak and not y.weak:
            return x, y, False
    elif type(y) is float or type(x) is float:
        if isinstance(x, Tensor) and not x.weak and x.type.dtype.kind == "f":
            return x, Splat(y, x.type), False  # pyright: ignore[reportArgumentType]  # a float, as tested
        if isinstance(y, Tensor) and not y.weak and y.type.dtype.kind == "f":
            return Splat(x, y.type), y, False  # pyright: ignore[reportArgumentType]  # a float, as tested
    a, b = operand(x, function, "x"), operand(y, function, "y")
    weak = is_weak(a) and is_weak(b) and (isinstance(a, Tensor) or isinstance(b, Tensor))
    dtype = result_dtype(function, (a, b), wide=weak)
    if isinstance(a, Tensor):
        shape = (
            a.shape if not isinstance(b, Tensor) else broadcast_shapes(function, a.shape, b.shape)
        )
    else:
        shape = b.shape if isinstance(b, Tensor) else ()
    return _plain(a, dtype, shape, weak), _plain(b, dtype, shape, weak), weak


def _plain(each: Operand, dtype: DType, shape: Shape, weak: bool) -> Tensor:
    if weak and isinstance(each, Tensor) and each.dtype is dtype:
        return expand_to(each, shape)
    return materialize(each, dtype, shape)


def weakly(result: Tensor, weak: bool) -> Tensor:
    """A fresh result, marked as weak if it is."""
    if weak:
        result.weak = True
    return result


def floating(x: object, function: str, argument: str = "x") -> Tensor:
    """A floating-point tensor; integers and bools become float32."""
    if type(x) is Tensor and x.type.dtype.kind == "f":
        return x
    made = as_tensor(x, function, argument)
    return made if made.dtype.kind == "f" else to_dtype(made, dtypes.float32)


# --- along a dimension


def along(x: Tensor, dim: Any, function: str, argument: str = "dim") -> tuple[Tensor, int, bool]:
    """A tensor with dimensions, which of them is meant, and whether ``x`` had none.

    As in PyTorch a tensor of shape () then stands as one of shape (1,), so its ``dim`` is 0 or -1;
    :func:`back` takes that dimension away again.
    """
    if x.ndim:
        return x, dim_of(dim, x.ndim, function, argument, shape=x.shape), False
    dim_of(dim, 1, function, argument, shape=())
    return ops.reshape(x, shape=(1,)), 0, True


def back(x: Tensor, scalar: bool) -> Tensor:
    """The one element of a tensor that had no dimensions before :func:`along`; else ``x``."""
    return ops.reshape(x, shape=()) if scalar else x


# --- counting


def count_of(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """How many elements are reduced, in ``x``'s dtype and with the reduced shape."""
    lengths = [x.shape[at] for at in dims]
    rest = x.type.with_shape(tuple(length for at, length in enumerate(x.shape) if at not in dims))
    if is_static(lengths):
        return Splat(float(math.prod(lengths)), rest)
    return ops.sum_(splat_like(1.0, x), dim=dims)  # a symbolic number is counted when it is known
