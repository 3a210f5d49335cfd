"""jit: trace a function once for each structure and types of its arguments, and compile it."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

from slope.api._arguments import definition, function_name, whole_numbers, words
from slope.api._entries import Entry, Lowered
from slope.api._leaves import (
    ARRAY,
    STATIC,
    TENSOR,
    apart,
    handles_of,
    kind_of,
    operands_of,
    refuse_strange,
    signatures_of,
    take,
    traced_leaf,
)
from slope.api._places import donations, shifted, statics
from slope.api._reader import Known
from slope.api._recompiles import explain
from slope.compile import (
    Compiled,
    Options,
    common_device,
    compile_program,
    following,
    moved,
    refuse_tracer,
)
from slope.control.call import call
from slope.core.program import Literal, Program, ProgramTrace, Var
from slope.core.tensor import Tensor, Tracer
from slope.core.trace import EVAL, current_trace, paused_collection, use_trace
from slope.devices import ANYWHERE, CPU, Device
from slope.dtypes import float32, float64
from slope.errors import ArgumentError, boundary
from slope.functions.keys import KEY_TYPE
from slope.functions.random import JitScope, current_scope, use_scope
from slope.ops import cast
from slope.plugins.selection import current_backend
from slope.tree import is_leaf, tree_flatten, tree_unflatten, typed_key

if TYPE_CHECKING:
    from optree import PyTreeSpec


P = ParamSpec("P")
R = TypeVar("R")


class Jit(Generic[P, R]):
    """A compiled function of the same arguments and results; made by :func:`jit`."""

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        function: Callable[P, R],
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
        wrapped: Callable[..., Any] = function
        functools.update_wrapper(self, wrapped, updated=())
        self.function = function
        self.options = options
        self._static_numbers, self._static_names = statics(
            function, static_argnums, static_argnames
        )
        self.__name__ = function_name(function)
        self._told = False  # whether a terminal heard that it compiles again
        self._donate = donations(function, donate, self._static_numbers)
        self._entries: dict[Any, Entry] = {}
        self._structures: dict[PyTreeSpec, Known] = {}
        self._readers: tuple[Known, ...] = ()  # of structures that came often, the newest first

    @property
    def compile_count(self) -> int:
        """For how many structures and types of arguments it has been compiled."""
        return len(self._entries)

    def clear_cache(self) -> None:
        """Forget all compiled programs."""
        self._entries.clear()
        self._structures.clear()
        self._readers = ()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: the instance is the first argument."""
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        plural = "" if len(self._entries) == 1 else "s"
        return f"<jit {self.__name__}: {len(self._entries)} program{plural}>"

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> R: ...  # arrays and numbers for tensors
    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        entry, leaves = self._entry(args, kwargs)
        if current_trace() is not EVAL:
            return self._bind(entry, leaves)
        compiled = entry.compiled or self._compiled(entry, leaves)
        handles = handles_of(entry.in_kinds, entry.all_tensors, leaves, compiled)
        if entry.donated:
            take(entry.donated, entry.forwarded, leaves, handles, compiled, self.__name__)
        if not entry.draws:
            outs = compiled.run(handles)
        else:
            scope = current_scope()
            with scope.lock:
                outs = compiled.run(
                    [*handles, moved(scope.key, compiled.device).handle(compiled.backend)]
                )
                scope.key = outs.pop()
        if ARRAY in entry.in_kinds:
            outs = apart(outs, leaves)
        return entry.results(outs, leaves)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Trace and compile for these arguments, without running.

        Returns:
            An object with ``.program`` and ``.code``, and ``.export(path)``.
        """
        entry, leaves = self._entry(args, kwargs)

        def export(**settings: Any) -> Any:
            from slope.api._export import export  # nobody else should pay for its import

            return export(self, *args, **settings, **kwargs)

        return Lowered(entry, self._compiled(entry, leaves), export)

    def trace(self, *args: Any, **kwargs: Any) -> Program:
        """The program for these arguments as it was traced, before all passes."""
        return self._entry(args, kwargs)[0].program

    def on(self, backend: str) -> Jit[P, R]:
        """The same function, compiled for another backend, without options for one."""
        other = copy.copy(self)
        other.options, other._entries = Options(backend), {}
        other._structures, other._readers = {}, ()
        return other

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Compiled, list[Any]]:
        """The program that these arguments are called with, and its inputs' handles.

        Nothing is taken from the tensors: who runs the program gives it copies of what is donated.
        """
        entry, leaves = self._entry(args, kwargs)
        compiled = self._compiled(entry, leaves)
        handles = handles_of(entry.in_kinds, entry.all_tensors, leaves, compiled)
        if entry.draws:
            key = moved(current_scope().key, compiled.device)
            handles.append(key.handle(compiled.backend))
        constants = (each.handle(compiled.backend) for each in compiled.constants)
        return compiled, [*handles, *constants]

    # --- finding or making the program

    def _entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Entry, list[Any]]:
        args = self._bound + args if self._bound else args
        static: Any = None
        if self._static_numbers or self._static_names:
            args, kwargs, static = self._split(args, kwargs)
        tree = (args, kwargs)
        chosen = (self.options.backend or current_backend(), static and static[1])
        for known in self._readers:
            leaves = known.read(tree)
            if leaves is not None:
                entry = known.entries.get((signatures_of(leaves), *chosen))
                if entry is not None:
                    return entry, leaves
                break
        leaves, structure = tree_flatten(tree)
        types = (signatures_of(leaves), *chosen)
        key = (structure, *types)
        entry = self._entries.get(key)
        if entry is not None:
            self._learn(structure, types, entry, tree)
        else:
            # No lock is held while the user's function runs: two threads may both trace it, and one
            # result is kept.
            with paused_collection():
                entry = self._trace(leaves, structure, types[0], static and static[0], tree, key)
        return entry, leaves

    def _learn(self, structure: PyTreeSpec, types: Any, entry: Entry, tree: Any) -> None:
        """Have a reader take trees apart that come again and again."""
        known = self._structures.get(structure)
        if known is None:
            known = self._structures.setdefault(structure, Known())
        known.entries[types] = entry
        if known.is_due(tree):
            others = [each for each in self._readers if each is not known]
            self._readers = (known, *others[: _READERS - 1])

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
    ) -> Entry:
        refuse_strange(leaves, signatures, tree, self.__name__)
        self._told |= explain(key, tree, self._entries, self.__name__, self._told)
        trace = ProgramTrace(current_trace(), self.__name__, definition(self.function))
        in_kinds = [
            kind_of(leaf, signature) for leaf, signature in zip(leaves, signatures, strict=True)
        ]
        scope = JitScope(lambda: trace.new_input(KEY_TYPE))
        try:
            with use_trace(trace), use_scope(scope):
                inputs = [
                    traced_leaf(trace, leaf, kind)
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
    ) -> Entry:
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
        return Entry(program, in_kinds, plan, out_structure, scope.used, donated)

    def _compiled(self, entry: Entry, leaves: Sequence[Any]) -> Compiled:
        tensors = [
            leaf for leaf, kind in zip(leaves, entry.in_kinds, strict=True) if kind == TENSOR
        ]
        for place, tensor in enumerate(tensors):
            refuse_tracer(tensor, f"jit of {self.__name__}")
            if tensor.device is ANYWHERE:  # as an argument it is where it is
                tensors[place] = tensor.relabelled(CPU)
        device: Device = common_device([*tensors, *entry.constants], f"jit of {self.__name__}")
        donated = frozenset(entry.donated.values())
        compiled = compile_program(entry.closed, device, self.options, donated)
        if entry.constants:
            compiled = Compiled(
                compiled.program,
                [*(following(each, device) for each in entry.constants), *compiled.constants],
                compiled.backend,
                compiled.device,
                compiled.executable,
                compiled.origin,
                compiled.donated,
            )
        entry.compiled = compiled
        return compiled

    def _bind(self, entry: Entry, leaves: Sequence[Any]) -> Any:
        """Under another transform: one operator that calls the program."""
        operands = operands_of(leaves, entry.in_kinds)
        scope = current_scope()
        if entry.draws:
            operands.append(scope.key)
        outs = list(call(*operands, *entry.constants, program=entry.closed, options=self.options))
        if entry.draws:
            scope.key = outs.pop()
        return entry.results(outs, leaves)


_READERS: Final = 4  # structures that a call tries before the general walk


def _is_node(value: Any) -> bool:
    """Whether a value is a pytree node of a registered class, such as a module."""
    return value is not None and not is_leaf(value)


def _literal_key(literal: Any) -> Any:
    assert isinstance(literal, Literal)
    return literal.key()


@overload
def jit(
    function: Callable[P, R],
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    donate: int | str | Sequence[int | str] = (),
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    dynamic: Mapping[Any, Any] | None = None,
) -> Jit[P, R]: ...
@overload
def jit(
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    donate: int | str | Sequence[int | str] = (),
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    dynamic: Mapping[Any, Any] | None = None,
) -> Callable[[Callable[P, R]], Jit[P, R]]: ...
@boundary
def jit(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    donate: int | str | Sequence[int | str] = (),
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    dynamic: Mapping[Any, Any] | None = None,
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
        dynamic: dimensions that may have any size, so that one trace serves them all: by the
            positions or names of arguments, ``{dimension: slope.Dim(name)}`` for a tensor, such as
            ``{"x": {0: slope.Dim("batch")}}``; in a pytree like the argument, or for all of its
            leaves. Equal names are equal sizes; a bare string is a ``Dim`` of that name, of at
            least 1. What the function decides must hold for every size.

    Returns:
        A callable with ``lower(*args)``, ``compile_count`` and ``clear_cache()``.

    Raises:
        ArgumentError: ``static_argnames`` or ``donate`` names no argument, or when called, a leaf
            is of no kind that is listed above.
        BackendError: when called, the backend is not installed.
        CompileError: when called, the backend's compiler refuses the program.
        ShapeError: when called, what the function does depends on the size of a dimension in
            ``dynamic``, or sizes do not fit it.

    Example:
        >>> slope.jit(lambda x: x * 2 + 1)(slope.ones(3)).tolist()
        [3.0, 3.0, 3.0]
    """
    numbers = whole_numbers(static_argnums, "jit", "static_argnums")
    names = words(static_argnames, "jit", "static_argnames")
    given: Any = donate if isinstance(donate, (tuple, list)) else (donate,)

    def make(target: Callable[..., Any]) -> Jit[..., Any]:
        if not callable(target):
            raise ArgumentError(
                f"jit takes a callable, and got a {type(target).__name__} ({target!r:.80})."
            )
        settings = (numbers, names, given, Options(backend, options))
        if dynamic is not None:
            from slope.api._dynamic import DynamicJit  # nobody else should pay for its import

            return DynamicJit(target, *settings, dynamic)
        return Jit(target, *settings)

    return make if function is None else make(function)
