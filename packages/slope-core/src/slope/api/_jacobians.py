"""Jacobians and Hessians."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

from slope.api._arguments import (
    definition,
    function_name,
    require_callable,
    require_flag,
    whole_numbers,
)
from slope.api._grad import Argnums, Selection, require_differentiable
from slope.api._products import FlatFunction, Flattened, linearized
from slope.api._vmap import vmap
from slope.core.program import evaluate
from slope.core.tensor import Splat, Tensor
from slope.devices import ANYWHERE
from slope.dims import is_static
from slope.errors import GradientError, ShapeError, boundary
from slope.functions import eye, reshape
from slope.functions.generator import all_or_nothing
from slope.transforms.linearize import linearize_flat
from slope.tree import tree_flatten, tree_unflatten

P = ParamSpec("P")


def _basis(tensor: Tensor, user: str) -> Tensor:
    """The unit tensors of a tensor's type, stacked along a first dimension."""
    if not is_static(tensor.shape):
        raise ShapeError(f"{user} needs known sizes, and got {tensor.type}.")
    count = int(np.prod(tensor.shape, dtype=int))
    return reshape(eye(count, dtype=tensor.dtype, device=ANYWHERE), (count, *tensor.shape))


@boundary
def jacfwd(
    function: Callable[P, Any], argnums: Argnums = None, *, has_aux: bool = False
) -> Callable[P, Any]:
    """A function that returns the Jacobian of ``function``, by forward mode.

    Forward mode is best for few inputs and many outputs.

    Args:
        function: of pytrees of tensors.
        argnums: as in :func:`value_and_grad`.
        has_aux: whether it returns a pair of the result and auxiliary data.

    Returns:
        For each leaf of the result a tree like the argument whose leaves have shape
        ``result leaf shape + argument leaf shape``, and are ``None`` at integer, buffer and frozen
        leaves.

    Raises:
        GradientError: when called, the argument holds nothing that can be differentiated.
        ShapeError: when called, a leaf has a symbolic dimension.

    Example:
        >>> slope.jacfwd(slope.sin)(slope.zeros(2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    selection = Selection(function, argnums, None, "jacfwd")
    require_flag(has_aux, "jacfwd", "has_aux")

    @functools.wraps(function)
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        selected, call = selection.split(args, kwargs)
        flattened = Flattened(selected, "jacfwd")
        require_differentiable(flattened, selected, function, "jacfwd")
        flat = FlatFunction(call, flattened.structure, "jacfwd", has_aux)
        outs, program, _ = linearize_flat(
            flat, flattened.tensors, flattened.moving, function_name(function), definition(function)
        )
        moving = flattened.moving_tensors

        def columns(number: int, tensor: Tensor) -> list[Tensor]:
            """The derivatives of all leaves of the result by one leaf of the argument."""

            def push(unit: Tensor) -> Any:
                return tuple(evaluate(program, _alone(unit, number, moving))[: flat.count])

            pushed = vmap(push, out_dims=-1)(_basis(tensor, "jacfwd"))
            return [
                reshape(each, (*out.shape, *tensor.shape))
                for each, out in zip(pushed, outs, strict=False)
            ]

        by_leaf = [columns(number, tensor) for number, tensor in enumerate(moving)]
        trees = [selection.present(_spread(flattened, row)) for row in zip(*by_leaf, strict=True)]
        jacobian = tree_unflatten(flat.out_structure, trees)
        return (jacobian, flat.aux(outs[flat.count :])) if has_aux else jacobian

    return wrapped


@boundary
def jacrev(
    function: Callable[P, Any], argnums: Argnums = None, *, has_aux: bool = False
) -> Callable[P, Any]:
    """A function that returns the Jacobian of ``function``, by reverse mode.

    Reverse mode is best for many inputs and few outputs.

    Arguments and result as in :func:`jacfwd`.

    Raises:
        GradientError: when called, the argument holds nothing that can be differentiated, or the
            result an integer.
        ShapeError: when called, a leaf has a symbolic dimension.
    """
    selection = Selection(function, argnums, None, "jacrev")
    require_flag(has_aux, "jacrev", "has_aux")

    @functools.wraps(function)
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        selected, call = selection.split(args, kwargs)
        flattened = Flattened(selected, "jacrev")
        require_differentiable(flattened, selected, function, "jacrev")
        flat = FlatFunction(call, flattened.structure, "jacrev", has_aux)
        outs, pullback, aux = linearized(function, flattened, flat)

        def rows(number: int, out: Tensor) -> list[Tensor]:
            """The derivatives of one leaf of the result by all leaves of the argument."""
            if not out.dtype.is_floating_point:
                raise GradientError(
                    f"jacrev of {function_name(function)}: the result must be floating-point, and "
                    f"holds {out.type}."
                )

            def pull(unit: Tensor) -> Any:
                return tuple(tree_flatten(pullback.flat(_alone(unit, number, outs)))[0])

            pulled = vmap(pull)(_basis(out, "jacrev"))
            return [
                reshape(each, (*out.shape, *tensor.shape))
                for each, tensor in zip(pulled, flattened.moving_tensors, strict=True)
            ]

        trees = [
            selection.present(_spread(flattened, rows(number, out)))
            for number, out in enumerate(outs)
        ]
        jacobian = tree_unflatten(flat.out_structure, trees)
        return (jacobian, flat.aux(aux)) if has_aux else jacobian

    return wrapped


def _alone(unit: Tensor, number: int, like: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the types of ``like``: ``unit`` at one place, zeros at the others."""
    return [unit if each == number else Splat(0.0, other.type) for each, other in enumerate(like)]


def _spread(flattened: Flattened, moving: Sequence[Tensor]) -> Any:
    """The argument's tree with values at its moving leaves and ``None`` at the others."""
    values = iter(moving)
    return tree_unflatten(
        flattened.structure, [next(values) if moves else None for moves in flattened.moving]
    )


@boundary
def hessian(
    function: Callable[P, Any], argnums: Argnums = None, *, has_aux: bool = False
) -> Callable[P, Any]:
    """A function that returns the Hessian of a scalar function: forward mode over reverse mode.

    Arguments and errors as in :func:`jacfwd`.

    Returns:
        A tree like the argument of trees like the argument, whose leaves have the two leaves'
        shapes one after the other.

    Example:
        >>> slope.hessian(lambda x: (x**3).sum())(slope.ones(2)).tolist()
        [[6.0, 0.0], [0.0, 6.0]]
    """
    require_callable(function, "hessian")
    if argnums is not None:
        whole_numbers(argnums, "hessian", "argnums")
    require_flag(has_aux, "hessian", "has_aux")
    return jacfwd(jacrev(function, argnums, has_aux=has_aux), argnums, has_aux=has_aux)
