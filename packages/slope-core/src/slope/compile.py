"""From a program to an executable: lowered, compiled by the backend, remembered."""

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
from slope.core.program import Program
from slope.core.rules import check_params
from slope.core.tensor import Tensor, Tracer
from slope.core.trace import escaped_message, paused_collection
from slope.devices import ANYWHERE, Device, default_device
from slope.errors import (
    CompileError,
    DeviceError,
    EscapedTracerError,
    SlopeError,
    backend_failed,
)
from slope.functions import _at_once as at_once
from slope.functions._devices import placed
from slope.lowering import close, lower_program
from slope.plugins.backend import Backend, Executable
from slope.plugins.selection import backend as backend_named
from slope.plugins.selection import current_backend
from slope.supported import require_supported


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
    require_supported(closed, backend)
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
