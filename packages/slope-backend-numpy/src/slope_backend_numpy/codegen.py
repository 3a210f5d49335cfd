"""From a program to the source of one Python function that calls NumPy.

Memory. Each fresh array is a :class:`Buffer`; views of it (reshape, slice, permute, broadcast) are values that share the
buffer. A buffer counts the reads that are still to come of all values in it, so it is known, while an instruction is
written down, whether an operand's memory is dead after it. Dead memory takes the result of an elementwise instruction
(``out=``) or is freed (``del``). Memory of inputs and constants is never written; that of outputs has one read more than
it will get, so it never dies.

Broadcasting. A value may be *narrow*: an array that NumPy's rules would broadcast to the value's type, such as
``float32[10]`` for ``float32[200, 10]``. Elementwise code uses it as it is, all other code asks for :meth:`Context.full`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from slope.extend import Atom, DType, Instr, Literal, Program, ShapeError, TensorType, UnsupportedOperatorError, Var, splat_scalar

Shape = tuple[int, ...]


class Buffer:
    """Memory that values share.

    Attributes:
        owned: whether this call of the program made it, so that it may be written to once it is dead.
        lasting: whether it outlives the call (a constant), so that it must be copied to be returned.
        reads: how many reads of values in it are still to come.
        names: the local names that keep it alive.
    """

    __slots__ = ("lasting", "names", "owned", "reads")

    def __init__(self, *, owned: bool, lasting: bool = False) -> None:
        self.owned = owned
        self.lasting = lasting
        self.reads = 0
        self.names: list[str] = []


class Value:
    """A tensor in generated code.

    Attributes:
        code: a Python expression for it: a name.
        type: what the tensor is to the program.
        shape: what the array is to NumPy: it broadcasts to ``type.shape``.
        buffer: the memory that it shares; ``None`` for scalars written inline.
        whole: whether its array covers every element of its buffer exactly once.
        number: the scalar, if it is one written inline.
    """

    __slots__ = ("buffer", "code", "number", "shape", "type", "whole")

    def __init__(
        self, code: str, tensor_type: TensorType, shape: Shape, buffer: Buffer | None = None, *, whole: bool = True, number: Any = None
    ) -> None:
        self.code = code
        self.type = tensor_type
        self.shape = shape
        self.buffer = buffer
        self.whole = whole
        self.number = number

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.type.dtype

    @property
    def is_full(self) -> bool:
        """Whether the array has the type's shape."""
        return self.shape == self.type.shape


class Context:
    """What a lowering rule writes code with.

    A rule is called as ``rule(context, *operands, **params)`` with one :class:`Value` for each operand and gives the
    result's value (a tuple of them for operators with several results). It writes statements with :meth:`ufunc`,
    :meth:`fresh` and :meth:`view`; their text may use ``np`` (NumPy), the names that :meth:`constant` gives, and the
    ``code`` of values. A rule never writes to an operand's array itself: :meth:`ufunc` does so where that is safe.

    Example::

        def relu(context, x):
            return context.ufunc("np.maximum", x, context.scalar(0, x.dtype))

    Attributes:
        types: the types of the instruction's results.
    """

    def __init__(self, function: _Function, instr: Instr, operands: Sequence[Value]) -> None:
        self._function = function
        self.types = tuple(var.type for var in instr.outputs)
        self.made: list[Buffer] = []
        self._reads: dict[int, int] = {}  # how many operands of this instruction stand in each buffer
        for value in operands:
            if value.buffer is not None:
                self._reads[id(value.buffer)] = self._reads.get(id(value.buffer), 0) + 1

    @property
    def type(self) -> TensorType:
        """The type of the (first) result."""
        return self.types[0]

    # --- operands

    def full(self, value: Value) -> str:
        """An expression for the value as an array of its type's shape (not necessarily contiguous, not to be written to)."""
        if value.is_full:
            return value.code
        return f"np.broadcast_to({value.code}, {value.type.shape})"

    def array(self, value: Value) -> str:
        """As :meth:`full`, and an array even where NumPy gives scalars (shape ())."""
        return self.full(value) if value.type.shape else f"np.asarray({value.code})"

    def broadcast(self, *values: Value) -> Shape:
        """The shape that the arrays of values broadcast to; the result's, or a narrow one."""
        return np.broadcast_shapes(*[each.shape for each in values])

    def dtype_code(self, dtype: DType) -> str:
        """An expression for a dtype's NumPy scalar type."""
        return _scalar_type(dtype)

    def aligned(self, value: Value) -> Value:
        """The value with one dimension in its array for each in its type; narrow ones stay of length 1."""
        missing = value.type.ndim - len(value.shape)
        if not missing:
            return value
        shape = (1,) * missing + value.shape
        code = f"np.reshape({value.code}, {shape})"
        return Value(code, value.type, shape, value.buffer, whole=value.whole)

    def scalar(self, number: bool | int | float, dtype: DType) -> Value:
        """A number as an operand; it stands for a tensor of shape ()."""
        return self._function.literal(number, TensorType((), dtype))

    def constant(self, value: Any, hint: str) -> str:
        """A name for any object, made while compiling and kept with the compiled program: an index, an array."""
        return self._function.constant(value, hint)

    def constant_array(self, array: np.ndarray[Any, Any], tensor_type: TensorType) -> Value:
        """An array made while compiling that broadcasts to a type."""
        name = self._function.constant(array, "k")
        return Value(name, tensor_type, array.shape, Buffer(owned=False, lasting=True))

    # --- results

    def fresh(self, expression: str, tensor_type: TensorType | None = None, shape: Shape | None = None) -> Value:
        """Bind an expression that makes a new array (or a NumPy scalar, for shape ()); ``shape`` if it is narrow."""
        tensor_type = tensor_type or self.type
        buffer = Buffer(owned=True)
        name = self._bind(expression, tensor_type, buffer)
        self.made.append(buffer)
        return Value(name, tensor_type, tensor_type.shape if shape is None else shape, buffer)

    def fresh_pair(self, expression: str) -> tuple[Value, Value]:
        """Bind an expression that makes a pair of new arrays, the two results of the instruction."""
        first, second = (self.fresh("", each) for each in self.types)
        self._function.lines[-2:] = []
        self._function.line(f"{first.code}, {second.code} = {expression}", self.type)
        return first, second

    def view(self, value: Value, expression: str, *, whole: bool, tensor_type: TensorType | None = None, shape: Shape | None = None) -> Value:
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
        return Value(value.code, self.type, shape, value.buffer, whole=value.whole, number=value.number)

    def ufunc(self, function: str, *operands: Value, dtype: DType | None = None, last: bool = True) -> Value:
        """Call a function that broadcasts, works element by element and takes ``out=``.

        The result is written over an operand's array where that is dead and fits.

        Args:
            function: its expression, such as ``"np.add"``.
            dtype: the result's dtype, if it is not the first operand's.
            last: whether the rule reads these operands here for the last time; if not, they are not written over.
        """
        dtype = dtype or operands[0].dtype
        shape = self.broadcast(*operands)
        tensor_type = self.type.with_dtype(dtype)
        arguments = ", ".join([each.code for each in operands])
        target = next((each for each in operands if self.reusable(each, dtype, shape)), None) if last else None
        if target is None:
            return self.fresh(f"{function}({arguments})", tensor_type, shape)
        self._function.line(f"{function}({arguments}, out={target.code})", tensor_type)
        return Value(target.code, tensor_type, shape, target.buffer)

    def reusable(self, value: Value, dtype: DType, shape: Shape) -> bool:
        """Whether a value's array may take a result of this dtype and array shape, now that the rule reads it no more."""
        buffer = value.buffer
        return (
            buffer is not None
            and shape != ()
            and value.shape == shape
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
        return self.fresh(f"{value.code}.astype({_scalar_type(dtype)})", value.type.with_dtype(dtype), value.shape)

    def _bind(self, expression: str, tensor_type: TensorType, buffer: Buffer) -> str:
        name = self._function.name()
        buffer.names.append(name)
        self._function.line(f"{name} = {expression}", tensor_type)
        return name


class _Function:
    """The function that is being written."""

    def __init__(self, program: Program) -> None:
        self.lines: list[str] = []
        self.header: dict[str, str] = {}  # scalars, as source
        self.constants: dict[str, Any] = {}
        self._count = 0
        self._program = program

    def name(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def line(self, text: str, tensor_type: TensorType) -> None:
        self.lines.append(f"    {text}  # {tensor_type}")

    def literal(self, number: bool | int | float, tensor_type: TensorType) -> Value:
        value = splat_scalar(number, tensor_type.dtype)
        plain = value.item()
        name = f"{tensor_type.dtype.name}_{_spelled(plain)}"
        shown = repr(plain) if not isinstance(plain, float) or math.isfinite(plain) else f"float('{plain}')"
        self.header[name] = f"{_scalar_type(tensor_type.dtype)}({shown})"
        return Value(name, tensor_type, (), number=plain)

    def constant(self, value: Any, hint: str) -> str:
        name = f"{hint}{len(self.constants)}"
        self.constants[name] = value
        return name


def _scalar_type(dtype: DType) -> str:
    return "bfloat16" if dtype.name == "bfloat16" else f"np.{dtype.numpy.type.__name__}"


def _spelled(number: bool | int | float) -> str:
    return repr(number).replace("-", "m").replace("+", "").replace(".", "p")


# --- the whole program


class Generated:
    """Generated code: its ``source`` and the ``function`` that it defines."""

    __slots__ = ("function", "source")

    def __init__(self, source: str, function: Callable[..., tuple[Any, ...]]) -> None:
        self.source = source
        self.function = function


def generate(program: Program, lowerings: Mapping[str, Callable[..., Any]], quiet: Callable[[Instr], bool], names: Mapping[str, Any]) -> Generated:
    """Write the Python function of a program.

    Args:
        lowerings: a rule for each operator, see :class:`Context`.
        quiet: whether an instruction can cause no floating-point warning, so that none need be silenced.
        names: what rules may refer to, beside ``np``.

    Raises:
        ShapeError: a dimension is symbolic.
        UnsupportedOperatorError: an operator has no rule.
    """
    function = _Function(program)
    reads: dict[Var, int] = {}
    for atom in (*(atom for instr in program.instrs for atom in instr.inputs), *program.outputs):
        if isinstance(atom, Var):
            reads[atom] = reads.get(atom, 0) + 1
    env: dict[Var, Value] = {}
    parameters: list[str] = []
    for number, var in enumerate(program.inputs):
        _require_ints(var.type)
        parameters.append(f"x{number}")
        env[var] = Value(f"x{number}", var.type, var.type.shape, Buffer(owned=False))
    silent = True
    for instr in program.instrs:
        _write(function, instr, env, reads, lowerings)
        silent = silent and quiet(instr)
    results = [_result(_read(function, env, atom)) for atom in program.outputs]
    returned = f"    return ({''.join(each + ', ' for each in results).rstrip()})" if results else "    return ()"
    return _finish(function, parameters, returned, silent, program, names)


def _finish(
    function: _Function, parameters: list[str], returned: str, silent: bool, program: Program, names: Mapping[str, Any]
) -> Generated:
    head = [f"{name} = {text}" for name, text in sorted(function.header.items())]
    head += [f"# {name}: {_described(value)}" for name, value in function.constants.items()]
    if head:
        head.append("")
    if not silent:
        head.append('@np.errstate(all="ignore")')
    signature = f"def program({', '.join(parameters)}):"
    types = [f"    # {name}: {var.type}" for name, var in zip(parameters, program.inputs, strict=True)]
    source = "\n".join([*head, signature, *types, *function.lines, returned]) + "\n"
    namespace: dict[str, Any] = {"np": np, "bfloat16": ml_dtypes.bfloat16, **names, **function.constants}
    exec(compile(source, f"<slope numpy program {program.name}>", "exec"), namespace)
    return Generated(source, namespace["program"])


def _described(value: Any) -> str:
    return f"{value.dtype} array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)


def _read(function: _Function, env: dict[Var, Value], atom: Atom) -> Value:
    if isinstance(atom, Literal):
        _require_ints(atom.type)
        return function.literal(atom.value, atom.type)
    return env[atom]


def _write(function: _Function, instr: Instr, env: dict[Var, Value], reads: dict[Var, int], lowerings: Mapping[str, Callable[..., Any]]) -> None:
    rule = lowerings.get(instr.op.name)
    if rule is None:
        raise UnsupportedOperatorError(
            f"the numpy backend has no lowering for the operator {instr.op.name!r}; define its expand, or add a rule with the "
            f"hook slope_lowerings(backend)."
        )
    for var in instr.outputs:
        _require_ints(var.type)
    operands = [_read(function, env, atom) for atom in instr.inputs]
    context = Context(function, instr, operands)
    result = rule(context, *operands, **instr.params)
    values: Iterable[Value] = result if instr.op.multiple else (result,)
    touched: dict[int, Buffer] = {id(buffer): buffer for buffer in context.made}
    for var, value in zip(instr.outputs, values, strict=True):
        env[var] = Value(value.code, var.type, value.shape, value.buffer, whole=value.whole, number=value.number)
        if value.buffer is not None:
            value.buffer.reads += reads.get(var, 0)
            touched[id(value.buffer)] = value.buffer
    for value in operands:
        if value.buffer is not None:
            value.buffer.reads -= 1
            touched[id(value.buffer)] = value.buffer
    dead = [name for buffer in touched.values() if buffer.owned and buffer.reads == 0 for name in buffer.names]
    if dead:
        function.lines.append(f"    del {', '.join(dead)}")


def _result(value: Value) -> str:
    """The expression that returns a value: an array of full shape that no later call will see again."""
    if value.buffer is None:
        return f"np.full({value.type.shape}, {value.code})"
    if not value.is_full:
        return f"np.broadcast_to({value.code}, {value.type.shape}).copy()"
    if value.buffer.lasting:
        return f"{value.code}.copy()"
    if value.shape == ():  # NumPy gives scalars where it could give arrays of shape ()
        return f"np.asarray({value.code})"
    return value.code


def _require_ints(tensor_type: TensorType) -> None:
    if not all(isinstance(length, int) for length in tensor_type.shape):
        raise ShapeError(
            f"the numpy backend compiles programs of fixed shapes, and this one holds {tensor_type}; "
            f"call the function on tensors, so that its dimensions are known."
        )
