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

P = ParamSpec("P")
R = TypeVar("R")


class Remembered(Protocol):
    """A function specialized to the types of its arguments."""

    def __call__(self, tensors: list[Tensor]) -> Any: ...


Specialize = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], "Remembered | None"]


def _nowhere() -> Any:
    return None


current_backend: Callable[[], Any] = _nowhere
"""The backend that computes now, as part of what is remembered; :mod:`slope.compile` fills it."""

specialize: Specialize | None = None
"""How to specialize a function; ``None`` for one that cannot be. :mod:`slope.compile` fills it."""

_LIMIT: Final = 4096  # remembered for each function; beyond, new types go the long way


def at_once(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function run as one compiled program where it is called outside every transform.

    Args:
        function: of tensors; its result depends on nothing but its arguments, and is a tensor or
            a tuple or list of tensors. It draws no random numbers. Ints among its arguments are
            dimensions, lengths and the like: each new one makes a new program.
    """
    return _wrapped(function, numbers=True)


def of_tensors_at_once(function: Callable[P, R]) -> Callable[P, R]:
    """As :func:`at_once`, for functions that calculate with their numbers: tensors alone count."""
    return _wrapped(function, numbers=False)


def _wrapped(function: Callable[P, R], *, numbers: bool) -> Callable[P, R]:
    known: dict[Any, Remembered | None] = {}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if current_trace() is not EVAL or specialize is None:
            return function(*args, **kwargs)
        tensors: list[Tensor] = []
        key = _key(args, kwargs, tensors, numbers)
        if key is None:
            return function(*args, **kwargs)
        remembered = known.get(key, known)
        if remembered is known:
            remembered = None
            if len(known) < _LIMIT:
                remembered = known[key] = specialize(function, args, kwargs)
        if remembered is None:
            return function(*args, **kwargs)
        return remembered(tensors)  # pyright: ignore[reportCallIssue]  # it is not the dictionary

    return call


def _key(
    args: Sequence[Any], kwargs: dict[str, Any], tensors: list[Tensor], numbers: bool
) -> tuple[Any, ...] | None:
    """What of a call decides the program; its tensors are added to ``tensors``."""
    key: list[Any] = [current_backend()]
    for arg in args:
        kind = type(arg)
        if kind is Tensor:
            if arg.device is not CPU or arg.weak:
                return None
            key.append(arg.type.number)
            tensors.append(arg)
            continue
        if (kind is list or kind is tuple) and arg and type(arg[0]) is Tensor:
            if not all(
                type(each) is Tensor and each.device is CPU and not each.weak for each in arg
            ):
                return None
            key.append((Tensor, kind, *[each.type.number for each in arg]))
            tensors += arg
            continue
        if (kind is int and not numbers) or (static := _static(arg)) is None:
            return None
        key.append(static)
    for name, value in kwargs.items():
        if (static := _static(value)) is None:
            return None
        key.append((name, static))
    return tuple(key) if tensors else None


def _static(value: Any) -> Any:
    """What stands for an argument that is no tensor in a key; ``None`` for what is not remembered.

    Numbers with a fraction are not: they tend to be new at every call. What stands for an int is
    no int, since those stand for the types of tensors.
    """
    kind = type(value)
    if kind is str:
        return value
    if kind is int:
        return (int, value)
    if value is None or kind is bool or value is Ellipsis:
        return (value,)
    if kind is tuple or kind is list:
        parts = [_static(each) for each in value]
        return None if None in parts else (kind, *parts)
    if kind is slice:
        ends = (value.start, value.stop, value.step)
        if all(end is None or type(end) is int for end in ends):
            return (slice, *ends)
    return value if kind is DType else None
