"""Batching: each traced tensor may hold one more dimension than its type shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from slope.core import rules
from slope.core.operator import Operator
from slope.core.program import Program, ProgramTrace, evaluate, expand, result_types
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.trace import EVAL, Trace, current_trace, use_trace
from slope.errors import MissingRuleError, Source
from slope.ops._family import without

one_by_one: list[Callable[..., tuple[Any, Any]]] = []
"""What batches operators that Python computes for one example after the other: a scan, which
:mod:`slope.control` puts here, since it is built on this module."""


class BatchTracer(Tracer):
    """A tensor that holds a batch.

    ``value`` has the batch dimension at ``batch_dim``; the tracer's type does not show it.
    """

    __slots__ = ("batch_dim", "value")

    def __init__(self, trace: BatchTrace, value: Tensor, at: int) -> None:
        super().__init__(trace, value.type.with_shape(without(value.shape, (at,))))
        self.value = value
        self.batch_dim = at
        self.weak = value.weak
        self.device = value.device


class BatchTrace(Trace):
    """Runs ``batch`` rules; an operator without one is expanded, or its ``host`` called for each.

    Attributes:
        size: the length of the batch dimension.
    """

    name = "vmap"

    def __init__(
        self, parent: Trace, size: Any, function: str = "", source: Source | None = None
    ) -> None:
        super().__init__(parent, function, source)
        self.size = size

    def process(
        self, op: Operator, args: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        pairs = [self.unwrap(arg, op) for arg in args]
        values = [value for value, _ in pairs]
        dims = [at for _, at in pairs]
        assert self.parent is not None
        if all(at is None for at in dims):
            with use_trace(self.parent):
                return self.parent.process(op, values, params)
        if type(self.size) is int and self.size == 0:  # no example, so no rule need think of none
            types = result_types(op, [arg.type for arg in args], params)
            return tuple([self.wrap(Splat(0, t.with_shape((0, *t.shape))), 0) for t in types])
        if not op.has("batch") and op.has("expand"):
            return expand(op, args, params)
        with use_trace(self.parent):
            if op.has("batch"):
                given = rules.call(op, "batch", (self.size, values, dims), params)
            elif op.has("host"):
                given = one_by_one[0](op, self.size, values, dims, params)
            else:
                raise MissingRuleError(
                    f"operator {op.name!r} cannot take part in vmap: it defines neither batch nor "
                    f"expand. Write {type(op).__qualname__}.batch, or "
                    f"{type(op).__qualname__}.expand, which serves every transform."
                )
        outs, ats = rules.batched(op, given, self.size)
        return tuple([self.wrap(value, each) for value, each in zip(outs, ats, strict=True)])

    def wrap(self, value: Tensor, at: int | None) -> Tensor:
        """A value with its batch dimension; the value alone where there is none."""
        return value if at is None else BatchTracer(self, value, at)

    def unwrap(self, value: Tensor, user: Operator | str) -> tuple[Tensor, int | None]:
        """The value, and where its batch dimension is."""
        if isinstance(value, BatchTracer) and value.owner is self:
            return value.value, value.batch_dim
        self.check(value, user)
        return value, None


def vmap_flat(
    function: Callable[..., Sequence[Tensor]],
    args: Sequence[Tensor],
    dims: Sequence[int | None],
    size: Any,
    name: str = "",
    source: Source | None = None,
    around: Callable[[BatchTrace], Any] | None = None,
) -> tuple[list[Tensor], list[int | None]]:
    """Apply a function of tensors along a batch dimension.

    Args:
        function: sees each argument without its batch dimension.
        args: the arguments.
        dims: where each holds the batch dimension.
        size: its length.
        name: what messages call the transformed function.
        source: where that function is defined, for messages.
        around: makes a context manager to run the function in, given the trace.

    Returns:
        The results, and where each holds the batch dimension (``None``: it does not depend on it).
    """
    with BatchTrace(current_trace(), size, name, source) as trace:
        wrapped = [trace.wrap(arg, at) for arg, at in zip(args, dims, strict=True)]
        with nullcontext() if around is None else around(trace):
            outs = function(*wrapped)
    pairs = [trace.unwrap(out, f"the result of {name or 'the function'}") for out in outs]
    return [value for value, _ in pairs], [at for _, at in pairs]


def batch_program(
    program: Program, size: Any, dims: tuple[int | None, ...]
) -> tuple[Program, tuple[int | None, ...]]:
    """The program that works on a whole batch.

    Args:
        program: without constants.
        size: the length of the batch dimension.
        dims: where each input holds it.

    Returns:
        The program, and where each output holds the batch dimension.
    """
    key = ("vmap", size, dims)
    if key not in program.derived:
        with ProgramTrace(EVAL, program.name) as trace:
            args = [
                trace.new_input(
                    each
                    if at is None
                    else each.with_shape((*each.shape[:at], size, *each.shape[at:]))
                )
                for each, at in zip(program.input_types, dims, strict=True)
            ]
            outs, ats = vmap_flat(lambda *xs: evaluate(program, xs), args, dims, size, program.name)
            made = trace.finish(outs, program.name)
        program.derived[key] = made, tuple(ats)
    return program.derived[key]
