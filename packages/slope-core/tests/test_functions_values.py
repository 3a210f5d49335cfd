"""Values of functions, against NumPy."""

import math

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


def test_powers():
    x = np.array([0, 1, -1, 2, -2, 3])
    for exponent in (0, 1, 2, 5, 63):
        np.testing.assert_array_equal((fn.tensor(x) ** exponent).numpy(), x**exponent)
        np.testing.assert_array_equal((fn.tensor(x) ** fn.tensor(exponent)).numpy(), x**exponent)
    assert (fn.tensor(x) ** fn.tensor(-1)).tolist() == [0, 1, -1, 0, 0, 0]
    assert (fn.tensor(x) ** fn.tensor(-2)).tolist() == [0, 1, 1, 0, 0, 0]
    for exponent in (64, 65, 2**33 + 5, 2**62, 2**62 + 1):  # they wrap around
        wrapped = [pow(int(each), exponent, 2**64) for each in x]
        found = (fn.tensor(x) ** fn.tensor(exponent)).numpy().astype(np.uint64)
        assert found.tolist() == wrapped
    for dtype in ("uint8", "int8", "int16", "uint32", "uint64"):
        base, exponent = np.arange(12).astype(dtype), np.arange(7, 127, 10).astype(dtype)
        found = fn.tensor(base) ** fn.tensor(exponent)
        np.testing.assert_array_equal(found.numpy(), np.power(base, exponent))
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
    wanted = np.einsum(equation, *arrays)
    close(fn.einsum(equation, *map(fn.tensor, arrays)), wanted, atol=1e-5)
    close(fn.einsum(equation, [fn.tensor(x) for x in arrays]), wanted, atol=1e-5)


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
