"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn._checks import tensor
from slope_nn._node import walk
from slope_nn._plan import BUFFER

Model = TypeVar("Model")


def parameters_to_vector(model: object) -> slope.Tensor:
    """The parameters of a model, frozen ones included, one after the other.

    Args:
        model: a module or any pytree of tensors; gradients of a module, too. Buffers are left out,
            and so is ``None``.

    Returns:
        A vector of the widest dtype among them.

    Raises:
        ArgumentError: there are no parameters, or one is no tensor.
    """
    leaves = [leaf for _, kind, leaf in walk(model) if kind is not BUFFER]
    if not leaves:
        raise ArgumentError(
            f"parameters_to_vector: there are no parameters in a {type(model).__name__}."
        )
    given = [tensor("parameters_to_vector", "a parameter", leaf) for leaf in leaves]
    return slope.cat([leaf.reshape(-1) for leaf in given])


def vector_to_parameters(vector: slope.Tensor, model: Model) -> Model:
    """A copy of a model with parameters from a vector, as :func:`parameters_to_vector` lays it out.

    Args:
        vector: as many elements as the model has in its parameters; each takes their dtype.
        model: a module or any pytree of tensors, which stays as it is.

    Raises:
        ShapeError: another number of elements.
    """
    given = tensor("vector_to_parameters", "vector", vector)
    leaves, structure = slope.tree_flatten(model)
    taken = [kind is not BUFFER for _, kind, _ in walk(model)]
    for leaf in leaves:
        tensor("vector_to_parameters", "a parameter", leaf)
    total = sum(leaf.numel() for leaf, on in zip(leaves, taken, strict=True) if on)
    if given.shape != (total,):
        raise ShapeError(
            f"vector_to_parameters: the vector is {given.type}, and the model has {total} numbers "
            f"in its parameters."
        )
    return slope.tree_unflatten(structure, refilled(leaves, taken, given))


def refilled(
    leaves: Iterable[slope.Tensor], taken: Iterable[bool], vector: slope.Tensor
) -> list[slope.Tensor]:
    """Leaves with the elements of a vector, in turn, in those that are taken; the others as is."""
    place, values = 0, []
    for leaf, on in zip(leaves, taken, strict=True):
        if on:
            part = vector[place : place + leaf.numel()]
            place += leaf.numel()
            leaf = part.reshape(leaf.shape).astype(leaf.dtype)
        values.append(leaf)
    return values
