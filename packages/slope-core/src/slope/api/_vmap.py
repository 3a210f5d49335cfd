"""vmap: a function of single examples as a function of batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from slope.api._arguments import (
    definition,
    function_name,
    is_whole,
    output_leaves,
    require_callable,
    tensor_leaves,
)
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError, TreeError, boundary
from slope.functions.generator import all_or_nothing
from slope.functions.random import BatchScope, use_scope
from slope.ops.linear import batched_at
from slope.transforms.vmap import BatchTrace, vmap_flat
from slope.tree import leaf_paths, tree_flatten, tree_leaves, tree_unflatten


@boundary
def vmap(
    function: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    *,
    randomness: Literal["error", "same", "different"] = "error",
) -> Callable[..., Any]:
    """A function that applies ``function`` along a batch dimension of its arguments, all at once.

    Args:
        function: of pytrees of tensors, written for one example.
        in_dims: the dimension of each positional argument that runs over the examples: an int for
            all, or a tuple with an int, ``None`` (not batched) or a pytree of those for each.
            Strings and numbers that are not batched reach the function as they are. Keyword
            arguments are batched along dimension 0.
        out_dims: where the results hold it: an int, or a pytree of ints and ``None`` (only for
            results that do not depend on the batch).
        randomness: draws from the default generator inside are refused (``"error"``), alike for all
            examples (``"same"``) or different for each.

    Returns:
        A function of batched arguments.

    Raises:
        ArgumentError: ``randomness`` is another word, or when called, ``in_dims`` or ``out_dims``
            holds something else.
        ShapeError: when called, no argument is batched, the batched dimensions differ in length, or
            one is out of range.
        TreeError: when called, ``in_dims`` or ``out_dims`` does not fit the arguments or results.
        RandomnessError: when called, the function draws and ``randomness`` is ``"error"``.

    Example:
        >>> slope.vmap(slope.dot)(slope.ones(3, 4), slope.ones(3, 4)).shape
        (3,)
    """
    require_callable(function, "vmap")
    if not isinstance(randomness, str) or randomness not in ("error", "same", "different"):
        raise ArgumentError(
            f"vmap: randomness={randomness!r} is none of 'error', 'same', 'different'."
        )

    @functools.wraps(function)
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_dims, (tuple, list)) and len(in_dims) != len(args):
            raise TreeError(
                f"vmap of {function_name(function)}: in_dims={in_dims} is for {len(in_dims)} "
                f"arguments, and there are {len(args)}."
            )
        trees = (args, kwargs)
        dims_tree = (tuple(in_dims) if isinstance(in_dims, (tuple, list)) else in_dims, 0)
        leaves, structure = tree_flatten(trees)
        spread = _spread_dims(dims_tree, trees)
        held = {
            number: leaf
            for number, (leaf, dim) in enumerate(zip(leaves, spread, strict=True))
            if dim is None and not isinstance(leaf, (Tensor, np.ndarray))
        }
        given = [0 if number in held else leaf for number, leaf in enumerate(leaves)]
        tensors = tensor_leaves(given, trees, "vmap", "the argument")
        dims = [
            _normal(dim, tensor, path)
            for dim, tensor, path in zip(spread, tensors, _paths(trees), strict=True)
        ]
        size = _batch_size(tensors, dims, function, trees)
        out_structure: Any = None

        def flat(*xs: Tensor) -> list[Tensor]:
            nonlocal out_structure
            seen = [held.get(number, x) for number, x in enumerate(xs)]
            inner_args, inner_kwargs = tree_unflatten(structure, seen)
            result = function(*inner_args, **inner_kwargs)
            out_leaves, out_structure = tree_flatten(result)
            return output_leaves(out_leaves, result, "vmap")

        def around(trace: BatchTrace) -> Any:
            return use_scope(BatchScope(trace, randomness))

        outs, ats = vmap_flat(
            flat, tensors, dims, size, function_name(function), definition(function), around
        )
        wanted = _spread_out_dims(out_dims, tree_unflatten(out_structure, outs))
        results = [
            _place(out, at, size, want, function)
            for out, at, want in zip(outs, ats, wanted, strict=True)
        ]
        return tree_unflatten(out_structure, results)

    return wrapped


def _paths(trees: tuple[tuple[Any, ...], dict[str, Any]]) -> list[str]:
    """Where each leaf stands: `` 0['w']`` in the first argument, `` 'x'`` in a keyword one."""
    args, kwargs = trees
    named = [*enumerate(args), *sorted(kwargs.items())]
    return [f" {name!r}{path}" for name, tree in named for path in leaf_paths(tree)]


def _is_dim(value: Any) -> bool:
    return value is None or is_whole(value)


def _spread_dims(dims: Any, tree: Any) -> list[int | None]:
    """The dimension for each leaf: ``dims`` is a prefix of the tree, with ``None`` as a leaf."""
    if _is_dim(dims):
        return [dims] * len(tree_leaves(tree))
    if isinstance(dims, dict):
        if not isinstance(tree, dict) or dims.keys() != tree.keys():
            raise TreeError(f"vmap: in_dims {dims} does not match the argument {tree!r:.80}.")
        return [dim for key in sorted(tree) for dim in _spread_dims(dims[key], tree[key])]
    if isinstance(dims, (tuple, list)):
        if not isinstance(tree, (tuple, list)) or len(dims) != len(tree):
            raise TreeError(f"vmap: in_dims {dims} does not match the argument {tree!r:.80}.")
        return [
            dim
            for part, subtree in zip(dims, tree, strict=True)
            for dim in _spread_dims(part, subtree)
        ]
    raise ArgumentError(f"vmap: in_dims must hold ints and None, and holds {dims!r:.80}.")


def _spread_out_dims(dims: Any, tree: Any) -> list[int | None]:
    try:
        return _spread_dims(dims, tree)
    except TreeError as error:
        raise TreeError(
            str(error).replace("in_dims", "out_dims").replace("the argument", "the result")
        ) from None


def _normal(dim: int | None, tensor: Tensor, path: str) -> int | None:
    if dim is None:
        return None
    if not -tensor.ndim <= dim < tensor.ndim:
        raise ShapeError(
            f"vmap: dimension {dim} of argument{path} is out of range for {tensor.type}; use "
            f"None for arguments that are not batched."
        )
    return dim % tensor.ndim


def _batch_size(
    tensors: list[Tensor], dims: list[int | None], function: Callable[..., Any], trees: Any
) -> Any:
    found = [
        (tensor.shape[dim], tensor, dim, path)
        for tensor, dim, path in zip(tensors, dims, _paths(trees), strict=True)
        if dim is not None
    ]
    if not found:
        raise ShapeError(
            f"vmap of {function_name(function)}: no argument is batched; at least one entry of "
            f"in_dims must be an int."
        )
    size = found[0][0]
    if any(length != size for length, *_ in found):
        listed = ", ".join(
            f"{length} (dimension {dim} of argument{path} {tensor.type})"
            for length, tensor, dim, path in found
        )
        raise ShapeError(
            f"vmap of {function_name(function)}: the batched dimensions differ in length: {listed}."
        )
    return size


def _place(
    out: Tensor, at: int | None, size: Any, want: int | None, function: Callable[..., Any]
) -> Tensor:
    if want is None:
        if at is not None:
            raise ShapeError(
                f"vmap of {function_name(function)}: out_dims=None for a result {out.type} that "
                f"depends on the batch."
            )
        return out
    ndim = out.ndim + (1 if at is None else 0)
    if not -ndim <= want < ndim:
        raise ShapeError(
            f"vmap of {function_name(function)}: out_dims={want} is out of range for a result of "
            f"{ndim} dimensions."
        )
    return batched_at(out, at, size, want % ndim)
