"""The errors of slope, and the hiding of slope's own frames from their tracebacks.

Every error that slope raises on purpose is a :class:`SlopeError` of a named kind. A kind that has a
counterpart among Python's own exceptions derives from it too, so ``except ValueError`` keeps
working.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Exception)


class SlopeError(Exception):
    """The base of every error that slope raises on purpose."""


class ShapeError(SlopeError, ValueError):
    """Shapes that do not fit an operation, or a dimension that is out of range."""


class DTypeError(SlopeError, TypeError):
    """A dtype that an operation does not take."""


class ArgumentError(SlopeError, TypeError):
    """An argument of the wrong kind: no tensor, no pytree of tensors, an unknown name."""


class DeviceError(SlopeError, ValueError):
    """A device that is not there, or tensors on different devices."""


class IndexingError(SlopeError, IndexError):
    """An index that does not fit the tensor."""


class EscapedTracerError(SlopeError):
    """A traced value used outside the function whose tracing made it."""


class ConcretizationError(SlopeError, TypeError):
    """Python asked for the value of a traced tensor, which has none yet."""


class GradientError(SlopeError, TypeError):
    """A derivative that does not exist: of an integer, of a non-scalar."""


class TreeError(SlopeError, ValueError):
    """Pytrees whose structures do not match."""


class ProgramError(SlopeError, ValueError):
    """A program that is not well formed."""


class MissingRuleError(SlopeError, NotImplementedError):
    """An operator without the rule that a transform needs, and without ``expand``."""


class OperatorDefinitionError(SlopeError, TypeError):
    """An operator class whose rules are missing or contradict each other."""


class UnsupportedOperatorError(SlopeError, NotImplementedError):
    """An operator that a backend can neither lower nor expand."""


class BackendError(SlopeError, RuntimeError):
    """A backend that is not installed, not usable, or that failed."""


class CompileError(BackendError):
    """A backend's compiler refused a program.

    Attributes:
        code: the backend's own text that was refused, which ``LOG_JIT=1`` prints; may be empty.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ExportError(SlopeError, RuntimeError):
    """A program that cannot be written to a file, or a file that cannot be used."""


def backend_failed(backend: object, doing: str, error: Exception | None = None) -> BackendError:
    """The error for a backend that did what its protocol does not allow.

    Args:
        backend: it; ``origin`` is the plugin that it comes from.
        doing: which method failed, and how if it raised nothing.
        error: what it raised, if anything.
    """
    name, origin = getattr(backend, "name", "?"), getattr(backend, "origin", "")
    told = f": {type(error).__name__}: {error}" if error is not None else ""
    return BackendError(
        f"backend {name!r}{f' of the plugin {origin}' if origin else ''} failed in {doing}{told}. "
        f"That is a fault of the backend, or of lowering rules that plugins add to it: upgrade "
        f"them, or choose another backend (SLOPE_BACKEND=..., slope.use_backend)."
    )


class PluginError(SlopeError, RuntimeError):
    """A plugin that is broken, that clashes with another, or that speaks another API version."""


class NaNError(SlopeError, ArithmeticError):
    """An operator gave NaN (or inf) while ``slope.debug_nans`` watches.

    Attributes:
        operator: the operator's name.
        value: ``"NaN"`` or ``"inf"``.
        source: the line of the user's code that the operator comes from, where known.
        backward: whether it stands in the backward part of a gradient; ``source`` is then the line
            whose derivative it takes part in.
        iterations: the loops that it stands in, from the inside out.
        details: lines about its results and operands.
    """

    def __init__(
        self,
        operator: str,
        value: str,
        source: Source | None,
        iterations: tuple[str, ...] = (),
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(operator, value, source)  # with these pickle calls it
        self.operator, self.value, self.iterations = operator, value, iterations
        self.details = details
        self._exact = source is not None  # else the line of the call at hand, until somebody knows
        self.source = user_source(2) if source is None else source
        self.backward = source is not None and source.backward

    def came_of(self, source: Source | None, *, backward: bool = False) -> None:
        """Note which line the operator comes from, if that is not known, and in which part."""
        if not self._exact:
            self._exact = source is not None
            self.source = source or self.source
            self.backward = backward or (source is not None and source.backward)

    def __str__(self) -> str:
        if self.backward:
            place = f"in the backward pass, in the derivative of {self.source}"
        else:
            place = f"at {self.source}" if self.source else "at an unknown line"
        where = "".join(f", in {each}" for each in self.iterations)
        lines = [f"debug_nans: {self.operator} gave {self.value} {place}{where}", *self.details]
        return "\n  ".join(lines)


class RandomnessError(SlopeError, RuntimeError):
    """A draw from the default generator where its meaning would be ambiguous."""


class DonatedTensorError(SlopeError, RuntimeError):
    """A tensor was used after a call that it was donated to."""


class RenamedError(SlopeError, AttributeError):
    """A name of the first slope; the message gives the one of today."""


class Source(NamedTuple):
    """A line of the user's code; ``backward``: what stands for it differentiates that line."""

    filename: str
    line: int
    function: str
    backward: bool = False

    def __str__(self) -> str:
        return f"{self.filename}:{self.line} in {self.function}"


_OWN_FOLDER: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_is_own: dict[str, bool] = {}
_sources: dict[tuple[str, int | None, str], Source] = {}


def _own(filename: str) -> bool:
    own = _is_own.get(filename)
    if own is None:
        own = filename.startswith(("<slope", "<frozen ", _OWN_FOLDER))  # runpy is nobody's line
        _is_own[filename] = own
    return own


def user_source(skip: int = 1) -> Source | None:
    """The innermost line of code on the stack that is not slope's own, if any.

    Args:
        skip: how many frames to leave out to begin with.
    """
    frame: FrameType | None = sys._getframe(skip)  # pyright: ignore[reportPrivateUsage]  # the documented cheap way to walk up
    while frame is not None:
        code = frame.f_code
        if not _own(code.co_filename):
            place = (code.co_filename, frame.f_lineno, code.co_name)
            known = _sources.get(place)  # most lines are asked for again and again
            if known is None:
                if len(_sources) >= 16384:
                    _sources.clear()
                known = _sources[place] = Source(*place)
            return known
        frame = frame.f_back
    return None


def full_tracebacks() -> bool:
    """Whether ``SLOPE_FULL_TRACEBACK`` asks for slope's own frames, too."""
    return os.environ.get("SLOPE_FULL_TRACEBACK", "0") not in ("", "0")


def _without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if not _own(traceback.tb_frame.f_code.co_filename):
            kept.append(traceback)
        traceback = traceback.tb_next
    chain: TracebackType | None = None
    for entry in reversed(kept):
        chain = TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain


def boundary(function: Callable[P, R]) -> Callable[P, R]:
    """Hide slope's own frames from the traceback of what ``function`` raises.

    What remains are the caller's lines, those of functions of the caller that slope called, and
    this one frame. ``SLOPE_FULL_TRACEBACK=1`` keeps them all.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # and raised again
            come_to_rest()
            error = told(error, function)
            raise shortened(error)  # noqa: B904  # SLOPE_FULL_TRACEBACK=1 shows slope's own frames
        except BaseException:
            come_to_rest()
            raise

    return call


# --- what an interrupt leaves behind

_settlers: Final[list[Callable[[], None]]] = []


def settled_by(settle: Callable[[], None]) -> None:
    """Register what brings some state to what it is while no function of slope's runs."""
    _settlers.append(settle)


def rests_at(variable: ContextVar[Any], value: Any) -> None:
    """Say what a context variable holds while no function of slope's runs."""

    def settle() -> None:
        if variable.get() is not value:
            variable.set(value)

    settled_by(settle)


def come_to_rest() -> None:
    """Bring slope's state to what it is between calls, where an exception leaves its last function.

    Ctrl-C, or what another signal's handler raises, may arrive in the middle of ``__enter__`` or
    ``__exit__`` of a context manager, which then does half of its work: a trace would stay current
    for good. Blocks further out still undo what they did.
    """
    frame = sys._getframe(1).f_back  # pyright: ignore[reportPrivateUsage]  # the documented cheap way to walk up
    while frame is not None:
        if frame.f_code.co_filename.startswith(("<slope", _OWN_FOLDER)):
            return
        frame = frame.f_back
    for settle in _settlers:
        settle()


# Names of arguments that PyTorch and JAX have, and what to write instead.
_ELSEWHERE: Final = {
    "allow_int": "arguments of integers have no gradient, so take them out of argnums=",
    "argnum": "use argnums=",
    "axes": "use dim=, or dims= of functions that take several",
    "axis": "use dim=, or dims= of functions that take several",
    "axis_name": "vmap gives all examples' results: reduce them behind it",
    "chunk_size": "slope.map goes through examples one after the other",
    "ddof": "use correction=",
    "donate_argnums": 'use donate=, with names: donate=("model", "optimizer")',
    "generator": "draws with a generator of their own are slope.random's, which take a key",
    "in_axes": "use in_dims=",
    "inplace": "tensors do not change, so leave it out and use what comes back",
    "keepdims": "use keepdim=",
    "layout": "tensors are dense, so leave it out",
    "memory_format": "each backend lays tensors out as it likes, so leave it out",
    "out": "tensors do not change: use what comes back",
    "out_axes": "use out_dims=",
    "pin_memory": "leave it out",
    "spmd_axis_name": "programs run on one device, so leave it out",
    "requires_grad": "slope.grad takes the arguments that argnums= names, and nothing is marked",
    "use_reentrant": "there is one kind of checkpoint, so leave it out",
}


def told(error: Exception, function: Callable[..., object]) -> Exception:
    """What calling a function of slope's raised, in its own words where it only looks foreign.

    Args:
        error: one for an argument that PyTorch or JAX know is replaced; others stay.
        function: what was called; errors from the user's own functions stay, too.
    """
    if type(error) is not TypeError:
        return error
    traceback = error.__traceback__
    while traceback is not None:
        if not _own(traceback.tb_frame.f_code.co_filename):
            return error
        traceback = traceback.tb_next
    found = re.search(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'", str(error))
    way = _ELSEWHERE.get(found[2]) if found and found[1] == function.__qualname__ else None
    if found is None or way is None:
        return error
    better = ArgumentError(f"{function.__name__}: there is no argument {found[2]!r}: {way}.")
    better.__suppress_context__ = True
    return better


def shortened(error: E) -> E:
    """An error without slope's own frames so far, or as it is if all are wanted.

    An error that slope itself raises without meaning to is a bug of slope, whose frames tell where.
    """
    by_mistake = not isinstance(error, SlopeError) and _raised_here(error.__traceback__)
    if by_mistake or full_tracebacks():
        return error
    return error.with_traceback(_without_own_frames(error.__traceback__))


def _raised_here(traceback: TracebackType | None) -> bool:
    """Whether the innermost frame is slope's own."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and _own(traceback.tb_frame.f_code.co_filename)
