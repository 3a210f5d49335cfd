"""Lowerings: every sample of every operator against NumPy, all dtypes, odd values, and programs of odd forms.

A compile costs a fifth of a second however small the program, so many samples go into one program with many outputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from slope import dtypes
from slope.core.operator import OPERATORS
from slope.extend import CPU, Program, TensorType, ops, trace_program
from slope_backend_iree.backend import IreeBackend

Array = Any
Case = tuple[Any, tuple[Array, ...], dict[str, Any]]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IreeBackend]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield IreeBackend()


def array_type(array: Array) -> TensorType:
    return TensorType(array.shape, dtypes.as_dtype(array.dtype))


def run(backend: IreeBackend, program: Program, arrays: Sequence[Array]) -> list[Array]:
    executable = backend.compile(program.check(), CPU, {})
    return [backend.to_host(out) for out in executable([backend.from_host(array, CPU) for array in arrays])]


def run_cases(backend: IreeBackend, cases: Sequence[Case]) -> list[list[Array]]:
    """The results of each case, all computed by one program."""
    arrays = [np.asarray(array) for _, args, _ in cases for array in args]
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

    program = trace_program(everything, [array_type(array) for array in arrays])
    outs = run(backend, program, arrays)
    for out, stated in zip(outs, program.output_types, strict=True):
        assert out.shape == stated.shape and out.dtype == stated.dtype.numpy
    rest = iter(outs)
    return [list(itertools.islice(rest, count)) for count in counts]


# --- what NumPy says


def wide(array: Array) -> Array:
    """Half precision as float32, anything else as it is."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 and dtypes.as_dtype(array.dtype).kind == "f" else array


def positions(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, dim: choose(wide(x), axis=dim).astype(np.int64)


def cast(x: Array, *, dtype: Any) -> Array:
    if dtype.kind == "b":
        return wide(x) != 0
    if dtype.is_integer and dtypes.as_dtype(x.dtype).kind == "f":
        info = np.iinfo(dtype.numpy)
        wholes = [0 if math.isnan(v) else int(max(min(v, info.max), info.min)) for v in map(float, x.ravel())]
        return np.array(wholes, dtype.numpy).reshape(x.shape)
    return x.astype(dtype.numpy)


def divide(x: Array, y: Array) -> Array:
    """Exact integer quotients toward zero, 0 for zero divisors, wrapped into the dtype."""
    quotients = [0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) for a, b in pairs(x, y)]
    return wrapped(quotients, x)


def floor_divide(x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        return np.floor((x / y).astype(x.dtype))
    return wrapped([0 if b == 0 else a // b for a, b in pairs(x, y)], x)


def fmod(x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        return np.fmod(x, y)
    return wrapped([0 if b == 0 else abs(a) % abs(b) * (1 if a >= 0 else -1) for a, b in pairs(x, y)], x)


def remainder(x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        return np.mod(x, y)
    return wrapped([0 if b == 0 else a % b for a, b in pairs(x, y)], x)


def pairs(x: Array, y: Array) -> list[tuple[int, int]]:
    return list(zip(map(int, x.ravel()), map(int, y.ravel()), strict=True))


def wrapped(numbers: Sequence[int], like: Array) -> Array:
    bits = 8 * like.dtype.itemsize
    return np.array([n % (1 << bits) for n in numbers], f"u{like.dtype.itemsize}").astype(like.dtype).reshape(like.shape)


def shift(left: bool, arithmetic: bool) -> Callable[..., Any]:
    def shifted(x: Array, y: Array) -> Array:
        bits = 8 * x.dtype.itemsize
        results = []
        for value, amount in pairs(x, y):
            value = value if arithmetic else value % (1 << bits)
            amount = amount if 0 <= amount < bits else bits
            results.append(value << amount if left else value >> amount)
        return wrapped(results, x)

    return shifted


def interior_pad(x: Array, *, low: Any, high: Any, interior: Any, value: Any) -> Array:
    spread = [(max(n - 1, 0) * gap + n) for n, gap in zip(x.shape, interior, strict=True)]
    shape = [a + n + b for a, n, b in zip(low, spread, high, strict=True)]
    out = np.full(shape, value, x.dtype)
    if x.size:
        out[tuple(slice(a, a + n, gap + 1) for a, n, gap in zip(low, spread, interior, strict=True))] = x
    return out


def broadcast(x: Array, *, shape: Any, dims: Any) -> Array:
    return np.broadcast_to(x.reshape([n if d in dims else 1 for d, n in enumerate(shape)]), shape)


def dot_general(x: Array, y: Array, *, contract: Any, batch: Any = ((), ())) -> Array:
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    of_x = [next(letters) for _ in x.shape]
    of_y = [next(letters) for _ in y.shape]
    for a, b in (*zip(*contract, strict=True), *zip(*batch, strict=True)):
        of_y[b] = of_x[a]
    shared = [of_x[d] for d in batch[0]]
    summed = [of_x[d] for d in contract[0]]
    kept = [c for c in (*of_x, *of_y) if c not in shared and c not in summed]
    return np.einsum(f"{''.join(of_x)},{''.join(of_y)}->{''.join(shared + kept)}", wide(x), wide(y)).astype(x.dtype)


def places(x: Array, indices: Array, axis: int, batch_dims: int) -> Iterator[tuple[Any, Any]]:
    """(index into ``x``, index into the gathered array) for each place, in row-major order."""
    k = indices.shape[-1]
    before = (slice(None),) * (axis - batch_dims)
    for place in np.ndindex(*indices.shape[:-1]):
        limits = x.shape[axis : axis + k]
        at = tuple(min(max(int(c), 0), limit - 1) for c, limit in zip(indices[place], limits, strict=True))
        lead, rest = place[:batch_dims], place[batch_dims:]
        yield (*lead, *before, *at), (*lead, *before, *rest)


def gather(x: Array, indices: Array, *, axis: int = 0, batch_dims: int = 0) -> Array:
    out = np.zeros((*x.shape[:axis], *indices.shape[batch_dims:-1], *x.shape[axis + indices.shape[-1] :]), x.dtype)
    for source, target in places(x, indices, axis, batch_dims):
        out[target] = x[source]
    return out


def scatter(x: Array, indices: Array, updates: Array, *, axis: int = 0, batch_dims: int = 0, mode: str = "set") -> Array:
    combine = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum, "set": lambda old, new: new}[mode]
    out, news = wide(x).copy(), wide(updates)
    for target, source in places(x, indices, axis, batch_dims):
        out[target] = combine(out[target], news[source])
    return out.astype(x.dtype)


def threefry(*words: Array) -> tuple[Array, Array]:
    key0, key1, x0, x1 = (word.astype(np.uint64) for word in words)
    mask = np.uint64(0xFFFFFFFF)
    keys = [key0, key1, key0 ^ key1 ^ np.uint64(0x1BD11BDA)]
    x0, x1 = x0 + key0 & mask, x1 + key1 & mask
    for group in range(5):
        for bits in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x0 = x0 + x1 & mask
            x1 = (x1 << np.uint64(bits) | x1 >> np.uint64(32 - bits)) & mask ^ x0
        x0 = x0 + keys[(group + 1) % 3] & mask
        x1 = x1 + keys[(group + 2) % 3] + np.uint64(group + 1) & mask
    return x0.astype(np.uint32), x1.astype(np.uint32)


def sums(x: Array, *, dim: int, reverse: bool = False) -> Array:
    flipped = np.flip(wide(x), dim) if reverse else wide(x)
    total = np.cumsum(flipped, dim, dtype=flipped.dtype)
    return (np.flip(total, dim) if reverse else total).astype(x.dtype)


def iota(*, shape: Any, dim: int, dtype: Any) -> Array:
    return broadcast(np.arange(shape[dim]).astype(dtype.numpy), shape=shape, dims=(dim,))


def extremum(name: str) -> Callable[..., Any]:
    return lambda x, *, dim: getattr(np, name)(wide(x), axis=tuple(dim)).astype(x.dtype)


def total(reduce: Any) -> Callable[..., Any]:
    return lambda x, *, dim: reduce(wide(x), axis=tuple(dim), dtype=wide(x).dtype).astype(x.dtype)


EXPECTED: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "sign", "floor", "ceil")},
    **{name: getattr(np, name) for name in ("trunc", "maximum", "minimum", "isnan", "isfinite", "bitwise_and", "bitwise_or", "bitwise_xor")},
    "neg": np.negative,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "integer_pow": lambda x, *, exponent: 1 / x**-exponent if exponent < 0 else x**exponent,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "atan2": np.arctan2,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": lambda x: np.vectorize(math.erf, otypes=[np.float64])(x) if x.size else x,
    "abs": np.abs,
    "round": np.rint,
    "truncate_divide": divide,
    "floor_divide": floor_divide,
    "fmod": fmod,
    "remainder": remainder,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "where": np.where,
    "bitwise_not": np.invert,
    "shift_left": shift(True, False),
    "shift_right_logical": shift(False, False),
    "shift_right_arithmetic": shift(False, True),
    "bitcast": lambda x, *, dtype: x.view(dtype.numpy),
    "stop_gradient": lambda x: x,
    "reshape": lambda x, *, shape: x.reshape(shape),
    "permute": lambda x, *, dims: x.transpose(dims),
    "broadcast": broadcast,
    "sum": total(np.sum),
    "cast": cast,
    "interior_pad": interior_pad,
    "slice": lambda x, *, start, stop, step: x[tuple(map(slice, start, stop, step))],
    "flip": lambda x, *, dims: np.flip(x, dims),
    "concatenate": lambda *xs, dim: np.concatenate(xs, dim),
    "amax": extremum("max"),
    "amin": extremum("min"),
    "prod": total(np.prod),
    "any": lambda x, *, dim: np.any(x, axis=tuple(dim)),
    "all": lambda x, *, dim: np.all(x, axis=tuple(dim)),
    "argmax": positions(np.argmax),
    "argmin": positions(np.argmin),
    "cumsum": sums,
    "dot_general": dot_general,
    "iota": iota,
    "gather_slices": gather,
    "scatter_slices": scatter,
    "threefry2x32": threefry,
}

TOLERANCE = {
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
    "float32": 1e-5,  # IREE's power is off by 7e-6 where results are near the largest float32
    "float64": 1e-12,
}


def assert_agree(op: Any, args: Sequence[Array], params: dict[str, Any], outs: Sequence[Array]) -> None:
    with np.errstate(all="ignore"):
        # Half precision is computed in float32 and rounded once.
        operands = args if op.name in ("cast", "bitcast", "floor_divide") else [wide(arg) for arg in args]
        expected = EXPECTED[op.name](*operands, **params)
    for out, wanted in zip(outs, expected if op.multiple else [expected], strict=True):
        message = f"{op.name} {params} of {[(a.dtype.name, a.shape, a.ravel()[:12].tolist()) for a in args]}"
        assert out.shape == np.shape(wanted), message
        kind = dtypes.as_dtype(out.dtype)
        if kind.kind != "f":
            np.testing.assert_array_equal(out, wanted, err_msg=message)
        else:
            tolerance = TOLERANCE[kind.name]
            with np.errstate(over="ignore"):
                rounded = np.asarray(wanted).astype(out.dtype).astype(np.float64)
            np.testing.assert_allclose(out.astype(np.float64), rounded, tolerance, tolerance, err_msg=message)


def check(backend: IreeBackend, cases: Sequence[Case]) -> None:
    for (op, args, params), outs in zip(cases, run_cases(backend, cases), strict=True):
        assert_agree(op, args, params, outs)


# --- operators


def samples_of(names: Sequence[str]) -> list[Case]:
    return [
        (OPERATORS[name], tuple(np.asarray(arg) for arg in sample.args), sample.params)
        for name in names
        for sample in OPERATORS[name].samples()
    ]


NAMES = sorted(EXPECTED)
GROUPS = [NAMES[i::12] for i in range(12)]


def test_every_operator_is_expected():
    core = {name for name, op in OPERATORS.items() if type(op).__module__.startswith("slope.ops.")}
    assert core == set(EXPECTED)


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_samples(backend: IreeBackend, names: list[str]):
    check(backend, samples_of(names))


# --- every dtype, odd values

ODD = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e30, -1e30, 88, -88, 100, 0.5, 1.5, 2.5, -0.5, -1.5, 1e-9, -1e-9, 3e5, -3e5, 1e4]
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
    return np.array([info.min, info.max, info.min + 1, info.max - 1, 0, 1, 2, 3, 7, *signed], object).astype(dtype.numpy)


def odd_cases(dtype: Any) -> list[Case]:
    values = odd_values(dtype)
    first, second = (grid.ravel() for grid in np.meshgrid(values, values))
    cases: list[Case] = []
    for name in NAMES:
        op = OPERATORS[name]
        if dtype.kind not in getattr(op, "kinds", "") or not hasattr(op, "arity") or name in ("where", "bitcast", "integer_pow"):
            continue
        if op.arity == 2:
            fits = np.ones(first.shape, bool)
            if name == "floor_divide" and dtype.kind == "f":
                # Quotients below the smallest normal number count as 0 on IREE, and bfloat16 quotients are not rounded
                # before their floor is taken: where either decides, the floors differ.
                exact = first.astype(np.float64) / second.astype(np.float64)
                fits = (np.abs(exact) > 1e-30) & (np.abs(exact - np.rint(exact)) > 2e-2 * np.abs(exact)) | (first == 0)
            cases.append((op, (first[fits], second[fits]), {}))
        else:
            with np.errstate(invalid="ignore"):
                bounded = values[np.abs(wide(values)) < 1e9] if name in UNBOUNDED else values
            cases.append((op, (bounded,), {}))
    for target in dtypes.ALL:
        if target is not dtype:
            cases.append((ops.cast, (values,), {"dtype": target}))
        if target is not dtype and target.bits == dtype.bits and "b" not in (target.kind, dtype.kind):
            cases.append((ops.bitcast, (values,), {"dtype": target}))
    cases.append((ops.where, (np.arange(len(values)) % 2 == 0, values, values[::-1].copy()), {}))
    return cases


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_odd_values(backend: IreeBackend, dtype: Any):
    with np.errstate(all="ignore"):
        check(backend, odd_cases(dtype))


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
        (ops.scatter, (values, coordinates, values[[0, 1, 2, 0]]), {"axis": 0, "batch_dims": 0, "mode": "set"}),
    ]
    if dtype.kind == "b":
        return [*cases, (ops.any_, (values,), {"dim": (0,)}), (ops.all_, (values,), {"dim": (0, 1)})]
    for mode in ("add", "mul", "min", "max"):
        cases.append((ops.scatter, (values, coordinates, values[[0, 1, 2, 0]]), {"axis": 0, "batch_dims": 0, "mode": mode}))
    cases += [(op, (values,), {"dim": (0,)}) for op in (ops.sum_, ops.prod)]
    cases += [(op, (values,), {"dim": 1}) for op in (ops.argmax, ops.argmin)]
    cases.append((ops.cumsum, (values,), {"dim": 0, "reverse": True}))
    cases.append((ops.dot_general, (values, values), {"contract": ((1,), (1,)), "batch": ((), ())}))
    cases.append((ops.dot_general, (values, values), {"contract": ((1,), (1,)), "batch": ((0,), (0,))}))
    cases.append((ops.iota, (), {"shape": (3, 5), "dim": 1, "dtype": dtype}))
    return cases


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_shaped_operators(backend: IreeBackend, dtype: Any):
    check(backend, shaped_cases(dtype))


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_half_precision_accumulates_in_float32(backend: IreeBackend, dtype: Any):
    ones = np.ones((4096,), dtype.numpy)  # sums in half precision stop at 2048 or 256
    cases: list[Case] = [
        (ops.sum_, (ones,), {"dim": (0,)}),
        (ops.dot_general, (ones, ones), {"contract": ((0,), (0,)), "batch": ((), ())}),
        (ops.cumsum, (ones,), {"dim": 0, "reverse": False}),
        (ops.scatter, (np.zeros(1, dtype.numpy), np.zeros((4096, 1), np.int64), ones), {"axis": 0, "batch_dims": 0, "mode": "add"}),
    ]
    for outs in run_cases(backend, cases):
        assert float(outs[0].ravel()[-1]) == 4096


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
        (ops.cumsum, (whole, ), {"dim": 1, "reverse": True}),
        (ops.dot_general, (whole, y), {"contract": ((0,), (0,)), "batch": ((), ())}),
        (ops.dot_general, (batched, batched), {"contract": ((1,), (1,)), "batch": ((0,), (0,))}),
        (ops.dot_general, (batched, batched), {"contract": ((0, 2), (0, 2)), "batch": ((), ())}),
        (ops.flip, (y,), {"dims": (1,)}),
        (ops.scatter, (y, rng.integers(0, 67, (500, 1)), rng.normal(size=(500, 129)).astype(np.float32)), {"mode": "set"}),
    ]
    filled = [(op, args, {**op._defaults, **params}) for op, args, params in cases]
    check(backend, [(op, args, params) for op, args, params in filled])


def test_reversed_slices(backend: IreeBackend):
    """A reverse that feeds a strided slice, which IREE has failed to translate."""
    x = np.arange(60, dtype=np.float32).reshape(6, 10)

    def function(x: Any) -> list[Any]:
        flipped = ops.flip(x, dims=(1,))
        cut = ops.slice_(flipped, start=(1, 1), stop=(6, 10), step=(2, 3))
        return [cut, ops.flip(ops.slice_(x, start=(0, 0), stop=(6, 10), step=(1, 2)), dims=(0, 1)), ops.add(cut, cut)]

    cut, turned, double = run(backend, trace_program(function, [array_type(x)]), [x])
    np.testing.assert_array_equal(cut, x[:, ::-1][1:6:2, 1:10:3])
    np.testing.assert_array_equal(turned, x[:, ::2][::-1, ::-1])
    np.testing.assert_array_equal(double, 2 * cut)
