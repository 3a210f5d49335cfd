"""Functions whose inner values are computed again in the backward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from slope.api._arguments import require_callable
from slope.api._bodies import Body, Operands, fresh_key
from slope.control.checkpoint import call_rematerialize
from slope.core.trace import EVAL, current_trace
from slope.errors import boundary
from slope.functions.generator import JitScope, all_or_nothing, current_scope, use_scope
from slope.tree import tree_unflatten

P = ParamSpec("P")
R = TypeVar("R")


@boundary
def checkpoint(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, whose derivative keeps the arguments alone and computes the rest again.

    Less memory for more computation: wrap the layers of a deep model, or the body of a
    :func:`scan`. Draws from the default generator are the same when computed again. (PyTorch:
    ``torch.utils.checkpoint``; JAX: ``jax.checkpoint``.)

    Args:
        function: of pytrees of tensors and numbers.

    Example:
        >>> slope.grad(slope.checkpoint(lambda x: slope.sin(slope.sin(x))))(0.0).item()
        1.0
    """
    require_callable(function, "checkpoint")

    @functools.wraps(function)
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if current_trace() is EVAL:  # nothing is differentiated here, but draws are the same
            with use_scope(JitScope(current_scope().draw)):
                return function(*args, **kwargs)
        given = Operands((args, kwargs))
        with Body(function, "checkpoint") as body:
            inner_args, inner_kwargs = given.inputs(body.trace)
            body.function = functools.partial(function, **inner_kwargs)
            body.run(*inner_args)
            program = body.finish()
        with fresh_key(body.draws) as key:
            outs = call_rematerialize([*given.tensors, *key], program, False)
        return tree_unflatten(body.structure, outs)

    return wrapped
