"""Element types, and the one table that says how they promote.

Promotion follows PyTorch. Kinds are ordered bool < integer < floating. Between two dtypes of one
kind the wider wins; between kinds the higher kind's dtype wins, whatever its width
(``int64 + float16`` is ``float16``). ``float16`` with ``bfloat16`` gives ``float32``; a signed with
an unsigned integer gives the narrowest signed integer that holds both, and ``uint64`` with a signed
integer is refused, since none does.

Python scalars are weak: they take the tensor's dtype unless their kind is higher, and then they
take the default dtype of their kind (``float32``, ``int64``, ``bool``). Zero-dimensional tensors
yield to tensors with dimensions in the same way.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import ml_dtypes
import numpy as np

from slope.errors import DTypeError

_KIND_ORDER: Final = {"b": 0, "u": 1, "i": 1, "f": 2}


class DType:
    """An element type, such as ``slope.float32``.

    Instances are unique: compare with ``is`` or ``==``.

    Attributes:
        name: for instance ``"float32"``.
        numpy: the NumPy dtype (``bfloat16`` is ``ml_dtypes``').
        kind: ``"b"`` bool, ``"i"`` signed, ``"u"`` unsigned, ``"f"`` floating.
        itemsize: bytes of one element.
    """

    __slots__ = ("itemsize", "kind", "name", "numpy")

    def __init__(self, name: str, numpy_dtype: Any, kind: str) -> None:
        self.name: str = name
        self.numpy: np.dtype[Any] = np.dtype(numpy_dtype)
        self.kind: str = kind
        self.itemsize: int = self.numpy.itemsize

    @property
    def is_floating_point(self) -> bool:
        """Whether this is a floating-point dtype: the only ones that can be differentiated."""
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        """Whether this is a signed or unsigned integer dtype; bool is not."""
        return self.kind in "iu"

    @property
    def bits(self) -> int:
        """Bits of one element as stored."""
        return self.itemsize * 8

    def __repr__(self) -> str:
        return f"slope.{self.name}"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return f"{'bool_' if self.name == 'bool' else self.name}"


bool_: Final = DType("bool", np.bool_, "b")
int8: Final = DType("int8", np.int8, "i")
int16: Final = DType("int16", np.int16, "i")
int32: Final = DType("int32", np.int32, "i")
int64: Final = DType("int64", np.int64, "i")
uint8: Final = DType("uint8", np.uint8, "u")
uint16: Final = DType("uint16", np.uint16, "u")
uint32: Final = DType("uint32", np.uint32, "u")
uint64: Final = DType("uint64", np.uint64, "u")
float16: Final = DType("float16", np.float16, "f")
bfloat16: Final = DType("bfloat16", ml_dtypes.bfloat16, "f")
float32: Final = DType("float32", np.float32, "f")
float64: Final = DType("float64", np.float64, "f")

ALL: Final = (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
    float16, bfloat16, float32, float64,
)  # fmt: skip

_by_name: Final = {dtype.name: dtype for dtype in ALL} | {
    "float": float32,
    "double": float64,
    "half": float16,
    "int": int64,
    "long": int64,
    "bool_": bool_,
}
_by_numpy: Final = {dtype.numpy: dtype for dtype in ALL}
_by_python: Final[dict[type, DType]] = {bool: bool_, int: int64, float: float32}

DTypeLike = DType | str | type | np.dtype[Any]


def as_dtype(dtype: DTypeLike) -> DType:
    """The :class:`DType` that a name, a NumPy dtype, a Python type or a DType stands for.

    Raises:
        DTypeError: slope has no such dtype (complex numbers, strings, objects).
    """
    if isinstance(dtype, DType):
        return dtype
    found: DType | None = None
    if isinstance(dtype, str):
        found = _by_name.get(dtype)
    elif isinstance(dtype, type) and dtype in _by_python:
        found = _by_python[dtype]
    if found is None:
        try:
            found = None if dtype is None else _by_numpy.get(np.dtype(dtype))  # pyright: ignore[reportUnnecessaryComparison]  # not all callers are checked
        except (TypeError, ValueError, KeyError, OverflowError, SyntaxError):
            found = None
    if found is None:
        names = ", ".join(known.name for known in ALL)
        raise DTypeError(f"slope has no dtype {dtype!r:.60}; it has {names}.")
    return found


def _promote(first: DType, second: DType) -> DType | None:
    if first is second:
        return first
    rank_first, rank_second = _KIND_ORDER[first.kind], _KIND_ORDER[second.kind]
    if rank_first != rank_second:
        return first if rank_first > rank_second else second
    if first.kind == second.kind:
        if first.itemsize == second.itemsize:  # float16 and bfloat16
            return float32
        return first if first.itemsize > second.itemsize else second
    signed, unsigned = (first, second) if first.kind == "i" else (second, first)
    if signed.itemsize > unsigned.itemsize:
        return signed
    return {1: int16, 2: int32, 4: int64}.get(unsigned.itemsize)


_table: Final = {(first, second): _promote(first, second) for first in ALL for second in ALL}


def promote_types(first: DTypeLike, second: DTypeLike) -> DType:
    """The dtype that two tensors of these dtypes are brought to before an operation.

    Raises:
        DTypeError: for ``uint64`` with a signed integer, which no integer dtype can hold.
    """
    first, second = as_dtype(first), as_dtype(second)
    promoted = _table[first, second]
    if promoted is None:
        raise DTypeError(
            f"no integer dtype holds both {first} and {second}; cast one of the operands first, "
            f"for instance x.to(slope.int64)."
        )
    return promoted


def default_dtype(kind: str) -> DType:
    """What a Python scalar of ``kind`` becomes when no tensor decides: float32, int64 or bool."""
    return {"b": bool_, "i": int64, "u": int64, "f": float32}[kind]


def accumulator(dtype: DType) -> DType:
    """The dtype that sums of ``dtype`` are formed in: float32 for half precision, else itself."""
    return float32 if dtype.kind == "f" and dtype.itemsize == 2 else dtype


class FloatInfo(NamedTuple):
    """What :func:`finfo` tells of a floating-point dtype, as Python floats.

    Attributes:
        bits: of one element.
        eps: the step from 1 to the next number.
        max: the largest finite number.
        min: the lowest finite number.
        tiny: the smallest positive number of full precision.
        smallest_normal: the same.
        resolution: a power of ten: the digits that are surely kept.
        dtype: the dtype's name.
    """

    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float
    dtype: str


class IntInfo(NamedTuple):
    """What :func:`iinfo` tells of an integer dtype.

    Attributes:
        bits: of one element.
        max: the largest number.
        min: the lowest number.
        dtype: the dtype's name.
    """

    bits: int
    max: int
    min: int
    dtype: str


def finfo(dtype: DTypeLike = float32) -> FloatInfo:
    """Limits and precision of a floating-point dtype.

    Raises:
        DTypeError: another dtype.
    """
    found = as_dtype(dtype)
    if found.kind != "f":
        raise DTypeError(f"finfo: {found} is not floating-point; slope.iinfo tells of integers.")
    known = cast(Any, ml_dtypes.finfo(found.numpy))  # its types are partly unknown
    tiny = float(known.tiny)
    return FloatInfo(
        found.bits,
        float(known.eps),
        float(known.max),
        float(known.min),
        tiny,
        tiny,
        float(known.resolution),
        found.name,
    )


def iinfo(dtype: DTypeLike) -> IntInfo:
    """Limits of an integer dtype.

    Raises:
        DTypeError: another dtype.
    """
    found = as_dtype(dtype)
    if not found.is_integer:
        raise DTypeError(
            f"iinfo: {found} is no integer dtype; slope.finfo tells of floating-point ones."
        )
    known = np.iinfo(found.numpy)
    return IntInfo(found.bits, int(known.max), int(known.min), found.name)


def can_cast(source: DTypeLike, target: DTypeLike) -> bool:
    """Whether a cast keeps the kind: bool to integer to floating, and not back.

    Nor signed to unsigned. As PyTorch's.
    """
    first, second = as_dtype(source), as_dtype(target)
    if first.kind == "i" and second.kind == "u":
        return False
    return _KIND_ORDER[first.kind] <= _KIND_ORDER[second.kind]
