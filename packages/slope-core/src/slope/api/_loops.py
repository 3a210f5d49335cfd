"""Loops that depend on values: while_loop, fori_loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slope.api._arguments import (
    function_name,
    is_whole,
    require_callable,
)
from slope.api._bodies import (
    Body,
    fresh_key,
    keyed,
)
from slope.api._branches import scalar_of
from slope.api._carry import Carry
from slope.api._scan import scan_over
from slope.control.while_loop import call_while
from slope.core.types import TensorType
from slope.devices import ANYWHERE
from slope.dtypes import bool_, int64
from slope.errors import DTypeError, RandomnessError
from slope.functions import add, arange, cast, lt
from slope.functions.generator import all_or_nothing


@all_or_nothing
def while_loop(cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
    """Call ``carry = body_fn(carry)``, from ``init`` on, as long as ``cond_fn(carry)`` is true.

    Forward-mode derivatives pass through it; reverse mode would need the number of iterations: use
    :func:`fori_loop` with Python ints as bounds, or :func:`scan`. Under ``vmap`` it runs until all
    examples are done, and those that are keep their carries.

    Args:
        cond_fn: from the carry to a bool of shape ().
        body_fn: from the carry to the next one, of the same structure and types.
        init: a pytree of tensors and numbers.

    Returns:
        The last carry.

    Example:
        >>> slope.while_loop(lambda n: n < 100, lambda n: n * 2, slope.tensor(3)).item()
        192
    """
    carry = Carry(init, "while_loop")
    while True:
        with Body(body_fn, "while_loop") as body, Body(cond_fn, "while_loop") as test:
            body.run(carry.inputs(body))
            settled = carry.settle(body, body.result, body.leaves, body.weak)
            if settled is None:
                continue
            test.run(carry.inputs(test))
            _require_bool(test)
            step = body.finish([*settled, body.scope.key] if body.draws else settled)
            programs = keyed([test, body], [test.finish(), step])
            break
    with fresh_key(body.draws) as key:
        outs = call_while((), [*carry.tensors, *key], *programs)
    return carry.results(outs[: len(carry.tensors)])


def _require_bool(test: Body) -> None:
    types = [leaf.type for leaf in test.leaves]
    if types != [TensorType((), bool_)]:
        found = ", ".join(map(str, types)) or "nothing"
        raise DTypeError(
            f"while_loop: cond_fn ({test.name}) must give one bool of shape (), and gives "
            f"{found}; compare, or reduce with .any() or .all()."
        )
    if test.draws:
        raise RandomnessError(
            f"while_loop: cond_fn ({test.name}) draws from the default generator; draw in "
            "body_fn, and let the carry hold the result."
        )


@all_or_nothing
def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """Call ``carry = body(i, carry)`` for ``i`` from ``lower`` to before ``upper``.

    With Python ints as bounds it is a :func:`scan`, and differentiates in both modes; with tensors
    it is a :func:`while_loop`.

    Args:
        lower: the first ``i``, an int or an integer tensor of shape ().
        upper: the end of ``i``, likewise.
        body: takes the number of the iteration (an int64 tensor) and the carry to the next carry.
        init: a pytree of tensors and numbers.

    Example:
        >>> slope.fori_loop(0, 4, lambda i, x: x + i, slope.tensor(0)).item()
        6
    """
    require_callable(body, "fori_loop")
    if is_whole(lower) and is_whole(upper):
        numbers = arange(int(lower), max(int(lower), int(upper)), device=ANYWHERE)
        return scan_over("fori_loop", _Swapped(body), init, numbers)[0]
    first, last = (
        scalar_of(bound, "fori_loop", name) for bound, name in ((lower, "lower"), (upper, "upper"))
    )
    for bound, name in ((first, "lower"), (last, "upper")):
        if not bound.dtype.is_integer:
            raise DTypeError(f"fori_loop: {name} must be an integer, not {bound.type}.")
    first, last = cast(first, dtype=int64), cast(last, dtype=int64)

    def step(state: Any) -> Any:
        i, carry = state
        return add(i, 1), body(i, carry)

    step.__name__ = function_name(body)
    return while_loop(lambda state: lt(state[0], last), step, (first, init))[1]


class _Swapped:
    """The body of a counting loop as that of a scan."""

    def __init__(self, body: Callable[[Any, Any], Any]) -> None:
        self.body = body
        self.__name__ = function_name(body)

    def __call__(self, carry: Any, i: Any) -> Any:
        return self.body(i, carry), None
