"""Tensors out of numbers, lists, arrays and nothing.

Outside transforms they are host arrays, made at once. While a function is traced, a tensor of one
repeated number is a literal of the program, and ``arange`` and ``eye`` count with ``iota``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Tensor, aligned_empty, splat_scalar
from slope.core.trace import EVAL, current_trace
from slope.core.types import Shape, TensorType, type_of_array
from slope.devices import Device
from slope.dims import dim_str, is_static
from slope.dtypes import DType, DTypeLike, as_dtype
from slope.errors import ArgumentError, ShapeError, boundary
from slope.functions._arguments import Scalar, scalar_kind, scalar_of, shape_of, whole_of
from slope.functions._base import TensorLike, copied, splat, strong, to_dtype
from slope.functions._base import as_tensor as _as_tensor
from slope.functions._devices import placed
from slope.functions._foreign import foreign_array
from slope.functions.joining import stack
from slope.functions.shapes import expand

__all__ = [
    "arange",
    "as_tensor",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]

_DLPACK = ("__dlpack__", "__dlpack_device__")


# --- from data


@boundary
def tensor(data: Any, dtype: DTypeLike | None = None, device: Device | str | None = None) -> Tensor:
    """A tensor with a copy of the data.

    Args:
        data: a number, a NumPy array, a tensor, a range, or nested lists of these.
        dtype: by default an array's or tensor's own; float32, int64 or bool for Python numbers.
        device: by default the default device.

    Raises:
        ArgumentError: nested lists of unequal lengths, or something that is no number.
        DTypeError: complex numbers, strings, objects.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Tensor):
        made = strong(data)
        return placed(
            made if wanted is None else to_dtype(made, wanted),
            data.device if device is None else device,
        )
    if isinstance(data, (list, tuple)) and _holds_tensors(data):
        made = _stacked(data)
        return made if wanted is None else to_dtype(made, wanted)
    return placed(_from_data(data, wanted), device)


def _from_data(data: Any, wanted: DType | None) -> Tensor:
    if isinstance(data, np.ndarray):
        return copied(data, wanted)
    number = scalar_of(data)
    if number is not None:
        data = number
    elif isinstance(data, range):
        data = list(data)
    elif not isinstance(data, (list, tuple)):
        if all(hasattr(data, name) for name in _DLPACK):
            return copied(foreign_array(data), wanted)
        if hasattr(data, "__array__"):
            return copied(np.asarray(data), wanted)
        raise ArgumentError(
            f"tensor: data is a {type(data).__name__} ({data!r:.60}); give numbers, lists of "
            "them, or arrays."
        )
    try:
        array = np.asarray(data)
        if array.dtype.kind == "f" and wanted is dtypes.uint64:  # of both small and large ints
            array = np.asarray(data, np.uint64)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(
            f"tensor: cannot make an array of {data!r:.80}: {str(error).rstrip('.')}."
        ) from None
    if array.dtype.kind not in "biuf" and array.dtype != dtypes.bfloat16.numpy:
        raise ArgumentError(f"tensor: cannot make an array of numbers of {data!r:.80}.")
    if wanted is None and not _holds_arrays(data):
        wanted = dtypes.default_dtype(array.dtype.kind) if array.size else dtypes.float32
        if array.dtype == np.uint64 and array.size and array.max() >= 2**63:
            raise ArgumentError(
                f"tensor: {data!r:.80} does not fit int64; give dtype=slope.uint64 or a float's."
            )
    return copied(array, wanted)


def _holds_arrays(data: Any) -> bool:
    return isinstance(data, np.ndarray) or (
        isinstance(data, (list, tuple)) and any(map(_holds_arrays, data))
    )


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, Tensor) or (
        isinstance(data, (list, tuple)) and any(map(_holds_tensors, data))
    )


def _stacked(data: Any) -> Tensor:
    if isinstance(data, (list, tuple)):
        return stack([_stacked(item) if isinstance(item, (list, tuple)) else item for item in data])
    return _as_tensor(data, "tensor", "data")


def as_tensor(
    data: Any, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """The tensor itself where it has the dtype and device already, else as :func:`tensor`."""
    if (
        isinstance(data, Tensor)
        and (dtype is None or as_dtype(dtype) is data.dtype)
        and device is None
    ):
        return data
    return tensor(data, dtype, device)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the array's own memory, without a copy.

    Arrays that are not contiguous, or not of native byte order, are copied. Of a subclass (a
    matrix, a masked array) only the elements count.

    The array must not be written to while the tensor is in use; slope never writes to it.

    Raises:
        ArgumentError: it is no NumPy array.
        DTypeError: slope has no such dtype.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(
            f"from_numpy: array is a {type(array).__name__}; slope.tensor(...) takes lists and "
            "numbers."
        )
    if not array.flags.c_contiguous or not array.dtype.isnative:
        return copied(array)
    return Tensor(type_of_array(array), host=np.asarray(array))


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of what speaks DLPack on the CPU (PyTorch, JAX, ...), not copied.

    (But for bfloat16, which NumPy does not take that way: that is copied.)

    Raises:
        ArgumentError: it does not, or is not on the CPU.
    """
    return from_numpy(foreign_array(source))


# --- of one number


@boundary
def full(
    *given: Any,
    size: Sequence[Any] | None = None,
    fill_value: TensorLike | None = None,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """A tensor with one number everywhere: ``full((2, 3), 7)``.

    Args:
        given: the shape as a sequence, then the number; each may be given by its name instead.
        size: the shape.
        fill_value: the number; a tensor of shape () is repeated.
        dtype: by default float32, int64 or bool, as the number is.
        device: by default the default device.
    """
    lengths = given if size is None else (size, *given)
    if fill_value is None:
        if len(lengths) != 2:
            raise ArgumentError(
                f"full: takes a shape and a number, as in full((2, 3), 7), and got {lengths!r:.80}."
            )
        lengths, fill_value = (lengths[0],), lengths[1]
    shape = shape_of(lengths, "full")
    wanted = None if dtype is None else as_dtype(dtype)
    number = scalar_of(fill_value)
    if number is None:
        value = _as_tensor(fill_value, "full", "fill_value")
        return expand(value if wanted is None else to_dtype(value, wanted), shape)
    return filled(number, shape, wanted or dtypes.default_dtype(scalar_kind(number)), device)


def filled(
    number: Scalar, shape: Shape, dtype: DType, device: Device | str | None = None
) -> Tensor:
    """One number everywhere: a literal while tracing, else a host array."""
    if current_trace() is not EVAL:
        return splat(number, TensorType(shape, dtype))
    host = aligned_empty(_static(shape), dtype.numpy)
    host[...] = splat_scalar(splat(number, TensorType((), dtype)).value, dtype)
    return placed(Tensor(TensorType(shape, dtype), host=host), device)


def _static(shape: Shape) -> tuple[int, ...]:
    if not is_static(shape):
        text = ", ".join(map(dim_str, shape))
        raise ShapeError(
            f"a tensor of the symbolic shape ({text}) has no elements outside of a traced "
            "function; give ints."
        )
    return shape


def _float_or(dtype: DTypeLike | None) -> DType:
    """The dtype that was asked for, else float32."""
    return dtypes.float32 if dtype is None else as_dtype(dtype)


@boundary
def zeros(
    *lengths: Any,
    size: Sequence[Any] | None = None,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Zeros of a shape, given as ints, as one sequence or as ``size``; float32 by default."""
    shape = shape_of(lengths if size is None else (size,), "zeros", "size")
    return filled(0, shape, _float_or(dtype), device)


@boundary
def ones(
    *lengths: Any,
    size: Sequence[Any] | None = None,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Ones of a shape, given as ints, as one sequence or as ``size``; float32 by default."""
    shape = shape_of(lengths if size is None else (size,), "ones", "size")
    return filled(1, shape, _float_or(dtype), device)


@boundary
def zeros_like(
    x: TensorLike, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """Zeros of another tensor's shape, and of its dtype and device unless given."""
    return _like("zeros_like", x, 0, dtype, device)


@boundary
def ones_like(
    x: TensorLike, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """Ones of another tensor's shape, and of its dtype and device unless given."""
    return _like("ones_like", x, 1, dtype, device)


@boundary
def full_like(
    x: TensorLike,
    fill_value: Scalar,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """One number everywhere, of another tensor's shape, its dtype and device unless given."""
    number = scalar_of(fill_value)
    if number is None:
        raise ArgumentError(f"full_like: fill_value must be a number, not {fill_value!r:.60}.")
    return _like("full_like", x, number, dtype, device)


def _like(
    function: str,
    x: TensorLike,
    number: Scalar,
    dtype: DTypeLike | None,
    device: Device | str | None,
) -> Tensor:
    given = _as_tensor(x, function, "x")
    wanted = given.dtype if dtype is None else as_dtype(dtype)
    return filled(number, given.shape, wanted, given.device if device is None else device)


# --- counting


@boundary
def arange(
    start: Scalar,
    end: Scalar | None = None,
    step: Scalar = 1,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """``start, start + step, ...`` up to but without ``end``; ``arange(n)`` counts from 0.

    The dtype is int64 if all arguments are ints, else float32. Element ``i`` is ``start + i *
    step``, formed in the dtype; for an integer ``dtype`` all three lose their fractions first.

    Raises:
        ArgumentError: ``step`` is 0, or points away from ``end``.
    """
    if end is None:
        start, end = 0, start
    symbolic = not is_static((start, end))  # pyright: ignore[reportArgumentType]  # lengths may be symbolic
    if not symbolic:
        start, end, step = (
            _number("arange", name, value)
            for name, value in (("start", start), ("end", end), ("step", step))
        )
    numbers = (start, end, step)
    wanted = (
        as_dtype(dtype)
        if dtype is not None
        else dtypes.float32
        if any(isinstance(n, float) for n in numbers)
        else dtypes.int64
    )
    if symbolic:
        return _scaled(ops.iota(shape=(end - start,), dim=0, dtype=wanted), start, 1)
    if not all(math.isfinite(each) for each in (start, end, step)):
        raise ArgumentError(f"arange: start={start}, end={end} and step={step} must be finite.")
    if wanted.is_integer:
        start, end, step = int(start), int(end), int(step)
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange: step={step} does not lead from {start} to {end}.")
    count = math.ceil((end - start) / step)
    shape_of((count,), "arange", "count")
    if current_trace() is not EVAL:
        return _scaled(ops.iota(shape=(count,), dim=0, dtype=wanted), start, step)
    host = aligned_empty((count,), wanted.numpy)
    host[...] = np.arange(count).astype(wanted.numpy) * splat_scalar(step, wanted) + splat_scalar(
        start, wanted
    )
    return placed(Tensor(TensorType((count,), wanted), host=host), device)


def _scaled(x: Tensor, start: Any, step: Any) -> Tensor:
    if step != 1:
        x = ops.mul(x, splat(step, x.type))
    return x if start == 0 else ops.add(x, splat(start, x.type))


def _number(function: str, name: str, value: Any) -> Scalar:
    number = scalar_of(value.item() if isinstance(value, Tensor) else value)
    if number is None:
        raise ArgumentError(f"{function}: {name} must be a number, not {value!r:.60}.")
    return number


@boundary
def linspace(
    start: Scalar,
    end: Scalar,
    steps: int,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both exact.

    For an integer ``dtype`` the ends lose their fractions first, then all numbers between them.

    Raises:
        ArgumentError: ``steps`` is negative.
    """
    steps = whole_of(steps, "linspace", "steps", 0)
    wanted = _float_or(dtype)
    first, last = _number("linspace", "start", start), _number("linspace", "end", end)
    if wanted.is_integer and math.isfinite(first) and math.isfinite(last):
        first, last = int(first), int(last)
    step = (last - first) / (steps - 1) if steps > 1 else 0.0
    places = np.arange(steps)
    # Counted from the nearer end, so that both ends are exact (as PyTorch does).
    values = (
        np.where(places < steps // 2, first + step * places, last - step * (steps - 1 - places))
        if steps > 1
        else np.full(steps, first)
    )
    return placed(copied(values, wanted), device)


@boundary
def logspace(
    start: Scalar,
    end: Scalar,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """``steps`` numbers from ``base ** start`` to ``base ** end``, with evenly spaced exponents.

    For an integer ``dtype`` the ends lose their fractions first, then all powers theirs.

    Raises:
        ArgumentError: ``steps`` is negative.
    """
    steps, wanted = whole_of(steps, "logspace", "steps", 0), _float_or(dtype)
    first, last = (float(_number("logspace", *each)) for each in (("start", start), ("end", end)))
    if wanted.is_integer and math.isfinite(first) and math.isfinite(last):
        first, last = float(int(first)), float(int(last))
    powers = np.float64(_number("logspace", "base", base)) ** np.linspace(first, last, steps)
    return placed(copied(powers, wanted), device)


@boundary
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Ones on the diagonal of an ``n`` by ``m`` matrix, zeros elsewhere.

    ``m`` is ``n`` by default.
    """
    shape = shape_of((n, n if m is None else m), "eye", "n")
    wanted = _float_or(dtype)
    if current_trace() is not EVAL:
        rows, columns = (ops.iota(shape=shape, dim=dim, dtype=dtypes.int64) for dim in (0, 1))
        return ops.cast(ops.eq(rows, columns), dtype=wanted)
    host = aligned_empty(_static(shape), wanted.numpy)
    host[...] = np.eye(*shape)
    return placed(Tensor(TensorType(shape, wanted), host=host), device)
