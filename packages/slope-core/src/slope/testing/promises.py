"""What an operator says of itself besides its derivatives, checked at its samples.

Its samples and its count of operations have the right form, one call gives what another gives,
results have the inferred types in every floating-point dtype, and an elementwise operator is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slope.api import jit
from slope.core.operator import Operator, Sample
from slope.core.program import result_types
from slope.core.tensor import Tensor
from slope.core.types import type_of_array
from slope.dtypes import DType, float16, float32, float64
from slope.errors import SlopeError
from slope.plugins.selection import use_backend
from slope.testing.cases import host_array
from slope.testing.runner import array_difference, tolerance

Array = np.ndarray[Any, Any]
Flat = Callable[..., tuple[Tensor, ...]]


def check_promises(op: Operator, sample: Sample, backend: str = "numpy") -> None:
    """All checks of this module at one sample.

    Args:
        op: the operator.
        sample: where to check it.
        backend: where to compute.

    Raises:
        AssertionError: the operator is not as it says; the message says what to mend.
    """
    check_flops(op, sample)
    check_types(op, sample, backend)
    arrays = [host_array(arg) for arg in sample.args]
    for dtype in (float16, float32, float64):
        with np.errstate(over="ignore"):
            args = [each.astype(dtype.numpy) if _is_floating(each) else each for each in arrays]
        check_types(op, sample._replace(args=tuple(args)), backend, refusable=True)
    check_repeated(op, sample, backend)
    check_elementwise(op, sample, backend)


def check_sample(op: Operator, sample: object) -> None:
    """Refuse what is no :class:`Sample`, and one whose operands are no tuple.

    Raises:
        AssertionError: it is so; says how to write one.
    """
    kind = type(op).__qualname__
    assert isinstance(sample, Sample), (
        f"{kind}.samples yields {sample!r:.80}; yield slope.extend.Sample((array, ...), params)."
    )
    assert isinstance(sample.args, tuple), (
        f"{kind}.samples yields Sample({sample.args!r:.80}); operands are a tuple, also a single "
        f"one: Sample((array,))."
    )


def check_flops(op: Operator, sample: Sample) -> None:
    """The count of operations is a number that is not negative, or ``None``.

    Raises:
        AssertionError: it is something else.
    """
    types = [type_of_array(host_array(arg)) for arg in sample.args]
    counted = op.flops(*types, **{**op._defaults, **sample.params})
    assert counted is None or (isinstance(counted, int) and counted >= 0), where(
        op, sample, f"flops returned {counted!r:.80}; return a number of operations, or None"
    )


def check_types(
    op: Operator, sample: Sample, backend: str = "numpy", *, refusable: bool = False
) -> None:
    """The inferred types are the actual ones.

    Args:
        op: the operator.
        sample: where to check it.
        backend: where to compute.
        refusable: whether ``infer`` may refuse the operands.

    Raises:
        AssertionError: they are not; names both.
    """
    args = [tensor_of(arg) for arg in sample.args]
    params = {**op._defaults, **sample.params}  # completed as by calling it
    try:
        inferred = result_types(op, [arg.type for arg in args], params)
    except SlopeError:
        if refusable:
            return
        raise
    with use_backend(backend):
        outs = as_function(op, sample.params)(*args)
    actual = tuple(type_of_array(out.numpy()) for out in outs)
    assert inferred == actual, where(op, sample, f"inferred {inferred}, computed {actual}")


def check_repeated(op: Operator, sample: Sample, backend: str = "numpy") -> None:
    """A second call gives what the first gave, and so does a compiled one.

    Raises:
        AssertionError: one does not.
    """
    function = as_function(op, sample.params)
    with use_backend(backend):
        wanted = [out.numpy() for out in function(*map(tensor_of, sample.args))]
        for name, call in (("a second call", function), ("a call in jit", jit(function))):
            found = [out.numpy() for out in call(*map(tensor_of, sample.args))]
            for want, got in zip(wanted, found, strict=True):
                gap = array_difference(want, got, tolerance(type_of_array(want).dtype))
                assert not gap, where(
                    op,
                    sample,
                    f"{name} {gap}. It must give what the first call gave: operators keep no state "
                    f"and draw from no generator; make it an operand, such as a key",
                )


def check_elementwise(op: Operator, sample: Sample, backend: str = "numpy") -> None:
    """Where operands' elements trade places, the results of an elementwise operator do, too.

    Raises:
        AssertionError: they do not.
    """
    args = [host_array(arg) for arg in sample.args]
    if not op.elementwise or not args or any(arg.shape != args[0].shape for arg in args):
        return
    function = as_function(op, sample.params)
    with use_backend(backend):
        outs = [out.numpy() for out in function(*map(tensor_of, args))]
        moved = [out.numpy() for out in function(*[tensor_of(_turned(arg)) for arg in args])]
    for out, other in zip(outs, moved, strict=True):
        bound = tolerance(type_of_array(out).dtype)
        assert not array_difference(_turned(out), other, bound), where(
            op,
            sample,
            f"{type(op).__qualname__} says elementwise = True, but results do not follow when the "
            f"operands' elements trade places: leave it out",
        )


# --- what checks share


def as_function(op: Operator, params: dict[str, Any]) -> Flat:
    """The operator as a function from tensors to a tuple of tensors."""

    def call(*args: Tensor) -> tuple[Tensor, ...]:
        result = op(*args, **params)
        return tuple(result) if op.multiple else (result,)

    return call


def tensor_of(array: Any, dtype: DType | None = None) -> Tensor:
    """A sample's operand as a tensor, of another dtype if one is given."""
    array = np.ascontiguousarray(np.asarray(array)) if np.ndim(array) else np.asarray(array)
    if dtype is not None:
        array = array.astype(dtype.numpy)
    return Tensor(type_of_array(array), host=array)


def where(op: Operator, sample: Sample, what: str) -> str:
    """A message about an operator at a sample."""
    shapes = ", ".join(str(type_of_array(np.asarray(arg))) for arg in sample.args)
    return f"{op.name}({shapes}; {sample.params}): {what}"


def _is_floating(array: Array) -> bool:
    return type_of_array(array).dtype.is_floating_point


def _turned(array: Array) -> Array:
    return np.roll(array.reshape(-1), 1).reshape(array.shape)
