"""Functions called outside every transform, as one compiled program instead of one an operator.

A function such as ``matmul`` or ``softmax`` looks at its arguments, reshapes, broadcasts and calls
several operators. All that depends on the arguments' types alone, so the second call with the same
types skips it: :func:`at_once` remembers the compiled program of the whole function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from slope.core.tensor import Tensor
from slope.core.trace import EVAL, current_trace
from slope.devices import CPU
from slope.dtypes import DType
from slope.errors import SlopeError, come_to_rest, shortened, told

P = ParamSpec("P")
R = TypeVar("R")


class Remembered(Protocol):
    """A function specialized to the types of its arguments."""

    def __call__(self, given: list[Any]) -> Any: ...


Specialize = Callable[
    [Callable[..., Any], tuple[Any, ...], dict[str, Any], bool], "Remembered | None"
]


def _nowhere() -> Any:
    return None


current_backend: Callable[[], Any] = _nowhere
"""The backend that computes now, as part of what is remembered; :mod:`slope.eager` fills it."""

specialize: Specialize | None = None
"""How to specialize a function; ``None`` for one that cannot be. :mod:`slope.eager` fills it."""

paused = False
"""Whether every call goes the long way, for those who want to see each operator."""

_LIMIT: Final = 4096  # remembered for each function; beyond, new types go the long way


def at_once(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function run as one compiled program where it is called outside every transform.

    Args:
        function: of tensors; its result depends on nothing but its arguments, and is a tensor or
            a tuple or list of tensors. It draws no random numbers. Ints among its arguments are
            dimensions, lengths and the like: each new one makes a new program.
    """
    return _wrapped(function, numbers=_STATIC)


def of_tensors_at_once(function: Callable[P, R]) -> Callable[P, R]:
    """As :func:`at_once`, for functions that calculate with their numbers: tensors alone count."""
    return _wrapped(function, numbers=_REFUSED)


def with_numbers_at_once(function: Callable[P, R]) -> Callable[P, R]:
    """As :func:`at_once`, for functions to which a number is as good as a tensor of shape ().

    Numbers are inputs of the program, beside floating-point tensors of one dtype.
    """
    return _wrapped(function, numbers=_INPUTS)


_STATIC: Final = 0  # what a number among the arguments is: part of the program
_REFUSED: Final = 1  # a reason to go the long way
_INPUTS: Final = 2  # an input of the program
_ALIASES: Final = {"axis": "dim", "keepdims": "keepdim"}  # NumPy's names, as PyTorch takes them
_EXACT: Final = 2**53  # ints up to here are floats, too


def _wrapped(function: Callable[P, R], *, numbers: int) -> Callable[P, R]:
    known: dict[Any, Remembered | None] = {}
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    aliases = {old: new for old, new in _ALIASES.items() if new in names and old not in names}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs and not aliases.keys().isdisjoint(kwargs):
            kwargs = _renamed(kwargs, aliases)  # pyright: ignore[reportAssignmentType]  # the same arguments
        try:
            if current_trace() is not EVAL or specialize is None or paused:
                return function(*args, **kwargs)
            given: list[Tensor | float] = []
            key = _key(args, kwargs, given, numbers)
            if key is None:
                return function(*args, **kwargs)
            remembered = known.get(key, known)
            if remembered is known:
                remembered = None
                if len(known) < _LIMIT:
                    remembered = known[key] = specialize(function, args, kwargs, numbers == _INPUTS)
            if remembered is None:
                return function(*args, **kwargs)
            return remembered(given)  # pyright: ignore[reportCallIssue]  # it is not the dictionary
        except SlopeError as error:
            raise shortened(error)  # noqa: B904  # SLOPE_FULL_TRACEBACK=1 shows slope's own frames
        except TypeError as error:
            raise told(error, function)  # noqa: B904  # the same error, or one that says what it means
        except BaseException:
            come_to_rest()
            raise

    return call


def _renamed(kwargs: dict[str, Any], aliases: dict[str, str]) -> dict[str, Any]:
    """NumPy's names of arguments as PyTorch's; a call with both fails as any unknown name does."""
    return {
        new if (new := aliases.get(name, name)) not in kwargs else name: value
        for name, value in kwargs.items()
    }


def _key(
    args: Sequence[Any], kwargs: dict[str, Any], given: list[Any], numbers: int
) -> tuple[Any, ...] | None:
    """What of a call decides the program; the program's inputs are added to ``given``.

    A bare int stands for a tensor's type.
    """
    key: list[Any] = [current_backend()]
    beside: DType | None = None  # of the tensors beside numbers that are inputs
    for arg in args:
        kind = type(arg)
        if kind is Tensor:
            if arg.device is not CPU or arg.weak:
                return None
            beside = arg.type.dtype
            key.append(arg.type.number)
            given.append(arg)
        elif (kind is list or kind is tuple) and arg and type(arg[0]) is Tensor:
            if not all(map(_is_plain, arg)):
                return None
            beside = arg[0].type.dtype
            key.append((Tensor, kind, *[each.type.number for each in arg]))
            given += arg
        elif numbers != _STATIC and (kind is float or kind is int):
            if numbers == _REFUSED or not (kind is float or -_EXACT <= arg <= _EXACT):
                return None
            key.append(float)
            given.append(arg)
        elif (static := _static(arg)) is None:
            return None
        else:
            key.append(static)
    if kwargs:
        parts = [(name, _static(value)) for name, value in kwargs.items()]
        if any(part is None for _, part in parts):
            return None
        key += parts
    if beside is None or (float in key and not beside.is_floating_point):
        return None
    return tuple(key)


def _is_plain(value: Any) -> bool:
    return type(value) is Tensor and value.device is CPU and not value.weak


def _static(value: Any) -> Any:
    """What stands for an argument that is no tensor in a key; ``None`` for what is not remembered.

    Numbers with a fraction are not: they tend to be new at every call. What stands for an int is
    no int, since those stand for the types of tensors.
    """
    kind = type(value)
    if kind is int or value is None:
        return (value,)
    if kind is bool:
        return (bool, value)
    if kind is str or value is Ellipsis:
        return value
    if kind is tuple or kind is list:
        parts = [_static(each) for each in value]
        return None if None in parts else (kind, *parts)
    if kind is slice:
        ends = (value.start, value.stop, value.step)
        if all(end is None or type(end) is int for end in ends):
            return (slice, *ends)
    return value if kind is DType else None
