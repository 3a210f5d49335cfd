"""The cases of the conformance kit: operators' samples in every dtype and under every transform.

A case is a program, the host arrays to run it on, and a name for what it is. Programs are traced
here once; what they should give, the numpy backend says (:mod:`slope.testing.runner`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from slope.core.operator import OPERATORS, Linear, Operator, Sample
from slope.core.program import Program, result_types, trace_program
from slope.core.tensor import Tensor
from slope.core.types import TensorType, type_of_array
from slope.dtypes import ALL, DType, as_dtype, bool_, float32
from slope.errors import SlopeError
from slope.ops.linear import batched_at
from slope.plugins.contributions import find_operator
from slope.plugins.manager import MANAGER
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.transforms.vmap import vmap_flat

MODES: Final = ("eager", "jit", "jvp", "vjp", "vmap", "grad of grad")
DERIVATIVES: Final = frozenset({"jvp", "vjp", "grad of grad"})
BATCH: Final = 3

Array = np.ndarray[Any, Any]
Flat = Callable[..., Sequence[Tensor]]


class Variant(NamedTuple):
    """A sample of an operator in one dtype.

    Attributes:
        op: the operator.
        number: which of its samples, from 0.
        dtype: the dtype that the sample's main operands were cast to.
        args: host arrays.
        params: keyword parameters.
        differentiable: whether derivatives exist there.
        native: whether the sample was written in this dtype.
    """

    op: Operator
    number: int
    dtype: DType
    args: tuple[Array, ...]
    params: dict[str, Any]
    differentiable: bool
    native: bool


class Case(NamedTuple):
    """A program with inputs, to be run on a backend.

    Attributes:
        group: the row of the matrix: an operator's name, or a group of rules.
        mode: the column of the matrix.
        dtype: the name of the dtype.
        label: what it is, for messages.
        program: what to run; without constants.
        args: host arrays.
        expected: the results, where they are known beforehand; else the numpy backend's are.
        slack: how many times the dtype's tolerance is allowed.
        op: the operator to call directly, for eager cases.
        params: its parameters.
    """

    group: str
    mode: str
    dtype: str
    label: str
    program: Program
    args: tuple[Array, ...]
    expected: tuple[Array, ...] | None = None
    slack: float = 1.0
    op: Operator | None = None
    params: dict[str, Any] = {}  # noqa: RUF012  # never written to


class Broken(NamedTuple):
    """A case that could not be traced: a rule of the operator itself raises."""

    group: str
    mode: str
    dtype: str
    label: str
    error: Exception


def all_operators() -> list[Operator]:
    """All registered operators and those of installed operator packages, by name."""
    importlib.import_module("slope.linalg.operators")  # which registers them
    for name in MANAGER.snapshot().operators:
        find_operator(name)  # registers it
    return [OPERATORS[name] for name in sorted(OPERATORS)]


# --- samples in every dtype


def host_array(value: Any) -> Array:
    """A sample's operand as an array; lists of Python floats count as float32, as in slope."""
    array = np.asarray(value)
    if array.dtype == np.float64 and not isinstance(value, np.ndarray | np.generic):
        array = array.astype(np.float32)
    return np.ascontiguousarray(array) if array.ndim else array


def cast_array(array: Array, dtype: DType) -> Array | None:
    """An array in another dtype; ``None`` if it means nothing there (NaN as an integer)."""
    if as_dtype(array.dtype) is dtype:
        return array
    if dtype is bool_:
        return array != 0
    floating = as_dtype(array.dtype).is_floating_point
    if dtype.is_integer:
        if floating and not np.isfinite(array.astype(np.float64)).all():
            return None
        limits = np.iinfo(dtype.numpy)
        whole = np.abs(array) if dtype.kind == "u" and array.dtype != np.bool_ else array
        if floating or array.dtype == np.bool_:
            low, high = max(limits.min, -1e9), min(limits.max, 1e9)
            return np.clip(whole.astype(np.float64), low, high).astype(dtype.numpy)
        known = np.iinfo(array.dtype)
        low, high = max(limits.min, known.min), min(limits.max, known.max)
        return np.clip(whole, low, high).astype(dtype.numpy)
    with np.errstate(over="ignore"):
        made = array.astype(dtype.numpy)
    same = np.isfinite(made.astype(np.float64)) == np.isfinite(array.astype(np.float64))
    return made if same.all() else None


def accepts(op: Operator, args: Sequence[Array], params: dict[str, Any]) -> bool:
    """Whether the operator's ``infer`` takes operands of these types."""
    try:
        result_types(op, [type_of_array(arg) for arg in args], {**op._defaults, **params})
    except SlopeError:
        return False
    return True


def main_dtype(args: Sequence[Array], params: dict[str, Any]) -> DType | None:
    """A sample's main dtype: of its first floating-point operand, else the first but bool."""
    dtypes = [as_dtype(arg.dtype) for arg in args]
    if not dtypes:
        return next((value for value in params.values() if isinstance(value, DType)), None)
    floating = (each for each in dtypes if each.is_floating_point)
    numbers = (each for each in dtypes if each is not bool_)
    return next(floating, next(numbers, bool_))


def variants(op: Operator) -> Iterator[Variant]:
    """An operator's samples in every dtype that it takes.

    A sample is cast to all dtypes of its own kind (integers, floats), and to those of a kind
    that no sample of the operator is of.
    """
    samples = [
        sample._replace(args=tuple(host_array(arg) for arg in sample.args))
        for sample in op.samples()
    ]
    mains = [main_dtype(sample.args, sample.params) for sample in samples]
    kinds = {_kind(main) for main in mains if main is not None}
    borrowed: set[DType] = set()
    for number, (sample, main) in enumerate(zip(samples, mains, strict=True)):
        if main is None:
            yield Variant(op, number, float32, sample.args, sample.params, False, True)
            continue
        for dtype in ALL:
            foreign = _kind(dtype) != _kind(main)
            if foreign and (_kind(dtype) in kinds or dtype in borrowed):
                continue
            made = _variant(op, number, sample, main, dtype)
            if made is not None:
                if foreign:
                    borrowed.add(dtype)
                yield made


def _kind(dtype: DType) -> str:
    return "i" if dtype.is_integer else dtype.kind


def _variant(
    op: Operator, number: int, sample: Sample, main: DType, dtype: DType
) -> Variant | None:
    if dtype is main:
        return Variant(op, number, dtype, sample.args, sample.params, sample.differentiable, True)
    params = sample.params
    if not sample.args:
        params = {
            name: dtype if isinstance(value, DType) else value for name, value in params.items()
        }
    args: list[Array] = []
    for arg in sample.args:
        made = cast_array(arg, dtype) if as_dtype(arg.dtype) is main else arg
        if made is None:
            return None
        args.append(made)
    if not accepts(op, args, params):
        return None
    smooth = sample.differentiable and dtype.is_floating_point
    return Variant(op, number, dtype, tuple(args), params, smooth, False)


# --- samples under every transform


def call(op: Operator, params: dict[str, Any]) -> Flat:
    """The operator as a function from tensors to a tuple of tensors."""

    def function(*args: Tensor) -> tuple[Tensor, ...]:
        result = op(*args, **params)
        return tuple(result) if op.multiple else (result,)

    return function


def cases(
    op: Operator, modes: Sequence[str] = MODES, *, thorough: bool = True
) -> Iterator[Case | Broken]:
    """The cases of an operator.

    Args:
        op: the operator.
        modes: which columns.
        thorough: every sample in every dtype in every mode; else derivatives and batching in other
            dtypes than the sample's own for the first sample alone, in floating-point ones.
    """
    if op.effect:
        return
    try:
        made = list(variants(op))
    except Exception as error:  # noqa: BLE001  # whatever an operator's samples raise is reported
        yield Broken(op.name, "jit", "", f"{op.name}.samples()", error)
        return
    for variant in made:
        for mode in modes:
            if mode not in {"eager", "jit"} and not (
                thorough or variant.native or (variant.number < 1 and variant.dtype.kind == "f")
            ):
                continue
            yield from mode_cases(variant, mode)


def mode_cases(variant: Variant, mode: str) -> Iterator[Case | Broken]:
    """The cases of a variant in one mode; none where the mode makes no sense."""
    op = variant.op
    moving = [as_dtype(arg.dtype).is_floating_point for arg in variant.args]
    if mode in DERIVATIVES and not (op.differentiable and variant.differentiable and any(moving)):
        return
    if mode == "vmap" and not variant.args:
        return
    label = describe(op, variant.args, variant.params)
    try:
        for function, args in _functions(variant, mode, moving):
            types = [type_of_array(arg) for arg in args]
            program = trace_program(function, types, name=op.name)
            yield Case(
                op.name, mode, variant.dtype.name, f"{label}, {mode}", closed(program), tuple(args),
                slack=_slack(op, mode), op=op if mode == "eager" else None, params=variant.params,
            )  # fmt: skip
    except Exception as error:  # noqa: BLE001  # whatever an operator's rule raises is reported
        yield Broken(op.name, mode, variant.dtype.name, f"{label}, {mode}", error)


def _slack(op: Operator, mode: str) -> float:
    """Derivatives are longer chains than the operator, and composites than single operators."""
    chain = 2.0 if op.has("expand") else 1.0
    return chain * {"eager": 1.0, "jit": 1.0, "vmap": 1.0, "grad of grad": 16.0}.get(mode, 4.0)


def closed(program: Program) -> Program:
    """The program, which must hold no constants but literals.

    Raises:
        AssertionError: a rule holds a tensor instead of a literal.
    """
    assert not program.constants, (
        f"the program of {program.name!r} captured tensors: a rule of it makes tensors where it "
        f"should use Splat."
    )
    return program


def describe(op: Operator, args: Sequence[Array], params: dict[str, Any]) -> str:
    """``add(float32[2, 3], float32[2, 3])`` with the parameters."""
    operands = [str(type_of_array(arg)) for arg in args]
    given = [f"{name}={value}" for name, value in params.items()]
    return f"{op.name}({', '.join(operands + given)})"


def _functions(
    variant: Variant, mode: str, moving: Sequence[bool]
) -> Iterator[tuple[Flat, Sequence[Array]]]:
    """The functions to trace and their inputs."""
    function, args = call(variant.op, variant.params), variant.args
    if mode in {"eager", "jit"}:
        yield function, args
        return
    if mode == "vmap":
        for dims in batchings(args):
            yield (
                batched(function, dims),
                [
                    arg if dim is None else np.stack(examples(arg), axis=dim)
                    for arg, dim in zip(args, dims, strict=True)
                ],
            )
        return
    tangents = directions([arg for arg, moves in zip(args, moving, strict=True) if moves], 0)
    if mode == "jvp":
        yield pushed(function, moving), [*args, *tangents]
        return
    outs = result_types(
        variant.op, [type_of_array(arg) for arg in args], {**variant.op._defaults, **variant.params}
    )
    floating = [each for each in outs if each.dtype.is_floating_point]
    cotangents = [_direction(each, number) for number, each in enumerate(floating, 100)]
    pull = pulled(function, moving, outs)
    if mode == "vjp":
        yield pull, [*args, *cotangents]
        return
    yield (
        pushed(pull, [*moving, *[False] * len(cotangents)]),
        [*args, *cotangents, *tangents],
    )


def batchings(args: Sequence[Array]) -> Iterator[tuple[int | None, ...]]:
    """All operands batched in their first dimension; then the first alone, in its last."""
    yield (0,) * len(args)
    if len(args) > 1 or args[0].ndim:
        yield (args[0].ndim, *[None] * (len(args) - 1))


def examples(arg: Array) -> list[Array]:
    """A batch of examples that differ, in range and in order where the operand was."""
    if arg.dtype == np.bool_:
        return [arg, ~arg, arg]
    if as_dtype(arg.dtype).is_floating_point:
        return [arg, (arg * 0.75).astype(arg.dtype), (arg * 0.5).astype(arg.dtype)]
    return [arg, (arg // 2).astype(arg.dtype), arg]  # NumPy 1 makes float64 of uint64[] // 2


def directions(arrays: Sequence[Array], seed: int) -> list[Array]:
    """Tangents of arrays, the same at every run."""
    return [_direction(type_of_array(array), seed + k) for k, array in enumerate(arrays)]


def _direction(tensor_type: TensorType, seed: int) -> Array:
    values = np.random.default_rng(seed).uniform(0.5, 1.5, tensor_type.shape)
    return np.asarray(values).astype(tensor_type.dtype.numpy)


def batched(function: Flat, dims: Sequence[int | None]) -> Flat:
    """The function along a batch dimension, which its results have first."""

    def run(*args: Tensor) -> list[Tensor]:
        outs, ats = vmap_flat(function, args, dims, BATCH)
        return [batched_at(out, at, BATCH, 0) for out, at in zip(outs, ats, strict=True)]

    return run


def pushed(function: Flat, moving: Sequence[bool]) -> Flat:
    """From primals and the tangents of the moving ones to the results' tangents, bar zeros."""

    def run(*args: Tensor) -> list[Tensor]:
        primals, given = args[: len(moving)], iter(args[len(moving) :])
        tangents = [next(given) if moves else None for moves in moving]
        _, moved = jvp_flat(function, primals, tangents)
        return [tangent for tangent in moved if tangent is not None]

    return run


def pulled(function: Flat, moving: Sequence[bool], outs: Sequence[TensorType]) -> Flat:
    """From primals and cotangents of floating results to those of moving primals, bar zeros."""

    def run(*args: Tensor) -> list[Tensor]:
        primals, given = args[: len(moving)], iter(args[len(moving) :])
        _, program, moved = linearize_flat(function, primals, moving)
        cotangents = [next(given) if out.dtype.is_floating_point else None for out in outs]
        masked = [ct if moves else None for ct, moves in zip(cotangents, moved, strict=True)]
        results = backward(program, [Linear(var.type) for var in program.inputs], masked)
        return [result for result in results if result is not None]

    return run
