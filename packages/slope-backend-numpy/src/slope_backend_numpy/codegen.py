"""From a program to the source of one Python function that calls NumPy.

Memory. Each fresh array is a :class:`Buffer`; views of it (reshape, slice, permute, broadcast) are
values that share the buffer. A buffer counts the reads that are still to come of all values in it,
so it is known, while an instruction is written down, whether an operand's memory is dead after it.
Dead memory takes the result of an elementwise instruction (``out=``) or is freed (``del``). Memory
of constants, and of inputs that are not donated, is never written; that of outputs has one read
more than it will get, so it never dies.

Broadcasting. A value may be *narrow*: an array that NumPy's rules would broadcast to the value's
type, such as ``float32[10]`` for ``float32[200, 10]``. Elementwise code uses it as it is, all other
code asks for :meth:`Context.full`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from slope.extend import (
    Atom,
    Instr,
    Literal,
    Program,
    UnsupportedOperatorError,
    Var,
)
from slope_backend_numpy.context import Buffer, Context, Value
from slope_backend_numpy.host import call_host
from slope_backend_numpy.sizes import dimension_lines
from slope_backend_numpy.writer import Writer


class Generated:
    """Generated code.

    Attributes:
        source: Python code that defines a function ``program``.
        namespace: what its names stand for.
        owners: for each result the number of the memory that it stands in, which is its own or a
            donated input's; -1 if that may be another input's, or a constant's.
        lent: the numbers of memory that the caller gave for rows.
    """

    __slots__ = ("lent", "namespace", "owners", "source")

    def __init__(
        self,
        source: str,
        namespace: dict[str, Any],
        owners: tuple[int, ...],
        lent: frozenset[int],
    ) -> None:
        self.source = source
        self.namespace = namespace
        self.owners = owners
        self.lent = lent

    def function(self, name: str) -> Callable[..., tuple[Any, ...]]:
        """The function, compiled now: many drafts never are.

        Args:
            name: the program's, for tracebacks.
        """
        exec(compile(self.source, f"<slope numpy program {name}>", "exec"), self.namespace)
        return self.namespace["program"]


def generate(
    program: Program,
    lowerings: Mapping[str, Callable[..., Any]],
    quiet: Callable[[Instr], bool],
    names: Mapping[str, Any],
    donated: frozenset[int] = frozenset(),
    rows: frozenset[int] = frozenset(),
    after_each: str = "",
    *,
    nested: bool = False,
) -> Generated:
    """Write the Python function of a program.

    Args:
        program: what to write.
        lowerings: a rule for each operator, see :class:`Context`.
        quiet: whether an instruction can cause no floating-point warning, so that none need be
            silenced.
        names: what rules may refer to, beside ``np``.
        donated: positions of inputs whose memory may be written to once they are dead.
        rows: positions of results that are not returned but written to arrays, which the function
            takes behind the inputs.
        after_each: a statement to run behind each instruction.
        nested: whether another such function calls it, which silences the warnings of both.

    Raises:
        ShapeError: the code would depend on the size of a symbolic dimension.
        UnsupportedOperatorError: an operator has no rule.
    """
    writer = Writer(
        lambda inner, given, rows: generate(
            inner, lowerings, quiet, names, given, rows, nested=True
        ),
        nested=nested,
    )
    atoms = [*(atom for instr in program.instrs for atom in instr.inputs), *program.outputs]
    reads = Counter(atom for atom in atoms if isinstance(atom, Var))
    env = {
        var: _input(f"x{number}", var, reads[var], owned=number in donated)
        for number, var in enumerate(program.inputs)
    }
    silent = True  # whether nothing needs to be silenced here
    for instr in program.instrs:
        _write(writer, instr, env, reads, lowerings)
        if after_each:
            writer.lines.append(f"    {after_each}")
        silent = silent and (nested or quiet(instr))
    values = [_read(writer, env, atom) for atom in program.outputs]
    targets = {f"y{number}": values[number] for number in sorted(rows)}
    lent = _write_rows(writer, targets)
    given = [value for number, value in enumerate(values) if number not in rows]
    results = "".join(f"{_result(value, nested)}, " for value in given).rstrip()
    parameters = [*(f"x{number}" for number in range(len(program.inputs))), *targets]
    returned = f"    return ({results})"
    source, namespace = _finish(writer, parameters, returned, silent, program, names)
    owners = _owners(values)
    numbers = frozenset(
        owner for owner, value in zip(owners, values, strict=True) if value.buffer in lent
    )
    return Generated(source, namespace, owners, numbers)


def _input(name: str, var: Var, reads: int, *, owned: bool) -> Value:
    buffer = Buffer(owned=owned)
    buffer.reads = reads
    return Value(name, var.type, var.type.shape, buffer)


def _write_rows(writer: Writer, rows: Mapping[str, Value]) -> set[Buffer]:
    """Have results written to arrays of the caller's: made there, where a call makes them.

    Returns:
        The memory that is the caller's now.
    """
    lent: set[Buffer] = set()
    for name, value in rows.items():
        buffer = value.buffer
        if buffer is not None and buffer.line is not None and buffer not in lent and value.is_full:
            made, _, comment = writer.lines[buffer.line].partition("  # ")
            if made.startswith(f"    {value.code} = ") and comment == str(value.type):
                writer.lines[buffer.line] = f"{made[:-1]}, out={name})  # {comment}"
                lent.add(buffer)
                continue
        writer.lines.append(f"    {name}[...] = {value.code}")
    return lent


def _owners(values: Sequence[Value]) -> tuple[int, ...]:
    numbers: dict[int, int] = {}
    for value in values:
        # A number written inline becomes an array of its own.
        key = id(value if value.buffer is None else value.buffer)
        owned = value.buffer is None or value.buffer.owned or value.buffer.lasting
        numbers.setdefault(key, len(numbers) if owned else -1)
    return tuple(numbers[id(value if value.buffer is None else value.buffer)] for value in values)


def _finish(
    writer: Writer,
    parameters: list[str],
    returned: str,
    silent: bool,
    program: Program,
    names: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    read = set(re.findall(r"\w+", "\n".join([*writer.lines, returned])))
    taken = {"np", "bfloat16", *names, *writer.header, *writer.constants}
    lines = [*dimension_lines(program, parameters, read, taken), *writer.lines]
    head = [f"{name} = {text}" for name, text in sorted(writer.header.items()) if name in read]
    head = [*writer.sources, *head]
    head += [f"# {name}: {_described(value)}" for name, value in writer.constants.items()]
    if head:
        head.append("")
    if not silent:
        head.append('@np.errstate(all="ignore")')
    signature = f"def program({', '.join(parameters)}):"
    types = [
        f"    # {name}: {var.type}" for name, var in zip(parameters, program.inputs, strict=False)
    ]
    source = "\n".join([*head, signature, *types, *lines, returned]) + "\n"
    namespace: dict[str, Any] = {
        "np": np,
        "bfloat16": ml_dtypes.bfloat16,
        **names,
        **writer.constants,
    }
    return source, namespace


def _described(value: Any) -> str:
    return (
        f"{value.dtype} array of shape {value.shape}"
        if isinstance(value, np.ndarray)
        else repr(value)
    )


def _read(writer: Writer, env: dict[Var, Value], atom: Atom) -> Value:
    if isinstance(atom, Literal):
        return writer.literal(atom.value, atom.type)
    return env[atom]


def _write(
    writer: Writer,
    instr: Instr,
    env: dict[Var, Value],
    reads: Counter[Var],
    lowerings: Mapping[str, Callable[..., Any]],
) -> None:
    own: Callable[..., Any] | None = call_host if instr.op.runs_on_host() else None
    rule = lowerings.get(instr.op.name, own)
    if rule is None:
        raise UnsupportedOperatorError(
            f"the numpy backend has no lowering for the operator {instr.op.name!r}; define its "
            f"expand, or add a rule with the hook slope_lowerings(backend)."
        )
    operands = [_read(writer, env, atom) for atom in instr.inputs]
    context = Context(writer, instr, operands)
    result = rule(context, *operands, **instr.params)
    values: Iterable[Value] = result if instr.op.multiple else (result,)
    touched: dict[int, Buffer] = {id(buffer): buffer for buffer in context.made}
    for var, value in zip(instr.outputs, values, strict=True):
        env[var] = value.of_type(var.type)
        if value.buffer is not None:
            value.buffer.reads += reads[var]
            touched[id(value.buffer)] = value.buffer
    for value in operands:
        if value.buffer is not None:
            value.buffer.reads -= 1
            touched[id(value.buffer)] = value.buffer
    dead = [
        name
        for buffer in touched.values()
        if buffer.owned and buffer.reads == 0
        for name in buffer.names
    ]
    if dead:
        writer.lines.append(f"    del {', '.join(dead)}")


def _result(value: Value, nested: bool) -> str:
    """The expression that returns a value: an array of full shape that no later call sees again.

    What calls a nested function takes NumPy's scalars, too.
    """
    if nested and not value.type.shape and not (value.buffer and value.buffer.lasting):
        return value.code
    if value.buffer is None:
        return f"np.full({value.type.shape}, {value.code})"
    if not value.is_full:
        return f"np.broadcast_to({value.code}, {value.type.shape}).copy()"
    if value.buffer.lasting:
        return f"{value.code}.copy()"
    if not value.shape:  # NumPy gives scalars where it could give arrays of shape ()
        return f"np.asarray({value.code})"
    return value.code
