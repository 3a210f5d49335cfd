"""What runs outside every transform: operators and functions, each as a compiled program.

This module fills the executor of the evaluating trace, so that an operator called outside every
transform runs as a compiled program of one instruction, and the slots of
:mod:`slope.functions._at_once`, so that a whole function does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slope.compile import (
    Compiled,
    Options,
    common_device,
    compile_now,
    compile_program,
    following,
    refuse_tracer,
    require_device,
)
from slope.core.host import raised_on_host
from slope.core.operator import Operator
from slope.core.program import ProgramTrace, param_key
from slope.core.rules import check_params
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, paused_collection
from slope.core.types import TensorType
from slope.devices import ANYWHERE, CPU, Device, default_device
from slope.dtypes import DType
from slope.errors import SlopeError, backend_failed
from slope.functions import _at_once as at_once
from slope.ops import broadcast
from slope.plugins.backend import Backend
from slope.plugins.selection import backend as backend_named
from slope.plugins.selection import current_backend

# --- operators


_eager: dict[Any, Compiled] = {}
# One-operator programs kept: thousands of shapes fit, endless new ones do not pile up.
_EAGER_LIMIT = 16384


def execute(op: Operator, args: Sequence[Tensor], params: dict[str, Any]) -> tuple[Tensor, ...]:
    """Run one operator at once: the executor of the evaluating trace."""
    backend = current_backend()
    device = None
    key: list[Any] = [op]
    splats = False
    for arg in args:
        kind = type(arg)
        if kind is Tensor:
            key.append(arg.type.number)
            if device is None:
                device = arg.device
            elif arg.device is not device:
                device = common_device(args, op.name)
        elif kind is Splat:
            splats = True
            key.append(-1 - arg.type.number)
        else:
            refuse_tracer(arg, op)
    device = device or _by_default()
    if device.kind != "cpu":
        args = [following(arg, device) for arg in args]
    if op.inline:
        return _run_program(args, params, device)
    if backend.eager == "numpy" and device.kind == "cpu" and not op.whole:
        backend = backend_named("numpy")
    key += (backend, device) if device is not CPU else (backend,)
    if params:
        key += [(name, param_key(value)) for name, value in params.items()]
    place = tuple(key)
    try:
        compiled = _eager.get(place)
    except TypeError:
        check_params(op, params)
        raise
    if compiled is None:
        compiled = _compile_eager(op, args, params, backend, device)
        _keep(op, place, compiled)
    handles = (
        [_operand_handle(arg, backend, device) for arg in args]
        if splats
        else [arg._handle if arg._backend is backend else arg.handle(backend) for arg in args]
    )
    return tuple(compiled.run(handles))


def _run_program(
    args: Sequence[Tensor], params: dict[str, Any], device: Device
) -> tuple[Tensor, ...]:
    """Run the program that an ``inline`` operator holds."""
    there = CPU if device is ANYWHERE else device
    compiled = compile_program(params["program"], there, params["options"])
    return tuple(compiled.run([arg.handle(compiled.backend) for arg in args]))


def _by_default() -> Device:
    """Where an operator without operands is computed; elsewhere only if the user chose it."""
    chosen = default_device()
    return ANYWHERE if chosen is CPU else chosen


def _keep(op: Operator, place: tuple[Any, ...], compiled: Compiled) -> None:
    """Remember a one-operator program; the oldest give way at the limit."""
    if op.runs_on_host():  # it holds a function of the user's, often a new one at each call
        return
    if len(_eager) >= _EAGER_LIMIT:
        for oldest in list(_eager)[: _EAGER_LIMIT // 4]:
            _eager.pop(oldest, None)
    _eager[place] = compiled


def _operand_handle(arg: Tensor, backend: Backend, device: Device) -> Any:
    return (
        backend.scalar(arg.value, arg.dtype, device)
        if isinstance(arg, Splat)
        else arg.handle(backend)
    )


def _compile_eager(
    op: Operator, args: Sequence[Tensor], params: dict[str, Any], backend: Backend, device: Device
) -> Compiled:
    """The program of one operator; numbers repeated everywhere come in as scalars."""
    with ProgramTrace(EVAL, op.name) as trace:
        operands: list[Tensor] = []
        for arg in args:
            if isinstance(arg, Splat):
                scalar = trace.new_input(arg.type.with_shape(()))
                operands.append(
                    broadcast(scalar, shape=arg.shape, dims=()) if arg.shape else scalar
                )
            else:
                operands.append(trace.new_input(arg.type))
        program = trace.finish(trace.process(op, operands, params), op.name)
    if not op.runs_on_host():  # else the program serves the same operator at every line
        for instr in program.instrs:
            instr.source = None
    return compile_now(program, backend, device, Options(backend.name))


# --- functions


class _Remembered:
    """A whole function compiled for arguments of some types; see :mod:`functions._at_once`."""

    __slots__ = ("backend", "constants", "executable", "number", "plan", "sequence", "types")

    def __init__(
        self,
        compiled: Compiled,
        plan: list[tuple[bool, int]],
        sequence: Callable[..., Any] | None,
        number: DType | None,
    ) -> None:
        self.number = number  # the dtype of the inputs that are Python numbers, if there are any
        self.backend = compiled.backend
        self.executable = compiled.executable
        self.types = compiled.out_types
        self.constants = [each.handle(compiled.backend) for each in compiled.constants]
        # For each result: whether it is an argument as it came, and the number of that or of an
        # output.
        self.plan = plan
        self.sequence = sequence  # what holds the results; None: there is one, an output

    def __call__(self, given: list[Any]) -> Any:
        backend, number = self.backend, self.number
        if number is None:
            handles = [x._handle if x._backend is backend else x.handle(backend) for x in given]
        else:
            handles = [
                x.handle(backend) if type(x) is Tensor else backend.scalar(float(x), number, CPU)
                for x in given
            ]
        try:
            outs = self.executable(handles + self.constants)
            if self.sequence is None:
                return Tensor(self.types[0], CPU, backend, outs[0])
            made = [
                Tensor(each, CPU, backend, out) for each, out in zip(self.types, outs, strict=True)
            ]
        except (SlopeError, MemoryError):
            raise
        except Exception as error:
            if raised_on_host(error):
                raise
            raise backend_failed(backend, "running a program", error) from error
        return self.sequence([given[at] if came else made[at] for came, at in self.plan])


def _specialize(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], numbers: bool
) -> _Remembered | None:
    """A function for arguments of these types, if one program can stand for it.

    What fails, looks at elements or holds programs goes the long way at each call.

    Args:
        function: what to compile.
        args: its arguments; tensors are inputs.
        kwargs: its other arguments, part of the program.
        numbers: whether Python numbers among ``args`` are inputs, too, of the tensors' dtype.
    """
    number: DType | None = None
    if numbers and not all(type(arg) is Tensor for arg in args):
        found_dtypes = {arg.dtype for arg in args if type(arg) is Tensor}
        if len(found_dtypes) != 1:
            return None
        number = found_dtypes.pop()
    trace = ProgramTrace(EVAL, function.__name__)
    trace.tentative = True
    try:
        with trace, paused_collection():
            given: list[Tensor] = []
            inputs = [_input(trace, arg, given, number) for arg in args]
            result = function(*inputs, **kwargs)
            found = list(result) if isinstance(result, (tuple, list)) else [result]
            if not all(isinstance(out, Tensor) and not out.weak for out in found):
                return None
            places = {id(each): number for number, each in enumerate(given)}
            outs = [out for out in found if id(out) not in places]
            program = trace.finish(outs, function.__name__)
    except SlopeError:
        return None  # it is raised again, with the user's own tensors in its message
    if any(instr.op.whole or instr.op.inline or instr.op.effect for instr in program.instrs):
        return None
    backend = current_backend()
    if backend.eager == "numpy":
        backend = backend_named("numpy")
    compiled = compile_now(program, backend, CPU, Options(backend.name))
    places_out = iter(range(len(outs)))
    plan = [
        (True, places[id(out)]) if id(out) in places else (False, next(places_out)) for out in found
    ]
    if isinstance(result, Tensor):
        return _Remembered(compiled, plan, None if not plan[0][0] else _only, number)
    return _Remembered(compiled, plan, getattr(type(result), "_make", type(result)), number)


def _input(trace: ProgramTrace, arg: Any, given: list[Tensor], number: DType | None) -> Any:
    """What a function gets for an argument: an input for a tensor, which is added to ``given``."""
    if type(arg) is Tensor:
        given.append(trace.new_input(arg.type))
        return given[-1]
    if number is not None and type(arg) in (int, float):
        tracer = trace.new_input(TensorType((), number))
        tracer.weak = True
        given.append(tracer)
        return tracer
    if isinstance(arg, (list, tuple)) and arg and type(arg[0]) is Tensor:
        return type(arg)([_input(trace, each, given, number) for each in arg])
    return arg


def _only(results: list[Tensor]) -> Tensor:
    return results[0]


# --- moving tensors


def transfer(x: Tensor, device: Device) -> Tensor:
    """The tensor on another device; itself if it is there already.

    Raises:
        DeviceError: the current backend has no such device.
    """
    if x.device == device:
        return x
    host = x.host()
    if device == CPU:
        return Tensor(x.type, device, host=host)
    backend = current_backend()
    require_device(backend, device)
    return Tensor(x.type, device, backend=backend, handle=backend.from_host(host, device))


at_once.specialize = _specialize
at_once.current_backend = current_backend
EVAL.executor = execute
EVAL.transfer = transfer
