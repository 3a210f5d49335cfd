"""Lowerings: every sample of every operator against the NumPy backend, all dtypes, odd values, and
programs of odd forms.

A compile costs a fifth of a second however small the program, so many samples go into one program
with many outputs.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slope
from slope import dtypes
from slope.control.scan import run_scan
from slope.core.operator import OPERATORS
from slope.extend import CPU, Backend, Program, TensorType, ops, trace_program
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.lower import order
from slope_backend_iree.lower.loop_kernels import fits
from slope_backend_iree.lower.loop_kernels.rules import RULES
from slope_backend_iree.lower.program import lower_program
from slope_backend_numpy.backend import NumpyBackend

Array = Any
Case = tuple[Any, tuple[Array, ...], dict[str, Any]]

REFERENCE = NumpyBackend()


@pytest.fixture(scope="module")
def backend(cache: Path) -> IreeBackend:
    return IreeBackend()


def array_type(array: Array) -> TensorType:
    return TensorType(array.shape, dtypes.as_dtype(array.dtype))


def run(backend: Backend, program: Program, arrays: Sequence[Array]) -> list[Array]:
    executable = backend.compile(program.check(), CPU, {})
    return [
        backend.to_host(out)
        for out in executable([backend.from_host(array, CPU) for array in arrays])
    ]


def traced(
    backend: Backend, cases: Sequence[Case], types: Sequence[TensorType]
) -> tuple[Program, list[int]]:
    """One program that computes all cases, and how many results each has."""
    counts: list[int] = []

    def everything(*xs: Any) -> list[Any]:
        outs: list[Any] = []
        rest = iter(xs)
        for op, args, params in cases:
            operands = list(itertools.islice(rest, len(args)))
            made = op(*operands, **params) if backend.lowers(op) else op.expand(*operands, **params)
            results = list(made) if op.multiple else [made]
            counts.append(len(results))
            outs += results
        return outs

    return trace_program(everything, types), counts


def run_cases(backend: Backend, cases: Sequence[Case]) -> list[list[Array]]:
    """The results of each case, all computed by one program."""
    arrays = [np.asarray(array) for _, args, _ in cases for array in args]
    program, counts = traced(backend, cases, [array_type(array) for array in arrays])
    outs = run(backend, program, arrays)
    for out, stated in zip(outs, program.output_types, strict=True):
        assert (out.shape, out.dtype) == (stated.shape, stated.dtype.numpy)
    rest = iter(outs)
    return [list(itertools.islice(rest, count)) for count in counts]


def run_cases_in_a_loop(backend: IreeBackend, cases: Sequence[Case]) -> list[list[Array]]:
    """The results of each case, computed by the second turn of one loop that is a kernel."""
    given = [np.asarray(array) for _, args, _ in cases for array in args]
    body, counts = traced(backend, cases, [array_type(array) for array in given])
    arrays = [np.stack([np.ones_like(array), array]) for array in given]
    params = {"body": body, "consts": 0, "carries": 0, "length": 2, "reverse": False}
    program = trace_program(
        lambda *xs: run_scan(*xs, **params), [array_type(array) for array in arrays]
    )
    main = lower_program(program, backend.lowerings).text.partition("func.func @main")[2]
    assert "stablehlo.while" not in main
    assert "scf.while" not in main
    rest = iter(run(backend, program, arrays))
    return [[out[1] for out in itertools.islice(rest, count)] for count in counts]


def in_kernels(backend: IreeBackend, cases: Sequence[Case]) -> list[Case]:
    """The cases that kernels know all operators of."""
    found = []
    for case in cases:
        types = [array_type(np.asarray(array)) for array in case[1]]
        body, _ = traced(backend, [case], types)
        if fits({"body": body, "length": 2}):
            found.append(case)
    return found


# --- agreement


def wide(array: Array) -> Array:
    """Half precision as float32, anything else as it is."""
    half = array.dtype in (dtypes.float16.numpy, dtypes.bfloat16.numpy)
    return array.astype(np.float32) if half else array


TOLERANCE = {
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
    "float32": 1e-5,  # IREE's power is off by 7e-6 where results are near the largest float32
    "float64": 1e-12,
}


def check(backend: IreeBackend, cases: Sequence[Case], runs: Any = run_cases) -> None:
    """Every result is what the NumPy backend, the definition of the operators, gives."""
    found, expected = runs(backend, cases), run_cases(REFERENCE, cases)
    for (op, args, params), outs, wanted in zip(cases, found, expected, strict=True):
        message = f"{op.name} {params} of {[(a.dtype.name, a.shape, a.ravel()[:12]) for a in args]}"
        for out, want in zip(outs, wanted, strict=True):
            name = dtypes.as_dtype(out.dtype).name
            assert (out.shape, out.dtype) == (want.shape, want.dtype), message
            if name not in TOLERANCE:
                np.testing.assert_array_equal(out, want, err_msg=message)
                continue
            near = TOLERANCE[name]
            actual, desired = out.astype(np.float64), want.astype(np.float64)
            np.testing.assert_allclose(actual, desired, near, near, err_msg=message)


# --- operators


def samples_of(names: Sequence[str]) -> list[Case]:
    return [
        (OPERATORS[name], tuple(np.asarray(arg) for arg in sample.args), sample.params)
        for name in names
        for sample in OPERATORS[name].samples()
    ]


NAMES = sorted(
    name for name, op in OPERATORS.items() if type(op).__module__.startswith("slope.ops.")
)
GROUPS = [NAMES[i::12] for i in range(12)]


def test_every_operator_is_lowered_or_expanded(backend: IreeBackend):
    expanded = [name for name in NAMES if not backend.lowers(OPERATORS[name])]
    assert expanded == [
        "cummax",
        "cummin",
        "cumprod",
        "floor_divide",
        "integer_pow",
        "max_with_indices",
        "min_with_indices",
        "remainder",
        "threefry2x32",
        "window_max",
        "window_max_grad",
        "window_sum",
    ]


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_samples(backend: IreeBackend, names: list[str]):
    check(backend, samples_of(names))


def test_the_operators_of_kernels(backend: IreeBackend):
    """Whatever has a rule runs in kernels; of float64's exponentials only erf does not."""
    names = [name for name in NAMES if name in RULES]
    missing = set(RULES) - set(names) - {"softmax"}
    assert not missing
    cases = samples_of(names)
    fitting = in_kernels(backend, [case for case in cases if case[0].name != "erf"])
    assert {op.name for op, _, _ in fitting} == {*names} - {"erf"}


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_samples_in_a_loop(backend: IreeBackend, names: list[str]):
    check(backend, in_kernels(backend, samples_of(names)), run_cases_in_a_loop)


# --- every dtype, odd values

ODD = [
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    1e30,
    -1e30,
    88,
    -88,
    100,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    1e-9,
    -1e-9,
    3e5,
    -3e5,
    1e4,
]
ODD += [1, -1, 2, -2, 3, 1e-3, 0.3, -0.7, 20, 300, -129, 65504, 2.0**31, -(2.0**31), 2.0**63]
UNBOUNDED = ("sin", "cos", "tan")  # right up to 1e9, not beyond


def odd_values(dtype: Any) -> Array:
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(ODD).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    signed = [-1, -2, -7] if dtype.kind == "i" else []
    return np.array(
        [info.min, info.max, info.min + 1, info.max - 1, 0, 1, 2, 3, 7, *signed], object
    ).astype(dtype.numpy)


def odd_cases(dtype: Any) -> list[Case]:
    values = odd_values(dtype)
    first, second = (grid.ravel() for grid in np.meshgrid(values, values))
    cases: list[Case] = []
    for name in NAMES:
        op = OPERATORS[name]
        if (
            dtype.kind not in getattr(op, "kinds", "")
            or not hasattr(op, "arity")
            or name in ("where", "bitcast", "integer_pow")
        ):
            continue
        if getattr(op, "arity", 1) == 2:
            fits = np.ones(first.shape, bool)
            if name == "floor_divide" and dtype.kind == "f":
                # Quotients below the smallest normal number count as 0 on IREE, and bfloat16
                # quotients are not rounded before their floor is taken: where either decides, the
                # floors differ.
                exact = first.astype(np.float64) / second.astype(np.float64)
                fits = (np.abs(exact) > 1e-30) & (
                    np.abs(exact - np.rint(exact)) > 2e-2 * np.abs(exact)
                ) | (first == 0)
            cases.append((op, (first[fits], second[fits]), {}))
        else:
            with np.errstate(invalid="ignore"):
                bounded = values[np.abs(wide(values)) < 1e9] if name in UNBOUNDED else values
            cases.append((op, (bounded,), {}))
    for target in dtypes.ALL:
        if target is not dtype:
            cases.append((ops.cast, (values,), {"dtype": target}))
        if (
            target is not dtype
            and target.bits == dtype.bits
            and "b" not in (target.kind, dtype.kind)
        ):
            cases.append((ops.bitcast, (values,), {"dtype": target}))
    cases.append((ops.where, (np.arange(len(values)) % 2 == 0, values, values[::-1].copy()), {}))
    return cases


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_odd_values(backend: IreeBackend, dtype: Any):
    with np.errstate(all="ignore"):
        check(backend, odd_cases(dtype))


FULL = [each for each in dtypes.ALL if not (each.kind == "f" and each.bits == 16)]


@pytest.mark.parametrize("dtype", FULL, ids=str)
def test_odd_values_in_a_loop(backend: IreeBackend, dtype: Any):
    with np.errstate(all="ignore"):
        cases = in_kernels(backend, odd_cases(dtype))
        for first in range(0, len(cases), 24):
            check(backend, cases[first : first + 24], run_cases_in_a_loop)


def shaped_cases(dtype: Any) -> list[Case]:
    """Operators that are not elementwise, on each dtype that they take."""
    values = np.random.default_rng(0).integers(0, 4, size=(3, 4)).astype(dtype.numpy)
    coordinates = np.array([[2], [0], [2], [7]])
    cases: list[Case] = [
        (ops.reshape, (values,), {"shape": (2, 6)}),
        (ops.permute, (values,), {"dims": (1, 0)}),
        (ops.broadcast, (values,), {"shape": (3, 2, 4), "dims": (0, 2)}),
        (ops.pad, (values,), {"low": (1, 0), "high": (0, 2), "interior": (1, 0), "value": 1}),
        (ops.slice_, (values,), {"start": (0, 1), "stop": (3, 4), "step": (2, 1)}),
        (ops.flip, (values,), {"dims": (0, 1)}),
        (ops.cat, (values, values), {"dim": 1}),
        (ops.amax, (values,), {"dim": (1,)}),
        (ops.amin, (values,), {"dim": (0, 1)}),
        (ops.gather, (values, coordinates), {"axis": 0, "batch_dims": 0}),
        (
            ops.scatter,
            (values, coordinates, values[[0, 1, 2, 0]]),
            {"axis": 0, "batch_dims": 0, "mode": "set"},
        ),
    ]
    if dtype.kind == "b":
        return [
            *cases,
            (ops.any_, (values,), {"dim": (0,)}),
            (ops.all_, (values,), {"dim": (0, 1)}),
        ]
    written = (values, coordinates, values[[0, 1, 2, 0]])
    layout = {"axis": 0, "batch_dims": 0}
    modes = ("add", "mul", "min", "max")
    cases += [(ops.scatter, written, {**layout, "mode": mode}) for mode in modes]
    cases += [(op, (values,), {"dim": (0,)}) for op in (ops.sum_, ops.prod)]
    cases += [(op, (values,), {"dim": 1}) for op in (ops.argmax, ops.argmin)]
    cases.append((ops.cumsum, (values,), {"dim": 0, "reverse": True}))
    cases.append((ops.dot_general, (values, values), {"contract": ((1,), (1,)), "batch": ((), ())}))
    cases.append(
        (ops.dot_general, (values, values), {"contract": ((1,), (1,)), "batch": ((0,), (0,))})
    )
    cases.append((ops.iota, (), {"shape": (3, 5), "dim": 1, "dtype": dtype}))
    return cases


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_shaped_operators(backend: IreeBackend, dtype: Any):
    check(backend, shaped_cases(dtype))


@pytest.mark.parametrize("dtype", FULL, ids=str)
def test_shaped_operators_in_a_loop(backend: IreeBackend, dtype: Any):
    cases = in_kernels(backend, shaped_cases(dtype))
    assert len(cases) == len(shaped_cases(dtype))
    check(backend, cases, run_cases_in_a_loop)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_half_precision_accumulates_in_float32(backend: IreeBackend, dtype: Any):
    ones = np.ones((4096,), dtype.numpy)  # sums in half precision stop at 2048 or 256
    cases: list[Case] = [
        (ops.sum_, (ones,), {"dim": (0,)}),
        (ops.dot_general, (ones, ones), {"contract": ((0,), (0,)), "batch": ((), ())}),
        (ops.cumsum, (ones,), {"dim": 0, "reverse": False}),
        (
            ops.scatter,
            (np.zeros(1, dtype.numpy), np.zeros((4096, 1), np.int64), ones),
            {"axis": 0, "batch_dims": 0, "mode": "add"},
        ),
    ]
    for outs in run_cases(backend, cases):
        assert float(outs[0].ravel()[-1]) == 4096


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_float64_is_rounded_to_half_precision_once(backend: IreeBackend, dtype: Any):
    """Also next to a tie, where it becomes subnormal (in float16), and out of range."""
    near = np.array([1, 1.5, -(2.0**-14), 2.0**-20, -(2.0**-24), 65504, 3.39e38])[:, None]
    steps = np.arange(-16, 17) * 2.0**-12 + np.array([-(2.0**-45), 0, 2.0**-45])[:, None]
    x = np.append((near * (1 + steps.ravel())).ravel(), [1e-60, -0.0, 1e300, np.inf, np.nan])
    cases: list[Case] = [(ops.cast, (x,), {"dtype": dtype})]
    ((expected,),) = run_cases(REFERENCE, cases)
    ((found,),) = run_cases(backend, cases)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(number, ~np.isnan(found))
    np.testing.assert_array_equal(found[number].view(np.uint16), expected[number].view(np.uint16))


# --- shapes without elements, and larger ones


def test_empty_shapes(backend: IreeBackend):
    empty, some = np.zeros((0, 3), np.float32), np.ones((2, 3), np.float32)
    none = np.zeros((0, 1), np.int64)
    cases: list[Case] = [
        (ops.add, (empty, empty), {}),
        (ops.sum_, (empty,), {"dim": (0,)}),
        (ops.sum_, (empty,), {"dim": (1,)}),
        (ops.prod, (empty,), {"dim": (0, 1)}),
        (ops.any_, (empty != 0,), {"dim": (0,)}),
        (ops.all_, (empty != 0,), {"dim": (0,)}),
        (ops.amax, (empty,), {"dim": (1,)}),
        (ops.argmax, (empty,), {"dim": 1}),
        (ops.cumsum, (empty,), {"dim": 0, "reverse": False}),
        (ops.cat, (empty, some, empty), {"dim": 0}),
        (ops.cat, (empty, empty), {"dim": 0}),
        (ops.pad, (empty,), {"low": (1, 0), "high": (2, 1), "interior": (3, 0), "value": 5}),
        (ops.slice_, (some,), {"start": (1, 0), "stop": (1, 3), "step": (1, 1)}),
        (ops.broadcast, (empty,), {"shape": (2, 0, 3), "dims": (1, 2)}),
        (ops.gather, (some, none), {"axis": 0, "batch_dims": 0}),
        (ops.scatter, (some, none, empty), {"axis": 0, "batch_dims": 0, "mode": "add"}),
        (ops.dot_general, (empty, empty), {"contract": ((0,), (0,)), "batch": ((), ())}),
        (ops.dot_general, (empty, some), {"contract": ((1,), (1,)), "batch": ((), ())}),
        (ops.flip, (empty,), {"dims": (0,)}),
    ]
    check(backend, cases)


def test_larger_shapes(backend: IreeBackend):
    """Sizes at which IREE tiles, vectorises and splits."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(67, 129)).astype(np.float32) for _ in range(2))
    x[5, 7] = x[60, 128] = np.nan
    whole = np.nan_to_num(x)
    batched = rng.normal(size=(5, 33, 17)).astype(np.float32)
    cases: list[Case] = [
        *((op, (x,), {"dim": dim}) for op in (ops.argmax, ops.argmin) for dim in (0, 1)),
        *((op, (x,), {"dim": dim}) for op in (ops.amax, ops.amin) for dim in ((0,), (1,), (0, 1))),
        (ops.maximum, (x, y), {}),
        (ops.cumsum, (whole,), {"dim": 1, "reverse": True}),
        (ops.dot_general, (whole, y), {"contract": ((0,), (0,)), "batch": ((), ())}),
        (ops.dot_general, (batched, batched), {"contract": ((1,), (1,)), "batch": ((0,), (0,))}),
        (ops.dot_general, (batched, batched), {"contract": ((0, 2), (0, 2)), "batch": ((), ())}),
        (ops.flip, (y,), {"dims": (1,)}),
        (
            ops.scatter,
            (y, rng.integers(0, 67, (500, 1)), rng.normal(size=(500, 129)).astype(np.float32)),
            {"mode": "set"},
        ),
    ]
    check(backend, [(op, args, {**op._defaults, **params}) for op, args, params in cases])


def test_reversed_slices(backend: IreeBackend):
    """A reverse that feeds a strided slice, which IREE has failed to translate."""
    x = np.arange(60, dtype=np.float32).reshape(6, 10)

    def function(x: Any) -> list[Any]:
        flipped = ops.flip(x, dims=(1,))
        cut = ops.slice_(flipped, start=(1, 1), stop=(6, 10), step=(2, 3))
        return [
            cut,
            ops.flip(ops.slice_(x, start=(0, 0), stop=(6, 10), step=(1, 2)), dims=(0, 1)),
            ops.add(cut, cut),
        ]

    cut, turned, double = run(backend, trace_program(function, [array_type(x)]), [x])
    np.testing.assert_array_equal(cut, x[:, ::-1][1:6:2, 1:10:3])
    np.testing.assert_array_equal(turned, x[:, ::2][::-1, ::-1])
    np.testing.assert_array_equal(double, 2 * cut)


def test_sums_between_other_work(backend: IreeBackend):
    """Running sums of what is computed, and work on running sums."""
    x = np.random.default_rng(0).uniform(-1, 1, (5, 300)).astype(np.float32)

    def function(x: Any) -> list[Any]:
        total = ops.cumsum(ops.exp(x), dim=1)
        back = ops.cumsum(ops.permute(total, dims=(1, 0)), dim=0, reverse=True)
        return [ops.log(total), ops.sum_(back, dim=(0,)), ops.cumsum(total, dim=0)]

    program = trace_program(function, [array_type(x)])
    for out, wanted in zip(run(backend, program, [x]), run(REFERENCE, program, [x]), strict=True):
        np.testing.assert_allclose(out, wanted, 1e-5)


# --- sorting


@pytest.mark.parametrize("way", ["digits", "ranks", "network"])
def test_rows_are_sorted(backend: IreeBackend, monkeypatch: pytest.MonkeyPatch, way: str):
    if way != "digits":
        monkeypatch.setattr(order, "_by_digits", lambda *_: False)
    if way == "network":
        monkeypatch.setattr(order, "RANKED", 100)
    rng = np.random.default_rng(0)
    floats = (rng.integers(-20, 20, (3, 130)) / 8).astype(np.float32)
    floats[:, ::7], floats[:, 3::11], floats[:, 5::13] = np.nan, np.inf, -np.inf
    longs = rng.integers(0, 40, (256, 2))
    longs[::9], longs[1::9] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    cases = [
        (ops.sort, (array,), {"dim": dim, "descending": descending})
        for array, dim in ((floats, 1), (longs, 0))
        for descending in (False, True)
    ]
    for (op, args, params), outs in zip(cases, run_cases(backend, cases), strict=True):
        (expected,) = run_cases(REFERENCE, [(op, args, params)])
        for out, want in zip(outs, expected, strict=True):
            np.testing.assert_array_equal(out, want)


def in_any_order(dtype: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Many equal elements, and some of every odd one."""
    odd = odd_values(dtype)
    plain = rng.integers(0, 2 if dtype.kind == "b" else 30, shape).astype(dtype.numpy)
    return np.where(rng.random(shape) < 0.1, odd[rng.integers(0, len(odd), shape)], plain)


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_the_first_few_of_many(backend: IreeBackend, dtype: Any):
    rng = np.random.default_rng(0)
    sizes = [
        ((1031,), 0, 5, False),  # no multiple of a group's size, on any level
        ((2, 260, 3), 1, 7, True),
        ((65,), 0, 64, False),
    ]
    if dtype in (dtypes.float32, dtypes.int64):
        sizes += [
            ((1031,), 0, 1, True),
            ((2, 3, 300), 2, 4, False),
            ((1500, 2), 0, 90, True),  # from here on by digits, those of candidates alone
            ((4100,), 0, 200, False),
            ((64,), 0, 64, True),
        ]
    cases = [
        (ops.topk, (in_any_order(dtype, shape, rng),), {"k": k, "dim": dim, "largest": largest})
        for shape, dim, k, largest in sizes
    ]
    found, expected = run_cases(backend, cases), run_cases(REFERENCE, cases)
    for (_, args, params), outs, wanted in zip(cases, found, expected, strict=True):
        for out, want in zip(outs, wanted, strict=True):
            message = f"{args[0].shape} {params}"
            np.testing.assert_array_equal(wide(out), wide(want), err_msg=message)


@pytest.mark.parametrize("largest", [False, True])
def test_zeros_and_nans_keep_their_order_among_the_first_few(backend: IreeBackend, largest: bool):
    x = np.full((2, 500), -1.0 if largest else 1.0, np.float32)
    x[0, 7::50], x[0, 8::100] = 0.0, -0.0
    x[1, 9::100], x[1, 3::200] = np.nan, np.inf if largest else -np.inf
    x[1, 4] = -np.nan
    program = trace_program(lambda x: ops.topk(x, k=8, dim=1, largest=largest), [array_type(x)])
    values, places = run(backend, program, [x])
    zeros = [7, 8, 57, 107, 108, 157, 207, 208]
    odd = [4, 9, 109, 209, 309, 409, 3, 203] if largest else [3, 203, 403, 0, 1, 2, 5, 6]
    assert places.tolist() == [zeros, odd]
    kept = np.take_along_axis(x, np.array([zeros, odd]), 1)
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_array_equal(np.signbit(values[0]), np.signbit(kept[0]))


def test_inputs_are_not_written_to(backend: IreeBackend):
    def everything(x: Any, short: Any, long: Any, update: Any, at: Any) -> list[Any]:
        flat = ops.reshape(x, shape=(160,))
        part = ops.reshape(update, shape=(8,))
        once = ops.dynamic_update_slice(x, update, at, at)
        return [
            *ops.sort(x, dim=0, descending=False),
            *ops.sort(short, dim=0, descending=False),
            *ops.sort(long, dim=0, descending=False),
            *ops.topk(long, k=3, dim=0, largest=False),
            once,
            ops.dynamic_update_slice(once, update, at, ops.add(at, at)),
            ops.dynamic_update_slice(flat, part, at),
        ]

    x = np.random.default_rng(0).integers(0, 99, (4, 40))
    arrays = [x, x[0].copy(), np.arange(512)[::-1].copy(), np.full((2, 4), -1), np.array(2)]
    kept = [array.copy() for array in arrays]
    program = trace_program(everything, [array_type(array) for array in arrays])
    for out, want in zip(run(backend, program, arrays), run(REFERENCE, program, kept), strict=True):
        np.testing.assert_array_equal(out, want)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_one_row_is_multiplied_from_the_right(backend: IreeBackend):
    def products(x: Any, w: Any) -> list[Any]:
        rows = ops.dot_general(x, w, contract=((1,), (1,)), batch=((), ()))
        return [rows, ops.dot_general(x, rows, contract=((0,), (0,)), batch=((), ()))]

    for dtype in (np.dtype(np.float32), dtypes.bfloat16.numpy):
        random = np.random.default_rng(0)
        arrays = [random.standard_normal(shape).astype(dtype) for shape in ((1, 5), (7, 5))]
        program = trace_program(products, [array_type(array) for array in arrays])
        text = lower_program(program, backend.lowerings).text
        assert re.search(r"dot_general %arg1, %\d+, contracting_dims = \[1\] x \[0\]", text)
        for got, want in zip(
            run(backend, program, arrays), run(REFERENCE, program, arrays), strict=True
        ):
            assert got.shape == want.shape
            np.testing.assert_allclose(wide(got), wide(want), rtol=1e-2, atol=1e-5)


def test_convolutions_over_one_dimension_are_products(backend: IreeBackend):
    def convolve(*xs: Any) -> list[Any]:
        return [
            ops.conv(
                *xs, stride=stride, padding=padding, dilation=dilation, groups=1, layout="NHWC"
            )
            for stride, padding, dilation in (
                ((1,), ((0, 0),), (1,)),
                ((2,), ((1, 2),), (1,)),
                ((3,), ((4, 0),), (2,)),
                ((1,), ((2, 1),), (3,)),
            )
        ]

    random = np.random.default_rng(0)
    for dtype in (np.dtype(np.float32), dtypes.bfloat16.numpy):
        for taps in (1, 3):
            arrays = [
                random.standard_normal(shape).astype(dtype) for shape in ((2, 11, 3), (taps, 3, 4))
            ]
            program = trace_program(convolve, [array_type(array) for array in arrays])
            assert "stablehlo.convolution" not in lower_program(program, backend.lowerings).text
            results = zip(
                run(backend, program, arrays), run(REFERENCE, program, arrays), strict=True
            )
            for got, want in results:
                np.testing.assert_allclose(wide(got), wide(want), rtol=1e-2, atol=1e-5)


def test_tangents_are_right_near_their_poles():
    x = np.linspace(-20, 20, 2001, dtype=np.float32)
    found = slope.jit(slope.tan, backend="iree")(slope.tensor(x)).numpy()
    np.testing.assert_allclose(found, np.tan(x.astype("f8")), rtol=1e-6)


def test_sines_and_tangents_of_small_numbers_keep_their_digits():
    x = np.logspace(-30, -1, 30).astype(np.float32)
    x = np.concatenate([x, -x, [0.0]]).astype(np.float32)
    functions = (slope.sin, slope.tan, slope.sinc)
    found = slope.jit(lambda x: [f(x) for f in functions], backend="iree")(slope.tensor(x))
    for got, exact in zip(found, (np.sin, np.tan, np.sinc), strict=True):
        np.testing.assert_allclose(got.numpy(), exact(x.astype("f8")), rtol=3e-7)
