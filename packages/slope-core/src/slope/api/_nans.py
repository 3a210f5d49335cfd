"""debug_nans: find the operator that gave the first NaN.

While it is on, the results of every compiled program and of every eager operator are looked at.
Where one holds NaN, the program as it was traced, before all passes, runs again operator by
operator, and the NaN is followed from the result back to where it comes from: through the operands
that hold NaN, into the bodies of loops and branches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np

from slope.compile import Compiled, watch
from slope.control._programs import without_effects
from slope.core.printer import programs_in
from slope.core.program import Atom, Instr, Program, Var
from slope.core.sizes import sized_program, sizes_of
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, use_trace
from slope.core.types import TensorType
from slope.dims import is_static
from slope.eager import execute  # importing it also fills what runs operators outside transforms
from slope.errors import ArgumentError, NaNError, Source, rests_at
from slope.plugins.selection import use_backend

_mode: str | None = None  # None: off; "NaN"; "NaN or inf"
_searching: ContextVar[bool] = ContextVar("slope_searching_nans", default=False)
rests_at(_searching, False)


class debug_nans:  # noqa: N801  # a switch and a context manager that read as a verb
    """Raise an error that names the operator, wherever a computation yields NaN.

    Called, it switches at once, for the whole process; as a context manager it switches back at the
    end of the block. The environment variable ``SLOPE_DEBUG_NANS=1`` (``inf``: infinities, too)
    switches it on at the start. A program whose results hold NaN runs again operator by operator,
    on the same backend; while debugging is off, nothing is looked at and nothing is slower.

    Args:
        enabled: whether to look.
        inf: whether infinities count, too.

    Raises:
        ArgumentError: an argument is no bool.
        NaNError: (of the computations) an operator gave NaN. The message says which, at which line,
            on what operands, in which iterations, and whether in the forward or the backward part.

    Example:
        >>> with slope.debug_nans():  # doctest: +SKIP
        ...     loss, gradient = step(params, batch)
    """

    def __init__(self, enabled: bool = True, *, inf: bool = False) -> None:
        for name, value in (("enabled", enabled), ("inf", inf)):
            if not isinstance(value, bool):
                raise ArgumentError(f"debug_nans: {name} must be True or False, not {value!r}.")
        self._before = _mode
        _switch(None if not enabled else "NaN or inf" if inf else "NaN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _switch(self._before)


def _switch(mode: str | None) -> None:
    global _mode  # noqa: PLW0603  # one switch for the whole process
    _mode = mode
    watch(None if mode is None else _look)


def _look(compiled: Compiled, handles: list[Any]) -> Sequence[Any]:
    """What runs every program while debugging is on."""
    if _searching.get():
        return compiled.executable(handles)
    backend, device = compiled.backend, compiled.device
    kept = [
        backend.copied(handle, device) if number in compiled.donated else handle
        for number, handle in enumerate(handles)
    ]
    outs = compiled.executable(handles)
    results = [
        Tensor(each, device, backend, handle)
        for each, handle in zip(compiled.out_types, outs, strict=True)
    ]
    if any(_is_bad(result) for result in results):
        _search(compiled, kept, results)
    return outs


def _search(compiled: Compiled, handles: Sequence[Any], results: Sequence[Tensor]) -> NoReturn:
    token = _searching.set(True)
    try:
        with use_trace(EVAL), use_backend(compiled.backend.name):
            operands = [
                Tensor(_type_of(var, handle, compiled), compiled.device, compiled.backend, handle)
                for var, handle in zip(compiled.program.inputs, handles, strict=True)
            ]
            raise _found(compiled, operands, results)
    finally:
        _searching.reset(token)


def _type_of(var: Var, handle: Any, compiled: Compiled) -> TensorType:
    """The type of an operand; of one with symbolic dimensions that of what it holds."""
    if is_static(var.type.shape):
        return var.type
    return var.type.with_shape(compiled.backend.to_host(handle).shape)


def _found(compiled: Compiled, operands: list[Tensor], results: Sequence[Tensor]) -> NaNError:
    """The error for a program whose results are bad."""
    for program in (compiled.origin, compiled.program):
        run = _Run(program, operands[: len(program.inputs)])
        culprit = run.culprit()
        if isinstance(culprit, NaNError):
            return culprit
        if culprit is not None:
            return _of_input(run, culprit)
    bad = next(result for result in results if _is_bad(result))
    return NaNError(
        f"the program {compiled.origin.name!r} on {compiled.backend.name}",
        _value_of(bad),
        None,
        details=(
            f"result: {bad.type}, {_contents(bad)}",
            "operator by operator there is none: the backend's fusions make it (see slope.compare)",
        ),
    )


def _of_input(run: _Run, number: int) -> NaNError:
    """The error for NaN that came in: it names the operator that read it."""
    var = run.program.inputs[number]
    name = (run.program.input_names or ())[number : number + 1]
    told = f"input {number}{f' ({name[0]})' if name else ''} of {run.program.name}"
    if run.reader is None:  # the program gives back what it got
        value = _contents(run.values[var])
        return NaNError(told, _value_of(run.values[var]), None, details=(value,))
    error = run.error(run.reader, run.reader.inputs.index(var))
    error.details += (f"the {error.value} was there before: it is in {told}",)
    return error


class _Run:
    """A program run operator by operator.

    Attributes:
        program: the program.
        values: those of its variables.
        reader: the last instruction that was found to have got a bad operand.
    """

    def __init__(self, program: Program, operands: Sequence[Tensor]) -> None:
        program = without_effects(program)  # it was printed already
        if not all(is_static(each.shape) for each in program.input_types):
            sizes = sizes_of(program, [operand.type for operand in operands])
            program = sized_program(program, sizes)
        self.program = program
        self.values: dict[Var, Tensor] = dict(zip(program.inputs, operands, strict=True))
        self.values.update(program.constants)
        self.reader: Instr | None = None
        self._makers: dict[Var, Instr] = {}
        for instr in program.instrs:
            outs = execute(instr.op, self._operands(instr), instr.params)
            self.values.update(zip(instr.outputs, outs, strict=True))
            self._makers.update((var, instr) for var in instr.outputs)

    @property
    def outputs(self) -> list[Tensor]:
        """The program's results."""
        return [self.value(atom) for atom in self.program.outputs]

    def value(self, atom: Atom) -> Tensor:
        """What an atom stands for."""
        return self.values[atom] if isinstance(atom, Var) else Splat(atom.value, atom.type)

    def _operands(self, instr: Instr) -> list[Tensor]:
        return [self.value(atom) for atom in instr.inputs]

    def culprit(self) -> NaNError | int | None:
        """Where the first bad output comes from: an instruction, or the input of this number.

        ``None``: no output is bad.
        """
        atom = next((each for each in self.program.outputs if _is_bad(self.value(each))), None)
        if atom is None:
            return None
        numbers = {var: number for number, var in enumerate(self.program.inputs)}
        while isinstance(atom, Var) and atom in self._makers:
            instr = self._makers[atom]
            operands = self._operands(instr)
            inner = _within(instr, operands)
            if isinstance(inner, NaNError):
                return inner
            places = [number for number, value in enumerate(operands) if _is_bad(value)]
            if inner is None and not places:
                return self.error(instr)
            place = places[0] if inner is None else inner
            self.reader, atom = instr, instr.inputs[place]
        if isinstance(atom, Var) and atom in numbers:
            return numbers[atom]
        assert self.reader is not None, "an output that is a literal needs no program"
        error = self.error(self.reader)
        error.details += ("the traced function captured it, as a constant",)
        return error

    def error(self, instr: Instr, guilty: int | None = None) -> NaNError:
        """The error that names an instruction."""
        operands = self._operands(instr)
        result = next((self.values[v] for v in instr.outputs if _is_bad(self.values[v])), None)
        result = operands[guilty or 0] if result is None else result
        index = _first_bad(result)
        details = [f"result: {result.type}, {_contents(result)}"]
        details += [
            f"operand {number}: {operand.type}, {_contents(operand, index)}"
            for number, operand in enumerate(operands)
        ]
        if not any(_is_bad(operand) for operand in operands):
            details.append(
                "keep its operands away from there: slope.where, slope.clamp, a small addend"
            )
        return NaNError(
            f"the operator {instr.op.name!r}",
            _value_of(result),
            instr.source,
            details=tuple(details),
        )


# --- inside operators that hold programs


def _within(instr: Instr, operands: list[Tensor]) -> NaNError | int | None:
    """Where inside an operator that holds programs bad results come from.

    That is an instruction of such a program, or an operand of the operator. ``None``: it holds no
    program that could be looked into.
    """
    look = _LOOKS.get(instr.op.name)
    if look is not None:
        return look(instr, operands)
    types = tuple(operand.type for operand in operands)
    for program in programs_in(list(instr.params.values())):
        if program.input_types == types:
            return _Run(program, operands).culprit()
    return None


def _in_scan(instr: Instr, operands: list[Tensor]) -> NaNError | int | None:
    params = instr.params
    body, first = params["body"], params["consts"] + params["carries"]
    constants, carries = operands[: params["consts"]], operands[params["consts"] : first]
    turns = range(params["length"])
    for count, place in enumerate(reversed(turns) if params.get("reverse") else turns):
        slices = [_slice(operand, place) for operand in operands[first:]]
        run = _Run(body, [*constants, *carries, *slices])
        culprit = run.culprit()
        if culprit is not None:
            loop = f"scan over {len(turns)}" + (", backwards" if params.get("reverse") else "")
            return _repeated(culprit, count, loop, instr.source)
        carries = run.outputs[: params["carries"]]
    return None


def _in_while(instr: Instr, operands: list[Tensor]) -> NaNError | int | None:
    cond, body, count = instr.params["cond"], instr.params["body"], 0
    constants, carries = operands[: instr.params["consts"]], operands[instr.params["consts"] :]
    while _Run(cond, [*constants, *carries]).outputs[0].host().item():
        run = _Run(body, [*constants, *carries])
        culprit = run.culprit()
        if culprit is not None:
            return _repeated(culprit, count, "while loop", instr.source)
        carries, count = run.outputs, count + 1
    return None


def _in_branch(instr: Instr, operands: list[Tensor]) -> NaNError | int | None:
    index, *rest = operands
    branches = instr.params["branches"]
    chosen = min(max(int(index.host().item()), 0), len(branches) - 1)
    culprit = _Run(branches[chosen], rest).culprit()
    return culprit + 1 if isinstance(culprit, int) else culprit


_LOOKS: dict[str, Callable[[Instr, list[Tensor]], NaNError | int | None]] = {
    "run_scan": _in_scan,
    "run_while": _in_while,
    "run_branch": _in_branch,
}


def _repeated(
    culprit: NaNError | int, count: int, loop: str, source: Source | None
) -> NaNError | int:
    if isinstance(culprit, NaNError):
        place = f" at {source}" if source else ""
        culprit.iterations += (f"iteration {count} of the {loop}{place}",)
    return culprit


def _slice(tensor: Tensor, place: int) -> Tensor:
    wanted = tensor.type.with_shape(tensor.shape[1:])
    if isinstance(tensor, Splat):
        return Splat(tensor.value, wanted)
    host = np.array(tensor.host()[place])
    return EVAL.transfer(Tensor(wanted, host=host), tensor.device)  # pyright: ignore[reportOptionalCall]  # slope.eager fills it


# --- values


def _bad_places(tensor: Tensor) -> Any:
    array = tensor.host()
    if array.dtype.itemsize < 4:  # NumPy's functions do not all know bfloat16
        array = array.astype(np.float32)
    return np.isnan(array) if _mode == "NaN" else ~np.isfinite(array)


def _is_bad(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating_point and bool(_bad_places(tensor).any())


def _first_bad(tensor: Tensor) -> tuple[int, ...]:
    flat = int(np.argmax(_bad_places(tensor)))
    return tuple(int(each) for each in np.unravel_index(flat, tensor.shape))


def _value_of(tensor: Tensor) -> str:
    return "NaN" if np.isnan(tensor.host().astype(np.float64)).any() else "inf"


def _contents(tensor: Tensor, index: tuple[int, ...] | None = None) -> str:
    """What a tensor holds, in words; with its element at an index, where it has one."""
    if not tensor.dtype.is_floating_point:
        return "no floating-point numbers"
    array = tensor.host().astype(np.float64)
    if array.size == 0:
        return "empty"
    bad = [
        f"{int(count)} {name}"
        for name, count in (("NaN", np.isnan(array).sum()), ("inf", np.isinf(array).sum()))
        if count
    ]
    finite = array[np.isfinite(array)]
    words = "finite"
    if bad:
        already = "already " if index is not None else ""
        of = f" of {array.size} elements" if array.ndim else ""
        words = f"{already}{' and '.join(bad)}{of}"
    if finite.size and array.ndim:
        words += f", from {finite.min():.6g} to {finite.max():.6g}"
    if array.ndim == 0:
        return f"{words}, {array:.6g}"
    if index is None:
        return f"{words}, the first at index {_first_bad(tensor)}" if _is_bad(tensor) else words
    inside = len(index) == array.ndim and all(map(int.__lt__, index, array.shape))
    return f"{words}, {array[index]:.6g} at that index" if inside else words


_wanted = os.environ.get("SLOPE_DEBUG_NANS", "").strip().lower()
if _wanted not in ("", "0"):
    debug_nans(inf=_wanted == "inf")
