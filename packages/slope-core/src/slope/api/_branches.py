"""Branches that depend on values: cond, switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slope.api._arguments import (
    tensor_leaf,
)
from slope.api._bodies import (
    Body,
    Operands,
    fresh_key,
    joint_dtype,
    keyed,
    require_same_structure,
    require_same_type,
)
from slope.control.branch import call_branch
from slope.core.tensor import Splat, Tensor
from slope.dtypes import bool_, int64
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import cast
from slope.functions.extremes import minimum
from slope.functions.generator import all_or_nothing
from slope.tree import tree_unflatten


@all_or_nothing
def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Call ``true_fn(*operands)`` or ``false_fn(*operands)``, chosen when the program runs.

    Both functions are traced, and only the chosen one runs. Under ``vmap`` with a predicate for
    each example both run on all examples, and the results are selected. Derivatives of every order
    and mode pass through the chosen branch.

    Args:
        pred: a bool, or a bool tensor of shape ().
        true_fn: a function of the operands that gives a pytree.
        false_fn: another, whose pytree has the same structure and types; a Python number takes the
            dtype of its counterpart (two numbers stay one, which never widens another tensor).
        operands: pytrees of tensors and numbers. What the functions use of their surroundings need
            not be among them.

    Raises:
        TreeError, DTypeError: the results differ; the message names the first leaf that does.

    Example:
        >>> slope.cond(
        ...     slope.tensor(True), lambda x: x + 1, lambda x: x * 2, slope.tensor(5.0)
        ... ).item()
        6.0
    """
    index = scalar_of(pred, "cond", "pred")
    if index.dtype is not bool_:
        raise DTypeError(
            f"cond: pred must be a bool, not {index.type}; compare it, for instance with pred != 0."
        )
    return _branch("cond", index, [false_fn, true_fn], operands, [1, 0])


@all_or_nothing
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call ``branches[index](*operands)``, decided when the program runs.

    Args:
        index: an int, or an integer tensor of shape (); clamped to the branches there are.
        branches: functions of the operands; see :func:`cond`.
        operands: pytrees of tensors and numbers.

    Example:
        >>> slope.switch(slope.tensor(1), [slope.sin, slope.exp], slope.tensor(0.0)).item()
        1.0
    """
    if not isinstance(branches, (list, tuple)) or not branches:
        raise ArgumentError(
            f"switch: branches must be a list of at least one function, not {branches!r:.80}."
        )
    functions = list(branches)
    place = scalar_of(index, "switch", "index")
    if not place.dtype.is_integer:
        raise DTypeError(f"switch: index must be an integer, not {place.type}.")
    if place.dtype.name == "uint64":
        place = _clamped_unsigned(place, len(functions))
    return _branch("switch", cast(place, dtype=int64), functions, operands, range(len(functions)))


def _clamped_unsigned(index: Tensor, count: int) -> Tensor:
    return minimum(index, Splat(count - 1, index.type))


def scalar_of(value: Any, user: str, name: str) -> Tensor:
    """A tensor of shape () of what a user gave.

    Raises:
        ShapeError: it has another shape.
    """
    tensor = tensor_leaf(value, user, name)
    if tensor.shape != ():
        raise ShapeError(
            f"{user}: {name} must have shape (), but is {tensor.type}; reduce it with .any() or "
            ".all(), choose elements with slope.where, or use slope.vmap for a choice for each "
            "example."
        )
    return tensor


def _branch(
    user: str,
    index: Tensor,
    functions: Sequence[Callable[..., Any]],
    operands: tuple[Any, ...],
    order: Sequence[int],
) -> Any:
    given = Operands(operands)
    bodies = [Body(function, user) for function in functions]
    try:
        for number in order:
            bodies[number].run(*given.inputs(bodies[number].trace))
        first = bodies[order[0]]
        for number in order[1:]:
            require_same_structure(
                user,
                first.result,
                bodies[number].result,
                _branch_names(user, first, bodies[number], order[0], number),
            )
        for leaf in range(len(first.leaves)):
            _unify(user, bodies, leaf, order)
        programs = [body.finish() for body in bodies]
    finally:
        for body in bodies:
            body.trace.alive = False
    with fresh_key(any(body.draws for body in bodies)) as key:
        outs = call_branch(index, [*given.tensors, *key], keyed(bodies, programs))
    for leaf, out in enumerate(outs):
        out.weak = all(body.weak[leaf] for body in bodies)  # numbers in, numbers out
    return tree_unflatten(first.structure, outs)


def _branch_names(user: str, first: Body, second: Body, one: int, two: int) -> tuple[str, str]:
    words = ("false_fn", "true_fn") if user == "cond" else None
    names = (words[one], words[two]) if words else (f"branch {one}", f"branch {two}")
    return f"the result of {names[0]} ({first.name})", f"that of {names[1]} ({second.name})"


def _unify(user: str, bodies: Sequence[Body], leaf: int, order: Sequence[int]) -> None:
    """Bring a weak result of shape () to the dtype that it has in the other branches."""
    first = bodies[order[0]]
    dtype, weak = first.leaves[leaf].dtype, first.weak[leaf]
    for number in order[1:]:
        body = bodies[number]
        if body.leaves[leaf].dtype is not dtype:
            joint = joint_dtype(dtype, weak, body.leaves[leaf].dtype, body.weak[leaf])
            dtype = dtype if joint is None else joint
        weak = weak and body.weak[leaf]
    for body in bodies:
        if body.weak[leaf]:
            body.cast(leaf, dtype)
    for number in order[1:]:
        types = (first.leaves[leaf].type, bodies[number].leaves[leaf].type)
        require_same_type(
            user,
            first.result,
            leaf,
            types,
            _branch_names(user, first, bodies[number], order[0], number),
        )
