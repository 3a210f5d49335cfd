"""Functions against NumPy: values, dtypes, messages."""

import math
import operator

import numpy as np
import pytest

import slope.eager  # noqa: F401  fills the executor
from slope import dtypes, errors
from slope import functions as fn
from slope.core.tensor import Tensor
from slope.plugins.selection import use_backend


@pytest.fixture(autouse=True)
def _numpy_backend():
    with use_backend("numpy"):
        yield


def rng(seed=0):
    return np.random.default_rng(seed)


def close(actual, expected, rtol=1e-5, atol=1e-6):
    assert isinstance(actual, Tensor), actual
    np.testing.assert_allclose(actual.numpy(), expected, rtol=rtol, atol=atol)
    assert actual.shape == np.shape(expected)


# --- dtypes: PyTorch's table


def of(dtype, *shape):
    return fn.ones(*shape, dtype=dtype)


PROMOTED = [
    # dtype, other (dtype and shape, or a number), result of x + other
    ("float32", ("int64", (2,)), "float32"),
    ("float16", ("int64", (2,)), "float16"),
    ("float16", ("bfloat16", (2,)), "float32"),
    ("int32", ("int64", (2,)), "int64"),
    ("uint8", ("int8", (2,)), "int16"),
    ("int32", ("int64", ()), "int32"),  # 0-d yields within a kind
    ("float32", ("float64", ()), "float32"),
    ("int32", ("float64", ()), "float64"),  # but not between kinds
    ("bool", ("int32", ()), "int32"),
    ("int8", 1, "int8"),
    ("int8", 1.0, "float32"),
    ("bool", 1, "int64"),
    ("bool", True, "bool"),
    ("float16", 2.5, "float16"),
    ("float64", 2.5, "float64"),
    ("float32", np.float64(2.5), "float32"),  # NumPy scalars are weak
    ("float32", np.ones(2), "float64"),  # NumPy arrays are not
]


@pytest.mark.parametrize(("dtype", "other", "expected"), PROMOTED, ids=str)
def test_promotion(dtype, other, expected):
    y = of(other[0], *other[1]) if isinstance(other, tuple) else other
    for result in (of(dtype, 2) + y, y + of(dtype, 2)):
        assert result.dtype.name == expected


def test_dtypes_of_results():
    i, f, h, b = of("int32", 2, 3), of("float32", 2, 3), of("float16", 2, 3), of("bool", 2, 3)
    table = {
        "int64": [
            i.sum(),
            b.sum(),
            i.prod(),
            i.cumsum(0),
            b.sum(0),
            f.argmax(),
            f.count_nonzero(),
            fn.arange(3),
            fn.tensor([1]),
        ],
        "int32": [
            i + 1,
            i // 2,
            i % 2,
            i**2,
            -i,
            i.abs(),
            i.max(),
            i.floor(),
            i & 1,
            i << 1,
            i.int(),
        ],
        "float32": [
            i / 2,
            b / 2,
            i.exp(),
            b.sin(),
            i**0.5,
            i + 0.5,
            f.mean(),
            i.mean(dtype="float32"),
            fn.arange(0.5),
            fn.tensor(1.0),
            fn.zeros(2),
        ],
        "float16": [h.mean(), h.sum(), h.var(), h + 1, h.softmax(1), h * f.sum()],
        "bool": [
            i == 1,
            f < 2,
            i.any(),
            b & b,
            ~b,
            b + b,
            fn.isnan(i),
            fn.logical_not(f),
            fn.tensor(True),
        ],
    }
    for name, results in table.items():
        for number, result in enumerate(results):
            assert result.dtype.name == name, (name, number)


# --- arithmetic


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
@pytest.mark.parametrize("kind", ["float", "int"])
def test_operators_and_their_reflections(name, kind):
    function = getattr(operator, name)
    x = (
        rng().uniform(0.5, 3, (2, 3)).astype(np.float32)
        if kind == "float"
        else rng().integers(1, 5, (2, 3))
    )
    number = 2.5 if kind == "float" else 3
    close(function(fn.tensor(x), number), function(x, number))
    close(function(number, fn.tensor(x)), function(number, x))
    close(function(fn.tensor(x), x[0]), function(x, x[0]))
    close(function(x[0], fn.tensor(x)), function(x[0], x))  # an array on the left gives a tensor


def test_operators_of_other_kinds():
    x = fn.tensor([1, -2, 3])
    assert (2 ** x.abs()).tolist() == [2, 4, 8]
    assert divmod(x, 2)[0].tolist() == [0, -1, 1]
    assert divmod(7, fn.tensor(2))[1].item() == 1
    assert (-x).tolist() == abs(x).mul(-x.sign()).tolist()
    assert (~x).tolist() == [-2, 1, -4]
    assert (x ^ 1).tolist() == [0, -1, 2]
    assert (x >> 1).tolist() == [0, -1, 1]
    assert round(fn.tensor([0.5, 1.5, 2.5])).tolist() == [0, 2, 2]
    assert (x == 3).tolist() == [False, False, True]
    assert [float(row) for row in x] == [1, -2, 3]
    assert hash(x) == id(x)
    assert 3 in x
    assert float(fn.tensor(2)) == 2.0
    assert len(x) == 3
    with pytest.raises(TypeError):
        _ = x + "text"


def test_powers():
    x = np.array([0, 1, -1, 2, -2, 3])
    for exponent in (0, 1, 2, 5, 63):
        np.testing.assert_array_equal((fn.tensor(x) ** exponent).numpy(), x**exponent)
        np.testing.assert_array_equal((fn.tensor(x) ** fn.tensor(exponent)).numpy(), x**exponent)
    assert (fn.tensor(x) ** fn.tensor(-1)).tolist() == [0, 1, -1, 0, 0, 0]
    assert (fn.tensor(x) ** fn.tensor(65)).tolist() == [0, 1, -1, 0, 0, 0]
    y = np.array([0.5, 2.0], np.float32)
    for exponent in (2, -2, 0.5, -0.5, 2.0, 1.7, 100):
        close(fn.tensor(y) ** exponent, y**exponent)
    with pytest.raises(
        errors.DTypeError, match=r"pow: int64\[6\] to the power -2.*x.to\(slope.float32\)"
    ):
        _ = fn.tensor(x) ** -2


UNARY = """exp expm1 log log1p log2 log10 sqrt square sin cos tan sinh cosh
    tanh floor ceil trunc abs sign
    exp2 reciprocal negative isnan isfinite isinf arcsin:asin arctan:atan arcsinh:asinh
    rint:round"""


@pytest.mark.parametrize("name", UNARY.split())
def test_unary(name):
    theirs, _, ours = name.partition(":")
    x = np.linspace(0.1, 0.95, 12, dtype=np.float32).reshape(3, 4)
    close(
        getattr(fn, {"negative": "neg"}.get(theirs, ours or theirs))(fn.tensor(x)),
        getattr(np, theirs)(x),
    )


def test_inverse_and_other_functions():
    x = np.linspace(-0.9, 0.9, 9, dtype=np.float32)
    close(fn.acos(x), np.arccos(x))
    close(fn.atanh(x), np.arctanh(x))
    close(fn.acosh(x + 2.5), np.arccosh(x + 2.5))
    close(fn.atan2(x, -x), np.arctan2(x, -x))
    close(fn.erfc(x), [math.erfc(v) for v in x])
    close(fn.rsqrt(x + 1), 1 / np.sqrt(x + 1))
    close(fn.frac(x * 3), x * 3 - np.trunc(x * 3))
    close(fn.lerp(x, x + 2, 0.25), x + 0.5)
    close(fn.logaddexp(x, 2 * x), np.logaddexp(x, 2 * x))
    assert fn.logaddexp(-math.inf, -math.inf).item() == -math.inf
    close(fn.clamp(x, -0.5, 0.5), np.clip(x, -0.5, 0.5))
    close(fn.clamp(x, max=0.0), np.minimum(x, 0))
    close(fn.maximum(x, 0), np.maximum(x, 0))
    close(fn.minimum(0.1, x), np.minimum(0.1, x))
    close(fn.where(x > 0, x, 0), np.where(x > 0, x, 0))
    close(fn.fmod(fn.tensor([-7.0, 7.0]), 3), [-1, 1])
    close(fn.remainder(fn.tensor([-7.0, 7.0]), 3), [2, 1])
    close(fn.nan_to_num(fn.tensor([math.nan, math.inf, 1.0]), posinf=9.0), [0, 9, 1])
    assert fn.logical_xor(fn.tensor([0, 1, 2]), True).tolist() == [True, False, False]
    assert fn.round(fn.tensor([1.234]), 2).item() == pytest.approx(1.23)
    assert fn.tensor([1, 2]).floor().dtype is dtypes.int64


# --- reductions


@pytest.mark.parametrize(
    "name", ["sum", "prod", "mean", "max:amax", "min:amin", "any", "all", "count_nonzero"]
)
@pytest.mark.parametrize("dim", [None, 1, -1, (0, 2)])
def test_reductions(name, dim):
    theirs, _, ours = name.partition(":")
    x = rng().uniform(-2, 2, (2, 3, 4)).astype(np.float32)
    expected = getattr(np, theirs)(x, axis=dim)
    close(getattr(fn, ours or theirs)(fn.tensor(x), dim), expected)
    if name != "count_nonzero":
        close(
            getattr(fn, ours or theirs)(fn.tensor(x), dim, keepdim=True),
            getattr(np, theirs)(x, axis=dim, keepdims=True),
        )


def test_other_reductions():
    x = rng().uniform(-2, 2, (3, 4)).astype(np.float32)
    t = fn.tensor(x)
    close(t.var(), x.var(ddof=1))
    close(t.var(1, correction=0, keepdim=True), x.var(1, keepdims=True))
    close(t.std(0), x.std(0, ddof=1))
    values, indices = t.max(1)
    close(values, x.max(1))
    assert indices.tolist() == x.argmax(1).tolist() == t.argmax(1).tolist()
    assert t.argmin().item() == x.argmin()
    assert t.argmin(0, keepdim=True).shape == (1, 4)
    close(t.max(fn.zeros(4)), np.maximum(x, 0))
    close(t.cumsum(1), x.cumsum(1))
    close(t.logsumexp(1), np.log(np.exp(x).sum(1)))
    for p in (0, 1, 2, 3, math.inf, -math.inf):
        close(t.norm(p, 1), np.linalg.norm(x, p, 1))
    assert fn.logsumexp(fn.full((2, 3), -math.inf), 1).tolist() == [-math.inf] * 2
    assert fn.sum(fn.zeros(0, 3), 0).tolist() == [0, 0, 0]
    assert math.isnan(fn.mean(fn.zeros(0)).item())
    assert fn.full((70000,), 1, dtype="float16").mean().item() == 1


# --- shapes


def test_shapes():
    x = rng().normal(size=(2, 3, 4)).astype(np.float32)
    t = fn.tensor(x)
    pairs = [
        (t.reshape(6, -1), x.reshape(6, 4)),
        (t.view((4, 6)), x.reshape(4, 6)),
        (fn.reshape(t, shape=(24,)), x.reshape(24)),
        (t.flatten(), x.ravel()),
        (t.flatten(1), x.reshape(2, 12)),
        (t.unflatten(2, (2, -1)), x.reshape(2, 3, 2, 2)),
        (t.permute(2, 0, 1), x.transpose(2, 0, 1)),
        (fn.permute(t, dims=(1, 0, 2)), x.transpose(1, 0, 2)),
        (t.transpose(0, -1), x.swapaxes(0, 2)),
        (t.T, x.T),
        (t.mT, x.swapaxes(1, 2)),
        (t.movedim(0, -1), np.moveaxis(x, 0, -1)),
        (t.movedim((0, 1), (1, 2)), np.moveaxis(x, (0, 1), (1, 2))),
        (t[:1].squeeze(), x[0]),
        (t[:1].squeeze(0), x[0]),
        (t.squeeze(0), x),
        (t.unsqueeze(-1), x[..., None]),
        (t.unsqueeze(1), x[:, None]),
        (t[:, :1].expand(2, 5, -1), np.broadcast_to(x[:, :1], (2, 5, 4))),
        (t.expand(3, -1, -1, -1), np.broadcast_to(x, (3, 2, 3, 4))),
        (t[:, :1].broadcast_to((2, 3, 4)), np.broadcast_to(x[:, :1], (2, 3, 4))),
        (t.repeat(2, 1, 3), np.tile(x, (2, 1, 3))),
        (t.repeat(2, 1, 1, 2), np.tile(x, (2, 1, 1, 2))),
        (t.tile(2), np.tile(x, 2)),
        (fn.cat([t, t[:, :1]], 1), np.concatenate([x, x[:, :1]], 1)),
        (fn.concatenate(t, t, dim=-1), np.concatenate([x, x], -1)),
        (fn.concatenate([t, t], dim=0), np.concatenate([x, x])),
        (fn.stack([t, t], 1), np.stack([x, x], 1)),
        (fn.stack([t[0, 0, 0], 2.0]), np.array([x[0, 0, 0], 2])),
        (t.flip(0, 2), np.flip(x, (0, 2))),
        (fn.flip(t, dims=(1,)), np.flip(x, 1)),
        (t.roll(1, 0), np.roll(x, 1, 0)),
        (t.roll((1, -2), (0, 2)), np.roll(x, (1, -2), (0, 2))),
        (t.roll(5), np.roll(x, 5)),
        (fn.pad(t, (1, 2)), np.pad(x, ((0, 0), (0, 0), (1, 2)))),
        (fn.pad(t, (0, 1, 2, 0), value=7), np.pad(x, ((0, 0), (2, 0), (0, 1)), constant_values=7)),
        (fn.pad(t, (-1, 1)), np.pad(x[..., 1:], ((0, 0), (0, 0), (0, 1)))),
        (t.narrow(2, 1, 2), x[:, :, 1:3]),
        (t.narrow(2, fn.tensor(1), 2), x[:, :, 1:3]),
        (t.diagonal(0, 1, 2), x.diagonal(0, 1, 2)),
        (t.diagonal(1, 1, 2), x.diagonal(1, 1, 2)),
        (t.diagonal(-2), x.diagonal(-2)),
        (t.diagonal(9), x.diagonal(9)),
        (t.tril(), np.tril(x)),
        (t.triu(1), np.triu(x, 1)),
        (t.tril(-1), np.tril(x, -1)),
    ]
    for number, (actual, expected) in enumerate(pairs):
        assert actual.shape == expected.shape, number
        np.testing.assert_array_equal(actual.numpy(), expected, err_msg=str(number))


def test_cutting():
    t = fn.arange(7)
    assert [piece.tolist() for piece in t.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [piece.tolist() for piece in t.split([2, 5])] == [[0, 1], [2, 3, 4, 5, 6]]
    assert [piece.shape for piece in t.chunk(3)] == [(3,), (3,), (1,)]
    assert [row.tolist() for row in fn.arange(4).reshape(2, 2).unbind(1)] == [[0, 2], [1, 3]]
    assert fn.reshape(fn.zeros(0, 3), 3, -1).shape == (3, 0)


# --- creation


def test_creation():
    source = np.arange(6.0).reshape(2, 3)
    copied, borrowed = fn.tensor(source), fn.from_numpy(source)
    source[0, 0] = 9
    assert (copied[0, 0].item(), borrowed[0, 0].item()) == (0, 9)
    assert copied.dtype is dtypes.float64
    assert np.shares_memory(borrowed.numpy(), source)
    assert fn.from_dlpack(np.ones(3, np.float32)).tolist() == [1, 1, 1]
    assert fn.tensor([[1, 2], [3, 4]]).dtype is dtypes.int64
    assert fn.tensor([1.5, 2]).dtype is dtypes.float32
    assert fn.tensor([np.float64(1.5)]).dtype is dtypes.float32
    assert fn.tensor([]).dtype is dtypes.float32
    assert fn.tensor([fn.ones(2), [1, 2]]).tolist() == [[1, 1], [1, 2]]
    assert fn.tensor([1, 2], dtype="float16").dtype is dtypes.float16
    assert fn.as_tensor(copied) is copied
    assert fn.full((2, 2), 7).tolist() == [[7, 7], [7, 7]]
    assert fn.full((2,), fn.tensor(3.5)).tolist() == [3.5, 3.5]
    assert fn.full((2,), True).dtype is dtypes.bool_
    assert fn.full_like(copied, 2).dtype is dtypes.float64
    assert fn.zeros_like(copied).shape == fn.ones_like(copied, dtype="int8").shape == (2, 3)
    assert fn.zeros((2, 3)).shape == fn.ones([2, 3]).shape == (2, 3)
    assert fn.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert fn.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert fn.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert fn.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    line = fn.linspace(0.1, 0.7, 5)
    assert line[-1].item() == np.float32(0.7)
    close(line, np.linspace(0.1, 0.7, 5))
    assert fn.linspace(3, 4, 1).tolist() == [3]
    assert fn.ones(3).host().ctypes.data % 64 == 0


# --- contraction


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((1, 5, 2, 3), (6, 1, 3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((1, 2, 3), (1, 3, 4)),
        ((2, 0), (0, 3)),
    ],
)
def test_matmul(a, b):
    x, y = rng(1).normal(size=a).astype(np.float32), rng(2).normal(size=b).astype(np.float32)
    close(fn.tensor(x) @ fn.tensor(y), x @ y)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("ij,jk", ((2, 3), (3, 4))),
        ("bij,bkj->bik", ((5, 2, 3), (5, 4, 3))),
        ("ii", ((3, 3),)),
        ("ii->i", ((3, 3),)),
        ("ij->ji", ((2, 3),)),
        ("i,j->ij", ((2,), (3,))),
        ("ij->", ((2, 3),)),
        ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
        ("b...,b...->b...", ((2, 3, 4), (2, 3, 4))),
        ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 5))),
        ("ijj,jk->ki", ((2, 3, 3), (3, 4))),
        ("bhqd,bhkd->bhqk", ((2, 3, 4, 5), (2, 3, 6, 5))),
        ("i,i,i->i", ((3,),) * 3),
        ("...i->...", ((2, 3),)),
        ("ij,ij->ij", ((2, 3), (2, 3))),
        ("ij,k->i", ((2, 3), (4,))),
    ],
)
def test_einsum(equation, shapes):
    arrays = [
        rng(number).normal(size=shape).astype(np.float32) for number, shape in enumerate(shapes)
    ]
    close(fn.einsum(equation, *map(fn.tensor, arrays)), np.einsum(equation, *arrays), atol=1e-5)


def test_other_contractions():
    x, w, b = (
        rng(n).normal(size=s).astype(np.float32) for n, s in enumerate([(5, 2, 3), (4, 3), (4,)])
    )
    close(fn.linear(x, w, b), x @ w.T + b)
    close(fn.tensordot(x, w, ([2], [1])), np.tensordot(x, w, ([2], [1])))
    close(
        fn.tensordot(x, x.transpose(1, 2, 0), 2),
        np.tensordot(x, x.transpose(1, 2, 0), 2),
        atol=1e-5,
    )
    close(fn.outer(b, b[:2]), np.outer(b, b[:2]))
    close(fn.dot(b, b), b @ b)
    close(fn.mv(w, w[0]), w @ w[0])
    close(fn.mm(w, w.T), w @ w.T)
    close(fn.bmm(x, x.transpose(0, 2, 1)), x @ x.transpose(0, 2, 1))
    assert (fn.tensor([[1, 2]]) @ fn.tensor([3, 4])).tolist() == [11]


# --- activations and losses


def test_activations():
    x = np.array([-3, -1, 0, 0.5, 4], np.float32)
    close(fn.relu(x), np.maximum(x, 0))
    close(fn.leaky_relu(x, 0.1), np.where(x > 0, x, 0.1 * x))
    close(fn.silu(x), x / (1 + np.exp(-x)))
    close(fn.softplus(x), np.log1p(np.exp(x)))
    close(fn.gelu(x), [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    close(fn.gelu(x, "tanh"), fn.gelu(x).numpy(), atol=1e-3)
    close(fn.softmax(x, 0), np.exp(x) / np.exp(x).sum())
    hard = fn.tensor([[1e30, -1e30, 0.0], [-math.inf, 0.0, 0.0]])
    assert fn.softmax(hard, 1).tolist() == [[1, 0, 0], [0, 0.5, 0.5]]
    close(fn.log_softmax(hard, 1), [[0, -2e30, -1e30], [-math.inf, -math.log(2), -math.log(2)]])


def test_losses():
    x = rng().normal(size=(4, 3)).astype(np.float32)
    target = np.array([0, 2, 1, 2])
    logp = x - np.log(np.exp(x).sum(1, keepdims=True))
    rows = -logp[np.arange(4), target]
    close(fn.cross_entropy(x, target), rows.mean())
    close(fn.cross_entropy(x, target, reduction="none"), rows)
    close(fn.cross_entropy(x, target, reduction="sum"), rows.sum())
    close(fn.nll_loss(logp, target), rows.mean())
    one_hot = np.eye(3, dtype=np.float32)[target]
    close(fn.cross_entropy(x, one_hot), rows.mean())
    smooth = 0.9 * one_hot + 0.1 / 3
    close(fn.cross_entropy(x, target, label_smoothing=0.1), -(smooth * logp).sum(1).mean())
    close(fn.cross_entropy(x, one_hot, label_smoothing=0.1), -(smooth * logp).sum(1).mean())
    weight = np.array([1, 2, 3], np.float32)
    close(fn.cross_entropy(x, target, weight), (rows * weight[target]).sum() / weight[target].sum())
    close(fn.cross_entropy(x, target, ignore_index=2), rows[[0, 2]].mean())
    close(fn.cross_entropy(x, np.array([0, -100, 1, -100]), ignore_index=-100), rows[[0, 2]].mean())
    close(fn.cross_entropy(x[0], 1), -logp[0, 1])
    close(
        fn.cross_entropy(x.reshape(2, 3, 2), target.reshape(2, 2), reduction="none").sum(),
        fn.cross_entropy(
            x.reshape(2, 3, 2).transpose(0, 2, 1).reshape(4, 3), target, reduction="sum"
        ).numpy(),
    )
    close(fn.mse_loss(x, x + 2), 4.0)
    close(
        fn.cross_entropy(
            fn.tensor([[1e30, 0.0], [0.0, -1e30]]), fn.tensor([1, 1]), reduction="none"
        ),
        [1e30, 1e30],
    )


# --- messages

BAD = {
    "shapes": (
        lambda: fn.ones(2, 3) + fn.ones(4),
        errors.ShapeError,
        r"add: shapes \(2, 3\) and \(4,\) do not broadcast: dimension -1 is 3 and 4",
    ),
    "operand": (
        lambda: fn.add(fn.ones(2), "text"),
        errors.ArgumentError,
        r"add: y is a str \('text'\)",
    ),
    "list": (
        lambda: fn.ones(2) * fn.add(fn.ones(2), [1, 2]),
        errors.ArgumentError,
        r"add: y is a list.*slope.tensor",
    ),
    "uint64": (
        lambda: of("uint64", 2) + of("int64", 2),
        errors.DTypeError,
        "add: no integer dtype holds both",
    ),
    "bool sub": (lambda: of("bool", 2) - of("bool", 2), errors.DTypeError, "logical_xor"),
    "mean": (
        lambda: fn.ones(2, dtype="int64").mean(),
        errors.DTypeError,
        r"mean: int64\[2\].*dtype=slope.float32",
    ),
    "dim": (
        lambda: fn.sum(fn.ones(2, 3), 2),
        errors.ShapeError,
        r"sum: dim=2 is out of range for a tensor of shape \(2, 3\)",
    ),
    "dim kind": (
        lambda: fn.sum(fn.ones(2, 3), "x"),
        errors.ArgumentError,
        "sum: dim='x' must be an int",
    ),
    "dim twice": (lambda: fn.sum(fn.ones(2, 3), (0, -2)), errors.ShapeError, "twice"),
    "max dims": (
        lambda: fn.max(fn.ones(2, 3), (0, 1)),
        errors.ArgumentError,
        "slope.amax takes several",
    ),
    "empty max": (lambda: fn.amax(fn.ones(0)), errors.ShapeError, "empty"),
    "where": (
        lambda: fn.where(fn.ones(2), 1, 2),
        errors.DTypeError,
        r"where: the condition must be bool, and is float32\[2\]",
    ),
    "reshape": (
        lambda: fn.ones(6).reshape(4),
        errors.ShapeError,
        r"reshape: float32\[6\] has 6 elements, shape \(4,\) has 4",
    ),
    "reshape -1": (lambda: fn.ones(6).reshape(4, -1), errors.ShapeError, r"reshape: .*\(4, -1\)"),
    "reshape -2": (lambda: fn.ones(6).reshape(-1, -1), errors.ShapeError, "one -1"),
    "size kind": (
        lambda: fn.zeros(2.5),
        errors.ArgumentError,
        r"zeros: size takes ints, and got 2.5",
    ),
    "negative": (lambda: fn.zeros(-1), errors.ShapeError, "negative length"),
    "permute": (lambda: fn.ones(2, 3).permute(0, 0), errors.ShapeError, "no permutation"),
    "expand": (lambda: fn.ones(2, 3).expand(4, 3), errors.ShapeError, r"expand: .*\(4, 3\)"),
    "cat": (
        lambda: fn.cat([fn.ones(2, 3), fn.ones(2, 4)]),
        errors.ShapeError,
        r"cat: along dim=0, float32\[2, 4\] does not go with float32\[2, 3\]",
    ),
    "cat nothing": (lambda: fn.cat([]), errors.ShapeError, "at least one"),
    "cat tensor": (lambda: fn.cat(fn.ones(2)), errors.ArgumentError, "list or tuple"),
    "stack": (lambda: fn.stack([fn.ones(2), fn.ones(3)]), errors.ShapeError, "stack"),
    "split": (lambda: fn.split(fn.ones(5), [2, 2]), errors.ShapeError, "do not add up"),
    "pad mode": (
        lambda: fn.pad(fn.ones(5), (1, 1), "mirror"),
        errors.ArgumentError,
        "mode='mirror'",
    ),
    "pad widths": (lambda: fn.pad(fn.ones(5), (1, 1, 1)), errors.ArgumentError, "two widths"),
    "narrow": (
        lambda: fn.narrow(fn.ones(5), 0, 3, 4),
        errors.ShapeError,
        "narrow: 4 elements from 3 on",
    ),
    "matmul": (
        lambda: fn.ones(2, 3) @ fn.ones(4, 5),
        errors.ShapeError,
        r"matmul: float32\[2, 3\] and float32\[4, 5\] do not fit.*3.*4",
    ),
    "matmul batch": (
        lambda: fn.ones(2, 2, 3) @ fn.ones(4, 3, 5),
        errors.ShapeError,
        "leading dimensions.*do not broadcast",
    ),
    "matmul number": (lambda: fn.ones(()) @ fn.ones(3), errors.ShapeError, "use \\* for a number"),
    "linear": (
        lambda: fn.linear(fn.ones(2, 3), fn.ones(5, 4)),
        errors.ShapeError,
        r"linear: x is float32\[2, 3\].*length 4",
    ),
    "mm": (
        lambda: fn.mm(fn.ones(2, 3), fn.ones(3)),
        errors.ShapeError,
        "mm: y must have 2 dimensions",
    ),
    "einsum lengths": (
        lambda: fn.einsum("ij,jk->ik", fn.ones(2, 3), fn.ones(4, 5)),
        errors.ShapeError,
        "'j'.*3 and 4",
    ),
    "einsum rank": (lambda: fn.einsum("ij->i", fn.ones(2)), errors.ShapeError, "'ij'"),
    "einsum count": (
        lambda: fn.einsum("ij,jk", fn.ones(2, 2)),
        errors.ArgumentError,
        "names 2 operands, and got 1",
    ),
    "einsum letter": (
        lambda: fn.einsum("ij->k", fn.ones(2, 2)),
        errors.ArgumentError,
        "no operand has",
    ),
    "softmax int dim": (
        lambda: fn.softmax(fn.ones(3), 1),
        errors.ShapeError,
        "softmax: dim=1 is out of range",
    ),
    "gelu": (lambda: fn.gelu(fn.ones(3), "best"), errors.ArgumentError, "approximate='best'"),
    "cross_entropy": (
        lambda: fn.cross_entropy(fn.ones(4, 3), fn.tensor([0, 1])),
        errors.ShapeError,
        r"cross_entropy: for x float32\[4, 3\].*int64\[2\]",
    ),
    "reduction": (
        lambda: fn.cross_entropy(fn.ones(4, 3), fn.tensor([0, 1, 1, 0]), reduction="max"),
        errors.ArgumentError,
        "reduction='max'",
    ),
    "mse": (
        lambda: fn.mse_loss(fn.ones(4, 1), fn.ones(4)),
        errors.ShapeError,
        "shapes must be equal",
    ),
    "ragged": (
        lambda: fn.tensor([[1, 2], [3]]),
        errors.ArgumentError,
        "tensor: cannot make an array",
    ),
    "text": (lambda: fn.tensor("text"), errors.ArgumentError, "tensor: data is a str"),
    "complex": (lambda: fn.tensor(np.ones(2, complex)), errors.DTypeError, "complex128"),
    "big": (lambda: fn.tensor(2**70), errors.ArgumentError, "."),
    "from_numpy": (lambda: fn.from_numpy([1]), errors.ArgumentError, "from_numpy: array is a list"),
    "arange": (
        lambda: fn.arange(0, 5, -1),
        errors.ArgumentError,
        "step=-1 does not lead from 0 to 5",
    ),
    "full": (lambda: fn.full(3), errors.ArgumentError, "full: takes a shape and a number"),
    "to": (lambda: fn.ones(2).to(3.5), errors.ArgumentError, "neither a dtype nor a device"),
    "to device": (lambda: fn.ones(2).to("cuda:7"), errors.DeviceError, "cuda:7"),
    "iterate": (lambda: list(fn.tensor(3.0)), errors.ShapeError, "cannot be iterated"),
    "mT": (lambda: fn.ones(2).mT, errors.ShapeError, "at least 2 dimensions"),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()
