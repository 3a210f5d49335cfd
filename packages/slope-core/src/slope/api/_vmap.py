"""vmap: a function of single examples as a function of batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

from slope.api._arguments import (
    argument_paths,
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
from slope.tree import (
    is_leaf,
    one_level,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_unflatten,
)

P = ParamSpec("P")
R = TypeVar("R")


@boundary
def vmap(
    function: Callable[P, R],
    in_dims: Any = 0,
    out_dims: Any = 0,
    *,
    randomness: Literal["error", "same", "different"] = "error",
    axis_size: int | None = None,
) -> Callable[P, R]:
    """A function that applies ``function`` along a batch dimension of its arguments, all at once.

    Args:
        function: of pytrees of tensors, written for one example.
        in_dims: the dimension of each positional argument that runs over the examples: an int for
            all, or a tuple with an int, ``None`` (not batched) or a pytree of those for each, which
            may be a module of ints. Strings and numbers that are not batched reach the function as
            they are. Keyword arguments are batched along dimension 0.
        out_dims: where the results hold it: an int, or a pytree of ints and ``None`` (only for
            results that do not depend on the batch). One result may have a tuple of one.
        randomness: draws from the default generator inside are refused (``"error"``), alike for all
            examples (``"same"``) or different for each.
        axis_size: how many examples there are; needed only where no argument is batched.

    Returns:
        A function of batched arguments.

    Raises:
        ArgumentError: ``randomness`` is another word, or when called, ``in_dims`` or ``out_dims``
            holds something else.
        ShapeError: when called, no argument is batched and there is no ``axis_size``, the batched
            dimensions differ in length, or one is out of range.
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
    if axis_size is not None and (not is_whole(axis_size) or axis_size < 0):
        raise ArgumentError(f"vmap: axis_size must be an int of at least 0, not {axis_size!r:.60}.")
    name = function_name(function)

    def around(trace: BatchTrace) -> Any:
        return use_scope(BatchScope(trace, randomness))

    @functools.wraps(function)
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        batch = _Batch(function, args, kwargs, in_dims, axis_size)
        outs, ats = vmap_flat(
            batch.of_one, batch.tensors, batch.dims, batch.size, name, definition(function), around
        )
        wanted = _spread_out_dims(out_dims, tree_unflatten(batch.out_structure, outs))
        results = [
            _place(out, at, batch.size, want, function)
            for out, at, want in zip(outs, ats, wanted, strict=True)
        ]
        return tree_unflatten(batch.out_structure, results)

    return wrapped


class _Batch:
    """The arguments of a call, flattened.

    Attributes:
        tensors: the leaves.
        dims: where each holds the batch dimension; ``None`` for those that do not.
        size: the length of the batch dimension.
        out_structure: of the last result of :meth:`of_one`.
    """

    out_structure: Any = None

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Any,
        in_dims: Any,
        axis_size: Any,
    ) -> None:
        several = isinstance(in_dims, (tuple, list))
        if several and len(in_dims) != len(args):
            raise TreeError(
                f"vmap of {function_name(function)}: in_dims={in_dims} is for {len(in_dims)} "
                f"arguments, and there are {len(args)}."
            )
        trees = (args, kwargs)
        self._function = function
        leaves, self._structure = tree_flatten(trees)
        spread = _spread_dims((in_dims, 0), trees)
        # What is no tensor and not batched, such as a string, reaches the function as it is.
        self._held = {
            number: leaf
            for number, (leaf, dim) in enumerate(zip(leaves, spread, strict=True))
            if dim is None and not isinstance(leaf, (Tensor, np.ndarray))
        }
        given = [0 if number in self._held else leaf for number, leaf in enumerate(leaves)]
        self.tensors = tensor_leaves(given, trees, "vmap", "the argument")
        self.dims = [
            _normal(dim, tensor, path)
            for dim, tensor, path in zip(spread, self.tensors, argument_paths(*trees), strict=True)
        ]
        self.size = _batch_size(self.tensors, self.dims, function, trees, axis_size)

    def of_one(self, *tensors: Tensor) -> list[Tensor]:
        """The function's results for one example's leaves."""
        seen = [self._held.get(number, tensor) for number, tensor in enumerate(tensors)]
        args, kwargs = tree_unflatten(self._structure, seen)
        result = self._function(*args, **kwargs)
        leaves, self.out_structure = tree_flatten(result)
        return output_leaves(leaves, result, "vmap")


def _is_dim(value: Any) -> bool:
    return value is None or is_whole(value)


def _spread_dims(dims: Any, tree: Any, name: str = "in_dims") -> list[int | None]:
    """The dimension for each leaf: ``dims`` is a prefix of the tree, with ``None`` as a leaf."""
    if dims is None or is_whole(dims):
        return [None if dims is None else int(dims)] * len(tree_leaves(tree))
    if is_leaf(dims):
        raise ArgumentError(f"vmap: {name} must hold ints and None, and holds {dims!r:.80}.")
    rows = isinstance(dims, (tuple, list)) and isinstance(tree, (tuple, list))
    if not is_leaf(tree) and (rows or type(dims) is type(tree)):
        (parts, keys), (subtrees, wanted) = one_level(dims), one_level(tree)
        if keys == wanted:
            pairs = zip(parts, subtrees, strict=True)
            return [dim for part, subtree in pairs for dim in _spread_dims(part, subtree, name)]
    what = "argument" if name == "in_dims" else "result"
    types = tree_map(lambda leaf: getattr(leaf, "type", leaf), tree)
    raise TreeError(f"vmap: {name} {dims!r:.80} does not match the {what} {types!r:.200}.")


def _spread_out_dims(dims: Any, tree: Any) -> list[int | None]:
    if isinstance(tree, Tensor) and isinstance(dims, (tuple, list)) and len(dims) == 1:
        dims = dims[0]  # as in PyTorch
    return _spread_dims(dims, tree, "out_dims")


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
    tensors: list[Tensor],
    dims: list[int | None],
    function: Callable[..., Any],
    trees: Any,
    wanted: Any,
) -> Any:
    found = [
        (tensor.shape[dim], tensor, dim, path)
        for tensor, dim, path in zip(tensors, dims, argument_paths(*trees), strict=True)
        if dim is not None
    ]
    if not found and wanted is None:
        raise ShapeError(
            f"vmap of {function_name(function)}: no argument is batched; at least one entry of "
            f"in_dims must be an int, or axis_size must say how many examples there are."
        )
    size = found[0][0] if wanted is None else wanted
    if any(length != size for length, *_ in found):
        listed = ", ".join(
            f"{length} (dimension {dim} of argument{path} {tensor.type})"
            for length, tensor, dim, path in found
        )
        than = "" if wanted is None else f" from axis_size={wanted}"
        raise ShapeError(
            f"vmap of {function_name(function)}: the batched dimensions differ in "
            f"length{than}: {listed}."
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
