"""associative_scan: running combinations of all slices at once, in logarithmically many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slope.api._arguments import (
    function_name,
    is_whole,
    require_callable,
    require_flag,
    tensor_leaves,
)
from slope.api._bodies import require_same_structure
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions import cat, flip, stack
from slope.functions.generator import all_or_nothing
from slope.tree import leaf_paths, tree_flatten, tree_unflatten

_USER = "associative_scan"


@all_or_nothing
def associative_scan(
    f: Callable[[Any, Any], Any], xs: Any, dim: int = 0, reverse: bool = False
) -> Any:
    """Combine slices from the first up to each one: ``x0, f(x0, x1), f(f(x0, x1), x2), ...``.

    Where ``f`` is associative, any order of brackets will do: pairs of neighbours are combined all
    at once, then pairs of those. That takes about ``2 log2(n)`` calls of ``f`` on parts of the
    tensors, ``2 n`` combinations in all, where :func:`scan` takes ``n`` turns. Linear recurrences
    (state-space models) and products of matrices are associative. (JAX:
    ``jax.lax.associative_scan``.) Source: G. Blelloch, "Prefix sums and their applications", 1990.

    Args:
        f: from two pytrees like ``xs``, of any equal number of slices along ``dim``, to their
            combinations, of the same structure, shapes and dtypes.
        xs: a pytree of tensors of equal length along ``dim``.
        dim: the dimension of every tensor that the slices lie along.
        reverse: combine from the last slice down to each one; the first operand of ``f`` is then
            what comes from behind.

    Returns:
        The combinations, like ``xs``.

    Raises:
        ShapeError: a tensor has no such dimension, lengths differ or are symbolic, or ``f`` gives
            other shapes than it takes.
        DTypeError: ``f`` gives other dtypes than it takes.
        TreeError: ``f`` gives another structure than it takes.

    Example:
        >>> a, b = slope.tensor([0.5, 0.5, 0.5]), slope.ones(3)  # y[i] = a[i] * y[i - 1] + b[i]
        >>> def f(first, second):
        ...     return first[0] * second[0], second[0] * first[1] + second[1]
        >>> slope.associative_scan(f, (a, b))[1].tolist()
        [1.0, 1.5, 1.75]
    """
    require_callable(f, _USER)
    require_flag(reverse, _USER, "reverse")
    leaves, structure = tree_flatten(xs)
    tensors = tensor_leaves(leaves, xs, _USER, "xs")
    dims = _places(tensors, xs, dim)

    def combine(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        given = tree_unflatten(structure, first), tree_unflatten(structure, second)
        return _checked(f, f(*given), first, xs)

    def scanned(tensors: list[Tensor]) -> list[Tensor]:
        """The tensors' running combinations: those at odd places first, of pairs of neighbours."""
        if tensors[0].shape[dims[0]] < 2:
            return tensors
        pairs = combine(_part(tensors, dims, 0, -1), _part(tensors, dims, 1, None))
        odd = scanned(pairs)
        behind = _part(tensors, dims, 2, None)
        even = _part(tensors, dims, 0, 1, step=1)
        if behind[0].shape[dims[0]]:
            before = _part(odd, dims, 0, behind[0].shape[dims[0]], step=1)
            rest = combine(before, behind)
            even = [cat(parts, at) for *parts, at in zip(even, rest, dims, strict=True)]
        return [_interleaved(*each) for each in zip(even, odd, dims, strict=True)]

    if not tensors:
        return xs
    if reverse:
        tensors = [flip(x, at) for x, at in zip(tensors, dims, strict=True)]
    results = scanned(tensors)
    if reverse:
        results = [flip(x, at) for x, at in zip(results, dims, strict=True)]
    return tree_unflatten(structure, results)


def _places(tensors: list[Tensor], xs: Any, dim: int) -> list[int]:
    """Which dimension of each tensor is meant, counted from 0; all have one length along it."""
    if not is_whole(dim):
        raise ArgumentError(f"{_USER}: dim must be an int, not {dim!r:.60}.")
    paths = leaf_paths(xs)
    for tensor, path in zip(tensors, paths, strict=True):
        if not -tensor.ndim <= dim < tensor.ndim:
            raise ShapeError(f"{_USER}: xs{path} is {tensor.type}, which has no dimension {dim}.")
    lengths = [tensor.shape[dim] for tensor in tensors]
    if any(not is_whole(each) for each in lengths):
        raise ShapeError(
            f"{_USER}: dimension {dim} has the symbolic length {lengths[0]}, and lengths decide "
            f"how many steps there are; use slope.scan."
        )
    if any(each != lengths[0] for each in lengths):
        listed = ", ".join(
            f"{each}{path and f' of {path}'}" for each, path in zip(lengths, paths, strict=True)
        )
        raise ShapeError(
            f"{_USER}: all of xs must have one length along dimension {dim}, and have {listed}."
        )
    return [dim % tensor.ndim for tensor in tensors]


def _part(
    tensors: list[Tensor], dims: list[int], start: int, stop: int | None, step: int = 2
) -> list[Tensor]:
    """Slices of each tensor; by default every second one."""
    return [
        x[(*(slice(None),) * at, slice(start, stop, step))]
        for x, at in zip(tensors, dims, strict=True)
    ]


def _interleaved(even: Tensor, odd: Tensor, dim: int) -> Tensor:
    """``even[0], odd[0], even[1], ...``; of even slices there may be one more."""
    count = odd.shape[dim]
    paired = stack([_part([even], [dim], 0, count, step=1)[0], odd], dim + 1)
    together = paired.reshape(*odd.shape[:dim], 2 * count, *odd.shape[dim + 1 :])
    return cat([together, _part([even], [dim], count, None, step=1)[0]], dim)


def _checked(f: Callable[..., Any], result: Any, like: list[Tensor], xs: Any) -> list[Tensor]:
    name = function_name(f)
    require_same_structure(_USER, xs, result, ("xs", f"what {name} returns"))
    tensors = tensor_leaves(tree_flatten(result)[0], result, f"{_USER} of {name}", "the result")
    for new, old, path in zip(tensors, like, leaf_paths(xs), strict=True):
        kind = ShapeError if new.shape != old.shape else DTypeError
        if new.type != old.type:
            raise kind(
                f"{_USER}: {name} must return what it takes, and turned {old.type}"
                f"{path and f' at {path}'} into {new.type}."
            )
    return tensors
