"""Operators that call Python while a program runs: prints, callbacks, functions of other libraries.

Those of :mod:`slope.debug` have an effect: passes keep each call, in its order. Under ``vmap`` they
are called for one example after the other. Derivatives pass them by: they see primal values, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slope.control._one_by_one import one_by_one
from slope.core.operator import Operator, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import Shape, TensorType
from slope.dtypes import DType
from slope.errors import ArgumentError, GradientError
from slope.ops.linear import batched_at
from slope.tree import tree_flatten, tree_unflatten, typed_key

if TYPE_CHECKING:
    from optree import PyTreeSpec


class Called:
    """A Python function of pytrees as a parameter of operators; equal ones are one to caches.

    Attributes:
        function: what is called.
        name: what messages and printed programs call it.
    """

    def __init__(
        self, function: Callable[..., Any], structure: PyTreeSpec, leaves: Iterable[Any]
    ) -> None:
        """Remember how to call a function.

        Args:
            function: what to call.
            structure: of ``(args, kwargs)``.
            leaves: those that are static; a :class:`Tensor` stands where an operand goes.
        """
        self.function = function
        self.name = getattr(function, "__name__", None) or repr(function)
        self._structure = structure
        self._operand = [isinstance(leaf, Tensor) for leaf in leaves]
        self._static = [leaf for leaf in leaves if not isinstance(leaf, Tensor)]
        key = (_identity(function), structure, tuple(self._operand))
        self._key = (*key, tuple([_identity(leaf) for leaf in self._static]))

    def __call__(self, *arrays: Any) -> Any:
        operands, static = iter(arrays), iter(self._static)
        leaves = [next(operands if each else static) for each in self._operand]
        args, kwargs = tree_unflatten(self._structure, leaves)
        return self.function(*args, **kwargs)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Called) and self._key == other._key

    def __repr__(self) -> str:
        return f"the host function {self.name}"


def _identity(value: Any) -> Any:
    """A key of a static value, by identity where it has no other."""
    try:
        return typed_key(value)
    except ArgumentError:
        return id(value)


class _Effect(Operator):
    """The family of operators without results."""

    multiple = True
    effect = True
    differentiable = False

    def infer(self, *types: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return ()


class DebugPrint(_Effect):
    """Print its operands: what ``slope.debug.print`` binds.

    Params:
        format: with a field in braces for each operand.
        names: those of the last operands; the others are positional.
    """

    name = "debug_print"

    def infer(
        self, *types: TensorType, format: str, names: tuple[str, ...]
    ) -> tuple[TensorType, ...]:
        return ()

    def host(self, *arrays: Any, format: str, names: tuple[str, ...]) -> Any:
        from slope.control.formats import print_formatted  # nobody else should pay for its import

        count = len(arrays) - len(names)
        named = dict(zip(names, arrays[count:], strict=True))
        print_formatted(format, arrays[:count], named)
        return ()


class DebugCallback(_Effect):
    """Call a host function for what it does: what ``slope.debug.callback`` binds.

    Params:
        function: of arrays, :class:`Called`.
    """

    name = "debug_callback"

    def infer(self, *types: TensorType, function: Callable[..., Any]) -> tuple[TensorType, ...]:
        return ()

    def host(self, *arrays: Any, function: Callable[..., Any]) -> Any:
        function(*arrays)
        return ()


class HostCall(Operator):
    """Call a host function for its results, which depend on its operands alone.

    What ``slope.pure_callback`` binds. Calls whose results nobody reads vanish, and equal ones are
    one. It has no derivative.

    Params:
        function: from arrays to a pytree of arrays, :class:`Called`.
        shapes, dtypes: of the results.
        vectorized: whether the function takes and gives batches along dimension 0, so that ``vmap``
            calls it once.
    """

    name = "host_call"
    multiple = True

    def infer(
        self,
        *types: TensorType,
        function: Callable[..., Any],
        shapes: tuple[Shape, ...],
        dtypes: tuple[DType, ...],
        vectorized: bool,
    ) -> tuple[TensorType, ...]:
        return tuple(
            [TensorType(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        )

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        if any(dtype.is_floating_point for dtype in params["dtypes"]):
            raise GradientError(
                f"pure_callback ({_name(params['function'])}): slope cannot see how the results of "
                f"a host function depend on its arguments. Give it a derivative, by calling it in "
                f"a function with slope.custom_jvp or slope.custom_vjp, or stop the gradient at "
                f"its arguments (x.detach())."
            )
        outs = self(*primals, **params)
        return outs, (None,) * len(outs)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        if not params["vectorized"]:
            return one_by_one(self, size, args, in_dims, params)
        given = [batched_at(arg, at, size, 0) for arg, at in zip(args, in_dims, strict=True)]
        shapes = tuple([(size, *shape) for shape in params["shapes"]])
        outs = self(*given, **{**params, "shapes": shapes})
        return outs, (0,) * len(outs)

    def host(
        self,
        *arrays: Any,
        function: Callable[..., Any],
        shapes: tuple[Shape, ...],
        dtypes: tuple[DType, ...],
        vectorized: bool,
    ) -> Any:
        found = tree_flatten(function(*arrays))[0]
        if len(found) != len(shapes):
            raise ArgumentError(
                f"pure_callback ({_name(function)}): the function returned {len(found)} arrays, "
                f"and result_types has {len(shapes)}."
            )
        return [
            _result(each, TensorType(shape, dtype), _name(function))
            for each, shape, dtype in zip(found, shapes, dtypes, strict=True)
        ]


def _result(value: Any, wanted: TensorType, name: str) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    same_kind = np.can_cast(array.dtype, wanted.dtype.numpy, "same_kind")
    if array.shape != wanted.shape or not same_kind:
        raise ArgumentError(
            f"pure_callback ({name}): the function returned {array.dtype}{list(array.shape)}, and "
            f"result_types has {wanted}; return that, or say in result_types what it returns."
        )
    return array


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "name", "") or repr(function)


debug_print: Any = register(DebugPrint())
debug_callback: Any = register(DebugCallback())
host_call: Any = register(HostCall())
