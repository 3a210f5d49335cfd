"""Lengths that are known when a graph runs: symbolic dimensions and what is computed of them.

A graph takes each dimension from the shape of an input. Rules write shapes by
:meth:`~slope_backend_onnx.lower.context.Lowering.ints`, which asks here for what is no number, so
most of them need not know. Equality of lengths is that of their expressions; a decision about speed
takes unknown lengths for large ones; all else that is compared raises ``ShapeError``, and the
program is compiled for known sizes instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from slope.extend import ShapeError, TensorType, dims
from slope_backend_onnx.graph import Graph


def same(first: Iterable[Any], second: Iterable[Any]) -> bool:
    """Whether two shapes are equal for every size."""
    return dims.same(first, second)


def is_one(length: Any) -> bool:
    """Whether a length is known to be 1."""
    return isinstance(length, int) and length == 1


def large(size: Any, least: int) -> bool:
    """Whether a size is at least as large as that, or unknown."""
    return not isinstance(size, int) or size >= least


def may_be_empty(size: Any) -> bool:
    """Whether a size is 0, or can be."""
    try:
        return bool(size == 0)
    except ShapeError:  # its bounds do not tell
        return True


class Lengths:
    """The symbolic dimensions of a graph.

    Args:
        graph: the outermost one.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._places: dict[str, tuple[str, int]] = {}
        self._made: dict[Any, str] = {}

    def declare(self, name: str, tensor_type: TensorType) -> None:
        """Take dimensions from an input that has them."""
        for axis, length in enumerate(tensor_type.shape):
            self._places.setdefault(str(length), (name, axis))

    def vector(self, lengths: Sequence[Any]) -> str:
        """Lengths as an int64 vector."""
        parts = [self._one(length) for length in lengths]
        return parts[0] if len(parts) == 1 else self._graph.op("Concat", *parts, axis=0)

    def _one(self, length: Any) -> str:
        if dims.is_static((length,)):
            return self._graph.constant(np.asarray([length], np.int64))
        (key,) = dims.key((length,))
        if key not in self._made:
            values = {name: self._dimension(name) for name in dims.names((length,))}
            self._made[key] = dims.computed(length, values, _greatest).name
        return self._made[key]

    def _dimension(self, name: str) -> _Length:
        if name not in self._places:
            raise ShapeError(f"the dimension {name} is that of no input of {self._graph.name!r}.")
        source, axis = self._places[name]
        key = ("dimension", name)
        if key not in self._made:
            self._made[key] = self._graph.op("Shape", source, start=axis, end=axis + 1)
        return _Length(self._graph, self._made[key])


class _Length:
    """A length as an int64 vector of one element; its arithmetic adds nodes."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def op(self, operator: str, other: Any) -> _Length:
        if not isinstance(other, _Length):
            other = _Length(self.graph, self.graph.constant(np.asarray([other], np.int64)))
        return _Length(self.graph, self.graph.op(operator, self.name, other.name))

    def __add__(self, other: Any) -> _Length:
        return self.op("Add", other)

    def __mul__(self, other: Any) -> _Length:
        return self.op("Mul", other)

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: Any) -> _Length:
        return self.op("Sub", self.op("Mod", other)).op("Div", other)  # Div alone truncates

    def __rfloordiv__(self, other: Any) -> _Length:
        return _Length(self.graph, self.graph.constant(np.asarray([other], np.int64))) // self


def _greatest(*values: Any) -> _Length:
    first, *others = sorted(values, key=lambda value: not isinstance(value, _Length))
    for other in others:
        first = first.op("Max", other)
    return first
