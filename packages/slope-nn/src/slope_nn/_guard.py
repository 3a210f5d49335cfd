"""Errors of slope's own, that name the layer or function, for arguments of the wrong kind."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, ParamSpec, TypeVar

import slope
from slope.extend import ArgumentError, SlopeError, Tensor

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_HERE: Final = str(Path(__file__).parent) + os.sep
_STANDARD: Final = (
    str(Path(inspect.__file__).parent) + os.sep
)  # installed packages lie below it, too
_CORE: Final = str(Path(slope.__file__).parent) + os.sep
_METHODS: Final = ("__init__", "__call__")
_RAW: Final = (TypeError, ValueError, AttributeError, IndexError, KeyError, ArithmeticError)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function of this package complain in slope's words about what it is given.

    An error of Python's own that arises in this package's code becomes an :class:`ArgumentError`
    that names the function, the arguments and what the function takes; errors of the user's code
    (called back from here) and a wrong number of arguments stay as they are. An error of slope's
    that does not name the function does so afterwards.

    Args:
        function: a function, or a class's ``__init__`` or ``__call__``: messages name the class.
    """
    of_class = function.__name__ in _METHODS

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SlopeError as error:
            user = type(args[0]).__name__ if of_class and args else function.__name__
            if error.args and isinstance(error.args[0], str) and _lacks(error.args[0], user):
                error.args = (f"{user}: {error.args[0]}", *error.args[1:])
            raise
        except _RAW as error:
            if not (_fits(function, args, kwargs) and _raised_here(error.__traceback__)):
                raise
            user = type(args[0]).__name__ if of_class else function.__name__
            raise ArgumentError(_message(function, user, args, kwargs, error)) from error

    return call


def levels_out() -> int:
    """The ``stacklevel`` of a warning that shall name the caller of this package."""
    frame: FrameType | None = inspect.currentframe()
    level = 0
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    return level


def _lacks(text: str, user: str) -> bool:
    return user.lower() not in text.lower()


def _fits(function: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _raised_here(traceback: TracebackType | None) -> bool:
    innermost = ""
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not _is_below(filename):  # pathlib complains of what it is handed
            innermost = filename
        traceback = traceback.tb_next
    return innermost.startswith(_HERE)


def _is_below(filename: str) -> bool:
    """Whether a file is of the core or of the standard library, which this package calls."""
    return filename.startswith(_CORE) or (
        filename.startswith(_STANDARD) and "site-packages" not in filename
    )


def _message(
    function: Callable[..., Any], user: str, args: Any, kwargs: Any, error: Exception
) -> str:
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    names = list(inspect.signature(function).parameters)
    told = ", ".join(f"{key}={_shown(value)}" for key, value in given.items() if key != "self")
    takes = ", ".join(key for key in names if key != "self")
    return f"{user} cannot work with {told} ({error}). It takes {takes}."


def _shown(value: Any) -> str:
    return str(value.type) if isinstance(value, Tensor) else f"{value!r:.60}"


def guard_class(cls: type[T]) -> type[T]:
    """Guard what a class of this package defines of ``__init__`` and ``__call__``."""
    for method in _METHODS:
        if method in cls.__dict__:
            setattr(cls, method, guarded(cls.__dict__[method]))
    return cls
