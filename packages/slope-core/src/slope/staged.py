"""Programs in stages: what the host computes, for backends that cannot call Python.

These are host functions, and operators that a backend leaves to NumPy, such as factors of matrices,
for which loops of a runtime's operators are slow.

What calls no host function is compiled in as large parts as there can be. A call without results
does not divide a part: what it reads leaves the part as further results, and the call is made when
the part is done. A call with results divides: what depends on them belongs to the next part. A loop
or a branch that holds such calls runs here, turn by turn, its body compiled by the same backend (in
stages).
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from slope.core.host import host_function, on_host
from slope.core.program import Atom, Instr, Literal, Program, Var
from slope.core.tensor import splat_scalar
from slope.devices import CPU, Device
from slope.dims import is_static
from slope.errors import ArgumentError, ShapeError, UnsupportedOperatorError
from slope.passes.effects import has_effect
from slope.plugins.backend import Backend, Executable, Timed
from slope.plugins.selection import backend as backend_named

Compile = Callable[[Program], Executable]
Handles = Sequence[Any]


class Stage(NamedTuple):
    """A step of a program: a compiled part of it, or one instruction on the host.

    ``timed`` tells what takes how long in ``run``, for given handles and a number of rounds; there
    is none for what calls functions of the user's.
    """

    run: Callable[[Handles], Handles]
    inputs: Sequence[Atom]
    outputs: Sequence[Var]
    timed: Callable[[Handles, int], Sequence[Timed]] | None = None


class Staged(Executable):
    """A program that runs stage after stage.

    Attributes:
        code: that of all compiled parts.
    """

    def __init__(
        self,
        program: Program,
        backend: Backend,
        device: Device,
        options: Mapping[str, Any],
        compile_part: Compile,
    ) -> None:
        """Divide a program and compile its parts.

        Args:
            program: lowered for the backend; without constants.
            backend: what compiles the parts.
            device: where they run.
            options: the backend's own options.
            compile_part: compiles a program for that backend and device, with those options.

        Raises:
            UnsupportedOperatorError: an operator that is no loop or branch of slope's own holds a
                program that calls the host.
            ShapeError: a dimension is symbolic.
        """
        if not all(is_static(each.shape) for each in program.input_types):
            raise ShapeError(
                f"the program {program.name!r} runs in stages, which is possible for known sizes "
                f"alone."
            )
        self._program, self._backend, self._device = program, backend, device
        self._options, self._compile = options, compile_part
        self._codes: list[str] = []
        needed = {atom for atom in program.outputs if isinstance(atom, Var)}
        self._stages: list[Stage] = []
        for group in reversed(_groups(program, backend)):  # so that it is known what is needed
            stage = self._part(group, needed) if isinstance(group, list) else self._alone(group)
            needed.update(atom for atom in stage.inputs if isinstance(atom, Var))
            self._stages.insert(0, stage)
        self.code = "\n".join(reversed(self._codes))

    def __call__(self, handles: Handles) -> Handles:
        values: dict[Var, Any] = dict(zip(self._program.inputs, handles, strict=True))
        for stage in self._stages:
            results = stage.run([self._read(values, atom) for atom in stage.inputs])
            values.update(zip(stage.outputs, results, strict=True))
        return [self._read(values, atom) for atom in self._program.outputs]

    def profile(self, handles: Handles, rounds: int) -> list[Timed]:
        """Where the time goes, as :meth:`Backend.profile` tells it, in all stages.

        Args:
            handles: one for each program input.
            rounds: how many calls to measure.

        Raises:
            ArgumentError: it calls functions of the user's, or prints.
        """
        if any(stage.timed is None for stage in self._stages):
            raise ArgumentError(
                f"profile: {self._program.name} prints or calls host functions, which "
                f"{self._backend.name} cannot do in the middle of a program; take that out, or "
                f"profile on the backend 'numpy'."
            )
        values: dict[Var, Any] = dict(zip(self._program.inputs, handles, strict=True))
        rows: list[Timed] = []
        for stage in self._stages:
            assert stage.timed is not None
            given = [self._read(values, atom) for atom in stage.inputs]
            rows += stage.timed(given, rounds)
            values.update(zip(stage.outputs, stage.run(given), strict=True))
        return rows

    def _read(self, values: dict[Var, Any], atom: Atom) -> Any:
        return values[atom] if isinstance(atom, Var) else self._from_host(_filled(atom))

    def _from_host(self, array: np.ndarray[Any, Any]) -> Any:
        return self._backend.from_host(array, self._device)

    def _compiled(self, program: Program) -> Executable:
        made = self._compile(program)
        self._codes.append(made.code)
        return made

    # --- stages

    def _part(self, instrs: list[Instr], needed: set[Var]) -> Stage:
        made = [var for instr in instrs for var in instr.outputs]
        read = {atom for instr in instrs for atom in instr.inputs if isinstance(atom, Var)}
        own = set(made)
        inputs = [var for var in self._bound() if var in read and var not in own]
        outputs = [var for var in made if var in needed]
        program = Program(inputs, (), instrs, outputs, self._program.name)

        def timed(handles: Handles, rounds: int) -> Sequence[Timed]:
            return self._backend.profile(program, self._device, self._options, handles, rounds)

        return Stage(self._compiled(program), inputs, outputs, timed)

    def _bound(self) -> Iterable[Var]:
        """All variables, in the order in which they are bound."""
        yield from self._program.inputs
        for instr in self._program.instrs:
            yield from instr.outputs

    def _alone(self, instr: Instr) -> Stage:
        if instr.op.runs_on_host():
            run = self._host(instr)
        elif not self._backend.lowers(instr.op):
            return self._by_numpy(instr)
        elif instr.op.name in _CONTROL:
            run = _CONTROL[instr.op.name](self, instr)
        else:
            place = f" (used at {instr.source})" if instr.source else ""
            raise UnsupportedOperatorError(
                f"backend {self._backend.name!r} cannot call Python from within a program, and "
                f"the operator {instr.op.name!r}{place} holds a program that prints or calls a "
                f"host function. Run it on the backend 'numpy', or take that out of it."
            )
        return Stage(run, instr.inputs, instr.outputs)

    def _host(self, instr: Instr) -> Callable[[Handles], Handles]:
        types = [var.type for var in instr.outputs]
        function = host_function(instr.op, types, instr.params, instr.source)
        to_host = self._backend.to_host

        def run(handles: Handles) -> Handles:
            return [self._from_host(out) for out in function(*map(to_host, handles))]

        return run

    def _by_numpy(self, instr: Instr) -> Stage:
        """An instruction that the backend leaves to NumPy."""
        inputs = list(dict.fromkeys(atom for atom in instr.inputs if isinstance(atom, Var)))
        numpy, to_host = backend_named("numpy"), self._backend.to_host
        compiled = numpy.compile(
            Program(inputs, (), [instr], instr.outputs, instr.op.name), CPU, {}
        )
        self._codes.append(compiled.code)

        def run(handles: Handles) -> Handles:
            given = [numpy.from_host(to_host(handle), CPU) for handle in handles]
            return [self._from_host(numpy.to_host(out)) for out in compiled(given)]

        def timed(handles: Handles, rounds: int) -> Sequence[Timed]:
            seconds = timeit.repeat(lambda: run(handles), number=1, repeat=rounds + 1)
            return [Timed(instr.op.name, statistics.median(seconds[1:]), instr=instr)]

        return Stage(run, inputs, instr.outputs, timed)

    # --- loops and branches, as slope.control defines them

    def branch(self, instr: Instr) -> Callable[[Handles], Handles]:
        """What runs the branch that an index selects."""
        branches = [self._compiled(each) for each in instr.params["branches"]]
        to_host = self._backend.to_host

        def run(handles: Handles) -> Handles:
            index = int(to_host(handles[0]).item())
            return branches[min(max(index, 0), len(branches) - 1)](handles[1:])

        return run

    def loop(self, instr: Instr) -> Callable[[Handles], Handles]:
        """What runs a body as long as a condition holds."""
        test, body = (self._compiled(instr.params[name]) for name in ("cond", "body"))
        consts, to_host = instr.params["consts"], self._backend.to_host

        def run(handles: Handles) -> Handles:
            fixed, carried = handles[:consts], handles[consts:]
            while to_host(test([*fixed, *carried])[0]).item():
                carried = body([*fixed, *carried])
            return carried

        return run

    def scan(self, instr: Instr) -> Callable[[Handles], Handles]:
        """What runs a body once for each slice."""
        params, to_host = instr.params, self._backend.to_host
        consts, carries, length = params["consts"], params["carries"], params["length"]
        body, first = self._compiled(params["body"]), params["consts"] + params["carries"]
        stacked = [var.type for var in instr.outputs[carries:]]

        def run(handles: Handles) -> Handles:
            fixed, carried = handles[:consts], handles[consts:first]
            through = [to_host(each) for each in handles[first:]]
            stacks = [np.empty(each.shape, each.dtype.numpy) for each in stacked]
            for place in range(length)[:: -1 if params.get("reverse") else 1]:
                slices = [self._from_host(np.array(each[place])) for each in through]
                outs = body([*fixed, *carried, *slices])
                carried = outs[:carries]
                for stack, out in zip(stacks, outs[carries:], strict=True):
                    stack[place] = to_host(out)
            return [*carried, *map(self._from_host, stacks)]

        return run


_CONTROL = {"run_branch": Staged.branch, "run_while": Staged.loop, "run_scan": Staged.scan}


def _groups(program: Program, backend: Backend) -> list[list[Instr] | Instr]:
    """The instructions in an order of few parts.

    Those that are compiled together are lists, others stand alone. Each instruction comes as early
    as what it reads allows; effects keep their order.
    """
    ranked: dict[int, list[Instr]] = {}  # parts have even ranks, calls behind them odd ones
    ranks: dict[Var, int] = {}
    latest = 0  # rank of an effect
    for instr in program.instrs:
        alone = on_host(instr, backend.lowers)
        rank = max(
            (ranks.get(atom, 0) for atom in instr.inputs if isinstance(atom, Var)), default=0
        )
        if has_effect(instr):
            rank = max(rank, latest)
        rank += rank % 2 != alone
        if has_effect(instr):
            latest = rank
        ranked.setdefault(rank, []).append(instr)
        ranks.update(dict.fromkeys(instr.outputs, rank))
    groups: list[list[Instr] | Instr] = []
    for rank in sorted(ranked):
        groups += ranked[rank] if rank % 2 else [ranked[rank]]
    return groups


def _filled(literal: Literal) -> np.ndarray[Any, Any]:
    dtype = literal.type.dtype
    return np.full(literal.type.shape, splat_scalar(literal.value, dtype), dtype.numpy)
