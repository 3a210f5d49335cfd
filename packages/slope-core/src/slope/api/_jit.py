"""jit: trace a function once for each structure and types of its arguments, and compile it."""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slope.api._arguments import definition, function_name, whole_numbers, words
from slope.api._places import donations, shifted, statics
from slope.compile import (
    Compiled,
    Options,
    close,
    common_device,
    compile_program,
    fold_scalars,
    listened_to,
    log,
    log_jit,
    refuse_tracer,
)
from slope.control.call import call
from slope.core.donation import give_up
from slope.core.program import Literal, Program, ProgramTrace, Var
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.trace import EVAL, current_trace, paused_collection, use_trace
from slope.core.types import TensorType, type_of_array, type_of_number
from slope.devices import CPU, Device
from slope.dtypes import DType, float32, float64, int64, uint32
from slope.errors import ArgumentError, boundary
from slope.functions.random import JitScope, current_scope, use_scope
from slope.ops import cast
from slope.passes import optimize
from slope.plugins.backend import Backend
from slope.plugins.selection import current_backend
from slope.tree import is_leaf, leaf_paths, tree_flatten, tree_unflatten, typed_key

if TYPE_CHECKING:
    from optree import PyTreeSpec

# What a leaf is to a compiled call.
TENSOR: Final = 0
WEAK_FLOAT: Final = 1
WEAK_INT: Final = 2
STATIC: Final = 3
ARRAY: Final = 4

_WEAK: Final[dict[int, DType]] = {WEAK_FLOAT: float64, WEAK_INT: int64}


def _signature(leaf: Any) -> Any:
    """What of a leaf decides the program.

    That is its type, weakness and device, or the value of a static leaf.
    """
    kind = type(leaf)
    if kind is Tensor or isinstance(leaf, Tensor):
        if leaf.weak and leaf.type.shape == ():
            return "float" if leaf.dtype.kind == "f" else "int"
        return leaf.type.number if leaf.device is CPU else (leaf.type, leaf.device)
    if kind is float or isinstance(leaf, (float, np.floating)):
        return "float"
    if kind is bool or kind is str or isinstance(leaf, np.bool_):
        return (kind, leaf)
    if kind is int or isinstance(leaf, (int, np.integer)):
        return "int"
    if isinstance(leaf, np.ndarray):
        return ~type_of_array(leaf).number  # not a tensor's: the call must convert it
    return None


def _kind(leaf: Any, signature: Any) -> int:
    if signature == "float":
        return WEAK_FLOAT
    if signature == "int":
        return WEAK_INT
    if isinstance(signature, tuple) and not isinstance(leaf, Tensor):
        return STATIC
    return TENSOR if isinstance(leaf, Tensor) else ARRAY


class _Entry:
    """A traced and compiled specialization of a function."""

    __slots__ = (
        "all_outputs",
        "all_tensors",
        "closed",
        "compiled",
        "constants",
        "donated",
        "draws",
        "in_kinds",
        "out_plan",
        "out_structure",
        "program",
    )

    def __init__(
        self,
        program: Program,
        in_kinds: list[int],
        out_plan: list[tuple[int, Any]],
        out_structure: PyTreeSpec,
        draws: bool,
        donated: Mapping[int, int],
    ) -> None:
        self.program = program
        self.closed, self.constants = close(program)
        self.in_kinds = in_kinds
        # For each result leaf: (0, number of an output), (1, number of an argument leaf), (2, a
        # value), (3, a weak output).
        self.out_plan = out_plan
        self.out_structure = out_structure
        self.draws = draws
        # For each argument leaf that is given away: its input's position. What the function returns
        # as it got it is not among them.
        forwarded = {what for how, what in out_plan if how == 1}
        self.donated = {leaf: at for leaf, at in donated.items() if leaf not in forwarded}
        self.all_tensors = all(kind == TENSOR for kind in in_kinds)
        self.all_outputs = out_plan == [(0, number) for number in range(len(out_plan))]
        self.compiled: Compiled | None = None

    def results(self, outs: Sequence[Tensor], leaves: Sequence[Any]) -> Any:
        """The result pytree."""
        if self.all_outputs:
            return tree_unflatten(self.out_structure, outs)
        values: list[Any] = []
        for how, what in self.out_plan:
            if how == 0:
                values.append(outs[what])
            elif how == 1:
                values.append(leaves[what])
            elif how == 2:
                values.append(what)
            else:
                outs[what].weak = True
                values.append(outs[what])
        return tree_unflatten(self.out_structure, values)


class Lowered:
    """A function specialized to arguments and compiled: what it became.

    Attributes:
        program: the traced program after the passes; print it to read it, as Python that runs.
    """

    def __init__(self, entry: _Entry, compiled: Compiled) -> None:
        self._entry = entry
        self._compiled = compiled
        self.program: Program = optimize(entry.program, evaluate=fold_scalars)

    @property
    def code(self) -> str:
        """The backend's own text of it: Python source, StableHLO, an ONNX graph."""
        return self._compiled.executable.code

    def cost(self) -> Any:
        """Operations, bytes and peak memory of the program."""
        return self.program.cost()

    def __repr__(self) -> str:
        count, backend = len(self.program.instrs), self._compiled.backend.name
        return f"<lowered {self.program.name}: {count} instructions for {backend}>"


class Jit:
    """A compiled function; made by :func:`jit`."""

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnums: Sequence[int],
        static_argnames: Sequence[str],
        donate: Sequence[int | str],
        options: Options,
    ) -> None:
        self._bound: tuple[Any, ...] = ()
        owner = getattr(function, "__self__", None)
        if isinstance(function, types.MethodType) and _is_node(owner):
            self._bound, function = (owner,), function.__func__
        elif _is_node(function):
            self._bound, function = (function,), type(function).__call__
        if self._bound:
            static_argnums, donate = shifted(static_argnums), shifted(donate)
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.options = options
        self._static_numbers, self._static_names = statics(
            function, static_argnums, static_argnames
        )
        self.__name__ = function_name(function)
        self._told = False  # whether a terminal heard that it compiles again
        self._donate = donations(function, donate, self._static_numbers)
        self._entries: dict[Any, _Entry] = {}

    @property
    def compile_count(self) -> int:
        """For how many structures and types of arguments it has been compiled."""
        return len(self._entries)

    def clear_cache(self) -> None:
        """Forget all compiled programs."""
        self._entries.clear()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: the instance is the first argument."""
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<jit {self.__name__}: {len(self._entries)} programs>"

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        entry, leaves = self._entry(args, kwargs)
        if current_trace() is not EVAL:
            return self._bind(entry, leaves)
        compiled = entry.compiled or self._compiled(entry, leaves)
        handles = _handles(entry.in_kinds, entry.all_tensors, leaves, compiled)
        if entry.donated:
            _take(entry.donated, leaves, handles, compiled, self.__name__)
        if not entry.draws:
            outs = compiled.run(handles)
        else:
            scope = current_scope()
            with scope.lock:
                outs = compiled.run([*handles, scope.key.handle(compiled.backend)])
                scope.key = outs.pop()
        if ARRAY in entry.in_kinds:
            outs = _apart(outs, leaves)
        return entry.results(outs, leaves)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Trace and compile for these arguments, without running.

        Returns:
            An object with ``.program`` and ``.code``.
        """
        entry, leaves = self._entry(args, kwargs)
        return Lowered(entry, self._compiled(entry, leaves))

    def trace(self, *args: Any, **kwargs: Any) -> Program:
        """The program for these arguments as it was traced, before all passes."""
        return self._entry(args, kwargs)[0].program

    def on(self, backend: str) -> Jit:
        """The same function, compiled for another backend, without options for one."""
        other = copy.copy(self)
        other.options, other._entries = Options(backend), {}
        return other

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Compiled, list[Any]]:
        """The program for these arguments, compiled to donate nothing, and its inputs' handles."""
        entry, leaves = self._entry(args, kwargs)
        known = self._compiled(entry, leaves)
        compiled = compile_program(entry.closed, known.device, self.options)
        handles = _handles(entry.in_kinds, entry.all_tensors, leaves, compiled)
        if entry.draws:
            handles.append(current_scope().key.handle(compiled.backend))
        constants = (each.handle(compiled.backend) for each in entry.constants)
        return compiled, [*handles, *constants]

    # --- finding or making the program

    def _entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Entry, list[Any]]:
        args = self._bound + args if self._bound else args
        static: Any = None
        if self._static_numbers or self._static_names:
            args, kwargs, static = self._split(args, kwargs)
        leaves, structure = tree_flatten((args, kwargs))
        signatures = tuple(
            [
                leaf.type.number  # what _signature gives; nearly all leaves are such tensors
                if type(leaf) is Tensor and leaf.device is CPU and not leaf.weak
                else _signature(leaf)
                for leaf in leaves
            ]
        )
        backend = self.options.backend or current_backend()
        key = (structure, signatures, backend, static and static[1])
        entry = self._entries.get(key)
        if entry is None:
            # No lock is held while the user's function runs: two threads may both trace it, and one
            # result is kept.
            with paused_collection():
                entry = self._trace(
                    leaves, structure, signatures, static and static[0], (args, kwargs), key
                )
        return entry, leaves

    def _split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        """The arguments that are not static, and the static ones with their key.

        The latter are ``((static by number, static by name), key)``.
        """
        by_number = {number: args[number] for number in self._static_numbers if number < len(args)}
        by_name = {name: kwargs[name] for name in self._static_names if name in kwargs}
        try:
            key = typed_key((by_number, by_name))
        except ArgumentError as error:
            raise ArgumentError(f"jit of {self.__name__}: {error}") from None
        rest = tuple(arg for number, arg in enumerate(args) if number not in by_number)
        return (
            rest,
            {name: value for name, value in kwargs.items() if name not in by_name},
            ((by_number, by_name), key),
        )

    def _trace(
        self,
        leaves: list[Any],
        structure: PyTreeSpec,
        signatures: tuple[Any, ...],
        static: Any,
        tree: Any,
        key: Any,
    ) -> _Entry:
        self._refuse_strange(leaves, signatures, tree)
        self._explain(key, tree)
        trace = ProgramTrace(current_trace(), self.__name__, definition(self.function))
        in_kinds = [
            _kind(leaf, signature) for leaf, signature in zip(leaves, signatures, strict=True)
        ]
        scope = JitScope(lambda: trace.new_input(_KEY_TYPE))
        try:
            with use_trace(trace), use_scope(scope):
                inputs = [
                    _traced_leaf(trace, leaf, kind)
                    for leaf, kind in zip(leaves, in_kinds, strict=True)
                ]
                args, kwargs = tree_unflatten(structure, inputs)
                donated = self._donated(args, kwargs, static, in_kinds)
                result = self._call(args, kwargs, static)
                out_leaves, out_structure = tree_flatten(result)
                entry = self._finish(
                    trace, inputs, in_kinds, out_leaves, out_structure, scope, donated
                )
        finally:
            trace.alive = False
        if not any(isinstance(constant, Tracer) for constant in entry.constants):
            # A trace that captured tracers of an outer one is good for this call only.
            entry = self._entries.setdefault(key, entry)
        return entry

    def _donated(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], static: Any, kinds: Sequence[int]
    ) -> dict[int, int]:
        """For each leaf of the donated arguments that is a tensor: its input's position."""
        if not self._donate:
            return {}
        gone: Collection[int] = static[0] if static else ()
        numbers = [number for number in range(len(args) + len(gone)) if number not in gone]
        donated: dict[int, int] = {}
        leaf = position = 0
        for name, value in (*zip(numbers, args, strict=True), *kwargs.items()):
            for _ in tree_flatten(value)[0]:
                if kinds[leaf] == TENSOR and name in self._donate:
                    donated[leaf] = position
                position += kinds[leaf] != STATIC
                leaf += 1
        return donated

    def _call(self, args: Any, kwargs: dict[str, Any], static: Any) -> Any:
        if static is not None:
            by_number, by_name = static
            rest = iter(args)
            count = len(args) + len(by_number)
            args = [
                by_number[number] if number in by_number else next(rest) for number in range(count)
            ]
            kwargs = {**kwargs, **by_name}
        return self.function(*args, **kwargs)

    def _finish(
        self,
        trace: ProgramTrace,
        inputs: list[Any],
        in_kinds: list[int],
        out_leaves: list[Any],
        out_structure: PyTreeSpec,
        scope: JitScope,
        donated: Mapping[int, int],
    ) -> _Entry:
        positions = {
            id(leaf): number for number, leaf in enumerate(inputs) if isinstance(leaf, Tensor)
        }
        outputs: list[Tensor] = []
        places: dict[Any, int] = {}
        plan: list[tuple[int, Any]] = []
        for leaf in out_leaves:
            if not isinstance(leaf, Tensor):
                plan.append((2, leaf))
            elif id(leaf) in positions and in_kinds[positions[id(leaf)]] != ARRAY:
                plan.append((1, positions[id(leaf)]))
            else:
                weak = leaf.weak and leaf.shape == ()
                tensor = cast(leaf, dtype=float32) if weak and leaf.dtype is float64 else leaf
                atom = trace.atom(tensor, f"the result of {self.__name__}")
                place = places.setdefault(
                    atom if isinstance(atom, Var) else _literal_key(atom), len(outputs)
                )
                if place == len(outputs):
                    outputs.append(tensor)
                plan.append((3 if weak else 0, place))
        if scope.used:
            outputs.append(scope.key)
        program = trace.finish(outputs, self.__name__)
        return _Entry(program, in_kinds, plan, out_structure, scope.used, donated)

    def _compiled(self, entry: _Entry, leaves: Sequence[Any]) -> Compiled:
        tensors = [
            leaf for leaf, kind in zip(leaves, entry.in_kinds, strict=True) if kind == TENSOR
        ]
        for tensor in tensors:
            refuse_tracer(tensor, f"jit of {self.__name__}")
        device: Device = common_device([*tensors, *entry.constants], f"jit of {self.__name__}")
        donated = frozenset(entry.donated.values())
        compiled = compile_program(entry.closed, device, self.options, donated)
        if entry.constants:
            compiled = Compiled(
                compiled.program,
                [*entry.constants, *compiled.constants],
                compiled.backend,
                compiled.device,
                compiled.executable,
                compiled.origin,
                compiled.donated,
            )
        entry.compiled = compiled
        return compiled

    def _bind(self, entry: _Entry, leaves: Sequence[Any]) -> Any:
        """Under another transform: one operator that calls the program."""
        operands: list[Tensor] = []
        for leaf, kind in zip(leaves, entry.in_kinds, strict=True):
            if kind == TENSOR:
                operands.append(leaf)
            elif kind == ARRAY:
                operands.append(Tensor(type_of_array(leaf), host=np.array(leaf)))
            elif kind in _WEAK:
                dtype = _WEAK[kind]
                number = _int64(leaf) if kind == WEAK_INT and not isinstance(leaf, Tensor) else leaf
                operands.append(
                    cast(number, dtype=dtype)
                    if isinstance(number, Tensor)
                    else Splat(number, TensorType((), dtype))
                )
        scope = current_scope()
        if entry.draws:
            operands.append(scope.key)
        outs = list(call(*operands, *entry.constants, program=entry.closed, options=self.options))
        if entry.draws:
            scope.key = outs.pop()
        return entry.results(outs, leaves)

    # --- messages

    def _refuse_strange(self, leaves: Sequence[Any], signatures: Sequence[Any], tree: Any) -> None:
        for number, (leaf, signature) in enumerate(zip(leaves, signatures, strict=True)):
            if signature is None:
                path = leaf_paths(tree)[number]
                raise ArgumentError(
                    f"jit of {self.__name__}: the argument{path} is a {type(leaf).__name__} "
                    f"({leaf!r:.80}), which is neither a tensor, a number, a NumPy array, a bool, "
                    f"a string nor a pytree of those. Name it in static_argnums= or "
                    f"static_argnames=, or register its class with slope.register_node."
                )

    def _explain(self, key: Any, tree: Any) -> None:
        """Say why a function that has programs already needs another.

        To the log; to a terminal once, if it is for other types in the same structure, such as a
        smaller batch.
        """
        tell = not self._told and sys.stderr is not None and sys.stderr.isatty()
        if not self._entries or not (tell or listened_to() or log_jit()):
            return
        recent = tuple(islice(reversed(self._entries), 16))  # all of thousands would take long
        nearest = min(recent, key=lambda old: len(_differences(old, key, tree)))
        reasons = "; ".join(_differences(nearest, key, tree))
        count = len(self._entries) + 1
        message = f"jit of {self.__name__} compiles again (program {count}): {reasons}"
        log("%s", message)
        if log_jit():
            print(f"# {message}", file=sys.stderr)  # noqa: T201  # what LOG_JIT=1 asks for
        elif tell and _by_types_alone(nearest, key):
            self._told = True
            # The sequence clears a line that may hold a progress bar.
            print(f"\r\033[Kslope: {message} (said once)", file=sys.stderr)  # noqa: T201  # its user waits


_KEY_TYPE: Final = TensorType((2,), uint32)


def _is_node(value: Any) -> bool:
    """Whether a value is a pytree node of a registered class, such as a module."""
    return value is not None and not is_leaf(value)


def _literal_key(literal: Any) -> Any:
    assert isinstance(literal, Literal)
    return literal.key()


def _traced_leaf(trace: ProgramTrace, leaf: Any, kind: int) -> Any:
    if kind == STATIC:
        return leaf
    if kind in _WEAK:
        tracer = trace.new_input(TensorType((), _WEAK[kind]))
        tracer.weak = True
        return tracer
    return trace.new_input(leaf.type if kind == TENSOR else type_of_array(leaf))


def _handles(
    kinds: Sequence[int], all_tensors: bool, leaves: Sequence[Any], compiled: Compiled
) -> list[Any]:
    """What the executable takes: the handles of the leaves that are not static.

    On the path of every compiled call.
    """
    backend, device = compiled.backend, compiled.device
    if all_tensors:
        return [
            leaf._handle
            if leaf._backend is backend and type(leaf) is Tensor
            else _handle(leaf, backend)
            for leaf in leaves
        ]
    handles: list[Any] = []
    for kind, leaf in zip(kinds, leaves, strict=True):
        if kind == TENSOR:
            handles.append(_handle(leaf, backend))
        elif kind == WEAK_FLOAT:
            handles.append(backend.scalar(float(leaf), float64, device))
        elif kind == WEAK_INT:
            handles.append(backend.scalar(_int64(leaf), int64, device))
        elif kind == ARRAY:
            handles.append(backend.from_host(leaf, device))
    return handles


def _handle(tensor: Tensor, backend: Backend) -> Any:
    if type(tensor) is not Tensor:
        refuse_tracer(tensor, "a compiled function")
    return tensor._handle if tensor._backend is backend else tensor.handle(backend)


def _take(
    donated: Mapping[int, int],
    leaves: Sequence[Any],
    handles: list[Any],
    compiled: Compiled,
    function: str,
) -> None:
    """Take the memory of donated leaves from their tensors, so that the call may write to it.

    Where somebody else refers to the memory, the call gets a copy.
    """
    backend = compiled.backend
    for leaf in donated:
        give_up(leaves[leaf], function)
    if backend.donates:
        for position in donated.values():
            if not backend.exclusive(handles[position]):
                handles[position] = backend.copied(handles[position], compiled.device)


def _apart(outs: Sequence[Tensor], leaves: Sequence[Any]) -> list[Tensor]:
    """Results that share no memory with NumPy arrays of the caller, who may write to those."""
    arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)]

    def own(out: Tensor) -> Tensor:
        if out.device is CPU and any(np.may_share_memory(out.host(), array) for array in arrays):
            return Tensor(out.type, host=out.host().copy())
        return out

    return [own(out) for out in outs]


def _int64(value: Any) -> int:
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ArgumentError(
            f"the Python int {number} does not fit int64; pass a tensor of another dtype, or name "
            f"the argument in static_argnums=."
        )
    return number


def _differences(old: Any, new: Any, tree: Any) -> list[str]:
    """In words, what of two keys of the cache differs."""
    reasons: list[str] = []
    if old[0] != new[0]:
        reasons.append(f"the structure of the arguments is new: {new[0]} instead of {old[0]}")
    elif old[1] != new[1]:
        for path, before, now in zip(leaf_paths(tree), old[1], new[1], strict=True):
            if before != now:
                reasons.append(
                    f"argument{path} is {_described(now)} instead of {_described(before)}"
                )
    if old[2] != new[2]:
        reasons.append("the backend is another one")
    if old[3] != new[3]:
        reasons.append(f"static arguments are {new[3]} instead of {old[3]}")
    return reasons


def _by_types_alone(old: Any, new: Any) -> bool:
    """Whether two keys differ in nothing but the types of tensors and arrays."""
    same = (old[0], *old[2:]) == (new[0], *new[2:])
    return same and all(
        isinstance(now, int) for before, now in zip(old[1], new[1], strict=True) if before != now
    )


def _described(signature: Any) -> str:
    if isinstance(signature, int):
        if signature < 0:
            return f"a NumPy array {type_of_number(~signature)}"
        return str(type_of_number(signature))
    if isinstance(signature, tuple) and isinstance(signature[0], TensorType):
        return f"{signature[0]} on {signature[1]}"
    if isinstance(signature, tuple):
        return repr(signature[1])
    return f"a Python {signature}"


def jit(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    donate: int | str | Sequence[int | str] = (),
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Compile a function, so that it runs as one program.

    It is traced once for each structure, shapes and dtypes of its arguments.

    Tensors, NumPy arrays, Python ints and floats among the leaves of the arguments are inputs (a
    new number compiles nothing); bools, strings and ``None`` are static (a new value compiles a new
    program). A module, or the module of a bound method, is an argument like any other pytree. Draws
    from the default generator are fresh at each call.

    Args:
        function: what to compile: a function, a method, a module or another callable. Left out,
            ``jit`` is a decorator with options.
        static_argnums: positional arguments that are static: hashable, and part of the program.
        static_argnames: the same by name.
        donate: positions or names of arguments whose tensors are given away: the program may write
            its results into their memory (parameters, optimizer state, a cache of keys and values
            are then updated in place), and using those tensors after the call raises
            :class:`~slope.errors.DonatedTensorError`. Memory that something else refers to (a NumPy
            view, another tensor) is copied first and stays as it is. A tensor that is returned as
            it came stays usable. Under another transform, donation means nothing.
        backend: run on this backend whatever the current one is.
        options: the backend's own options.

    Returns:
        A callable with ``lower(*args)``, ``compile_count`` and ``clear_cache()``.

    Raises:
        ArgumentError: ``static_argnames`` or ``donate`` names no argument, or when called, a leaf
            is of no kind that is listed above.
        BackendError: when called, the backend is not installed.
        CompileError: when called, the backend's compiler refuses the program.

    Example:
        >>> slope.jit(lambda x: x * 2 + 1)(slope.ones(3)).tolist()
        [3.0, 3.0, 3.0]
    """
    numbers = whole_numbers(static_argnums, "jit", "static_argnums")
    names = words(static_argnames, "jit", "static_argnames")
    given: Any = donate if isinstance(donate, (tuple, list)) else (donate,)

    def make(target: Callable[..., Any]) -> Jit:
        if not callable(target):
            raise ArgumentError(
                f"jit takes a callable, and got a {type(target).__name__} ({target!r:.80})."
            )
        return Jit(target, numbers, names, given, Options(backend, options))

    return make if function is None else make(function)
