"""An operator's whole contract, checked from its samples.

Derivatives are compared with central differences in float64, reverse mode with forward mode by
``<u, J t> = <J' u, t>``, batching with a loop, inferred with actual types, and a backend's values
with the numpy backend's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from slope.core.operator import Linear, Operator, Sample
from slope.core.program import result_types
from slope.core.tensor import Tensor
from slope.core.types import TensorType, type_of_array
from slope.dtypes import DType, float64
from slope.ops.linear import batched_at
from slope.plugins.selection import use_backend
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.transforms.vmap import vmap_flat

STEP = 1e-6
BATCH = 3
_TOLERANCES = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 3e-5, "float64": 1e-10}

Flat = Callable[..., tuple[Tensor, ...]]


def tolerance(dtype: DType) -> float:
    """The relative and absolute tolerance between backends for a dtype.

    Both are 0 for integers and bools.
    """
    return _TOLERANCES.get(dtype.name, 0.0)


def check_operator(op: Operator, backend: str = "numpy") -> int:
    """Check types, values, derivatives and batching of an operator at all its samples.

    Args:
        op: the operator.
        backend: where to compute.

    Returns:
        How many samples there were.

    Raises:
        AssertionError: a rule is wrong; the message names the sample and the rule.
    """
    samples = list(op.samples())
    assert samples, f"operator {op.name!r} has no samples; define {type(op).__qualname__}.samples."
    for sample in samples:
        check_types(op, sample, backend)
        check_derivatives(op, sample)
        check_batching(op, sample, backend)
    return len(samples)


def as_function(op: Operator, params: dict[str, Any]) -> Flat:
    """The operator as a function from tensors to a tuple of tensors."""

    def call(*args: Tensor) -> tuple[Tensor, ...]:
        result = op(*args, **params)
        return tuple(result) if op.multiple else (result,)

    return call


def _tensor(array: Any, dtype: DType | None = None) -> Tensor:
    array = np.ascontiguousarray(np.asarray(array)) if np.ndim(array) else np.asarray(array)
    if dtype is not None:
        array = array.astype(dtype.numpy)
    return Tensor(type_of_array(array), host=array)


def _where(op: Operator, sample: Sample, what: str) -> str:
    shapes = ", ".join(str(type_of_array(np.asarray(arg))) for arg in sample.args)
    return f"{op.name}({shapes}; {sample.params}): {what}"


def check_types(op: Operator, sample: Sample, backend: str = "numpy") -> None:
    """The inferred types are the actual ones."""
    args = [_tensor(arg) for arg in sample.args]
    inferred = result_types(
        op, [arg.type for arg in args], {**op._defaults, **sample.params}
    )  # completed as by calling it
    with use_backend(backend):
        outs = as_function(op, sample.params)(*args)
    actual = tuple(type_of_array(out.numpy()) for out in outs)
    assert inferred == actual, _where(op, sample, f"inferred {inferred}, computed {actual}")


def check_values(op: Operator, sample: Sample, backend: str) -> None:
    """A backend computes what the numpy backend does, compiled as a program."""
    from slope.api import jit

    args = [_tensor(arg) for arg in sample.args]
    function = as_function(op, sample.params)
    expected = jit(function, backend="numpy")(*args)
    actual = jit(function, backend=backend)(*args)
    for want, got in zip(expected, actual, strict=True):
        assert want.type == got.type, _where(
            op, sample, f"{backend} gives {got.type}, numpy {want.type}"
        )
        bound = tolerance(want.dtype)
        np.testing.assert_allclose(
            _wide(got.numpy()),
            _wide(want.numpy()),
            rtol=bound,
            atol=bound,
            err_msg=_where(op, sample, f"{backend} against numpy"),
        )


def _wide(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (
        array.astype(np.float64)
        if array.dtype.itemsize == 2 and array.dtype.kind not in "iub"
        else array
    )


def check_derivatives(op: Operator, sample: Sample) -> None:
    """Forward mode agrees with central differences, reverse mode with forward mode.

    Both are run in float64 on the numpy backend.
    """
    moving = [np.asarray(arg).dtype.kind not in "iub" for arg in sample.args]
    if not sample.differentiable or not op.differentiable or not any(moving):
        return
    params = {
        name: float64 if isinstance(value, DType) and value.is_floating_point else value
        for name, value in sample.params.items()
    }
    primals = [
        _tensor(arg, float64) if moves else _tensor(arg)
        for arg, moves in zip(sample.args, moving, strict=True)
    ]
    random = np.random.default_rng(0)
    tangents = [
        _tensor(random.standard_normal(primal.shape)) if moves else None
        for primal, moves in zip(primals, moving, strict=True)
    ]
    function = as_function(op, params)
    with use_backend("numpy"):
        outs, forward = jvp_flat(function, primals, tangents)
        moves_by = [
            np.zeros(out.shape) if tangent is None else tangent.numpy()
            for out, tangent in zip(outs, forward, strict=True)
        ]
        for found, wanted in zip(moves_by, _differences(function, primals, tangents), strict=True):
            np.testing.assert_allclose(
                found,
                wanted,
                rtol=2e-5,
                atol=2e-6,
                err_msg=_where(op, sample, "jvp against differences"),
            )
        _check_transpose(op, sample, function, primals, tangents, moving, moves_by)


def _differences(
    function: Flat, primals: Sequence[Tensor], tangents: Sequence[Tensor | None]
) -> list[np.ndarray[Any, Any]]:
    def moved(step: float) -> list[np.ndarray[Any, Any]]:
        args = [
            primal if tangent is None else _tensor(primal.numpy() + step * tangent.numpy())
            for primal, tangent in zip(primals, tangents, strict=True)
        ]
        return [out.numpy().astype(np.float64) for out in function(*args)]

    return [(up - down) / (2 * STEP) for up, down in zip(moved(STEP), moved(-STEP), strict=True)]


def _check_transpose(
    op: Operator,
    sample: Sample,
    function: Flat,
    primals: Sequence[Tensor],
    tangents: Sequence[Tensor | None],
    moving: Sequence[bool],
    forward: Sequence[Any],
) -> None:
    outs, program, _ = linearize_flat(function, primals, moving)
    random = np.random.default_rng(1)
    cotangents = [_tensor(random.standard_normal(out.shape)) for out in outs]
    results = backward(program, [Linear(var.type) for var in program.inputs], cotangents)
    pulled = 0.0
    given = [tangent for tangent in tangents if tangent is not None]
    for result, tangent in zip(results, given, strict=True):
        if result is not None:
            assert result.type == tangent.type, _where(
                op, sample, f"the cotangent of an operand {tangent.type} has type {result.type}"
            )
            pulled += float(np.sum(result.numpy() * tangent.numpy()))
    pushed = sum(
        float(np.sum(cotangent.numpy() * move))
        for cotangent, move in zip(cotangents, forward, strict=True)
    )
    np.testing.assert_allclose(
        pulled,
        pushed,
        rtol=1e-8,
        atol=1e-8,
        err_msg=_where(op, sample, "transpose: <J'u, t> against <u, J t>"),
    )


def batchings(types: Sequence[TensorType]) -> Iterator[tuple[int | None, ...]]:
    """Ways to batch operands: none, first or last dimension of each, not none of all."""
    choices = [sorted({0, each.ndim}) for each in types]
    for dims in itertools.product(*[[None, *each] for each in choices]):
        if any(dim is not None for dim in dims):
            yield dims


def check_batching(op: Operator, sample: Sample, backend: str = "numpy") -> None:
    """Vmap over any operands at any position agrees with a loop over the examples."""
    function = as_function(op, sample.params)
    types = [type_of_array(np.asarray(arg)) for arg in sample.args]
    with use_backend(backend):
        for dims in batchings(types):
            args = [
                _repeated(arg, dim, number)
                for number, (arg, dim) in enumerate(zip(sample.args, dims, strict=True))
            ]
            outs, ats = vmap_flat(function, [_tensor(arg) for arg in args], dims, BATCH)
            batched = [
                batched_at(out, at, BATCH, 0).numpy() for out, at in zip(outs, ats, strict=True)
            ]
            for example in range(BATCH):
                single = [
                    arg if dim is None else np.take(arg, example, axis=dim)
                    for arg, dim in zip(args, dims, strict=True)
                ]
                for found, wanted in zip(batched, function(*map(_tensor, single)), strict=True):
                    bound = tolerance(wanted.dtype)
                    message = _where(
                        op, sample, f"vmap over {dims} against a loop, example {example}"
                    )
                    assert found[example].shape == wanted.shape, message
                    np.testing.assert_allclose(
                        _wide(found[example]),
                        _wide(wanted.numpy()),
                        rtol=bound,
                        atol=bound,
                        err_msg=message,
                    )


def _repeated(arg: Any, dim: int | None, seed: int) -> Any:
    """A sample operand as a batch of examples that differ: its elements in other orders."""
    array = np.asarray(arg)
    if dim is None:
        return array
    random = np.random.default_rng(seed)
    examples = [
        array,
        *(random.permutation(array.reshape(-1)).reshape(array.shape) for _ in range(BATCH - 1)),
    ]
    return np.stack(examples, axis=dim)
