"""Python in the middle of programs: what prints, calls back, or computes outside of slope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slope.api._arguments import require_callable, require_flag, tensor_leaf
from slope.control.formats import formatted, print_formatted
from slope.control.host import Called, debug_callback, debug_print, host_call
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, current_trace
from slope.core.types import TensorType
from slope.dims import DimExpr
from slope.dtypes import DType, as_dtype, bool_, float64, int64
from slope.errors import ArgumentError, boundary
from slope.tree import tree_flatten, tree_unflatten


@boundary
def print(fmt: str, /, *args: Any, ordered: bool = True, **kwargs: Any) -> None:
    """Print values whenever the program runs that this stands in.

    Python's own ``print`` shows a tensor once, while the function is traced, when it has no value
    yet. This prints what is there in each run, under ``jit`` and every other transform: once for
    each example of a batch and each turn of a loop, in order; in ``cond`` the taken branch's alone.
    Derivatives print primal values once, and what ``checkpoint`` computes again is not printed
    again.

    Args:
        fmt: text with fields in braces, as for ``str.format``; a format such as ``{x:.3f}`` of a
            tensor applies to its elements.
        args: for the positional fields: tensors, pytrees of them, or any other values.
        ordered: always in order; there for those who come from JAX.
        kwargs: for the named fields.

    Raises:
        ArgumentError: ``fmt`` does not fit the values, or leaves one out.

    Example:
        >>> @slope.jit
        ... def double(x):
        ...     slope.debug.print("x = {}, its sum {total:.2f}", x, total=x.sum())
        ...     return x * 2
        >>> _ = double(slope.tensor([1.0, 2.5]))
        x = [1.  2.5], its sum 3.50
    """
    if not isinstance(fmt, str):
        raise ArgumentError(
            f"debug.print takes a format with braces and then values, and got a "
            f"{type(fmt).__name__} first: write slope.debug.print('{{}}', x)."
        )
    operands = [_operand(value) for value in (*args, *kwargs.values())]
    if all(each is not None for each in operands):
        if current_trace() is not EVAL:  # there is no value yet, but the format can be wrong
            zeros = [_like(each.type) for each in operands if each is not None]
            named = dict(zip(kwargs, zeros[len(args) :], strict=True))
            formatted(fmt, zeros[: len(args)], named)
        debug_print(*operands, format=fmt, names=tuple(kwargs))
    else:
        callback(_Printed(fmt), *args, **kwargs)


def _operand(value: Any) -> Tensor | None:
    """A tensor for what can be an operand of a print by itself."""
    if isinstance(value, np.ndarray):
        return tensor_leaf(value, "debug.print")
    for kind, dtype in ((bool, bool_), (int, int64), (float, float64)):
        if type(value) is kind and (kind is not int or -(2**63) <= value < 2**63):
            return Splat(value, TensorType((), dtype))
    return value if isinstance(value, Tensor) else None


def _like(each: TensorType) -> np.ndarray[Any, Any]:
    """An array of a type, of any length where that is symbolic, that takes no memory."""
    shape = [1 if isinstance(length, DimExpr) else length for length in each.shape]
    return np.broadcast_to(np.zeros((), each.dtype.numpy), shape)


class _Printed:
    """Prints values that are no single tensors."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.__name__ = f"print {text!r}"

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        print_formatted(self.text, args, kwargs)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Printed) and self.text == other.text


@boundary
def callback(
    function: Callable[..., Any], /, *args: Any, ordered: bool = True, **kwargs: Any
) -> None:
    """Call a Python function whenever the program runs that this stands in.

    It is called as :func:`print` prints: in order, once for each example and turn, with primal
    values. What it raises reaches the caller of the program as it is.

    Args:
        function: called for what it does; what it returns is dropped.
        args: pytrees; their tensors reach the function as NumPy arrays of its own, all else as it
            is.
        ordered: always in order; there for those who come from JAX.
        kwargs: pytrees, likewise.

    Example:
        >>> norms = []
        >>> @slope.jit
        ... def step(x):
        ...     slope.debug.callback(lambda norm: norms.append(norm.item()), (x * x).sum())
        ...     return x * 0.5
        >>> _ = step(step(slope.tensor([1.0, 1.0])))
        >>> norms
        [2.0, 0.5]
    """
    require_callable(function, "debug.callback")
    called, operands = _called(function, args, kwargs)
    debug_callback(*operands, function=called)


@boundary
def pure_callback(
    function: Callable[..., Any],
    result_types: Any,
    /,
    *args: Any,
    vectorized: bool = False,
    **kwargs: Any,
) -> Any:
    """The results of a Python function that slope cannot trace, such as one of another library.

    They must depend on the arguments alone: calls whose results nobody needs are left out, and
    equal ones may be one. There is no derivative; to give it one, call it in a function with
    :class:`slope.custom_jvp` or :class:`slope.custom_vjp`.

    Args:
        function: gets the pytrees ``args`` and ``kwargs`` with NumPy arrays in place of tensors,
            and returns a pytree of arrays.
        result_types: what it returns: a pytree of tensors or arrays (or of anything with ``shape``
            and ``dtype``), or of pairs ``(shape, dtype)``.
        args: pytrees of tensors and other values.
        vectorized: whether the function takes and gives a batch along dimension 0 of all arrays,
            so that under ``vmap`` it is called once; else it is called for each example.
        kwargs: pytrees, likewise.

    Raises:
        ArgumentError: ``result_types`` holds something else; when run, the function returns arrays
            of other shapes, or of dtypes that do not convert.
        GradientError: a floating-point result is differentiated.

    Example:
        >>> @slope.jit
        ... def median(x):
        ...     return slope.pure_callback(np.median, ((), slope.float32), x) * 2
        >>> median(slope.tensor([1.0, 5.0, 3.0])).item()
        6.0
    """
    require_callable(function, "pure_callback")
    require_flag(vectorized, "pure_callback", "vectorized")
    leaves, structure = tree_flatten(result_types, is_leaf=_is_pair)
    types = [_result_type(leaf) for leaf in leaves]
    called, operands = _called(function, args, kwargs)
    outs = host_call(
        *operands,
        function=called,
        shapes=tuple([each.shape for each in types]),
        dtypes=tuple([each.dtype for each in types]),
        vectorized=bool(vectorized),
    )
    return tree_unflatten(structure, outs)


def _called(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Called, Sequence[Tensor]]:
    """The function with all arguments that are no tensors, and those that are."""
    raw, structure = tree_flatten((args, kwargs))
    leaves = [
        tensor_leaf(leaf, "a callback") if isinstance(leaf, np.ndarray) else leaf for leaf in raw
    ]
    operands = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    return Called(function, structure, leaves), operands


def _is_pair(value: Any) -> bool:
    """Whether a value is a shape and a dtype."""
    return (
        type(value) is tuple
        and len(value) == 2
        and isinstance(value[0], (tuple, list))
        and (isinstance(value[1], (DType, np.dtype, type, str)))
    )


def _result_type(leaf: Any) -> TensorType:
    if not _is_pair(leaf):
        leaf = (_attribute(leaf, "shape"), _attribute(leaf, "dtype"))
    shape, dtype = leaf
    return TensorType(tuple(shape), as_dtype(dtype))


def _attribute(leaf: Any, name: str) -> Any:
    if not hasattr(leaf, name):
        raise ArgumentError(
            f"pure_callback: result_types holds a {type(leaf).__name__} ({leaf!r:.60}); give "
            f"tensors or arrays like the results, or pairs such as ((2, 3), slope.float32)."
        )
    return getattr(leaf, name)
