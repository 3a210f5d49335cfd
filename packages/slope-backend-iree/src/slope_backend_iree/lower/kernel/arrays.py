"""What kernels compute with: arrays in memory, views of them, and expressions not yet evaluated.

Moving elements about (reshape, permute, broadcast, slice, flip) costs nothing: it gives the same
memory another offset and other strides. Elementwise operators make an expression, whose leaves are
arrays, and what moves an expression's elements moves those of its leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from slope.extend import DType, TensorType
from slope_backend_iree.lower.context import Rule


class Index(NamedTuple):
    """A place in memory: a sum of multiples of the kernel's index values, and a number.

    Attributes:
        terms: names of index values, each with its factor.
        constant: the number.
    """

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    def plus(self, other: Index | int, times: int = 1) -> Index:
        """The sum with a multiple of another one."""
        if isinstance(other, int):
            return Index(self.terms, self.constant + other * times)
        factors = dict(self.terms)
        for name, factor in other.terms:
            factors[name] = factors.get(name, 0) + factor * times
        terms = tuple((name, factor) for name, factor in factors.items() if factor)
        return Index(terms, self.constant + other.constant * times)


class Memory(NamedTuple):
    """A row of elements.

    Attributes:
        name: of the memref value.
        dtype: of the elements; bools take a byte each.
        length: how many they are; None where that is not known yet.
    """

    name: str
    dtype: DType
    length: int | None

    @property
    def mlir(self) -> str:
        """Its type in the kernel."""
        return f"memref<{self.length or '?'}x{stored(self.dtype)}>"


class Array(NamedTuple):
    """Elements in memory, at ``offset + sum(index * stride)``."""

    memory: Memory
    type: TensorType
    offset: Index
    strides: tuple[int, ...]


class Splat(NamedTuple):
    """One number in every element."""

    value: bool | int | float
    type: TensorType


class Expression(NamedTuple):
    """An elementwise operator on operands of one shape, not yet evaluated.

    Attributes:
        rule: writes one element, or a vector of them.
        size: how many operators it holds.
    """

    name: str
    rule: Rule
    params: dict[str, Any]
    operands: tuple[Operand, ...]
    type: TensorType
    size: int


Operand = Array | Splat | Expression

_Move = Callable[[Array], tuple[Index, tuple[int, ...]]]


def stored(dtype: DType) -> str:
    """An element's type in memory."""
    if dtype.kind == "b":
        return "i8"
    return f"{'f' if dtype.is_floating_point else 'i'}{dtype.bits}"


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of elements that lie in order without gaps."""
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def within(memory: Memory, shape: Sequence[int], first: int = 0) -> Array:
    """An array that lies in memory from a place on."""
    made = TensorType(tuple(shape), memory.dtype)
    return Array(memory, made, Index((), first), row_major(shape))


def leaves(x: Operand) -> Iterator[Array]:
    """The arrays that an operand reads."""
    if isinstance(x, Array):
        yield x
    elif isinstance(x, Expression):
        for each in x.operands:
            yield from leaves(each)


# --- moving elements


def moved(x: Operand, shape: Sequence[int], move: _Move) -> Operand:
    """An operand under another shape, its arrays at the offsets and strides that ``move`` gives."""
    made = x.type.with_shape(tuple(shape))
    if isinstance(x, Splat):
        return Splat(x.value, made)
    if isinstance(x, Array):
        return Array(x.memory, made, *move(x))
    return x._replace(type=made, operands=tuple(moved(each, shape, move) for each in x.operands))


def reshaped(x: Operand, shape: Sequence[int]) -> Operand | None:
    """The same elements under another shape; None where that needs a copy."""
    found = {each: _reshaped_strides(each, shape) for each in leaves(x)}
    if None in found.values():
        return None
    return moved(x, shape, lambda array: (array.offset, found[array] or ()))


def _reshaped_strides(x: Array, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of the new dimensions, each of which lies within a run of evenly spaced elements."""
    runs = [[length, stride] for length, stride in _runs(x.type.shape, x.strides)]
    strides: list[int] = []
    for length in reversed(shape):
        while runs and runs[-1][0] == 1:
            runs.pop()
        if length == 1:
            strides.append(0)
            continue
        if runs[-1][0] % length:
            return None
        strides.append(runs[-1][1])
        runs[-1][0] //= length
        runs[-1][1] *= length
    return tuple(reversed(strides))


def _runs(shape: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring dimensions joined where their elements are evenly spaced."""
    found: list[tuple[int, int]] = []
    for length, stride in zip(shape, strides, strict=True):
        if length == 1:
            continue
        if found and found[-1][1] == length * stride:
            found[-1] = found[-1][0] * length, stride
        else:
            found.append((length, stride))
    return found


def permuted(x: Operand, dims: Sequence[int]) -> Operand:
    """With the dimensions in another order."""
    shape = [x.type.shape[dim] for dim in dims]
    return moved(x, shape, lambda a: (a.offset, tuple(a.strides[dim] for dim in dims)))


def broadcasted(x: Operand, shape: Sequence[int], dims: Sequence[int]) -> Operand:
    """Repeated along new dimensions; its own stand at ``dims``."""
    own = x.type.shape

    def move(array: Array) -> tuple[Index, tuple[int, ...]]:
        strides = [0] * len(shape)
        for dim, length, stride in zip(dims, own, array.strides, strict=True):
            strides[dim] = stride if length != 1 else 0
        return array.offset, tuple(strides)

    return moved(x, shape, move)


def sliced(
    x: Operand, start: Sequence[Index | int], sizes: Sequence[int], step: Sequence[int]
) -> Operand:
    """Every step-th element from a place on; a negative step goes backwards."""

    def move(array: Array) -> tuple[Index, tuple[int, ...]]:
        offset = array.offset
        for first, stride in zip(start, array.strides, strict=True):
            offset = offset.plus(first, stride)
        return offset, tuple(
            stride * each for stride, each in zip(array.strides, step, strict=True)
        )

    return moved(x, sizes, move)


def row(x: Operand, place: Index) -> Operand:
    """One slice along dimension 0."""
    shape = x.type.shape[1:]
    return moved(x, shape, lambda a: (a.offset.plus(place, a.strides[0]), a.strides[1:]))
