"""What NumPy's own functions do with tensors.

NumPy's operators with an array on the left give what ours would give. Any other function of NumPy
takes tensors as the arrays that they hold; a traced tensor holds none, and the error says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from slope import tree
from slope.core.tensor import Tensor, Tracer
from slope.errors import ConcretizationError
from slope.functions import arithmetic, contraction, logic

OPERATORS: Final[dict[Any, Callable[..., Any]]] = {
    np.add: arithmetic.add,
    np.subtract: arithmetic.sub,
    np.multiply: arithmetic.mul,
    np.true_divide: arithmetic.div,
    np.floor_divide: arithmetic.floor_divide,
    np.remainder: arithmetic.remainder,
    np.power: arithmetic.pow,
    np.matmul: contraction.matmul,
    np.bitwise_and: logic.bitwise_and,
    np.bitwise_or: logic.bitwise_or,
    np.bitwise_xor: logic.bitwise_xor,
    np.left_shift: logic.bitwise_left_shift,
    np.right_shift: logic.bitwise_right_shift,
    np.equal: logic.eq,
    np.not_equal: logic.ne,
    np.less: logic.lt,
    np.less_equal: logic.le,
    np.greater: logic.gt,
    np.greater_equal: logic.ge,
}
NEEDS_NO_VALUES: Final[dict[Any, Callable[[Tensor], Any]]] = {
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.numel(),
}


def array_ufunc(x: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """``Tensor.__array_ufunc__``: operators as tensors, the rest as arrays."""
    operator = OPERATORS.get(ufunc)
    if operator is not None and method == "__call__" and not options and len(inputs) == 2:
        return operator(*inputs)
    inputs, options = _arrays(ufunc.__name__, (inputs, options))
    return getattr(ufunc, method)(*inputs, **options)


def array_function(
    x: Tensor, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """``Tensor.__array_function__``: NumPy's functions get the arrays that tensors hold."""
    known = NEEDS_NO_VALUES.get(function)
    if known is not None and len(args) == 1 and not options:
        return known(*args)
    args, options = _arrays(function.__name__, (args, options))
    return function(*args, **options)


def _arrays(name: str, arguments: Any) -> Any:
    return tree.tree_map(lambda leaf: _array(name, leaf), arguments)


def _array(name: str, value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    if isinstance(value, Tracer) and value.owner.alive:
        from slope import functions

        ours = f"Use slope.{name}. " if name in functions.__all__ else ""
        raise ConcretizationError(
            f"NumPy's {name} got a traced tensor {value.type} ({value.owner.describe(value)}), "
            f"which has no value while the function is traced. {ours}Functions that are "
            f"transformed are written with slope's functions, or the tensor's methods, alone."
        )
    return value.numpy()
