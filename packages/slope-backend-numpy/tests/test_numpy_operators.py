"""Every operator against plain NumPy or Python, on its samples and in every dtype."""

from __future__ import annotations

import itertools
import math

import ml_dtypes
import numpy as np
import pytest

from slope import dtypes
from slope.core.operator import OPERATORS
from slope.extend import DTypeError, TensorType, ops


def elementwise(function, *arrays):
    """A function of Python numbers, element by element; NaN where Python refuses."""

    def one(*numbers):
        try:
            return function(*numbers)
        except (ValueError, OverflowError, ZeroDivisionError):
            return math.nan

    flat = [
        one(*numbers) for numbers in zip(*[each.ravel().tolist() for each in arrays], strict=True)
    ]
    return np.array(flat).reshape(arrays[0].shape)


def wrapped(number, dtype):
    info = np.iinfo(dtype)
    return (number - info.min) % (1 << info.bits) + info.min


def whole(function, *arrays):
    """The same for integers of any size, wrapped into the dtype."""
    dtype = arrays[0].dtype
    numbers = zip(*[each.ravel().tolist() for each in arrays], strict=True)
    return np.array([wrapped(function(*each), dtype) for each in numbers], dtype).reshape(
        arrays[0].shape
    )


def quotient(a, b):
    return 0 if b == 0 else (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


def shifted(function):
    def run(x, y):
        unsigned = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[x.itemsize]
        amounts = y.view(unsigned).ravel().tolist()
        numbers = zip(x.ravel().tolist(), x.view(unsigned).ravel().tolist(), amounts, strict=True)
        bits = x.itemsize * 8
        return np.array(
            [wrapped(function(*each, bits), x.dtype) for each in numbers], x.dtype
        ).reshape(x.shape)

    return run


def arithmetic(for_integers, for_floats):
    return lambda x, *rest, **params: (
        whole(lambda *n: for_integers(*n, **params), x, *rest)
        if x.dtype.kind in "iu"
        else for_floats(x, *rest, **params)
    )


def cast(x, *, dtype):
    if dtype.kind == "b":
        return elementwise(lambda a: a != 0, x)
    if not dtype.is_integer:
        return x.astype(dtype.numpy)
    limits = np.iinfo(dtype.numpy)

    def one(a):
        if isinstance(a, float):
            return (
                0
                if math.isnan(a)
                else int(max(min(a, float(limits.max) * 2), float(limits.min) * 2))
            )
        return int(a)

    if x.dtype.kind in "iub":
        return np.array(
            [wrapped(one(a), dtype.numpy) for a in x.ravel().tolist()], dtype.numpy
        ).reshape(x.shape)
    numbers = [min(max(one(float(a)), limits.min), limits.max) for a in x.ravel()]
    return np.array(numbers, dtype.numpy).reshape(x.shape)


def pad(x, *, low, high, interior, value):
    shape = [
        a + n + b + max(n - 1, 0) * i
        for a, b, n, i in zip(low, high, x.shape, interior, strict=True)
    ]
    out = np.full(shape, value, x.dtype)
    for place in np.ndindex(x.shape):
        out[tuple(a + p * (i + 1) for a, p, i in zip(low, place, interior, strict=True))] = x[place]
    return out


def broadcast(x, *, shape, dims):
    out = np.empty(shape, x.dtype)
    for place in np.ndindex(*shape):
        out[place] = x[tuple(place[d] for d in dims)]
    return out


def dot_general(x, y, *, contract, batch):
    letters = iter("abcdefghijklmnop")
    of_x, of_y = [next(letters) for _ in x.shape], [next(letters) for _ in y.shape]
    for a, b in zip(contract[0] + batch[0], contract[1] + batch[1], strict=True):
        of_y[b] = of_x[a]
    free = [c for d, c in enumerate(of_x) if d not in contract[0] + batch[0]]
    free += [c for d, c in enumerate(of_y) if d not in contract[1] + batch[1]]
    out = [of_x[d] for d in batch[0]] + free
    return np.einsum(f"{''.join(of_x)},{''.join(of_y)}->{''.join(out)}", x, y)


def places(x, indices, axis, batch_dims):
    """Pairs of a gathered place and the place in ``x`` that it reads, in row-major order."""
    k = indices.shape[-1]
    mid = indices.shape[batch_dims:-1]
    shape = (*x.shape[:axis], *mid, *x.shape[axis + k :])
    for place in np.ndindex(*shape):
        lead, rest = place[:axis], place[axis + len(mid) :]
        chosen = indices[(*lead[:batch_dims], *place[axis : axis + len(mid)])].tolist()
        clamped = [
            min(max(c, 0), n - 1) for c, n in zip(chosen, x.shape[axis : axis + k], strict=True)
        ]
        yield place, (*lead, *clamped, *rest)


def gather(x, indices, *, axis, batch_dims):
    found = {place: x[source] for place, source in places(x, indices, axis, batch_dims)}
    shape = tuple(n + 1 for n in max(found))
    return np.array([found[place] for place in np.ndindex(*shape)], x.dtype).reshape(shape)


def scatter(x, indices, updates, *, axis, batch_dims, mode):
    out = x.astype(np.float64) if x.dtype.kind not in "iu" else x.copy()
    combine = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
    for place, target in places(x, indices, axis, batch_dims):
        new = updates[place]
        out[target] = new if mode == "set" else combine[mode](out[target], new)
    return out


def threefry(*words):
    """Straight from the paper, on Python ints."""
    mask = 0xFFFFFFFF

    def one(k0, k1, x0, x1):
        keys = (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)
        x0, x1 = (x0 + k0) & mask, (x1 + k1) & mask
        for turn in range(20):
            bits = (13, 15, 26, 6, 17, 29, 16, 24)[turn % 8]
            x0 = (x0 + x1) & mask
            x1 = (((x1 << bits) | (x1 >> (32 - bits))) & mask) ^ x0
            if turn % 4 == 3:
                step = turn // 4 + 1
                x0, x1 = (x0 + keys[step % 3]) & mask, (x1 + keys[(step + 1) % 3] + step) & mask
        return x0, x1

    return tuple(np.array([one(*map(int, each)) for each in zip(*words, strict=True)], np.uint32).T)


def power(a, b):
    try:
        return math.pow(a, b)
    except ZeroDivisionError:
        return math.inf


def slices(x, *, start, stop, step):
    return x[tuple(slice(*each) for each in zip(start, stop, step, strict=True))]


def cumsum(x, *, dim, reverse):
    rows = np.moveaxis(x, dim, 0)[:: -1 if reverse else 1].copy()
    for i in range(1, len(rows)):
        rows[i] += rows[i - 1]
    return np.moveaxis(rows[:: -1 if reverse else 1], 0, dim)


def position(better):
    def run(x, *, dim):
        def one(row):
            best = 0
            for i, a in enumerate(row):
                if row[best] == row[best] and (math.isnan(a) or better(a, row[best])):
                    best = i
            return best

        return np.apply_along_axis(one, dim, x).astype(np.int64)

    return run


def extreme(pick):
    return lambda x, y: elementwise(
        lambda a, b: a if math.isnan(a) else b if math.isnan(b) else pick(a, b), x, y
    )


def convolution(x, w, stride, padding, dilation, groups, layout):
    """One product for each element of the result."""
    if layout == "NHWC":
        x, w = np.moveaxis(x, -1, 1), np.moveaxis(w, (-1, -2), (0, 1))
    x = np.pad(x, [(0, 0), (0, 0), *padding])
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    size = [(n - a) // s + 1 for n, a, s in zip(x.shape[2:], spans, stride, strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *size), x.dtype)
    into, outs = w.shape[1], w.shape[0] // groups
    for n, o, *place in np.ndindex(out.shape):
        cut = [
            slice(p * s, p * s + a, d)
            for p, s, a, d in zip(place, stride, spans, dilation, strict=True)
        ]
        met = x[n, o // outs * into : (o // outs + 1) * into, *cut]
        out[(n, o, *place)] = (met * w[o]).sum()
    return np.moveaxis(out, 1, -1) if layout == "NHWC" else out


def adjoint(number, first, second, size, params):
    """The derivative of the convolution in one operand, one unit of that operand after another."""
    last = params["layout"] == "NHWC"
    if number == 0:
        channels = second.shape[-2 if last else 1] * params["groups"]
        lead = first.shape[0]
        unit = np.zeros((lead, *size, channels) if last else (lead, channels, *size))
    else:
        into = first.shape[-1 if last else 1] // params["groups"]
        outs = second.shape[-1 if last else 1]
        unit = np.zeros((*size, into, outs) if last else (outs, into, *size))
    result = np.zeros_like(unit)
    for place in np.ndindex(unit.shape):
        unit[place] = 1
        pair = (unit, second) if number == 0 else (first, unit)
        result[place] = (convolution(*pair, **params) * (first if number == 0 else second)).sum()
        unit[place] = 0
    return result


def rows(x, dim):
    """The index of each row along a dimension."""
    return [
        (*lead[:dim], slice(None), *lead[dim:])
        for lead in np.ndindex(*x.shape[:dim], *x.shape[dim + 1 :])
    ]


def picked(x, dim, downward, k):
    """The first ``k`` elements in order, NaN last (downward: first), and their places."""
    shape = (*x.shape[:dim], k, *x.shape[dim + 1 :])
    values, places = np.zeros(shape, x.dtype), np.zeros(shape, np.int64)
    for row in rows(x, dim):
        keys = [(math.isnan(each), 0 if math.isnan(each) else each) for each in x[row].tolist()]
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=downward)
        places[row] = order[:k]
        values[row] = x[row][order[:k]]
    return values, places


def running(better):
    """The best element so far and the last place where it stands; a NaN is better than all."""

    def run(x, dim):
        values, places = x.copy(), np.zeros(x.shape, np.int64)
        for row in rows(x, dim):
            at, found = 0, []
            for i, each in enumerate(x[row]):
                best = x[row][at]
                if np.isnan(each) or (not np.isnan(best) and better(each, best)):
                    at = i
                found.append(at)
            places[row] = found
            values[row] = x[row][found]
        return values, places

    return run


def window(x, sizes, starts):
    firsts = [
        min(max(int(start), 0), length - size)
        for start, size, length in zip(starts, sizes, x.shape, strict=True)
    ]
    return tuple(slice(first, first + size) for first, size in zip(firsts, sizes, strict=True))


def updated(x, update, *starts):
    out = x.copy()
    out[window(x, update.shape, starts)] = update
    return out


def limited(function):
    """A function of Python floats, element by element.

    Inf where it overflows or has a pole, NaN where it is undefined.
    """

    def value(*numbers):
        try:
            return function(*numbers)
        except OverflowError:
            return math.copysign(math.inf, numbers[0]) if function is math.sinh else math.inf
        except ValueError:
            pole = function is math.atanh and abs(numbers[0]) == 1
            return math.copysign(math.inf, numbers[0]) if pole else math.nan

    return lambda *xs: elementwise(value, *xs)


EXPECTED = {
    "neg": arithmetic(lambda a: -a, lambda x: -x),
    "add": arithmetic(lambda a, b: a + b, lambda x, y: x + y),
    "sub": arithmetic(lambda a, b: a - b, lambda x, y: x - y),
    "mul": arithmetic(lambda a, b: a * b, lambda x, y: x * y),
    "div": lambda x, y: x / y,
    "pow": lambda x, y: elementwise(power, x, y),
    "integer_pow": arithmetic(
        lambda a, exponent: a**exponent, lambda x, exponent: elementwise(lambda a: a**exponent, x)
    ),
    "exp": lambda x: elementwise(math.exp, x),
    "expm1": lambda x: elementwise(math.expm1, x),
    "log": lambda x: elementwise(lambda a: math.log(a) if a else -math.inf, x),
    "log1p": lambda x: elementwise(lambda a: math.log1p(a) if a != -1 else -math.inf, x),
    "sqrt": lambda x: elementwise(math.sqrt, x),
    "rsqrt": lambda x: elementwise(lambda a: 1 / math.sqrt(a), x),
    "sin": lambda x: elementwise(math.sin, x),
    "cos": lambda x: elementwise(math.cos, x),
    "tan": lambda x: elementwise(math.tan, x),
    "atan2": lambda y, x: elementwise(math.atan2, y, x),
    "tanh": lambda x: elementwise(math.tanh, x),
    "sigmoid": lambda x: elementwise(lambda a: 0.5 * (1 + math.tanh(a / 2)), x),
    "erf": lambda x: elementwise(math.erf, x),
    "abs": arithmetic(abs, lambda x: elementwise(abs, x)),
    "sign": arithmetic(
        lambda a: (a > 0) - (a < 0),
        lambda x: elementwise(lambda a: a if math.isnan(a) else (a > 0) - (a < 0), x),
    ),
    "floor": lambda x: elementwise(math.floor, x),
    "ceil": lambda x: elementwise(math.ceil, x),
    "round": lambda x: elementwise(round, x),
    "trunc": lambda x: elementwise(math.trunc, x),
    "maximum": extreme(max),
    "minimum": extreme(min),
    "truncate_divide": lambda x, y: whole(quotient, x, y),
    "floor_divide": arithmetic(
        lambda a, b: a // b if b else 0,
        lambda x, y: np.where(y == 0, x / y, elementwise(lambda a, b: a // b, x, y)),
    ),
    **{
        name: limited(getattr(math, name))
        for name in ["asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "hypot"]
    },
    "logaddexp": limited(
        lambda a, b: (
            max(a, b) + (math.log1p(math.exp(-abs(a - b))) if a != b else math.log(2))
            if not math.isinf(max(a, b))
            else max(a, b)
        )
    ),
    "fmod": arithmetic(
        lambda a, b: a - b * quotient(a, b) if b else 0, lambda x, y: elementwise(math.fmod, x, y)
    ),
    "remainder": arithmetic(
        lambda a, b: a % b if b else 0, lambda x, y: elementwise(lambda a, b: a % b, x, y)
    ),
    "eq": lambda x, y: elementwise(lambda a, b: a == b, x, y),
    "ne": lambda x, y: elementwise(lambda a, b: a != b, x, y),
    "lt": lambda x, y: elementwise(lambda a, b: a < b, x, y),
    "le": lambda x, y: elementwise(lambda a, b: a <= b, x, y),
    "gt": lambda x, y: elementwise(lambda a, b: a > b, x, y),
    "ge": lambda x, y: elementwise(lambda a, b: a >= b, x, y),
    "where": lambda c, x, y: elementwise(lambda a, b, d: b if a else d, c, x, y),
    "bitwise_and": lambda x, y: elementwise(lambda a, b: a & b, x, y).astype(x.dtype),
    "bitwise_or": lambda x, y: elementwise(lambda a, b: a | b, x, y).astype(x.dtype),
    "bitwise_xor": lambda x, y: elementwise(lambda a, b: a ^ b, x, y).astype(x.dtype),
    "bitwise_not": lambda x: ~x,
    "shift_left": shifted(lambda a, u, n, bits: u << n if n < bits else 0),
    "shift_right_logical": shifted(lambda a, u, n, bits: u >> n),
    "shift_right_arithmetic": shifted(lambda a, u, n, bits: a >> n),
    "isnan": lambda x: elementwise(math.isnan, x),
    "isfinite": lambda x: elementwise(math.isfinite, x),
    "bitcast": lambda x, dtype: np.frombuffer(x.tobytes(), dtype.numpy).reshape(x.shape),
    "stop_gradient": lambda x: x,
    "reshape": lambda x, shape: np.array(x.ravel()).reshape(shape),
    "permute": lambda x, dims: np.einsum(x, list(range(x.ndim)), list(dims)),
    "broadcast": broadcast,
    "sum": lambda x, dim: np.sum(
        x, axis=dim, dtype=x.dtype if x.dtype.kind in "iu" else np.float64
    ),
    "cast": cast,
    "interior_pad": pad,
    "slice": slices,
    "flip": lambda x, dims: np.flip(x, axis=dims),
    "concatenate": lambda *xs, dim: np.concatenate(xs, axis=dim),
    "amax": lambda x, dim: np.max(x, axis=dim),
    "amin": lambda x, dim: np.min(x, axis=dim),
    "prod": lambda x, dim: np.prod(
        x, axis=dim, dtype=x.dtype if x.dtype.kind in "iu" else np.float64
    ),
    "any": lambda x, dim: np.sum(x, axis=dim) > 0,
    "all": lambda x, dim: np.sum(~x, axis=dim) == 0,
    "argmax": position(lambda a, b: a > b),
    "argmin": position(lambda a, b: a < b),
    "cumsum": cumsum,
    "dot_general": dot_general,
    "conv": convolution,
    "conv_input_grad": lambda y, w, input_size, **params: adjoint(0, y, w, input_size, params),
    "conv_weight_grad": lambda x, y, kernel_size, **params: adjoint(1, x, y, kernel_size, params),
    "gather_slices": gather,
    "scatter_slices": scatter,
    "sort": lambda x, dim, descending: picked(x, dim, descending, x.shape[dim]),
    "topk": lambda x, k, dim, largest: picked(x, dim, largest, k),
    "cumprod": lambda x, dim: np.cumprod(x, axis=dim, dtype=x.dtype),
    "cummax": running(lambda a, b: a >= b),
    "cummin": running(lambda a, b: a <= b),
    "dynamic_slice": lambda x, *starts, sizes: x[window(x, sizes, starts)],
    "dynamic_update_slice": updated,
    "iota": lambda shape, dim, dtype: np.indices(shape)[dim],
    "threefry2x32": threefry,
}

EXACT = {
    "reshape",
    "permute",
    "broadcast",
    "slice",
    "flip",
    "concatenate",
    "interior_pad",
    "where",
    "maximum",
    "stop_gradient",
    "sort",
    "topk",
    "cummax",
    "cummin",
    "dynamic_slice",
    "dynamic_update_slice",
}

SAMPLES = [
    pytest.param(op, sample, id=f"{op.name}-{number}")
    for op in OPERATORS.values()
    if op.name in EXPECTED
    for number, sample in enumerate(op.samples())
]


def check(op, arrays, params, results):
    """Compare with the expectation, formed in float64 where the operands are floats."""
    wide = [each.astype(np.float64) if each.dtype.kind in "fV" else each for each in arrays]
    if op.name == "bitcast" or (op.name == "cast" and not params["dtype"].is_integer):
        wide = arrays
    with np.errstate(all="ignore"):
        wanted = EXPECTED[op.name](*wide, **params)
    for result, want in zip(results, wanted if op.multiple else (wanted,), strict=True):
        with np.errstate(all="ignore"):
            want = np.asarray(want).astype(result.dtype)
        assert result.shape == want.shape
        if result.dtype.kind in "biu" or op.name in EXACT:
            np.testing.assert_array_equal(result, want)
        else:
            eps = float(ml_dtypes.finfo(result.dtype).eps)
            terms = max([each.size for each in arrays], default=1) ** 0.5
            np.testing.assert_allclose(
                result.astype(np.float64),
                want.astype(np.float64),
                rtol=4 * eps * terms,
                atol=8 * eps,
            )


def test_every_core_operator_has_a_rule_or_an_expansion(backend):
    missing = [
        op.name for op in OPERATORS.values() if not backend.lowers(op) and not op.has("expand")
    ]
    held = [name for name in missing if type(OPERATORS[name]).__module__.startswith("slope.ops")]
    assert held == []


def test_every_rule_has_an_expectation(backend):
    assert set(EXPECTED) <= set(backend.lowerings)
    own = {
        name
        for name, rule in backend.lowerings.items()
        if rule.__module__.startswith("slope_backend_numpy")
        # What holds programs: tests/test_control.py; factors: tests/test_linalg_operators.py.
        and not rule.__module__.endswith((".control", ".matrices"))
    }
    assert own == set(EXPECTED)


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_sample(call, op, sample):
    arrays = [np.asarray(each) for each in sample.args]
    check(op, arrays, sample.params, call(op, *arrays, **sample.params))


def converted(array, dtype):
    """Sample operands in another dtype: kept in range, unsigned where they must be."""
    if array.dtype.kind == "b" or array.dtype == dtype:
        return array
    if dtype.kind == "b":
        return array > 0
    if dtype.kind == "u":
        array = np.abs(np.nan_to_num(array.astype(np.float64), posinf=9, neginf=9))
    if dtype.kind == "i":
        array = np.nan_to_num(array.astype(np.float64), posinf=9, neginf=-9)
    return np.clip(array, -9, 9).astype(dtype) if array.dtype.kind != "b" else array


def samples_in(op, dtype):
    """Some of an operator's samples in a dtype; those whose types it refuses are left out."""
    for sample in itertools.islice(op.samples(), 4):
        kept = (1,) if op.name in ("gather_slices", "scatter_slices") else ()
        if op.name.startswith("dynamic_"):
            kept = tuple(range(1 if op.name == "dynamic_slice" else 2, len(sample.args)))
        arrays = [np.asarray(each) for each in sample.args]
        arrays = [
            each if i in kept else converted(each, dtype.numpy) for i, each in enumerate(arrays)
        ]
        params = dict(sample.params)
        if op.name == "interior_pad" and not dtype.is_floating_point:
            params["value"] = 1
        try:
            op.infer(
                *[TensorType(each.shape, dtypes.as_dtype(each.dtype)) for each in arrays], **params
            )
        except DTypeError:
            continue
        yield arrays, params


IN_EVERY_DTYPE = [
    pytest.param(op, dtype, id=f"{op.name}-{dtype}")
    for op in OPERATORS.values()
    for dtype in dtypes.ALL
    if op.name in EXPECTED
    and op.name not in ("iota", "threefry2x32", "bitcast")
    and any(samples_in(op, dtype))
]


@pytest.mark.parametrize(("op", "dtype"), IN_EVERY_DTYPE)
def test_every_dtype(call, op, dtype):
    for arrays, params in samples_in(op, dtype):
        with np.errstate(all="raise"):  # the program silences NumPy by itself
            check(op, arrays, params, call(op, *arrays, **params))


@pytest.mark.parametrize("target", dtypes.ALL, ids=str)
@pytest.mark.parametrize("source", dtypes.ALL, ids=str)
def test_cast(call, source, target):
    if source is target:
        return
    if source.is_floating_point:
        numbers = [
            0.0,
            -0.5,
            0.5,
            1.5,
            -2.7,
            127.5,
            128.0,
            255.9,
            3e4,
            -3e4,
            2.0**31,
            2.0**63,
            -(2.0**63),
            2.0**64,
            math.inf,
            -math.inf,
            math.nan,
        ]
        with np.errstate(all="ignore"):
            x = np.array(numbers).astype(source.numpy)
    elif source.kind == "b":
        x = np.array([True, False])
    else:
        info = np.iinfo(source.numpy)
        x = np.array([0, 1, 2, 100, info.max, info.max - 1, info.min, info.min + 1], source.numpy)
    (result,) = call(ops.cast, x, dtype=target)
    if target.is_floating_point:
        with np.errstate(all="ignore"):
            want = x.astype(target.numpy)
        np.testing.assert_array_equal(result.astype(np.float64), want.astype(np.float64))
    else:
        np.testing.assert_array_equal(result, cast(x, dtype=target).astype(target.numpy))


def test_erf_of_many_elements(call):
    x = np.linspace(-5, 5, 30000).reshape(100, 300).T
    np.testing.assert_allclose(call(ops.erf, x)[0], elementwise(math.erf, x), rtol=1e-15)


def test_dot_general_in_any_order_of_dimensions(call):
    rng = np.random.default_rng(0)
    for _ in range(150):
        counts = rng.integers(0, 3, 4)  # of batch, contracted, x's free, y's free dimensions
        names = [[f"{kind}{i}" for i in range(n)] for kind, n in zip("bcxy", counts, strict=True)]
        lengths = {name: int(rng.integers(1, 4)) for group in names for name in group}
        of_x, of_y = (
            rng.permutation(names[0] + names[1] + names[2]).tolist(),
            rng.permutation(names[0] + names[1] + names[3]).tolist(),
        )
        x, y = (rng.standard_normal([lengths[name] for name in each]) for each in (of_x, of_y))
        contract = tuple(map(of_x.index, names[1])), tuple(map(of_y.index, names[1]))
        batch = tuple(map(of_x.index, names[0])), tuple(map(of_y.index, names[0]))
        params = {"contract": contract, "batch": batch}
        np.testing.assert_allclose(
            call(ops.dot_general, x, y, **params)[0],
            dot_general(np.asarray(x), np.asarray(y), **params),
            rtol=1e-12,
            atol=1e-12,
        )


@pytest.mark.parametrize("dtype", [np.float32, np.int64, ml_dtypes.bfloat16, np.uint8], ids=str)
def test_the_largest_of_long_rows(call, dtype):
    x = np.random.default_rng(0).integers(0, 90, (3, 1100, 2)).astype(dtype)
    if np.dtype(dtype).kind not in "iu":
        x[0, ::400], x[1, ::5], x[2, 3:] = np.nan, np.inf, np.nan
    for largest, k in itertools.product((True, False), (1, 20, 137)):
        values, places = call(ops.topk, x, k=k, dim=1, largest=largest)
        want, order = picked(x, 1, largest, k)
        np.testing.assert_array_equal(places, order)
        np.testing.assert_array_equal(values.astype(np.float64), want.astype(np.float64))
