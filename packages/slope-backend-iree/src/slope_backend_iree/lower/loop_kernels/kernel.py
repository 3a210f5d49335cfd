"""Writes a kernel: memory, loops, and what one step of a loop computes.

A kernel is one function of machine code: loops over the elements of arrays, innermost over vectors.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

from slope.extend import DType, TensorType, dtypes
from slope_backend_iree.lower.context import Value

from .arrays import Array, Expression, Index, Memory, Operand, Splat, leaves, moved, within
from .elements import Elements, element_type

# A vector register of the widest processors. LLVM splits vectors that are longer than the host's.
_REGISTER = 64
_REGISTERS = 4  # how many a step of a loop takes: as many sums run beside one another

_LONG_ENOUGH = 32  # elements in a row; more gain little

# IREE refuses kernels with more than 32 KiB on the stack.
_STACK = 16 << 10


class Kernel:
    """One kernel that is being written.

    Attributes:
        body: writes elements, and holds all lines so far.
        inputs: what the caller passes, in order.
        outputs: what the caller gets, in order.
        shared: memory that several outputs and what does not fit the stack lie in, and how many
            elements it has by now; the caller gets it behind the outputs.
        rows: how many rows that share an operand, which is then loaded once, are summed side by
            side. With half as long vectors as elsewhere their sums fit the registers: 32 where
            one holds 16 numbers (``lanes``), 16 elsewhere.
    """

    def __init__(self, lanes: int = 0) -> None:
        self.rows = 8 if lanes == 16 else 4
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
        place = f"affine_map<({names}) -> ({total} + {index.constant})>"
        self.body.lines.append(f"{result} = affine.apply {place}({given})")
        return result

    @contextlib.contextmanager
    def loop(self, length: int | Index, step: int = 1) -> Iterator[Index]:
        """What is written within is repeated, with an index that counts from 0."""
        if isinstance(length, int) and length <= step:
            yield Index()
            return
        name = self.body.name()
        stop = self.number(length) if isinstance(length, int) else self.at(length)
        ends = [self.number(0), stop, self.number(step)]
        self.body.lines.append(f"scf.for {name} = {ends[0]} to {ends[1]} step {ends[2]} {{")
        yield Index(((name, 1),))
        self.body.lines.append("}")

    @contextlib.contextmanager
    def counted(
        self, length: int, step: int, totals: Sequence[Value]
    ) -> Iterator[tuple[Index, list[Value], Callable[[Sequence[Value]], list[Value]]]]:
        """A loop that carries values: its index, what they are in a turn, and ``give``.

        ``give`` takes what they are in the next turn; what it returns are the last ones.
        """
        name, body = self.body.name(), self.body
        inner = [Value(body.name(), each.type) for each in totals]
        last = [Value(f"{name}#{place}", each.type) for place, each in enumerate(totals)]
        types = ", ".join(element_type(each.type) for each in totals)
        index, *ends = body.name(), *(self.number(each) for each in (0, length, step))
        given = ", ".join(f"{a} = {b}" for a, b in zip(inner, totals, strict=True))
        body.lines.append(
            f"{name}:{len(last)} = scf.for {index} = {ends[0]} to {ends[1]} step {ends[2]} "
            f"iter_args({given}) -> ({types}) {{"
        )

        def give(values: Sequence[Value]) -> list[Value]:
            body.lines.append(f"scf.yield {', '.join(each.name for each in values)} : {types}")
            return last

        yield Index(((index, 1),)), inner, give
        body.lines.append("}")

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
        return x if isinstance(x, Array) else self.copy(x)

    def copy(self, x: Operand) -> Array:
        """An operand's elements in memory of their own."""
        made = self.scratch(x.type)
        self.fill(made, x)
        return made

    def fill(self, target: Array, x: Operand) -> None:
        """Write an operand's elements to a place that the operand does not read elsewhere."""
        target, x = _joined(target, x)
        shape = target.type.shape
        dim = vector_dim(
            shape, [target, *leaves(x)], [d for d, s in enumerate(target.strides) if s == 1]
        )
        others = [1 if each == dim else length for each, length in enumerate(shape)]
        with self.loops(others) as index:
            if dim is None:
                self.store(self.evaluate(x, index), target, index)
                return
            for place, lanes in self.chunks(shape[dim], lanes_of(target, x)):
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
        return _EXECUTABLE.format(name=name, bindings=bindings, lines=lines)


_EXECUTABLE = """\
stream.executable private @{name} {{
stream.executable.export public @{name} workgroups() -> (index, index, index) {{
%one = arith.constant 1 : index
stream.return %one, %one, %one : index, index, index
}}
builtin.module {{
func.func @{name}({bindings}) {{
{lines}
return
}}
}}
}}
"""


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


def lanes_of(*operands: Operand) -> int:
    """How many elements a step of a loop takes, by the widest dtype."""
    widest = max(each for x in operands for each in _widths(x))
    return _REGISTERS * _REGISTER // widest


def _widths(x: Operand) -> Iterator[int]:
    yield x.type.dtype.itemsize
    if isinstance(x, Expression):
        for each in x.operands:
            yield from _widths(each)


def vector_dim(shape: Sequence[int], arrays: Sequence[Array], dims: Sequence[int]) -> int | None:
    """The dimension along which to go in vectors.

    The elements of all arrays lie side by side there, or are one and the same.
    """
    fitting = [
        dim
        for dim in dims
        if shape[dim] > 1 and all(each.strides[dim] in (0, 1) for each in arrays)
    ]
    return max(fitting, key=lambda dim: (min(shape[dim], _LONG_ENOUGH), dim), default=None)


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
    lengths = [math.prod(shape[dim] for dim in group) for group in groups]

    def move(array: Array) -> tuple[Index, tuple[int, ...]]:
        return array.offset, tuple(array.strides[group[-1]] for group in groups)

    joined = moved(target, lengths, move)
    assert isinstance(joined, Array)
    return joined, moved(x, lengths, move)
