"""From user's arguments to tensors and back: what jit, grad, vmap and the others share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from slope.core.tensor import Tensor
from slope.core.types import TensorType, type_of_array
from slope.dims import DimExpr
from slope.dtypes import bool_, default_dtype, float32, int64
from slope.errors import ArgumentError, Source
from slope.functions._base import dimension
from slope.ops import cast
from slope.tree import leaf_paths


def function_name(function: Callable[..., Any]) -> str:
    """The name that messages call a function by."""
    return getattr(function, "__name__", None) or type(function).__name__


def type_name(value: Any) -> str:
    """The name of a value's class for messages; all tensors, traced or not, are of one class."""
    return "Tensor" if isinstance(value, Tensor) else type(value).__name__


def require_callable(function: Any, user: str) -> None:
    """Refuse what cannot be called.

    Raises:
        ArgumentError: it is no function.
    """
    if not callable(function):
        raise ArgumentError(
            f"{user} takes a function, and got a {type(function).__name__} ({function!r:.80})."
        )


def require_flag(value: Any, user: str, name: str) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ArgumentError: it is no bool.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{user}: {name} must be True or False, not {value!r:.80}.")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of Python or NumPy; bools are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def whole_numbers(value: Any, user: str, name: str) -> tuple[int, ...]:
    """An int, or a sequence of ints, as a tuple.

    Raises:
        ArgumentError: it is something else.
    """
    items: tuple[Any, ...]
    items = tuple(value) if isinstance(value, Sequence) and type(value) is not str else (value,)
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
        raise ArgumentError(f"{user}: {name} must be an int or a tuple of ints, not {value!r:.80}.")
    return items


def words(value: Any, user: str, name: str) -> tuple[str, ...]:
    """A string, or a sequence of strings, as a tuple.

    Raises:
        ArgumentError: it is something else.
    """
    items: tuple[Any, ...]
    items = tuple(value) if isinstance(value, Sequence) and type(value) is not str else (value,)
    if not all(isinstance(item, str) for item in items):
        raise ArgumentError(
            f"{user}: {name} must be a name or a tuple of names, not {value!r:.80}."
        )
    return items


def tensor_leaf(leaf: Any, user: str, path: str = "") -> Tensor:
    """A leaf as a tensor: numbers and NumPy arrays are converted, Python floats to float32.

    Raises:
        ArgumentError: it is neither tensor, number nor NumPy array.
    """
    if isinstance(leaf, DimExpr):
        leaf = dimension(leaf)
    if isinstance(leaf, Tensor):
        return cast(leaf, dtype=default_dtype(leaf.dtype.kind)) if leaf.weak else leaf
    if isinstance(leaf, np.ndarray):
        return Tensor(type_of_array(leaf), host=np.array(leaf))
    if isinstance(leaf, np.generic):
        array = np.asarray(leaf)
        return Tensor(type_of_array(array), host=array)
    for kind, dtype in ((bool, bool_), (int, int64), (float, float32)):
        if isinstance(leaf, kind):
            if dtype is int64 and not -(2**63) <= leaf < 2**63:
                raise ArgumentError(
                    f"{user}: {path or 'a leaf'} is the Python int {leaf}, which does not fit "
                    "int64; pass a tensor of another dtype."
                )
            return Tensor(TensorType((), dtype), host=np.asarray(leaf, dtype.numpy))
    raise ArgumentError(
        f"{user} takes pytrees of tensors, numbers and NumPy arrays; {path or 'a leaf'} is a "
        f"{type(leaf).__name__} ({leaf!r:.80}). Convert it with slope.tensor, or register its "
        f"class with slope.register_node."
    )


def argument_paths(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """Where each leaf stands: `` 0['w']`` in the first argument, `` 'x'`` in a keyword one."""
    named = [*enumerate(args), *sorted(kwargs.items())]
    return [f" {name!r}{path}" for name, tree in named for path in leaf_paths(tree)]


def tensor_leaves(leaves: Sequence[Any], tree: Any, user: str, what: str) -> list[Tensor]:
    """All leaves as tensors; see :func:`tensor_leaf`."""
    try:
        return [tensor_leaf(leaf, user) for leaf in leaves]
    except ArgumentError:
        paths = leaf_paths(tree)
        return [
            tensor_leaf(leaf, user, f"{what}{path}")
            for leaf, path in zip(leaves, paths, strict=True)
        ]


def output_leaves(leaves: Sequence[Any], tree: Any, user: str) -> list[Tensor]:
    """The leaves of a function's result as tensors.

    Raises:
        ArgumentError: one is no tensor or number; the message says which.
    """
    return tensor_leaves(leaves, tree, user, "the result")


def positional_names(function: Callable[..., Any]) -> list[str]:
    """The names of a function's positional parameters; empty if it cannot be inspected."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def definition(function: Callable[..., Any]) -> Source | None:
    """Where a function is defined, for messages."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (
        None
        if code is None
        else Source(code.co_filename, code.co_firstlineno, function_name(function))
    )
