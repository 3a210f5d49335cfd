"""What lowering rules are written with.

A *rule* is a function ``rule(cx, *operands, **params)``: the :class:`Lowering` at hand, one
:class:`Value` for each operand of the instruction, and its parameters. It adds nodes through ``cx``
and returns the result: a ``Value``, or the name of an ONNX value that has the full shape of the
result; for operators with several results a tuple of these. What the result's type must be stands
in ``cx.out`` (``cx.outs``).

A value may be *narrow*: its ONNX shape is only broadcastable to the shape that the program gives it
(a number has shape ``()``). Elementwise nodes broadcast by themselves, so nothing is repeated until
a rule asks for ``cx.full(value)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from slope.extend import (
    CompileError,
    DType,
    Operator,
    Program,
    TensorType,
    dims,
    dtypes,
    splat_scalar,
    trace_program,
)
from slope_backend_onnx.graph import Attribute, Graph, element_type
from slope_backend_onnx.lower.kernels import WIDE, compute_dtype, numpy_dtype
from slope_backend_onnx.lower.lengths import Lengths, is_one, large, same


class Value(NamedTuple):
    """An operand or a result.

    Attributes:
        name: of the ONNX value; empty for a literal that no node has needed yet.
        type: what the program says it is.
        shape: what the ONNX value has: broadcastable to ``type.shape``.
        literal: the number, if it is one that the program writes inline.
    """

    name: str
    type: TensorType
    shape: tuple[int, ...]
    literal: bool | int | float | None = None

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.type.dtype


Result: TypeAlias = "Value | str"
Rule: TypeAlias = Callable[..., "Result | tuple[Result, ...]"]
Inside: TypeAlias = "Callable[[Lowering, Program, Sequence[Value]], list[Value]]"
"""Writes a nested program, given the lowering of its graph and its inputs; gives its results."""


class Lowering:
    """An ONNX graph under construction, and the instruction that is being lowered into it.

    Attributes:
        graph: the graph.
        lengths: the symbolic dimensions of the outermost graph.
        native: whether ONNX Runtime runs it on the processor here, so that operators of its own may
            stand in it, and what is fast there counts; else it is plain ONNX, for any runtime.
        in_order: whether one thread alone runs it there, so that no node races with itself.
        operator: what the instruction calls.
        outs: the types of the instruction's results.
        shared: for each operand, whether something else reads it as well.
        signless: whether nothing that reads the (first) result can tell 0.0 from -0.0.
    """

    def __init__(
        self,
        graph: Graph,
        inside: Inside | None = None,
        *,
        native: bool = False,
        in_order: bool = False,
        lengths: Lengths | None = None,
    ) -> None:
        self.graph = graph
        self.lengths = lengths or Lengths(graph)
        self.native = native
        self.in_order = in_order
        self._inside = inside or _nothing_to_inline
        self.operator: Operator | None = None
        self.outs: tuple[TensorType, ...] = ()
        self.shared: tuple[bool, ...] = ()
        self.signless = False
        self._sources: dict[str, tuple[str, tuple[int, ...]]] = {}  # of reshaped values
        self._full: dict[tuple[str, tuple[int, ...]], str] = {}
        self._casts: dict[tuple[str, str], str] = {}

    def inner(self, name: str) -> Lowering:
        """The lowering of an empty graph inside this one."""
        graph = Graph(name, parent=self.graph)
        return Lowering(
            graph,
            self._inside,
            native=self.native,
            in_order=self.in_order,
            lengths=self.lengths,
        )

    def write(self, program: Program, operands: Sequence[Value]) -> list[Value]:
        """Write a nested program into this graph, on values that it sees; the program's results."""
        outer = self.operator, self.outs, self.shared, self.signless
        results = self._inside(self, program, operands)
        self.operator, self.outs, self.shared, self.signless = outer
        return results

    def new_input(self, tensor_type: TensorType) -> Value:
        """Declare an input of this (inner) graph."""
        name = self.graph.input(self.graph.fresh(), tensor_type.dtype.numpy, tensor_type.shape)
        return Value(name, tensor_type, tensor_type.shape)

    def new_output(self, value: Value) -> None:
        """Make a value an output of this (inner) graph."""
        self.graph.output(self.full(value), value.dtype.numpy, value.type.shape)

    @property
    def out(self) -> TensorType:
        """The type of the (first) result."""
        return self.outs[0]

    # --- nodes

    def expansion(self, *operands: Value, **params: Any) -> Value:
        """The (one) result of the operator's own expansion, which its rules add here.

        For rules that leave some dtypes or parameters to it.
        """
        op = self.operator
        assert op is not None
        program = trace_program(
            lambda *args: (op.expand(*args, **params),), [x.type for x in operands], name=op.name
        )
        (result,) = self.write(program, operands)
        return result

    def op(self, op_type: str, *inputs: str, domain: str = "", **attrs: Attribute | None) -> str:
        """Add a node with one output; the output's name."""
        return self.graph.op(op_type, *inputs, outputs=1, domain=domain, **attrs)

    def ints(self, *values: Any) -> str:
        """An int64 vector, of ints and symbolic lengths."""
        if not dims.is_static(values):
            return self.lengths.vector(values)
        return self.graph.constant(np.asarray(values, np.int64))

    def number(self, value: bool | float, dtype: str) -> str:
        """A number, as a constant of shape ()."""
        return self.graph.constant(np.asarray(value, numpy_dtype(dtype)))

    def cast(self, name: str, source: str, target: str) -> str:
        """ONNX's own Cast between dtypes, given by name; no node where they are equal."""
        if source == target:
            return name
        key = (name, target)
        if key not in self._casts:
            self._casts[key] = self.op("Cast", name, to=element_type(numpy_dtype(target)))
        return self._casts[key]

    def reshape(self, name: str, old: Sequence[int], new: Sequence[int]) -> str:
        """The same elements under another shape; no node where that undoes an earlier reshape."""
        old, new = tuple(old), tuple(new)
        name, old = self._sources.get(name, (name, old))
        if same(old, new):
            return name
        result = self.op("Reshape", name, self.ints(*new), allowzero=1 if 0 in new else None)
        self._sources[result] = (name, old)
        return result

    def transpose(self, name: str, shape: Sequence[int], dims: Sequence[int]) -> str:
        """The dimensions in another order; a reshape, which copies nothing, where that does."""
        if tuple(dims) == tuple(range(len(dims))):
            return name
        moved = [dim for dim in dims if not is_one(shape[dim])]
        if moved == sorted(moved):
            return self.reshape(name, shape, [shape[dim] for dim in dims])
        return self.op("Transpose", name, perm=list(dims))

    # --- values

    def value(
        self,
        name: str,
        tensor_type: TensorType | None = None,
        shape: Sequence[int] | None = None,
    ) -> Value:
        """A value of the result's type (or of another), narrow if a shape is given."""
        tensor_type = tensor_type or self.out
        return Value(name, tensor_type, tensor_type.shape if shape is None else tuple(shape))

    def narrow(self, x: Value, dtype: str | None = None) -> str:
        """The ONNX value as it is, for nodes that broadcast; in another dtype if one is named."""
        target = dtype or x.dtype.name
        if x.literal is not None:
            number = splat_scalar(x.literal, x.dtype)
            return self.graph.constant(np.asarray(number).astype(numpy_dtype(target)))
        return self.cast(x.name, x.dtype.name, target)

    def beside(self, x: Value, shape: Sequence[int], dtype: str | None = None) -> str:
        """The ONNX value for a node of this shape, which broadcasts.

        What is repeated few elements at a time is written out before: ONNX Runtime takes ten times
        as long for it as for the copy and the node together.
        """
        slow = self.native and same(shape, x.type.shape) and _has_short_runs(x.shape, shape)
        return self.full(x, dtype) if slow else self.narrow(x, dtype)

    def full(self, x: Value, dtype: str | None = None) -> str:
        """The ONNX value repeated to its full shape; in another dtype if one is named."""
        target = dtype or x.dtype.name
        name = self.narrow(x, target)
        if same(x.shape, x.type.shape):
            return name
        if same([math.prod(x.shape)], [x.type.size]):  # only ones are missing
            return self.reshape(name, x.shape, x.type.shape)
        # Expand, in ONNX Runtime, gives a length of 1 where 0 was asked for.
        if 0 in x.type.shape:
            return self.graph.constant(np.empty(x.type.shape, numpy_dtype(target)))
        key = (name, x.type.shape)
        if key not in self._full:
            self._full[key] = self._repeat(name, target, x.type.shape)
        return self._full[key]

    def shaped(self, x: Value, shape: Sequence[int], dtype: str | None = None) -> str:
        """The elements of an operand, repeated to its full shape, under another shape."""
        if same([math.prod(x.shape)], [x.type.size]):
            return self.reshape(self.narrow(x, dtype), x.shape, shape)
        return self.reshape(self.full(x, dtype), x.type.shape, shape)

    def without_ones(self, name: str, old: Sequence[int]) -> Result:
        """A result of the shape ``old``, or of the one that the result must have.

        Where these differ by leading ones, which go without saying.
        """
        ones = (1,) * (len(self.out.shape) - len(old))
        if same((*ones, *old), self.out.shape):
            return self.value(name, shape=old)
        return self.reshape(name, old, self.out.shape)

    def _repeat(self, name: str, dtype: str, shape: Sequence[int]) -> str:
        inner = "float32" if dtype == "bfloat16" else dtype  # Expand has no bfloat16 kernel
        wide = self.op("Expand", self.cast(name, dtype, inner), self.ints(*shape))
        return self.cast(wide, inner, dtype)

    def pointwise(
        self,
        op_type: str,
        *xs: Value,
        result: str | None = None,
        detour: dict[str, str] = WIDE,
        **attrs: Attribute | None,
    ) -> Value:
        """An elementwise node over operands of one dtype, through another if it has no kernel.

        Args:
            op_type: the ONNX operator; its kernels are known to
                :mod:`slope_backend_onnx.lower.kernels`.
            xs: the operands.
            result: the dtype of what the node gives, if it is not that of its operands.
            detour: the dtypes to compute in instead.
            attrs: the node's attributes.
        """
        dtype = xs[0].dtype
        inner = compute_dtype(op_type, dtype, detour)
        shape = joint_shape(xs)
        operands = [self.beside(x, shape, inner) for x in xs]
        name = self.op(op_type, *operands, domain="", **attrs)
        target = result or dtype.name
        if result is None:
            name = self.cast(name, inner, target)
        return self.value(name, xs[0].type.with_dtype(dtypes.as_dtype(target)), shape)


def _nothing_to_inline(cx: Lowering, program: Program, operands: Sequence[Value]) -> list[Value]:
    raise CompileError(f"this lowering has no rules to inline {program.name!r} with.")


_SHORT: Final = 8
_MANY: Final = 8192


def _has_short_runs(narrow: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether a few elements at a time are repeated to a large shape."""
    run = 1
    for had, wanted in zip(reversed((*[1] * len(shape), *narrow)), reversed(shape), strict=False):
        if not same([had], [wanted]):
            return 1 < run <= _SHORT and large(math.prod(shape), _MANY)
        if not isinstance(had, int):
            return False
        run *= had
    return False


def joint_shape(xs: Sequence[Value]) -> tuple[int, ...]:
    """The shape that elementwise nodes over narrow values have."""
    shapes: list[Any] = [x.shape for x in xs]
    if all(map(dims.is_static, shapes)):
        return np.broadcast_shapes(*shapes)
    joint: Any = dims.broadcast(*shapes)
    return joint
