"""What lowering rules write code with: values, the memory they share, an instruction's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slope.extend import DType, Instr, Program, TensorType
from slope_backend_numpy.runs import short_runs
from slope_backend_numpy.sizes import broadcast_shapes, same

if TYPE_CHECKING:
    from slope_backend_numpy.writer import Function, Writer

Shape = tuple[int, ...]

# Python's operators on NumPy's scalars take a tenth of the time of a call of a ufunc.
_COMPARISONS: Final = {
    "np.equal": "==",
    "np.not_equal": "!=",
    "np.less": "<",
    "np.less_equal": "<=",
    "np.greater": ">",
    "np.greater_equal": ">=",
}
_ARITHMETIC: Final = {"np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/"}


class Buffer:
    """Memory that values share.

    Attributes:
        owned: whether this call of the program made it, so that it may be written to once it is
            dead.
        lasting: whether it outlives the call (a constant), so that it must be copied to be
            returned.
        reads: how many reads of values in it are still to come.
        names: the local names that keep it alive.
        line: the number of the line that makes it by a call that takes ``out=``, if one does.
    """

    __slots__ = ("lasting", "line", "names", "owned", "reads")

    def __init__(self, *, owned: bool, lasting: bool = False) -> None:
        self.owned = owned
        self.lasting = lasting
        self.reads = 0
        self.names: list[str] = []
        self.line: int | None = None


class Value:
    """A tensor in generated code.

    Attributes:
        code: a Python expression for it: a name.
        type: what the tensor is to the program.
        shape: what the array is to NumPy: it broadcasts to ``type.shape``.
        buffer: the memory that it shares; ``None`` for scalars written inline.
        whole: whether its array covers every element of its buffer exactly once.
        number: the scalar, if it is one written inline.
        turned: whether it is large, and its last dimension is not the one along which memory runs.
    """

    __slots__ = ("buffer", "code", "number", "shape", "turned", "type", "whole")

    def __init__(
        self,
        code: str,
        tensor_type: TensorType,
        shape: Shape,
        buffer: Buffer | None = None,
        *,
        whole: bool = True,
        number: Any = None,
    ) -> None:
        self.code = code
        self.type = tensor_type
        self.shape = shape
        self.buffer = buffer
        self.whole = whole
        self.number = number
        self.turned = False

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.type.dtype

    def of_type(self, tensor_type: TensorType, shape: Shape | None = None) -> Value:
        """The same value, as the program or NumPy sees it from here on."""
        shape = self.shape if shape is None else shape
        same = Value(self.code, tensor_type, shape, self.buffer, whole=self.whole)
        same.number, same.turned = self.number, self.turned
        return same

    @property
    def is_full(self) -> bool:
        """Whether the array has the type's shape."""
        return same(self.shape, self.type.shape)


class Context:
    """What a lowering rule writes code with.

    A rule is called as ``rule(context, *operands, **params)`` with one :class:`Value` for each
    operand and gives the result's value (a tuple of them for operators with several results). It
    writes statements with :meth:`ufunc`, :meth:`fresh` and :meth:`view`; their text may use ``np``
    (NumPy), the names that :meth:`constant` gives, and the ``code`` of values. A rule never writes
    to an operand's array itself: :meth:`ufunc` does so where that is safe.

    Example::

        def relu(context, x):
            return context.ufunc("np.maximum", x, context.scalar(0, x.dtype))

    Attributes:
        instr: the instruction that is written.
        types: the types of its results.
    """

    def __init__(self, writer: Writer, instr: Instr, operands: Sequence[Value]) -> None:
        self._writer = writer
        self.instr = instr
        self.types = tuple(var.type for var in instr.outputs)
        self.made: list[Buffer] = []
        # How many operands of this instruction stand in each buffer.
        self._reads: dict[int, int] = {}
        for value in operands:
            if value.buffer is not None:
                self._reads[id(value.buffer)] = self._reads.get(id(value.buffer), 0) + 1

    @property
    def type(self) -> TensorType:
        """The type of the (first) result."""
        return self.types[0]

    # --- operands

    def full(self, value: Value) -> str:
        """An expression for the value as an array of its type's shape.

        The array need not be contiguous, and must not be written to.
        """
        if value.is_full:
            return value.code
        return f"np.broadcast_to({value.code}, {value.type.shape})"

    def array(self, value: Value) -> str:
        """As :meth:`full`, and an array even where NumPy gives scalars (shape ())."""
        return self.full(value) if value.type.shape else f"np.asarray({value.code})"

    def number(self, value: Value) -> str:
        """An expression for a value of shape () that shares no memory: a NumPy scalar.

        The value may be an array, with a view of shape (1,) that is written to.
        """
        return value.code if value.buffer is None else f"{value.code}[()]"

    def broadcast(self, *values: Value) -> Shape:
        """The shape that the arrays of values broadcast to; the result's, or a narrow one."""
        return broadcast_shapes(each.shape for each in values)

    def beside_arrays(self, value: Value) -> str:
        """An expression for an operand of a ufunc of arrays.

        Numbers are arrays of shape (), which ufuncs convert faster than NumPy's scalars.
        """
        return value.code if value.number is None else self._writer.number_array(value)

    def dtype_code(self, dtype: DType) -> str:
        """An expression for a dtype's NumPy scalar type."""
        return scalar_type(dtype)

    def aligned(self, value: Value) -> Value:
        """The value with one array dimension for each of its type's; narrow ones have length 1."""
        missing = value.type.ndim - len(value.shape)
        if not missing:
            return value
        shape = (1,) * missing + value.shape
        code = f"{value.code}.reshape({shape})"
        return Value(code, value.type, shape, value.buffer, whole=value.whole)

    def scalar(self, number: bool | float, dtype: DType) -> Value:
        """A number as an operand; it stands for a tensor of shape ()."""
        return self._writer.literal(number, TensorType((), dtype))

    def constant(self, value: Any, hint: str) -> str:
        """A name for any object made while compiling, such as an index or an array."""
        return self._writer.constant(value, hint)

    def constant_array(self, array: np.ndarray[Any, Any], tensor_type: TensorType) -> Value:
        """An array made while compiling that broadcasts to a type."""
        name = self._writer.constant(array, "k")
        return Value(name, tensor_type, array.shape, Buffer(owned=False, lasting=True))

    # --- results

    def fresh(
        self,
        expression: str,
        tensor_type: TensorType | None = None,
        shape: Shape | None = None,
        *,
        takes_out: bool = False,
    ) -> Value:
        """Bind an expression that makes a new array (a NumPy scalar is good enough for shape ()).

        Args:
            expression: Python code.
            tensor_type: what it is to the program, if not the result.
            shape: the array's, if it is narrow.
            takes_out: whether it is one call that takes an ``out=`` besides.
        """
        tensor_type = tensor_type or self.type
        buffer = Buffer(owned=True)
        name = self._bind(expression, tensor_type, buffer)
        buffer.line = len(self._writer.lines) - 1 if takes_out else None
        self.made.append(buffer)
        return Value(name, tensor_type, tensor_type.shape if shape is None else shape, buffer)

    def fresh_pair(self, expression: str) -> tuple[Value, Value]:
        """Bind an expression that makes two new arrays, the results of the instruction."""
        first, second = (self.fresh("", each) for each in self.types)
        self._writer.lines[-2:] = []
        self._writer.line(f"{first.code}, {second.code} = {expression}", self.type)
        return first, second

    def results(self) -> list[Value]:
        """Names for new arrays, the instruction's results, that :meth:`statement` will bind."""
        found: list[Value] = []
        for each in self.types:
            buffer = Buffer(owned=True)
            name = self._writer.name()
            buffer.names.append(name)
            self.made.append(buffer)
            found.append(Value(name, each, each.shape, buffer))
        return found

    def statement(self, text: str) -> None:
        """Add a statement (or a line of one) that binds what :meth:`results` named."""
        self._writer.lines.append(f"    {text}")

    def name(self) -> str:
        """A new local name."""
        return self._writer.name()

    def function(
        self,
        program: Program,
        donated: frozenset[int] = frozenset(),
        rows: frozenset[int] = frozenset(),
    ) -> Function:
        """A program as a Python function that this one may call.

        Args:
            program: what it is to compute.
            donated: the positions of arguments that it may write to.
            rows: the positions of results that it does not return, but writes to arrays, which
                it takes behind its other arguments.
        """
        return self._writer.function(program, donated, rows)

    def lent(
        self, program: Program, donated: frozenset[int], rows: frozenset[int]
    ) -> frozenset[int]:
        """The results that would stand in arrays given for ``rows``, if this were its function."""
        made = self._writer.draft(program, donated, rows)
        return frozenset(at for at, owner in enumerate(made.owners) if owner in made.lent)

    def own(self, value: Value) -> str:
        """An expression for the value as an array that nothing else refers to after this."""
        buffer = value.buffer
        if not value.type.shape:
            return self.number(value)
        code = self.array(value)
        if buffer is not None and value.is_full and buffer.owned and buffer.reads == 1:
            return code
        return f"{code}.copy()"

    def view(
        self,
        value: Value,
        expression: str,
        *,
        whole: bool,
        tensor_type: TensorType | None = None,
        shape: Shape | None = None,
    ) -> Value:
        """Bind an expression that shares (or may share) the memory of ``value``.

        ``whole`` says whether it covers all elements of ``value`` exactly once.
        """
        tensor_type = tensor_type or self.type
        if value.buffer is None:
            return self.fresh(expression, tensor_type, shape)
        name = self._bind(expression, tensor_type, value.buffer)
        shape = tensor_type.shape if shape is None else shape
        return Value(name, tensor_type, shape, value.buffer, whole=whole and value.whole)

    def same(self, value: Value, *, shape: Shape | None = None) -> Value:
        """The value itself as the result, without any code."""
        shape = value.shape if shape is None else shape
        return value.of_type(self.type, shape)

    def ufunc(
        self, function: str, *operands: Value, dtype: DType | None = None, last: bool = True
    ) -> Value:
        """Call a function that broadcasts, works element by element and takes ``out=``.

        The result is written over an operand's array where that is dead and fits.

        Args:
            function: its expression, such as ``"np.add"``.
            *operands: its arguments.
            dtype: the result's dtype, if it is not the first operand's.
            last: whether the rule reads these operands here for the last time; if not, they are not
                written over.
        """
        dtype = dtype or operands[0].dtype
        shape = self.broadcast(*operands)
        tensor_type = self.type.with_dtype(dtype)
        if not shape and (text := self._on_numbers(function, operands)):
            return self.fresh(text, tensor_type, shape)
        aligned = [self._in_long_runs(each, shape) for each in self.in_one_order(operands, shape)]
        arguments = ", ".join([self.beside_arrays(each) for each in aligned])
        target = (
            next((each for each in aligned if self.reusable(each, dtype, shape)), None)
            if last
            else None
        )
        if target is None:
            made = self.fresh(f"{function}({arguments})", tensor_type, shape, takes_out=True)
        else:
            self._writer.line(f"{function}({arguments}, out={target.code})", tensor_type)
            made = Value(target.code, tensor_type, shape, target.buffer)
        made.turned = any(each.turned for each in aligned if same(each.shape, shape))
        return made

    def in_one_order(self, operands: Sequence[Value], shape: Shape) -> Sequence[Value]:
        """The operands of an elementwise operation, copied where others run otherwise in memory.

        A pass over arrays of two orders takes as long as such a copy, for each of the operations;
        and its result would have the order of either.
        """
        full = [each for each in operands if same(each.shape, shape)]
        if not any(each.turned for each in full) or all(each.turned for each in full):
            return operands
        # A copy even where it is in order after all: what is written next may write over it.
        return [
            self.fresh(f"{each.code}.copy()", each.type, shape) if each.turned else each
            for each in operands
        ]

    def _in_long_runs(self, value: Value, shape: Shape) -> Value:
        """An operand written out where NumPy would read it a few elements at a time.

        NumPy's inner loop ends where an operand begins again. The copy, and one loop over all of
        it, take less; and the result may be written over the copy.
        """
        dims = None if value.number is not None else short_runs(value.shape, shape)
        if dims is None:
            return value
        count, behind = dims
        end = len(shape) - behind
        missing = max(0, end - count - (len(shape) - len(value.shape)))
        made = (*value.shape[:missing], *shape[end - count :])
        code = f"kernels.repeated({value.code}, {shape[end - count : end]}, {behind})"
        return self.fresh(code, value.type, made)

    def _on_numbers(self, function: str, operands: Sequence[Value]) -> str | None:
        """A ufunc of single numbers as an operator of Python's, if there is one that agrees.

        Where integers overflow, NumPy's scalars warn, unlike its arrays: nested functions are
        called where all warnings are silenced.
        """
        first = operands[0]
        kinds = "fiu" if self._writer.nested else "f"
        wide = first.dtype.kind in kinds and first.dtype.name not in ("bfloat16", "float16")
        sign = _ARITHMETIC.get(function) if wide else None
        sign = sign or (_COMPARISONS.get(function) if first.dtype.name != "bfloat16" else None)
        return f"{first.code} {sign} {operands[1].code}" if sign else None

    def reusable(self, value: Value, dtype: DType, shape: Shape) -> bool:
        """Whether a value's array may take a result, now that the rule reads it no more."""
        buffer = value.buffer
        return (
            buffer is not None
            and shape != ()
            and same(value.shape, shape)
            and value.dtype is dtype
            and buffer.owned
            and value.whole
            and value.code.isidentifier()
            and buffer.reads == self._reads.get(id(buffer), 0)
        )

    def cast(self, value: Value, dtype: DType) -> Value:
        """The value in another floating-point dtype (to form sums of half precision in float32)."""
        if value.dtype is dtype:
            return value
        return self.fresh(
            f"{value.code}.astype({scalar_type(dtype)})", value.type.with_dtype(dtype), value.shape
        )

    def write(self, value: Value, statement: str) -> Value:
        """Write a statement that changes the array of a :meth:`reusable` value; the result.

        Args:
            value: what the statement writes to; its array becomes the instruction's result.
            statement: Python code.
        """
        self._writer.line(statement, self.type)
        return Value(value.code, self.type, value.shape, value.buffer)

    def _bind(self, expression: str, tensor_type: TensorType, buffer: Buffer) -> str:
        name = self._writer.name()
        buffer.names.append(name)
        self._writer.line(f"{name} = {expression}", tensor_type)
        return name


def scalar_type(dtype: DType) -> str:
    """An expression for a dtype's NumPy scalar type."""
    return "bfloat16" if dtype.name == "bfloat16" else f"np.{dtype.numpy.type.__name__}"
