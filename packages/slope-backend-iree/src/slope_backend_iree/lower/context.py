"""What lowering rules write with: values, types and numbers of StableHLO, and the text that grows.

A rule is a function ``rule(ctx, *operands, **params)``: operands are :class:`Value`, parameters
those of the operator, complete. It returns the :class:`Value` of the operator's result (a tuple of
them for operators with several), which it gets from :meth:`Context.emit` and its relatives::

    def sine(ctx: Context, x: Value) -> Value:
        return ctx.same("sine", x)

StableHLO is described at https://openxla.org/stablehlo/spec. Operators that another package brings
get their rules through the hook ``slope_lowerings(backend)``: ``{operator name: rule}``. Results
without elements are written as empty constants; rules never see them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from slope.extend import DType, Program, ShapeError, TensorType, dtypes, splat_scalar

from .own_kernels import LoopKernels

Rule = Callable[..., Any]
Nested = Callable[["Context", Program, "Sequence[Value]"], "list[Value]"]
"""Writes a nested program into a context, on these values; gives its results."""

_ELEMENTS = {"b": "i1", "i": "i", "u": "ui", "f": "f"}


class Value(NamedTuple):
    """A value of the program that is being written; formats as its name.

    Attributes:
        name: for instance ``%3``.
        type: shape and dtype.
        literal: the number that stands in every element, where that is known.
    """

    name: str
    type: TensorType
    literal: bool | int | float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def mlir(self) -> str:
        """The type as MLIR writes it."""
        return mlir_type(self.type)

    def __format__(self, spec: str) -> str:
        return self.name


class Context:
    """The body of one function, line by line.

    Attributes:
        lines: what was written so far.
        convolves: whether the program holds convolutions, from which transposes are kept apart.
        given: names of inputs whose memory the function may write to; empty within regions.
        lanes: how many float32 numbers a vector register holds; 0 where rules choose no tiles.
        loop_kernels: what stands beside the function; None where there can be no kernels.
        steady: names of values that are the same in all turns of the loop that this is the body of.
        portable: whether all that is written is StableHLO, for any compiler.
    """

    def __init__(
        self,
        nested: Nested,
        outer: Context | None = None,
        *,
        convolves: bool = False,
        given: frozenset[str] = frozenset(),
        lanes: int = 0,
        loop_kernels: LoopKernels | None = None,
        portable: bool = False,
    ) -> None:
        self.loop_kernels = loop_kernels
        self.portable = portable
        self.lines: list[str] = []
        self.convolves = convolves
        self.given = given
        self.lanes = lanes
        self._nested = nested
        # Regions see the values around them; names are unique in the whole function.
        self._numbers: Iterator[int] = count() if outer is None else outer._numbers
        self._constants: dict[Any, Value] = {} if outer is None else dict(outer._constants)
        self.steady: frozenset[str] = frozenset() if outer is None else outer.steady

    def name(self) -> str:
        """A new name for a value."""
        return f"%{next(self._numbers)}"

    def inner(self) -> Context:
        """An empty body within this one, whose values it may use."""
        return Context(
            self._nested,
            self,
            convolves=self.convolves,
            lanes=self.lanes,
            loop_kernels=self.loop_kernels,
            portable=self.portable,
        )

    def region(
        self, write: Callable[[Context, list[Value]], Sequence[Value]], types: Sequence[TensorType]
    ) -> str:
        """A region ``({ ^bb0(...): ... })`` for an operation, which may use the values so far.

        Args:
            write: writes its body into the context it gets, given the region's arguments; what it
                returns is what the region gives.
            types: of the arguments.
        """
        inner = self.inner()
        arguments = [Value(inner.name(), each) for each in types]
        results = write(inner, arguments)
        head = ", ".join(f"{each}: {each.mlir}" for each in arguments)
        given = ", ".join(each.name for each in results)
        listed_types = ", ".join(each.mlir for each in results)
        ending = f"stablehlo.return {given} : {listed_types}" if results else "stablehlo.return"
        lines = "\n".join(f"  {line}" for line in [*inner.lines, ending])
        return f"{{\n^bb0({head}):\n{lines}\n}}" if types else f"{{\n{lines}\n}}"

    def fused(
        self, write: Callable[[Context], Sequence[Value]], results: Sequence[TensorType]
    ) -> list[Value]:
        """A region that becomes one loop, whatever IREE would make of it.

        Args:
            write: writes its body into the context it gets; what it returns is what the region
                gives.
            results: the types of that.
        """
        inner = self.inner()
        made = write(inner)
        name, types = self.name(), ", ".join(map(mlir_type, results))
        several = f":{len(results)}" if len(results) > 1 else ""
        ending = f"flow.return {', '.join(each.name for each in made)} : {types}"
        self.lines.append(f"{name}{several} = flow.dispatch.region -> ({types}) {{")
        self.lines += [f"  {line}" for line in [*inner.lines, ending]]
        self.lines.append("}")
        if len(results) == 1:
            return [Value(name, results[0])]
        return [Value(f"{name}#{place}", each) for place, each in enumerate(results)]

    def program(self, program: Program, operands: Sequence[Value]) -> list[Value]:
        """Write a nested program here, on these values; its results."""
        return self._nested(self, program, operands)

    def several(
        self, text: str, operands: Sequence[Value], results: Sequence[TensorType]
    ) -> tuple[Value, ...]:
        """Write an operation in its generic form, without its types; the values that it defines."""
        name = self.name()
        count_ = f":{len(results)}" if len(results) != 1 else ""
        types = ", ".join(map(mlir_type, results))
        given = ", ".join(each.mlir for each in operands)
        self.lines += f"{name}{count_} = {text} : ({given}) -> ({types})".split("\n")
        if len(results) == 1:
            return (Value(name, results[0]),)
        return tuple(Value(f"{name}#{place}", each) for place, each in enumerate(results))

    def emit(self, text: str, result: TensorType) -> Value:
        """Write one operation, ``%n = text``; the value that it defines."""
        value = Value(self.name(), result)
        self.lines.append(f"{value} = {text}")
        return value

    def origin(self, x: Value) -> str:
        """The StableHLO operation that a value comes from, such as ``"add"``.

        It is empty for the program's inputs.
        """
        if x.name.startswith("%arg"):
            return ""
        start = f"{x} = "
        line = next((each for each in reversed(self.lines) if each.startswith(start)), "")
        found = re.search(r"stablehlo\.(\w+)", line)
        return found.group(1) if found else ""

    def same(self, name: str, *xs: Value) -> Value:
        """A StableHLO operation whose operands and result have one type."""
        return self.emit(
            f"stablehlo.{name} {', '.join(x.name for x in xs)} : {xs[0].mlir}", xs[0].type
        )

    def op(self, name: str, xs: Sequence[Value], result: TensorType, attributes: str = "") -> Value:
        """A StableHLO operation in its form ``name operands, attributes : (types) -> type``."""
        operands = ", ".join([x.name for x in xs] + ([attributes] if attributes else []))
        types = ", ".join(x.mlir for x in xs)
        return self.emit(f"stablehlo.{name} {operands} : ({types}) -> {mlir_type(result)}", result)

    def constant(self, value: bool | float, tensor_type: TensorType) -> Value:
        """A tensor of one repeated number. Costs nothing: IREE never stores it."""
        text = number(value, tensor_type.dtype)
        key = text, tensor_type
        found = self._constants.get(key)
        if found is None:
            if tensor_type.size == 0:
                text = ""
            name = f"%c{next(self._numbers)}"
            self.lines.append(
                f"{name} = stablehlo.constant dense<{text}> : {mlir_type(tensor_type)}"
            )
            found = self._constants[key] = Value(name, tensor_type, value)
        return found

    def scalar(self, value: bool | float, dtype: DType) -> Value:
        """A constant of shape ``()``."""
        return self.constant(value, TensorType((), dtype))

    def like(self, value: bool | float, x: Value) -> Value:
        """A constant of another value's type."""
        return self.constant(value, x.type)

    # --- what many rules need

    def convert(self, x: Value, dtype: DType) -> Value:
        """As another dtype. Floats beyond an integer's range: undefined, so ``cast`` guards."""
        return x if x.dtype is dtype else self.op("convert", [x], x.type.with_dtype(dtype))

    def bitcast(self, x: Value, dtype: DType) -> Value:
        """The same bits as another dtype of the same width."""
        return x if x.dtype is dtype else self.op("bitcast_convert", [x], x.type.with_dtype(dtype))

    def compare(self, direction: str, x: Value, y: Value) -> Value:
        """``x EQ|NE|LT|LE|GT|GE y``."""
        kind = {"b": "UNSIGNED", "u": "UNSIGNED", "i": "SIGNED", "f": "FLOAT"}[x.dtype.kind]
        return self.op(f"compare {direction},", [x, y], x.type.with_dtype(dtypes.bool_), kind)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """``x`` where the condition holds, else ``y``."""
        return self.emit(
            f"stablehlo.select {condition}, {x}, {y} : {condition.mlir}, {x.mlir}", x.type
        )

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same elements under another shape."""
        return (
            x
            if tuple(shape) == x.shape
            else self.op("reshape", [x], x.type.with_shape(tuple(shape)))
        )

    def broadcast(self, x: Value, shape: Sequence[int], dims: Sequence[int]) -> Value:
        """``x`` repeated along new dimensions; its own stand at ``dims``."""
        return self.op(
            "broadcast_in_dim", [x], x.type.with_shape(tuple(shape)), f"dims = {listed(dims)}"
        )

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """``x`` with its dimensions in another order."""
        if list(order) == list(range(len(order))):
            return x
        result = x.type.with_shape(tuple(x.shape[dim] for dim in order))
        return self.op("transpose", [x], result, f"dims = {listed(order)}")

    def slice(
        self,
        x: Value,
        start: Sequence[int],
        stop: Sequence[int],
        step: Sequence[int] | None = None,
    ) -> Value:
        """The elements from ``start`` to before ``stop``, each ``step``-th."""
        spans = list(zip(start, stop, step or [1] * len(start), strict=True))
        shape = tuple(-(-(last - first) // stride) for first, last, stride in spans)
        if shape == x.shape:
            return x
        result = x.type.with_shape(shape)
        places = ", ".join(f"{first}:{last}:{stride}" for first, last, stride in spans)
        return self.emit(
            f"stablehlo.slice {x} [{places}] : ({x.mlir}) -> {mlir_type(result)}", result
        )

    def pad(
        self,
        x: Value,
        low: Sequence[int],
        high: Sequence[int],
        interior: Sequence[int] | None = None,
        value: bool | float = 0,
    ) -> Value:
        """``x`` with a number before, behind and between its elements, so many times."""
        gaps = interior or [0] * len(low)
        if not any((*low, *high, *gaps)):
            return x
        inner = [max(length - 1, 0) * gap for length, gap in zip(x.shape, gaps, strict=True)]
        shape = tuple(map(sum, zip(low, x.shape, inner, high, strict=True)))
        result = x.type.with_shape(shape)
        if x.type.size == 0:
            return self.constant(value, result)
        attributes = f"low = {listed(low)}, high = {listed(high)}, interior = {listed(gaps)}"
        return self.op("pad", [x, self.scalar(value, x.dtype)], result, attributes)

    def concatenate(self, parts: Sequence[Value], dim: int) -> Value:
        """Values behind one another along a dimension."""
        if len(parts) == 1:
            return parts[0]
        shape = list(parts[0].shape)
        shape[dim] = sum(part.shape[dim] for part in parts)
        result = parts[0].type.with_shape(tuple(shape))
        return self.op("concatenate", parts, result, f"dim = {dim}")

    def iota(self, result: TensorType, dim: int) -> Value:
        """Places along a dimension, from 0."""
        return self.emit(f"stablehlo.iota dim = {dim} : {mlir_type(result)}", result)

    def reduce(self, combine: str, x: Value, start: bool | float, dims: Sequence[int]) -> Value:
        """``x`` reduced over dimensions with a StableHLO operation, from a neutral number."""
        result = x.type.with_shape(
            tuple(length for dim, length in enumerate(x.shape) if dim not in dims)
        )
        if not dims:
            return x
        if x.type.size == 0:
            return self.constant(start, result)
        first = self.scalar(start, x.dtype)
        return self.emit(
            f"stablehlo.reduce({x} init: {first}) applies stablehlo.{combine} "
            f"across dimensions = {listed(dims)} : ({x.mlir}, {first.mlir}) -> {mlir_type(result)}",
            result,
        )

    def barrier(self, x: Value) -> Value:
        """``x``, computed in no loop together with what follows, since that runs faster on IREE.

        StableHLO's own barrier would also have the calling thread wait for all that comes before,
        and IREE 3.13 then loses the scratch memory of calls on its thread pool.
        """
        if self.portable:
            return x
        if x.dtype.kind == "u":  # IREE's has no unsigned integers
            return self.same("optimization_barrier", x)
        return self.emit(
            f"iree_tensor_ext.compute_barrier.start {x} : {x.mlir} -> {x.mlir}", x.type
        )

    def apart(self, x: Value) -> Value:
        """The same where IREE would refuse the program or compute something else without."""
        return self.same("optimization_barrier", x) if self.portable else self.barrier(x)


# --- text


def mlir_type(tensor_type: TensorType) -> str:
    """A type as MLIR writes it, ``tensor<2x3xf32>``.

    Raises:
        ShapeError: a dimension is symbolic.
    """
    for length in tensor_type.shape:
        if not isinstance(length, int):
            raise ShapeError(
                f"the iree backend compiles for fixed shapes, and got {tensor_type}; call the "
                f"function with tensors, whose shapes are known, or substitute {length}."
            )
    lengths = "".join(f"{length}x" for length in tensor_type.shape)
    return f"tensor<{lengths}{mlir_element(tensor_type.dtype)}>"


def mlir_element(dtype: DType) -> str:
    """A dtype as StableHLO writes it: ``i1``, ``ui8``, ``bf16``..."""
    if dtype.kind == "b":
        return "i1"
    if dtype.name == "bfloat16":
        return "bf16"
    return f"{_ELEMENTS[dtype.kind]}{dtype.bits}"


def number(value: bool | float, dtype: DType) -> str:
    """A Python number, cast to a dtype, as MLIR reads it back exactly."""
    scalar = splat_scalar(value, dtype)
    if dtype.kind == "b":
        return "true" if scalar else "false"
    if dtype.is_integer:
        return str(int(scalar))
    wide = float(scalar)
    if not math.isfinite(wide):
        return f"0x{int(np.asarray(scalar).view(f'u{dtype.itemsize}')):0{2 * dtype.itemsize}X}"
    short = str(scalar)
    text = short if float(short) == wide else repr(wide)
    mantissa, letter, exponent = text.partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{letter}{exponent}"


def listed(numbers: Sequence[int]) -> str:
    """``[0, 1]``."""
    return f"[{', '.join(map(str, numbers))}]"


def is_half(dtype: DType) -> bool:
    """Whether a dtype is float16 or bfloat16."""
    return dtype.kind == "f" and dtype.itemsize == 2
