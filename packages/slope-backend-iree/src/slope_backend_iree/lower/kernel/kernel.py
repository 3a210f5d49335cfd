"""Writes a kernel: memory, loops, and what one step of a loop computes.

A kernel is one function of machine code: loops over the elements of arrays, innermost over vectors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from slope.extend import DType, TensorType, dtypes

from ..context import Value
from .arrays import Array, Expression, Index, Memory, Operand, Splat, leaves, moved, within
from .elements import Elements, element_type

# A vector register of the widest processors. LLVM splits vectors that are longer than the host's.
_REGISTER = 64
_REGISTERS = 4  # how many a step of a loop takes: as many sums run beside one another

# IREE refuses kernels with more than 32 KiB on the stack.
_STACK = 16 << 10


class Combination(NamedTuple):
    """How a reduction combines elements.

    Attributes:
        name: StableHLO's name of the operation.
        start: its neutral element.
    """

    name: str
    start: bool | int | float


class Kernel:
    """One kernel that is being written.

    Attributes:
        body: writes elements, and holds all lines so far.
        inputs: what the caller passes, in order.
        outputs: what the caller gets, in order.
        shared: memory that several outputs and what does not fit the stack lie in, and how many
            elements it has by now; the caller gets it behind the outputs.
    """

    def __init__(self) -> None:
        self.body = Elements()
        self.inputs: list[Memory] = []
        self.outputs: list[Memory] = []
        self.shared: dict[Memory, int] = {}
        self._on_stack = 0
        self._numbers: dict[int, str] = {}

    # --- memory

    def input(self, dtype: DType, length: int) -> Memory:
        """Memory that the caller passes."""
        self.inputs.append(Memory(self.body.name(), dtype, length))
        return self.inputs[-1]

    def output(self, tensor_type: TensorType) -> Array:
        """An array that the caller gets."""
        memory = Memory(self.body.name(), tensor_type.dtype, tensor_type.size)
        self.outputs.append(memory)
        return within(memory, tensor_type.shape)

    def part(self, tensor_type: TensorType) -> Array:
        """An array in memory that others of its dtype share."""
        dtype = tensor_type.dtype
        memory = next((each for each in self.shared if each.dtype is dtype), None)
        memory = memory or Memory(self.body.name(), dtype, None)
        first = self.shared.get(memory, 0)
        self.shared[memory] = first + aligned(tensor_type)
        return within(memory, tensor_type.shape, first)

    def scratch(self, tensor_type: TensorType) -> Array:
        """An array for the kernel's own use: on the stack while there is room."""
        size = aligned(tensor_type) * tensor_type.dtype.itemsize
        if self._on_stack + size > _STACK:
            return self.part(tensor_type)
        self._on_stack += size
        memory = Memory(self.body.name(), tensor_type.dtype, tensor_type.size)
        self.body.header.append(
            f'{memory.name} = "memref.alloca"() <{{alignment = {_REGISTER} : i64, '
            f"operandSegmentSizes = array<i32: 0, 0>}}> : () -> {memory.mlir}"
        )
        return within(memory, tensor_type.shape)

    # --- indices and loops

    def number(self, value: int) -> str:
        """An index constant."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = self.body.name()
            self.body.header.append(f"{found} = arith.constant {value} : index")
        return found

    def at(self, index: Index) -> str:
        """The value of an index."""
        if not index.terms:
            return self.number(index.constant)
        if index.constant == 0 and len(index.terms) == 1 and index.terms[0][1] == 1:
            return index.terms[0][0]
        result = self.body.name()
        names = ", ".join(f"d{i}" for i in range(len(index.terms)))
        total = " + ".join(f"d{i} * {factor}" for i, (_, factor) in enumerate(index.terms))
        given = ", ".join(name for name, _ in index.terms)
        self.body.lines.append(
            f"{result} = affine.apply affine_map<({names}) -> ({total} + {index.constant})>({given})"
        )
        return result

    @contextlib.contextmanager
    def loop(self, length: int, step: int = 1) -> Iterator[Index]:
        """What is written within is repeated, with an index that counts from 0."""
        if length <= step:
            yield Index()
            return
        name = self.body.name()
        ends = [self.number(each) for each in (0, length, step)]
        self.body.lines.append(f"scf.for {name} = {ends[0]} to {ends[1]} step {ends[2]} {{")
        yield Index(((name, 1),))
        self.body.lines.append("}")

    @contextlib.contextmanager
    def loops(self, shape: Sequence[int]) -> Iterator[list[Index]]:
        """A loop over each dimension, the last one innermost."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.loop(length)) for length in shape]

    # --- elements

    def load(
        self, x: Array, index: Sequence[Index], dim: int | None = None, lanes: int = 0
    ) -> Value:
        """One element; with ``lanes``, that many along a dimension, whose stride is 0 or 1."""
        place = self.at(_place(x, index))
        spaced = dim is not None and lanes and x.strides[dim] == 1
        memory, made = x.memory, TensorType((lanes,) if spaced else (), x.memory.dtype)
        held = made.with_dtype(dtypes.int8) if x.memory.dtype.kind == "b" else made
        if spaced:
            value = self.body.emit(
                f"vector.load {memory.name}[{place}] : {memory.mlir}, {element_type(held)}", held
            )
        else:
            value = self.body.emit(f"memref.load {memory.name}[{place}] : {memory.mlir}", held)
        if held is not made:
            value = self.body.compare("NE", value, self.body.like(0, value))
        return self._spread(value, lanes) if lanes and not spaced else value

    def _spread(self, value: Value, lanes: int) -> Value:
        made = value.type.with_shape((lanes,))
        return self.body.emit(
            f"vector.broadcast {value} : {element_type(value.type)} to {element_type(made)}", made
        )

    def store(self, value: Value, x: Array, index: Sequence[Index]) -> None:
        """Write one element, or as many as the value has lanes."""
        if value.dtype.kind == "b":
            value = self.body.convert(value, dtypes.uint8)
        place, memory = self.at(_place(x, index)), x.memory
        kind = "vector" if value.shape else "memref"
        ending = f", {element_type(value.type)}" if value.shape else ""
        self.body.lines.append(
            f"{kind}.store {value}, {memory.name}[{place}] : {memory.mlir}{ending}"
        )

    def evaluate(
        self, x: Operand, index: Sequence[Index], dim: int | None = None, lanes: int = 0
    ) -> Value:
        """One element of an operand, or several along a dimension."""
        if isinstance(x, Array):
            return self.load(x, index, dim, lanes)
        if isinstance(x, Splat):
            return self.body.constant(x.value, x.type.with_shape((lanes,) if lanes else ()))
        operands = [self.evaluate(each, index, dim, lanes) for each in x.operands]
        return x.rule(self.body, *operands, **x.params)

    def scalar(self, x: Operand) -> Value:
        """The element of an operand that has only one."""
        return self.evaluate(x, [Index()] * len(x.type.shape))

    def index(self, value: Value) -> Index:
        """An integer as an index."""
        kind = "index_castui" if value.dtype.kind == "u" else "index_cast"
        made = self.body.name()
        self.body.lines.append(
            f"{made} = arith.{kind} {value} : {element_type(value.type)} to index"
        )
        return Index(((made, 1),))

    # --- whole arrays

    def force(self, x: Operand) -> Array:
        """An operand's elements in memory."""
        if isinstance(x, Array):
            return x
        made = self.scratch(x.type)
        self.fill(made, x)
        return made

    def copy(self, x: Operand) -> Array:
        """An operand's elements in memory of their own."""
        made = self.scratch(x.type)
        self.fill(made, x)
        return made

    def fill(self, target: Array, x: Operand) -> None:
        """Write an operand's elements to a place that the operand does not read elsewhere."""
        target, x = _joined(target, x)
        shape = target.type.shape
        dim = _along(
            shape, [target, *leaves(x)], [d for d, s in enumerate(target.strides) if s == 1]
        )
        others = [1 if each == dim else length for each, length in enumerate(shape)]
        with self.loops(others) as index:
            if dim is None:
                self.store(self.evaluate(x, index), target, index)
                return
            for place, lanes in self.chunks(shape[dim], _lanes(target, x)):
                with place as along:
                    here = [along if each == dim else one for each, one in enumerate(index)]
                    self.store(self.evaluate(x, here, dim, lanes), target, here)

    def chunks(
        self, length: int, most: int
    ) -> Iterator[tuple[contextlib.AbstractContextManager[Index], int]]:
        """Loops that go through a dimension in vectors, and how long these are."""
        if full := length // most:
            yield self.loop(full * most, most), most
        if rest := length % most:
            yield contextlib.nullcontext(Index((), length - rest)), rest

    def reduce(self, x: Operand, dims: Sequence[int], how: Combination) -> Array:
        """An operand's elements combined along dimensions."""
        shape = x.type.shape
        kept = [dim for dim in range(len(shape)) if dim not in dims]
        dim = _along(shape, list(leaves(x)), range(len(shape)))
        order = [each for each in kept if each != dim] + [dim] * (dim in kept)
        made = self.scratch(x.type.with_shape(tuple(shape[each] for each in order)))
        strides = dict(zip(order, made.strides, strict=True))
        full = tuple(strides.get(each, 0) for each in range(len(shape)))
        target = Array(made.memory, x.type, made.offset, full)
        others = [shape[each] if each in kept and each != dim else 1 for each in range(len(shape))]
        with self.loops(others) as index:
            if dim is None or dim in dims:
                value = self._reduced_along(x, dims, how, index, dim)
                self.store(value, target, index)
            else:
                for place, lanes in self.chunks(shape[dim], _lanes(x)):
                    with place as along:
                        here = [along if each == dim else one for each, one in enumerate(index)]
                        value = self._reduced(x, dims, how, here, dim, lanes)
                        self.store(value, target, here)
        own = tuple(shape[each] for each in kept)
        return Array(
            made.memory, x.type.with_shape(own), made.offset, tuple(strides[each] for each in kept)
        )

    def _reduced_along(
        self, x: Operand, dims: Sequence[int], how: Combination, index: list[Index], dim: int | None
    ) -> Value:
        """The elements of ``dims`` combined to one, in vectors along one of them."""
        if dim is None:
            return self._reduced(x, dims, how, index, None, 0)
        others = [each for each in dims if each != dim]
        total: Value | None = None
        length, most = x.type.shape[dim], _lanes(x)
        for first, part in ((0, length // most * most), (length // most * most, length % most)):
            if not part:
                continue
            lanes = min(most, part)
            own = list(index)
            own[dim] = Index((), first)
            value = self._reduced(x, [*others, dim], how, own, dim, lanes, part)
            value = self._across(value, how)
            total = value if total is None else self.combined(how, total, value)
        assert total is not None
        return total

    def _across(self, value: Value, how: Combination) -> Value:
        """The lanes of a vector combined."""
        made = value.type.with_shape(())
        kind = _kind(how.name, value)
        any_order = " fastmath<reassoc>" if value.dtype.is_floating_point else ""
        return self.body.emit(
            f"vector.reduction <{kind}>, {value}{any_order} : {element_type(value.type)} "
            f"into {element_type(made)}",
            made,
        )

    def _reduced(
        self,
        x: Operand,
        dims: Sequence[int],
        how: Combination,
        index: Sequence[Index],
        dim: int | None,
        lanes: int,
        part: int = 0,
    ) -> Value:
        """Elements or vectors combined along dimensions, the last one innermost."""
        first = self.body.constant(how.start, x.type.with_shape((lanes,) if lanes else ()))
        lengths = [(each, x.type.shape[each], 1) for each in dims]
        if part:
            lengths[-1] = dims[-1], part, lanes
        return self._nested_sum(x, lengths, how, list(index), dim, lanes, first)

    def _nested_sum(
        self,
        x: Operand,
        lengths: list[tuple[int, int, int]],
        how: Combination,
        index: list[Index],
        dim: int | None,
        lanes: int,
        total: Value,
    ) -> Value:
        if not lengths:
            return self._added(x, how, index, dim, lanes, total)
        (along, length, step), rest = lengths[0], lengths[1:]
        if length <= step:
            return self._nested_sum(x, rest, how, index, dim, lanes, total)
        names = self.body.name(), self.body.name(), self.body.name()
        ends = [self.number(each) for each in (0, length, step)]
        kind = element_type(total.type)
        self.body.lines.append(
            f"{names[0]} = scf.for {names[1]} = {ends[0]} to {ends[1]} step {ends[2]} "
            f"iter_args({names[2]} = {total}) -> ({kind}) {{"
        )
        inner = list(index)
        inner[along] = index[along].plus(Index(((names[1], 1),)))
        made = self._nested_sum(x, rest, how, inner, dim, lanes, Value(names[2], total.type))
        self.body.lines += [f"scf.yield {made} : {kind}", "}"]
        return Value(names[0], total.type)

    def _added(
        self,
        x: Operand,
        how: Combination,
        index: Sequence[Index],
        dim: int | None,
        lanes: int,
        total: Value,
    ) -> Value:
        if how.name != "add" or not x.type.dtype.is_floating_point:
            return self.combined(how, total, self.evaluate(x, index, dim, lanes))
        if isinstance(x, Expression) and x.name == "mul":  # may be one operation with the addition
            factors = [self.evaluate(each, index, dim, lanes) for each in x.operands]
            value = self.body.write("arith.mulf", *factors, flags="contract")
        else:
            value = self.evaluate(x, index, dim, lanes)
        return self.body.write("arith.addf", total, value, flags="contract")

    def combined(self, how: Combination, x: Value, y: Value) -> Value:
        """Two numbers, or the lanes of two vectors, combined."""
        return self.body.same(how.name, x, y)

    # --- the whole

    def text(self, name: str) -> str:
        """The kernel as an executable that ``flow.dispatch @name::@name`` starts."""
        sizes = {memory: f"{{{self.number(size)}}}" for memory, size in self.shared.items()}
        memories = [*self.inputs, *self.outputs, *self.shared]
        zero = self.number(0)
        bindings = ", ".join(f"%binding{i}: !stream.binding" for i in range(len(memories)))
        spans = [
            f"{memory.name} = stream.binding.subspan %binding{i}[{zero}] "
            f": !stream.binding -> {memory.mlir}{sizes.get(memory, '')}"
            for i, memory in enumerate(memories)
        ]
        lines = "\n".join([*self.body.header, *spans, *self.body.lines])
        return (
            f"stream.executable private @{name} {{\n"
            f"stream.executable.export public @{name} workgroups() -> (index, index, index) {{\n"
            "%one = arith.constant 1 : index\nstream.return %one, %one, %one : index, index, index"
            f"\n}}\nbuiltin.module {{\nfunc.func @{name}({bindings}) {{\n{lines}\nreturn\n}}\n}}\n}}\n"
        )


def aligned(tensor_type: TensorType) -> int:
    """How many elements an array takes beside others, each of which begins at a vector's place."""
    step = max(1, _REGISTER // tensor_type.dtype.itemsize)
    return -(-tensor_type.size // step) * step


def _place(x: Array, index: Sequence[Index]) -> Index:
    place = x.offset
    for one, stride in zip(index, x.strides, strict=True):
        if stride:
            place = place.plus(one, stride)
    return place


def _kind(name: str, value: Value) -> str:
    """What ``vector.reduction`` calls a combination."""
    kind = value.dtype.kind
    if kind == "b":
        return "or" if name in ("or", "add", "maximum") else "and"
    if name in ("maximum", "minimum"):
        return name[:3] + {"f": "imumf", "i": "si", "u": "ui"}[kind]
    return "mul" if name == "multiply" else name


def _lanes(*operands: Operand) -> int:
    """How many elements a loop takes at a time."""
    widest = max(each for x in operands for each in _widths(x))
    return _REGISTERS * _REGISTER // widest


def _widths(x: Operand) -> Iterator[int]:
    yield x.type.dtype.itemsize
    if isinstance(x, Expression):
        for each in x.operands:
            yield from _widths(each)


def _along(shape: Sequence[int], arrays: Sequence[Array], dims: Sequence[int]) -> int | None:
    """The dimension along which to go in vectors.

    The elements of all arrays lie side by side there, or are one and the same.
    """
    fitting = [
        dim
        for dim in dims
        if shape[dim] > 1 and all(each.strides[dim] in (0, 1) for each in arrays)
    ]
    limit = 2 * _REGISTER // 4  # longer ones gain little
    return max(fitting, key=lambda dim: (min(shape[dim], limit), dim), default=None)


def _joined(target: Array, x: Operand) -> tuple[Array, Operand]:
    """Both with neighbouring dimensions made one, where elements are evenly spaced in all."""
    shape = target.type.shape
    arrays = [target, *leaves(x)]
    groups: list[list[int]] = []
    for dim, length in enumerate(shape):
        if length == 1:
            continue
        if groups and all(
            each.strides[groups[-1][-1]] == length * each.strides[dim] for each in arrays
        ):
            groups[-1].append(dim)
        else:
            groups.append([dim])
    lengths = []
    for group in groups:
        total = 1
        for dim in group:
            total *= shape[dim]
        lengths.append(total)

    def move(array: Array) -> tuple[Index, tuple[int, ...]]:
        return array.offset, tuple(array.strides[group[-1]] for group in groups)

    return moved(target, lengths, move), moved(x, lengths, move)
