"""From a program to an executable: passes, expansion, the backend's compiler, caches.

What the backend cannot lower is expanded before it compiles.
"""

from __future__ import annotations

import copy
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slope.core.host import calls_host, raised_on_host
from slope.core.locks import open_after_fork
from slope.core.operator import Operator
from slope.core.printer import programs_in
from slope.core.program import Instr, Program, ProgramTrace, expand, param_key, run_instrs
from slope.core.rules import check_params, check_types
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.trace import EVAL, escaped_message, paused_collection
from slope.core.types import TensorType
from slope.devices import ANYWHERE, CPU, Device, default_device
from slope.dims import is_static
from slope.dtypes import DType
from slope.errors import (
    CompileError,
    DeviceError,
    EscapedTracerError,
    SlopeError,
    UnsupportedOperatorError,
    backend_failed,
)
from slope.functions import _at_once as at_once
from slope.functions._devices import placed
from slope.passes import map_programs, optimize, to_layout
from slope.plugins.backend import Backend, Executable
from slope.plugins.selection import backend as backend_named
from slope.plugins.selection import current_backend, installed


def listened_to() -> bool:
    """Whether anybody wants the log of ``slope.jit``.

    Where nobody has imported logging, nobody does, and it stays unloaded.
    """
    if "logging" not in sys.modules:
        return False
    import logging

    return logging.getLogger("slope.jit").isEnabledFor(logging.INFO)


def log(message: str, *values: object) -> None:
    """Tell the logger ``slope.jit``, if anybody listens."""
    if listened_to():
        import logging

        logging.getLogger("slope.jit").info(message, *values)


class Options:
    """How to compile: a backend's name (``None``: the current one) and options for it. Hashable.

    Attributes:
        backend: a name, or ``None``.
        extra: the backend's own options.
    """

    __slots__ = ("_key", "backend", "extra")

    def __init__(self, backend: str | None = None, extra: Mapping[str, Any] | None = None) -> None:
        self.backend = backend
        self.extra = dict(extra or {})
        self._key = (
            backend,
            tuple(sorted((name, repr(value)) for name, value in self.extra.items())),
        )

    def resolve(self) -> Backend:
        """The backend that they name."""
        return current_backend() if self.backend is None else backend_named(self.backend)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self._key == other._key


DEFAULT_OPTIONS = Options()


# --- programs


class Compiled:
    """A program compiled by a backend for a device.

    Attributes:
        program: as the backend got it, its constants made inputs.
        constants: the values of those.
        backend, device, executable: what it runs on.
        origin: the program before passes and lowering, without constants; its inputs are the first
            of ``program``'s.
        donated: the inputs whose memory the executable may write to.
    """

    __slots__ = (
        "backend",
        "constants",
        "device",
        "donated",
        "executable",
        "origin",
        "out_types",
        "program",
    )

    def __init__(
        self,
        program: Program,
        constants: Sequence[Tensor],
        backend: Backend,
        device: Device,
        executable: Executable,
        origin: Program | None = None,
        donated: frozenset[int] = frozenset(),
    ) -> None:
        self.program = program
        self.origin = program if origin is None else origin
        self.donated = donated
        self.constants = list(constants)
        self.backend = backend
        self.device = device
        self.executable = executable
        self.out_types = program.output_types

    def run(self, handles: list[Any]) -> list[Tensor]:
        """The results as tensors; ``handles`` are the inputs' without the constants'."""
        backend, device = self.backend, self.device
        if self.constants:
            handles = [*handles, *(constant.handle(backend) for constant in self.constants)]
        try:
            outs = self.executable(handles) if _watcher is None else _watcher(self, handles)
        except (SlopeError, MemoryError):
            raise
        except Exception as error:
            if raised_on_host(error):
                raise
            raise backend_failed(backend, self._running(), error) from error
        try:
            return [
                Tensor(each, device, backend, handle)
                for each, handle in zip(self.out_types, outs, strict=True)
            ]
        except (TypeError, ValueError):
            wrong = f"{self._running()}: {len(self.out_types)} results are due, not {outs!r:.60}"
            raise backend_failed(backend, wrong) from None

    def sized(self, sizes: Mapping[str, int]) -> Compiled:
        """The same executable where its symbolic dimensions have these sizes."""
        from slope.core.sizes import sized_type  # few programs have such dimensions

        same = copy.copy(self)
        same.out_types = tuple([sized_type(each, sizes) for each in self.out_types])
        return same

    def _running(self) -> str:
        return f"running the program {self.program.name!r}"


Watcher = Callable[[Compiled, list[Any]], Sequence[Any]]
_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Have a function run all executables: from a compiled program and handles to the results'."""
    global _watcher  # noqa: PLW0603  # one for the whole process; a call only looks at a name
    _watcher = watcher
    at_once.paused = watcher is not None  # it would tell the line of the call it was made for


def compile_program(
    program: Program,
    device: Device,
    options: Options = DEFAULT_OPTIONS,
    donated: frozenset[int] = frozenset(),
) -> Compiled:
    """Compile a program, once for each backend, device, options and donated inputs.

    Args:
        program: what to compile.
        device: where it is to run.
        options: how to compile it.
        donated: positions of inputs that calls may write to.

    Raises:
        UnsupportedOperatorError: the backend can neither lower nor expand an operator.
        CompileError: the backend's compiler refused.
    """
    backend = options.resolve()
    key = ("compiled", backend, device, options, donated)
    found = program.derived.get(key)
    if found is None:
        with _compiling, paused_collection():  # no code of the user's runs in here
            found = program.derived.get(key)
            if found is None:
                found = program.derived[key] = compile_now(
                    program, backend, device, options, donated
                )
    return found


_compiling = open_after_fork(threading.RLock())  # compilers keep all cores busy anyway


def compile_now(
    program: Program,
    backend: Backend,
    device: Device,
    options: Options,
    donated: frozenset[int] = frozenset(),
) -> Compiled:
    for instr in program.instrs:
        check_params(instr.op, instr.params)
    lowered = lower_program(program, backend, device)
    closed, constants = close(lowered)
    _require_dtypes(closed, backend)
    constants = [following(each, device) for each in constants]
    require_device(backend, device)
    _show(f"{program.name}: program", closed)  # first: it is wanted most where compiling fails
    started = time.perf_counter()
    # A backend that does not know of donation is not asked about it.
    taken = {"donated": donated} if donated and backend.donates else {}
    try:
        executable = _executable(closed, backend, device, options, taken)
    except CompileError as error:
        _show(f"{program.name}: {backend.name} code, refused", error.code)
        raise
    except (SlopeError, MemoryError):
        raise
    except Exception as error:
        raise backend_failed(backend, f"compile, of {program.name!r}", error) from error
    if not isinstance(executable, Executable):
        raise backend_failed(backend, f"compile: it returned {executable!r:.60}, no Executable")
    seconds = time.perf_counter() - started
    log(
        "compiled %s (%d instructions) for %s on %s in %.3f s",
        program.name,
        len(closed.instrs),
        backend.name,
        device,
        seconds,
    )
    _show(f"{program.name}: {backend.name} code", executable.code)
    origin = close(program)[0]
    writes = donated if taken else frozenset[int]()
    return Compiled(closed, constants, backend, device, executable, origin, writes)


def _executable(
    program: Program, backend: Backend, device: Device, options: Options, taken: Mapping[str, Any]
) -> Executable:
    """The program compiled; in stages where the host computes some of it."""
    if calls_host(program, backend.lowers):
        from slope.staged import Staged  # few programs need it

        def compiled(part: Program) -> Executable:
            return _executable(part, backend, device, options, {})

        return Staged(program, backend, device, options.extra, compiled)
    return backend.compile(program, device, options.extra, **taken)


def log_jit() -> bool:
    """Whether ``LOG_JIT=1`` asks for programs and code to be printed as they are compiled."""
    return os.environ.get("LOG_JIT", "0") not in ("", "0")


def _show(title: str, text: object) -> None:
    """Print a text if ``LOG_JIT=1`` asks for it."""
    if log_jit():
        print(f"# {title}\n{text}", file=sys.stderr)  # noqa: T201  # what LOG_JIT=1 asks for


def close(program: Program) -> tuple[Program, list[Tensor]]:
    """The program with its constants as inputs behind the others, and their values."""
    if not program.constants:
        return program, []
    inputs = [*program.inputs, *(var for var, _ in program.constants)]
    return Program(inputs, (), program.instrs, program.outputs, program.name), [
        value for _, value in program.constants
    ]


def lower_program(program: Program, backend: Backend, device: Device | None = None) -> Program:
    """The program in operators that the backend lowers, improved by the passes.

    Passes write operators of their own accord (``neg`` for ``x * -1``). Where the backend lacks
    one of those, only passes run that write none, so that a program needs no more operators than
    it says.

    Args:
        program: what to lower.
        backend: for which backend.
        device: where it is to run: then it may hold instructions that the backend leaves to NumPy
            (:meth:`~slope.plugins.backend.Backend.left_to_numpy`). None: the whole is to be the
            backend's, as it must in a file.
    """
    if not all(is_static(each.shape) for each in program.input_types):
        device = None
    try:
        lowered = _improved(program, backend, device, frozenset())
    except UnsupportedOperatorError:
        lowered = None  # the program itself may need what is missing, or a pass
    if lowered is None or not _is_known(lowered, backend):
        lowered = _improved(program, backend, device, _WRITING_PASSES)
    # After expansion: composites would hide what could be permuted.
    turned = to_layout(lowered, backend.layout)
    return lowered if turned is lowered else optimize(turned, evaluate=fold_scalars)


_WRITING_PASSES = frozenset({"algebra", "sums", "turns"})


def _improved(
    program: Program, backend: Backend, device: Device | None, without: frozenset[str]
) -> Program:
    """The program expanded for the backend, improved before and after without some passes."""
    lowered = optimize(program, without, fold_scalars)
    if _is_known(lowered, backend):
        return lowered
    return optimize(_expand_unknown(lowered, backend, device), without, fold_scalars)


def _is_known(program: Program, backend: Backend) -> bool:
    """Whether the backend lowers every operator, also those of programs that the program holds."""
    return all(
        not instr.op.inline
        and (backend.lowers(instr.op) or instr.op.runs_on_host())
        and all(_is_known(nested, backend) for nested in programs_in(list(instr.params.values())))
        for instr in program.instrs
    )


def unsupported(program: Program, backend: Backend) -> dict[tuple[Operator, DType], Instr]:
    """What the backend cannot compile, by its own word (:meth:`Backend.supports`).

    Asked for the dtype of each operand and, for operators without operands or with a parameter
    ``dtype``, of the result; also in programs that instructions hold.

    Args:
        program: expanded, as far as that goes.
        backend: whom to ask.

    Returns:
        The pairs that it refuses, each with the first instruction that needs it.
    """
    found: dict[tuple[Operator, DType], Instr] = {}
    asked: set[tuple[Operator, DType]] = set()
    for instr in program.instrs:
        op, params = instr.op, instr.params
        atoms = [*instr.inputs, *(instr.outputs if not instr.inputs or "dtype" in params else ())]
        for dtype in {atom.type.dtype for atom in atoms}:
            if (op, dtype) not in asked:
                asked.add((op, dtype))
                can = backend.lowers(op) or op.has("expand") or op.has("host")
                if not (can and backend.supports(op, dtype)):
                    found[op, dtype] = instr
        for nested in programs_in(list(params.values())):
            found = unsupported(nested, backend) | found
    return found


def _require_dtypes(program: Program, backend: Backend) -> None:
    """Refuse what the backend says that it cannot compile: it might compute something else."""
    if type(backend).supports is Backend.supports:
        return  # it takes all dtypes of what it lowers
    for (op, dtype), instr in unsupported(program, backend).items():
        place = f" (used at {instr.source})" if instr.source else ""
        raise UnsupportedOperatorError(
            f"backend {backend.name!r} does not support operator {op.name!r} on {dtype}{place}. "
            f"Use another dtype, or choose another backend with slope.use_backend(...)."
        )


def require_device(backend: Backend, device: Device) -> None:
    """Refuse a device that a backend does not have.

    Raises:
        DeviceError: naming those that it has, and why it has not this one.
    """
    try:
        devices = backend.devices()
    except (SlopeError, MemoryError):
        raise
    except Exception as error:
        raise backend_failed(backend, "devices", error) from error
    if not isinstance(devices, list) or not all(isinstance(each, Device) for each in devices):
        raise backend_failed(backend, f"devices: it returned {devices!r:.60}, no list of Devices")
    if device not in devices:
        there = ", ".join(map(str, devices)) or "none"
        raise DeviceError(
            f"backend {backend.name!r} has no device {device}; it has {there}. "
            f"{backend.absent(device)}"
        )


class _LoweringTrace(ProgramTrace):
    """Records operators that a backend lowers or leaves to NumPy, and expands the others."""

    def __init__(self, backend: Backend, function: str, device: Device | None = None) -> None:
        super().__init__(EVAL, function)
        self.backend = backend
        self.device = device

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        if (self.backend.lowers(op) or op.runs_on_host()) and not op.inline:
            if any(programs_in(list(params.values()))):
                args, params = self._with_lowered(op, args, params)
            return super().process(op, args, params)
        if op.has("expand"):
            if self._is_left(op, args):
                return super().process(op, args, params)
            return expand(op, args, params)
        place = f" (used at {self.instr_source})" if self.instr_source else ""
        raise UnsupportedOperatorError(
            f"backend {self.backend.name!r} has no lowering for operator {op.name!r}, which has "
            f"neither expand nor host{place}. {_own_way(op)}ive the backend a rule through the "
            f"hook slope_lowerings, or choose another backend with slope.use_backend(...)."
            f"{self._elsewhere(op)}"
        )

    def _is_left(self, op: Operator, args: Sequence[Tensor]) -> bool:
        """Whether the numpy backend is to compute it."""
        if self.device is None or op.inline:
            return False
        return self.backend.left_to_numpy(op, [arg.type for arg in args], self.device)

    def _elsewhere(self, op: Operator) -> str:
        """A sentence on the selected backend, where calls outside jit run on another."""
        current = current_backend()
        if self.backend.name != "numpy" or current is self.backend or not current.lowers(op):
            return ""
        return (
            f" The selected backend {current.name!r} has a lowering: calls inside jit use it, and "
            f"others do if {type(op).__qualname__} says whole = True."
        )

    def _with_lowered(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Sequence[Tensor], dict[str, Any]]:
        """The call with lowered programs as parameters; tensors made by expansions are operands."""
        params = map_programs(params, lambda nested: _expanded(nested, self.backend))
        if any(nested.constants for nested in programs_in(list(params.values()))):
            return op.with_closed(args, params)
        return args, params


def _own_way(op: Operator) -> str:
    """The beginning of a sentence: what the author of a plugin's operator can do besides."""
    if type(op).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return "G"
    return f"Define {type(op).__qualname__}.expand, g"


def _expanded(program: Program, backend: Backend) -> Program:
    key = ("expanded", backend)
    if key not in program.derived:  # one program in two places stays one
        program.derived[key] = (
            None if _is_known(program, backend) else _expand_unknown(program, backend)
        )
    return program.derived[key] or program


def _expand_unknown(program: Program, backend: Backend, device: Device | None = None) -> Program:
    with _LoweringTrace(backend, program.name, device) as trace:
        args = [trace.new_input(each) for each in program.input_types]

        def step(instr: Instr, operands: list[Tensor]) -> Sequence[Tensor]:
            made = trace.process(instr.op, operands, instr.params)
            check_types(instr.op, "expand", made, [var.type for var in instr.outputs])
            return made

        return trace.finish(run_instrs(program, args, step), program.name)


def refuse_tracer(arg: Tensor, op: Operator | str) -> None:
    """Raise for a tracer that reached the evaluating trace.

    Its own trace has ended, or runs elsewhere.

    Raises:
        EscapedTracerError: always, for tracers.
    """
    if isinstance(arg, Tracer):
        user = op if isinstance(op, str) else f"the operator {op.name!r}"
        raise EscapedTracerError(escaped_message(arg, user))


def common_device(args: Sequence[Tensor], user: str) -> Device:
    """The one device of all tensors.

    Raises:
        DeviceError: there are several; the message says which argument is where.
    """
    found = {arg.device for arg in args if type(arg) is Tensor and arg.device is not ANYWHERE}
    if len(found) > 1:
        where = ", ".join(
            f"argument {number} {arg.type} on {arg.device}" for number, arg in enumerate(args)
        )
        raise DeviceError(
            f"{user} got tensors on several devices: {where}. Move them to one with .to('cpu') or "
            f".to('cuda:0')."
        )
    return found.pop() if found else default_device()


def following(x: Tensor, device: Device) -> Tensor:
    """A tensor that is nowhere in particular on this device; any other as it is."""
    return placed(x, device) if x.device is ANYWHERE and device.kind != "cpu" else x


def moved(x: Tensor, device: Device) -> Tensor:
    """A tensor on this device, wherever it was: the generator's key goes from one to another."""
    return x if x.device is device else placed(x, device)


def fold_scalars(
    op: Operator, scalars: Sequence[Any], types: Sequence[TensorType], params: Mapping[str, Any]
) -> Any:
    """The value of an elementwise operator of literals, for constant folding.

    Computed by the numpy backend, which defines what operators mean; ``None`` without it.
    """
    if "numpy" not in installed() or op.multiple:
        return None
    backend = backend_named("numpy")
    args = [Splat(value, each.with_shape(())) for value, each in zip(scalars, types, strict=True)]
    if not backend.lowers(op):
        return None
    compiled = _compile_scalar(
        op, tuple(each.dtype for each in types), tuple(params.items()), args, backend
    )
    (out,) = compiled.executable([backend.scalar(arg.value, arg.dtype, CPU) for arg in args])
    return backend.to_host(out).item()


_scalar_programs: dict[Any, Compiled] = {}


def _compile_scalar(
    op: Operator, dtypes: Any, params: Any, args: Sequence[Splat], backend: Backend
) -> Compiled:
    key = (op, dtypes, tuple([(name, param_key(value)) for name, value in params]))
    if key not in _scalar_programs:
        with ProgramTrace(EVAL, op.name) as trace:
            operands = [trace.new_input(arg.type) for arg in args]
            program = trace.finish(trace.process(op, operands, dict(params)), op.name)
        _scalar_programs[key] = Compiled(
            program, (), backend, CPU, backend.compile(program, CPU, {})
        )
    return _scalar_programs[key]
