"""compare: one program on several backends, instruction by instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from slope.api._arguments import require_callable
from slope.api._jit import Jit
from slope.api._leaves import ARRAY, STATIC, TENSOR, WEAK_FLOAT
from slope.compile import DEFAULT_OPTIONS, Options, compile_program, refuse_tracer
from slope.control._programs import without_effects
from slope.core.program import Atom, Instr, Literal, Program, Var
from slope.core.tensor import Splat, Tensor
from slope.core.types import type_of_array
from slope.dtypes import DType, as_dtype, float64, int64
from slope.errors import ArgumentError, boundary
from slope.functions.random import current_scope
from slope.passes import optimize
from slope.plugins.selection import backend as backend_named
from slope.plugins.selection import installed

Array = np.ndarray[Any, Any]

_TOLERANCES: Final = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 3e-5, "float64": 1e-10}


def tolerance(dtype: DType) -> float:
    """The relative and absolute tolerance of a dtype; 0 for integers and bools."""
    return _TOLERANCES.get(dtype.name, 0.0)


class Difference(NamedTuple):
    """How far an array is from the one that is wanted.

    Attributes:
        index: where the first element is that differs by more than the tolerance.
        wanted, found: the elements there.
        count: how many elements differ.
        absolute, relative: the largest differences of finite elements.
    """

    index: tuple[int, ...]
    wanted: Any
    found: Any
    count: int
    absolute: float
    relative: float


def difference(want: Array, got: Array, rtol: float, atol: float) -> Difference | None:
    """How an array differs from the one that is wanted; ``None`` where it does not.

    Args:
        want: what is right.
        got: what was computed, of the same type.
        rtol: the relative tolerance, of ``want``; 0 with ``atol`` 0 asks for equality.
        atol: the absolute tolerance. NaN equals NaN, and an infinity itself alone.
    """
    wide, near = want, got
    if want.dtype.kind not in "biu":
        wide, near = want.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        same = (wide == near) | ((wide != wide) & (near != near))  # noqa: PLR0124  # NaN is not itself
        finite = np.isfinite(wide) & np.isfinite(near)
        if want.dtype.kind in "biu":
            gap = np.abs(wide.astype(np.float64) - near.astype(np.float64))
        else:
            gap = np.abs(wide - near)
        size = np.abs(wide.astype(np.float64))
        close = finite & (gap <= rtol * size + atol) if rtol or atol else same
    wrong = ~(same | close)
    count = int(np.count_nonzero(wrong))
    if not count:
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    gaps = gap[finite & ~same]
    with np.errstate(divide="ignore"):
        relative = gaps / size[finite & ~same]  # of zero it is infinite
    return Difference(
        index, want[index], got[index], count, float(gaps.max(initial=0.0)),
        float(relative.max(initial=0.0)),
    )  # fmt: skip


class Row(NamedTuple):
    """What a backend made of one instruction, or of the whole program.

    Attributes:
        number: of the instruction in the program, from 0; -1 for the whole program.
        what: the instruction in words.
        source: the line of the user's code that it comes from, or ``""``.
        backend: the backend's name.
        output: which of its results.
        difference: from the reference, or ``None``.
        error: what the backend raised, or ``""``.
    """

    number: int
    what: str
    source: str
    backend: str
    output: int
    difference: Difference | None
    error: str = ""

    @property
    def parts(self) -> bool:
        """Whether the backend parts from the reference here."""
        return self.difference is not None or bool(self.error)

    def __str__(self) -> str:
        name = f"instruction {self.number}, {self.what}" if self.number >= 0 else self.what
        place = f", at {self.source}" if self.source else ""
        return f"{name}{place}: {self.backend} {self.told()}"

    def told(self) -> str:
        """The difference, or the error, in words."""
        if self.error:
            return f"raises {self.error}"
        gap = self.difference
        if gap is None:
            return "agrees"
        where = f" at {list(gap.index)}" if gap.index else ""
        return (
            f"gives {gap.found} instead of {gap.wanted}{where} of result {self.output} "
            f"({gap.count} elements differ; by at most {gap.absolute:.3g}, relative "
            f"{gap.relative:.3g})"
        )


class Comparison:
    """What :func:`compare` found; print it to read it.

    Attributes:
        program: the program that was run, after the passes.
        reference: the backend that the others are compared with.
        backends: those others.
        rows: one for each instruction, result and backend, each fed with the reference's operands.
        ends: one for each result of the whole program and backend.
        prefixes: where the whole parts and no instruction does: for each backend, the first
            instruction whose result parts when all before it are compiled with it.
    """

    def __init__(self, program: Program, reference: str, backends: Sequence[str]) -> None:
        self.program = program
        self.reference = reference
        self.backends = tuple(backends)
        self.rows: list[Row] = []
        self.ends: list[Row] = []
        self.prefixes: list[Row] = []

    @property
    def first(self) -> Row | None:
        """The first instruction where a backend parts from the reference."""
        return next((row for row in [*self.rows, *self.prefixes] if row.parts), None)

    @property
    def agrees(self) -> bool:
        """Whether all backends agree with the reference, in every instruction and in the whole."""
        return not any(row.parts for row in (*self.rows, *self.ends))

    def __bool__(self) -> bool:
        return self.agrees

    def __str__(self) -> str:
        names = ", ".join(self.backends)
        title = (
            f"{self.program.name}: {len(self.program.instrs)} instructions on {names}, "
            f"compared with {self.reference}"
        )
        if self.agrees:
            return f"{title}\nall agree"
        told: list[str] = []
        if self.first is not None:
            told.append(f"first difference: {self.first}")
        for head, rows in (
            ("each instruction on the reference's operands", self.rows),
            ("compiled with all before it", self.prefixes),
            ("the whole program", self.ends),
        ):
            parted = [row for row in rows if row.parts]
            if rows:
                told.append(f"{head}: {len(parted)} of {len(rows)} results part")
                told += [f"  {row}" for row in parted]
        return "\n".join([title, *told])

    def __repr__(self) -> str:
        how = "agree" if self.agrees else "part"
        return f"<comparison of {self.reference} and {', '.join(self.backends)}: {how}>"


@boundary
def compare(
    function: Callable[..., Any],
    *args: Any,
    backends: Sequence[str] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    **kwargs: Any,
) -> Comparison:
    """Run a function's program on several backends, and find the first instruction where they part.

    Every instruction is compiled as a program of its own on each backend and fed with the operands
    that the reference computed, so that one fault does not hide the next. Then the whole program is
    run on each. If that parts where no instruction does (compilers fuse), the shortest beginning of
    the program that parts is searched for.

    Args:
        function: as for :func:`slope.jit`.
        *args: its arguments.
        backends: names, the reference first. Default: the installed ones, numpy first.
        rtol: the relative tolerance; default 3e-5 for float32, 1e-10 for float64, 4e-3 for float16,
            3e-2 for bfloat16.
        atol: the absolute tolerance; by default as ``rtol``. Integers and bools must be equal.
        **kwargs: more arguments of the function.

    Returns:
        What was found: print it. ``.first`` is the first instruction that parts; it counts as true
        if all agree.

    Raises:
        ArgumentError: fewer than two backends, no function, or a tolerance below 0.
        BackendError: one is not installed.

    Example:
        >>> bool(slope.compare(lambda x: slope.exp(x).sum(), slope.ones(3)))
        True
    """
    require_callable(function, "compare")
    if isinstance(backends, str) or not (backends is None or _strings(backends)):
        raise ArgumentError(
            f"compare: backends must be a list of names such as ['numpy', 'iree'], not "
            f"{backends!r:.80}."
        )
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None and not (
            isinstance(tolerance, (int, float)) and tolerance >= 0 and tolerance is not True
        ):
            raise ArgumentError(
                f"compare: {name} must be a number from 0 on, not {tolerance!r:.80}."
            )
    names = list(backends) if backends is not None else _all_backends()
    if len(names) < 2:
        raise ArgumentError(
            f"compare takes two backends or more, the reference first, and got {names}; "
            f"installed are {', '.join(installed())}."
        )
    chosen = [backend_named(name).name for name in names]
    traced = function if isinstance(function, Jit) else Jit(function, (), (), (), DEFAULT_OPTIONS)
    entry, leaves = traced._entry(args, kwargs)
    program = optimize(without_effects(entry.closed))  # what is compared are results
    inputs = [*_inputs(entry, leaves), *(constant.host() for constant in entry.constants)]
    found = Comparison(program, chosen[0], chosen[1:])
    _Comparing(found, inputs, rtol, atol).run()
    return found


def _strings(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


def _all_backends() -> list[str]:
    names = list(installed())
    return sorted(names, key=lambda name: name != "numpy")


def _inputs(entry: Any, leaves: Sequence[Any]) -> list[Array]:
    """The host arrays of a call's inputs."""
    arrays: list[Array] = []
    for kind, leaf in zip(entry.in_kinds, leaves, strict=True):
        if kind == TENSOR:
            refuse_tracer(leaf, "compare")
            arrays.append(leaf.host())
        elif kind == ARRAY:
            arrays.append(leaf)
        elif kind != STATIC:
            dtype = float64 if kind == WEAK_FLOAT else int64
            arrays.append(np.asarray(leaf, dtype.numpy))
    if entry.draws:
        arrays.append(current_scope().key.host())
    return arrays


class _Comparing:
    """A comparison while it is made."""

    def __init__(
        self, found: Comparison, inputs: Sequence[Array], rtol: float | None, atol: float | None
    ) -> None:
        self.found = found
        self.inputs = list(inputs)
        self.rtol, self.atol = rtol, atol

    def run(self) -> None:
        """Fill in the comparison."""
        program = self.found.program
        env: dict[Var, Array] = dict(zip(program.inputs, self.inputs, strict=True))
        for number, instr in enumerate(program.instrs):
            self._step(number, instr, env)
        wanted = [_read(atom, env) for atom in program.outputs]
        for name in self.found.backends:
            self.found.ends += self._rows(name, -1, None, program, self.inputs, wanted)
            if any(row.parts for row in self.found.ends if row.backend == name) and not any(
                row.parts for row in self.found.rows if row.backend == name
            ):
                self.found.prefixes += self._shortest(name, env)

    def _step(self, number: int, instr: Instr, env: dict[Var, Array]) -> None:
        operands = list(dict.fromkeys(atom for atom in instr.inputs if isinstance(atom, Var)))
        alone = Program(operands, (), [instr], instr.outputs, instr.op.name)
        arrays = [env[var] for var in operands]
        wanted = _run(self.found.reference, alone, arrays)
        env.update(zip(instr.outputs, wanted, strict=True))
        for name in self.found.backends:
            self.found.rows += self._rows(name, number, instr, alone, arrays, wanted)

    def _rows(
        self,
        name: str,
        number: int,
        instr: Instr | None,
        program: Program,
        arrays: Sequence[Array],
        wanted: Sequence[Array],
    ) -> list[Row]:
        what = _described(instr) if instr is not None else "the whole program"
        source = str(instr.source) if instr is not None and instr.source is not None else ""
        try:
            results = _run(name, program, arrays)
        except Exception as error:  # noqa: BLE001  # whatever the backend raises is the finding
            told = f"{type(error).__name__}: {error}"
            return [Row(number, what, source, name, 0, None, told)]
        rows: list[Row] = []
        for output, (want, got) in enumerate(zip(wanted, results, strict=True)):
            gap, error = None, ""
            if type_of_array(want) != type_of_array(got):
                error = f"no error, but gives {type_of_array(got)} instead of {type_of_array(want)}"
            else:
                gap = difference(want, got, *self._tolerances(as_dtype(want.dtype)))
            rows.append(Row(number, what, source, name, output, gap, error))
        return rows

    def _tolerances(self, dtype: DType) -> tuple[float, float]:
        if not dtype.is_floating_point:
            return 0.0, 0.0
        rtol = tolerance(dtype) if self.rtol is None else self.rtol
        return rtol, rtol if self.atol is None else self.atol

    def _shortest(self, name: str, env: dict[Var, Array]) -> list[Row]:
        """The rows of the first instruction whose result parts when compiled with all before it."""
        program = self.found.program
        low, high = 0, len(program.instrs)
        parted: list[Row] = []
        while low < high:
            middle = (low + high) // 2
            instr = program.instrs[middle]
            begun = program.instrs[: middle + 1]
            prefix = Program(program.inputs, (), begun, instr.outputs, program.name)
            wanted = [env[var] for var in instr.outputs]
            rows = self._rows(name, middle, instr, prefix, self.inputs, wanted)
            if any(row.parts for row in rows):
                parted, high = rows, middle
            else:
                low = middle + 1
        return parted


def _read(atom: Atom, env: dict[Var, Array]) -> Array:
    return Splat(atom.value, atom.type).host() if isinstance(atom, Literal) else env[atom]


def _run(name: str, program: Program, arrays: Sequence[Array]) -> list[Array]:
    """The results of a program on a backend's first device."""
    backend = backend_named(name)
    compiled = compile_program(program, backend.devices()[0], Options(name))
    tensors = [Tensor(type_of_array(array), host=array) for array in arrays]
    handles = [backend.from_host(tensor.host(), compiled.device) for tensor in tensors]
    return [np.array(out.numpy()) for out in compiled.run(handles)]


def _described(instr: Instr) -> str:
    operands = [_operand(atom) for atom in instr.inputs]
    given = [f"{name}={_short(value)}" for name, value in instr.params.items()]
    return f"slope.{instr.op.name}({', '.join(operands + given)})"


def _operand(atom: Atom) -> str:
    return repr(atom.value) if isinstance(atom, Literal) else str(atom.type)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
