"""Traces: who processes an operator.

Context decides, not data: the one current trace, held in a context variable, processes every
operator that is called, whatever its operands. A trace runs an operator's rule with its parent as
the current trace, until the evaluating trace at the bottom computes. Operands that are not tracers
of the current trace are constants to it. (The arrangement that JAX reached in 2024; its
``autodidax2`` document explains it.)
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from slope.core.locks import in_forked_children, open_after_fork
from slope.core.tensor import Tensor, Tracer
from slope.devices import Device
from slope.errors import EscapedTracerError, Source, rests_at, settled_by

if TYPE_CHECKING:
    from slope.core.operator import Operator

Executor = Callable[["Operator", Sequence[Tensor], dict[str, Any]], tuple[Tensor, ...]]


class Trace:
    """The base of traces.

    Attributes:
        name: the transform's name, for messages.
        parent: the trace that was current when this one began.
        function: the name of the function that is traced.
        source: the line of the user's code that asked for the transform.
        alive: whether the traced function is still running.
        tentative: whether it stands for a call outside every transform, whose values are known: a
            function that would look at them refuses, and is then called with the values.
    """

    name = "trace"
    tentative = False
    remedy = "Use slope.where or slope.cond, or compute the value outside the transformed function."

    def __init__(
        self, parent: Trace | None, function: str = "", source: Source | None = None
    ) -> None:
        self.parent = parent
        self.function = function
        self.source = source
        self.alive = True

    def __enter__(self) -> Self:
        """Make it the current trace inside a ``with`` block, after which it is over."""
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        self.alive = False

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        """Give meaning to one operator call.

        Returns:
            The results, always as a tuple.
        """
        raise NotImplementedError  # every trace defines it

    def describe(self, tracer: Tracer) -> str:
        """Where a tracer was made, for messages."""
        place = f" at {self.source}" if self.source else ""
        return f"made by {self.name} of {self.function or 'a function'}{place}"

    def check(self, arg: Tensor, user: Operator | str) -> None:
        """Refuse an operand that belongs to a trace that has ended.

        Args:
            arg: the operand.
            user: the operator that got it, or some words for who did.
        """
        if isinstance(arg, Tracer) and not arg.owner.alive:
            raise EscapedTracerError(
                escaped_message(
                    arg, user if isinstance(user, str) else f"the operator {user.name!r}"
                )
            )


def escaped_message(tracer: Tracer, user: str) -> str:
    """The text of the error for a tracer that outlived its trace."""
    return (
        f"{user} got a traced tensor {tracer.type} that has left the function it belongs to: "
        f"{tracer.owner.describe(tracer)}. Return it from that function instead of keeping it in a "
        f"global, an attribute or a list."
    )


class EvalTrace(Trace):
    """The bottom of every stack of traces: computes at once, through the executor."""

    name = "evaluation"

    def __init__(self) -> None:
        super().__init__(None)
        self.executor: Executor | None = None
        self.transfer: Callable[[Tensor, Device], Tensor] | None = None

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        assert self.executor is not None, "slope.eager fills the executor when slope is imported"
        return self.executor(op, args, params)


EVAL = EvalTrace()
_current: ContextVar[Trace] = ContextVar("slope_trace", default=EVAL)
current_trace: Callable[[], Trace] = _current.get
rests_at(_current, EVAL)


def is_tracing() -> bool:
    """Whether a function runs because a transform (jit, grad, vmap, scan...) called it."""
    return _current.get() is not EVAL


class use_trace:  # noqa: N801  # a context manager that reads as a verb
    """Make a trace the current one inside a ``with`` block; unlike ``with trace``, it goes on."""

    __slots__ = ("_token", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __enter__(self) -> None:
        self._token: Token[Trace] = _current.set(self._trace)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _current.reset(self._token)


class paused_collection:  # noqa: N801  # a context manager that reads as a phrase
    """Leave cyclic garbage alone inside a ``with`` block.

    Tracing makes many small objects that all live on; each full collection would walk through all
    of them again, which makes the time to trace grow faster than the program.
    """

    _blocks: ClassVar[dict[int, int]] = {}  # how many each thread is in
    _paused = False  # whether it was on before the first of them
    _lock = open_after_fork(threading.Lock())

    def __enter__(self) -> None:
        cls, thread = type(self), threading.get_ident()
        with cls._lock:
            cls._blocks[thread] = cls._blocks.get(thread, 0) + 1
            if gc.isenabled():
                cls._paused = True
                gc.disable()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._leave(1)

    @classmethod
    def _leave(cls, count: int | None = None) -> None:
        """Leave this many blocks of this thread; ``None`` for all."""
        thread = threading.get_ident()
        with cls._lock:
            inside = cls._blocks.pop(thread, 0)
            if count is not None and inside > count:
                cls._blocks[thread] = inside - count
            if cls._paused and not cls._blocks:
                gc.enable()
                cls._paused = False


settled_by(paused_collection._leave)


def _forget_other_threads() -> None:
    """In a forked child there are none, and nobody would leave their blocks."""
    this = threading.get_ident()
    for thread in paused_collection._blocks.keys() - {this}:
        del paused_collection._blocks[thread]
    paused_collection._leave(0)


in_forked_children(_forget_other_threads)


def bind(op: Operator, args: Sequence[Tensor], params: dict[str, Any]) -> tuple[Tensor, ...]:
    """Hand an operator call to the current trace."""
    return _current.get().process(op, args, params)
