"""An operator's whole contract, checked from its samples.

Derivatives, also second ones, are compared with central differences in float64, reverse mode with
forward mode by ``<u, J t> = <J' u, t>``, batching with a loop, inferred with actual types, printed
programs with what they are printed from, and a backend's values with the numpy backend's.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope.api import jit
from slope.core.operator import Linear, Operator, Sample
from slope.core.printer import program_of, program_text
from slope.core.program import trace_program
from slope.core.tensor import Tensor
from slope.core.types import TensorType, type_of_array
from slope.dtypes import DType, float64
from slope.errors import OperatorDefinitionError
from slope.ops.linear import batched_at
from slope.passes import optimize
from slope.plugins.selection import use_backend
from slope.testing.cases import batched, cases, examples, host_array
from slope.testing.gradients import check_flat
from slope.testing.promises import (
    Flat,
    as_function,
    check_promises,
    check_sample,
    tensor_of,
    where,
)
from slope.testing.runner import FAILED, run_cases, tolerance
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.transforms.vmap import vmap_flat

STEP = 1e-6
BATCH = 3


def check_operator(
    op: Operator, backend: str = "numpy", *, backends: Sequence[str] = (), order: int = 2
) -> int:
    """Check the whole contract of an operator at all its samples.

    That is: its name, docstring, samples and parameters; that inferred types are the actual ones;
    that it gives the same again; that an elementwise operator is one; that a program of it prints
    as text that runs; derivatives against differences, also second ones; batching, also nested,
    against loops.

    Args:
        op: the operator.
        backend: where to compute.
        backends: more of them, whose compiled results are compared with the numpy backend's under
            every transform.
        order: up to which derivative; 1 where the first is not smooth at the samples.

    Returns:
        How many samples there were.

    Raises:
        AssertionError: a rule is wrong; the message names the sample and the rule.
    """
    check_contract(op)
    samples = list(op.samples())
    for sample in samples:
        try:
            _check_sample(op, sample, backend, order)
        except OperatorDefinitionError as error:
            raise AssertionError(where(op, sample, str(error))) from error
    for name in backends:
        outcomes = run_cases(cases(op, thorough=False), name)
        failed = [f"{each.label}: {each.message}" for each in outcomes if each.status == FAILED]
        assert not failed, f"{op.name} on {name}: " + "\n".join(failed[:10])
    return len(samples)


def _check_sample(op: Operator, sample: Sample, backend: str, order: int) -> None:
    check_promises(op, sample, backend)
    check_printed(op, sample)
    check_derivatives(op, sample)
    if order > 1:
        check_second_derivatives(op, sample)
    check_batching(op, sample, backend)
    check_nested_batching(op, sample, backend)


def check_contract(op: Operator) -> None:
    """The name is one, there are a docstring and samples, and parameters are hashable and known.

    Raises:
        AssertionError: one is not so; says which.
    """
    kind = type(op).__qualname__
    good = op.name.isidentifier() and not keyword.iskeyword(op.name)
    assert good, (
        f"operator {op.name!r} prints as slope.{op.name}, which is no name in Python; rename it."
    )
    assert (type(op).__doc__ or "").strip(), (
        f"operator {op.name!r} has no docstring; say in {kind}'s what it computes, and what at "
        f"the edges (NaN, ties, empty operands)."
    )
    samples = list(op.samples())
    assert samples, f"operator {op.name!r} has no samples; define {kind}.samples."
    rule = op.infer if op.has("infer") else op.expand
    parameters = inspect.signature(rule).parameters.values()
    keywords = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    free = any(each.kind is each.VAR_KEYWORD for each in parameters)
    for sample in samples:
        check_sample(op, sample)
        for name, value in sample.params.items():
            assert free or name in keywords, where(
                op, sample, f"{kind}.{rule.__name__} has no keyword parameter {name!r}"
            )
            try:
                hash(value)
            except TypeError:
                message = f"the parameter {name}={value!r} is not hashable; use a tuple"
                raise AssertionError(where(op, sample, message)) from None


class _Namespace:
    """``slope`` for printed text, which also knows an operator that nobody has registered."""

    program_of = staticmethod(program_of)

    def __init__(self, op: Operator) -> None:
        self._op = op

    def __getattr__(self, name: str) -> Any:
        import slope

        return (
            self._op if name == self._op.name and not hasattr(slope, name) else getattr(slope, name)
        )


def check_printed(op: Operator, sample: Sample) -> None:
    """A program of the operator prints as Python that computes the same.

    Raises:
        AssertionError: the text does not run, or is of another program.
    """
    types = [type_of_array(host_array(arg)) for arg in sample.args]
    program = trace_program(as_function(op, sample.params), types, name="printed")
    text = program_text(program)
    scope: dict[str, Any] = {"slope": _Namespace(op)}
    try:
        code = compile(text.replace("\nimport slope\n", "\n"), "<printed>", "exec")
        exec(code, scope)  # our own text
        again = trace_program(scope["printed"], types, name="printed")
    except Exception as error:
        message = f"the printed program does not run: {type(error).__name__}: {error}\n{text}"
        raise AssertionError(where(op, sample, message)) from error
    if program_text(again) != text:  # functions leave out what changes nothing, as the passes do
        text, back = program_text(optimize(program)), program_text(optimize(again))
        message = f"the printed program is traced as another:\n{text}\n{back}"
        assert back == text, where(op, sample, message)


def check_second_derivatives(op: Operator, sample: Sample) -> None:
    """The derivatives of the jvp and of the vjp agree with differences, in both modes.

    Raises:
        AssertionError: one does not; says which.
    """
    made = _smooth(op, sample)
    if made is not None:
        function, primals, moving = made
        with use_backend("numpy"):
            check_flat(
                function, primals, moving, 2, ("fwd", "rev"), where(op, sample, "").rstrip(": ")
            )


def check_nested_batching(op: Operator, sample: Sample, backend: str = "numpy") -> None:
    """Vmap of vmap agrees with two loops: over all operands, and over the first and the last apart.

    Raises:
        AssertionError: it does not; names the example.
    """
    if not sample.args:
        return
    args = [host_array(arg) for arg in sample.args]
    none = [None] * (len(args) - 1)
    both = [0] * len(args)
    for outer, inner in ((both, both), ([0, *none], [*none, 0])):
        check_nested(op, sample, args, outer, inner, backend)


def check_nested(
    op: Operator,
    sample: Sample,
    args: Sequence[Any],
    outer: Sequence[int | None],
    inner: Sequence[int | None],
    backend: str,
) -> None:
    """Vmap along ``outer`` of vmap along ``inner`` agrees with two loops.

    Raises:
        AssertionError: it does not; names the example.
    """
    function = as_function(op, sample.params)
    stacked = [
        arg if out_at is None and in_at is None else _twice(arg, out_at, in_at)
        for arg, out_at, in_at in zip(args, outer, inner, strict=True)
    ]
    with use_backend(backend):
        outs, ats = vmap_flat(
            batched(function, inner), [tensor_of(arg) for arg in stacked], outer, 2
        )
        found = [batched_at(out, at, 2, 0).numpy() for out, at in zip(outs, ats, strict=True)]
        for i, j in itertools.product(range(2), range(BATCH)):
            single = [
                arg[tuple(([i] if out_at is not None else []) + ([j] if in_at is not None else []))]
                for arg, out_at, in_at in zip(stacked, outer, inner, strict=True)
            ]
            for got, want in zip(found, function(*map(tensor_of, single)), strict=True):
                bound = tolerance(want.dtype)
                message = where(op, sample, f"vmap over {outer} of vmap over {inner}, at {i}, {j}")
                assert got[i, j].shape == want.shape, message
                np.testing.assert_allclose(
                    _wide(got[i, j]), _wide(want.numpy()), rtol=bound, atol=bound, err_msg=message
                )


def _twice(arg: Any, outer: int | None, inner: int | None) -> Any:
    """An operand in batches that differ, along a new outer dimension, a new inner one or both."""
    made = arg if inner is None else np.stack(examples(arg))
    return made if outer is None else np.stack([made, examples(made)[1]])


def _smooth(op: Operator, sample: Sample) -> tuple[Flat, list[Tensor], list[bool]] | None:
    """The operator at a sample in float64, and what to move; ``None`` without derivatives."""
    args = [host_array(arg) for arg in sample.args]
    moving = [arg.dtype.kind not in "iub" for arg in args]
    if not sample.differentiable or not op.differentiable or not any(moving):
        return None
    params = {
        name: float64 if isinstance(value, DType) and value.is_floating_point else value
        for name, value in sample.params.items()
    }
    primals = [
        tensor_of(arg, float64) if moves else tensor_of(arg)
        for arg, moves in zip(args, moving, strict=True)
    ]
    return as_function(op, params), primals, moving


def check_values(op: Operator, sample: Sample, backend: str) -> None:
    """A backend computes what the numpy backend does, compiled as a program."""
    args = [tensor_of(arg) for arg in sample.args]
    function = as_function(op, sample.params)
    expected = jit(function, backend="numpy")(*args)
    actual = jit(function, backend=backend)(*args)
    for want, got in zip(expected, actual, strict=True):
        assert want.type == got.type, where(
            op, sample, f"{backend} gives {got.type}, numpy {want.type}"
        )
        bound = tolerance(want.dtype)
        np.testing.assert_allclose(
            _wide(got.numpy()),
            _wide(want.numpy()),
            rtol=bound,
            atol=bound,
            err_msg=where(op, sample, f"{backend} against numpy"),
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
        tensor_of(arg, float64) if moves else tensor_of(arg)
        for arg, moves in zip(sample.args, moving, strict=True)
    ]
    random = np.random.default_rng(0)
    tangents = [
        tensor_of(random.standard_normal(primal.shape)) if moves else None
        for primal, moves in zip(primals, moving, strict=True)
    ]
    function = as_function(op, params)
    with use_backend("numpy"):
        outs, forward = jvp_flat(function, primals, tangents)
        _check_primal(op, sample, "jvp", outs, function(*primals))
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
                err_msg=where(op, sample, "jvp against differences"),
            )
        _check_transpose(op, sample, function, primals, tangents, moving, moves_by)


def _differences(
    function: Flat, primals: Sequence[Tensor], tangents: Sequence[Tensor | None]
) -> list[np.ndarray[Any, Any]]:
    def moved(step: float) -> list[np.ndarray[Any, Any]]:
        args = [
            primal if tangent is None else tensor_of(primal.numpy() + step * tangent.numpy())
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
    rule = "vjp" if op.has("vjp") else "jvp"
    _check_primal(op, sample, rule, outs, function(*primals))
    rule = "pullback" if op.has("vjp") else "transpose"
    random = np.random.default_rng(1)
    full = [tensor_of(random.standard_normal(out.shape)) for out in outs]
    choices: list[tuple[list[Tensor | None], str]] = [(list(full), "")]
    if len(full) > 1:  # what nothing reads has a cotangent of None
        choices += [
            (
                [each if place == alone else None for place, each in enumerate(full)],
                f", with a cotangent of result {alone} alone and None at the others",
            )
            for alone in range(len(full))
        ]
    given = [tangent for tangent in tangents if tangent is not None]
    for cotangents, which in choices:
        what = f"{rule}{which}: <J'u, t> against <u, J t>"
        try:
            results = backward(program, [Linear(var.type) for var in program.inputs], cotangents)
        except TypeError as error:
            raise AssertionError(where(op, sample, f"{what}: {error}")) from error
        pulled = 0.0
        for result, tangent in zip(results, given, strict=True):
            if result is not None:
                assert result.type == tangent.type, where(
                    op, sample, f"the cotangent of an operand {tangent.type} has type {result.type}"
                )
                pulled += float(np.sum(result.numpy() * tangent.numpy()))
        pushed = sum(
            float(np.sum(cotangent.numpy() * move))
            for cotangent, move in zip(cotangents, forward, strict=True)
            if cotangent is not None
        )
        np.testing.assert_allclose(
            pulled, pushed, rtol=1e-8, atol=1e-8, err_msg=where(op, sample, what)
        )


def _check_primal(
    op: Operator, sample: Sample, rule: str, found: Sequence[Tensor], wanted: Sequence[Tensor]
) -> None:
    """A rule for derivatives gives the operator's own result beside them."""
    for got, want in zip(found, wanted, strict=True):
        bound = tolerance(want.dtype)
        np.testing.assert_allclose(
            got.numpy(), want.numpy(), rtol=bound, atol=bound,
            err_msg=where(op, sample, f"the result that {rule} gives, against the operator's own"),
        )  # fmt: skip


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
            outs, ats = vmap_flat(function, [tensor_of(arg) for arg in args], dims, BATCH)
            batched = [
                batched_at(out, at, BATCH, 0).numpy() for out, at in zip(outs, ats, strict=True)
            ]
            for example in range(BATCH):
                single = [
                    arg if dim is None else np.take(arg, example, axis=dim)
                    for arg, dim in zip(args, dims, strict=True)
                ]
                for found, wanted in zip(batched, function(*map(tensor_of, single)), strict=True):
                    bound = tolerance(wanted.dtype)
                    message = where(
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
