"""What ONNX Runtime has kernels of its own for: composites, blocked convolutions, norms, pools."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest

import slope
from slope import dtypes
from slope.core.operator import OPERATORS
from slope.extend import (
    CPU,
    Splat,
    TensorType,
    ops,
)
from slope_backend_onnx.lower.kernels import channel_block


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("dim", [0, 1])
def test_composites(bench, backend, dtype, dim):
    x = np.array(
        [[1, -2, 3], [1e3, 1e3, -1e3], [-np.inf, 0, 2], [-np.inf, -np.inf, -np.inf]], dtype
    )
    x = x if dim else x.T.copy()
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        top = wide.max(dim, keepdims=True)
        log_sum = np.log(np.exp(wide - np.where(np.isinf(top), 0, top)).sum(dim, keepdims=True))
        log_sum += np.where(np.isinf(top), 0, top)
        wanted = {
            OPERATORS["softmax"]: np.exp(wide - log_sum),
            OPERATORS["log_softmax"]: wide - log_sum,
            OPERATORS["logsumexp"]: log_sum.squeeze(dim),
        }
    for op, values in wanted.items():
        dims = (dim,) if op.name == "logsumexp" else dim
        bench.assert_same(bench.unary(backend, op, x, dtype, dim=dims), values.astype(dtype))
    bench.assert_same(
        bench.unary(backend, OPERATORS["relu"], x, dtype), np.maximum(x, np.array(0, dtype))
    )


def test_logsumexp_keeps_infinities_and_nan(bench, backend):
    x = [
        [np.inf, 0, 0],
        [-np.inf] * 3,
        [0, np.nan, 1],
        [3.3e38, 3.3e38, 0],
        [np.inf, np.inf, -np.inf],
    ]
    wanted = np.array([np.inf, -np.inf, np.nan, 3.3e38, np.inf], np.float32)
    bench.assert_same(bench.unary(backend, OPERATORS["logsumexp"], x, dim=(1,)), wanted)


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("negated", [False, True])
def test_large_masks_hide_what_is_not_finite(bench, backend, bad, negated):
    rng = np.random.default_rng(0)
    mask, x = rng.random((128, 128)) < 0.5, rng.standard_normal((128, 128)).astype("f4")
    if bad is not None:
        x[mask if negated else ~mask] = bad

    def chosen(m, x):
        zero = Splat(0.0, TensorType(x.shape, dtypes.float32))
        return ops.sum_(ops.where(m, *((zero, x) if negated else (x, zero))), dim=(1,))

    program = bench.traced(lambda m, x: (chosen(m, x),), [mask, x])
    (got,) = bench.run(backend, program, [mask, x])
    wanted = np.where(mask, *((0, x) if negated else (x, 0))).sum(1, dtype="f4")
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    executable = backend.compile(program, CPU, {})
    assert "If" in executable.code
    assert [node.op_type for node in executable.model().graph.node] == ["Where", "ReduceSum"]


def test_masked_zeros_keep_their_sign_where_it_is_seen(bench, backend):
    x = -np.ones((128, 128), "f4")
    for read in (lambda y: y, lambda y: ops.div(Splat(1.0, y.type), y)):
        program = bench.traced(
            lambda m, x, read=read: (read(ops.where(m, x, Splat(0.0, x.type))),), [x > 0, x]
        )
        assert not np.signbit(bench.run(backend, program, [x > 0, x])[0]).any()


def test_blocked_convolutions_run_and_are_not_exported(bench, backend, reference):
    shapes = ((2, 32, 9, 8), (16, 32, 3, 3))
    args = [np.random.default_rng(0).standard_normal(shape).astype("f4") for shape in shapes]

    def both(x, w):
        y = ops.conv(x, w, stride=(1, 1), padding=((1, 1), (0, 1)), dilation=(1, 1), groups=1)
        again = ops.conv_input_grad(
            y,
            w,
            input_size=(9, 8),
            stride=(1, 1),
            padding=((1, 1), (0, 1)),
            dilation=(1, 1),
            groups=1,
        )
        return y, again

    program = bench.traced(both, args)
    for got, wanted in zip(
        bench.run(backend, program, args), bench.run(reference, program, args), strict=True
    ):
        bench.assert_same(got, wanted, 1e-3)
    model = backend.compile(program, CPU, {}).model()
    assert {node.domain for node in model.graph.node} == {""}
    if channel_block():
        assert "ReorderInput" in backend.compile(program, CPU, {}).code


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "size", "fits"),
    [
        ((1, 1), ((1, 1), (1, 1)), (1, 1), (7, 5), True),
        ((2, 2), ((1, 1), (1, 1)), (1, 1), (8, 8), True),
        ((2, 1), ((0, 1), (2, 0)), (1, 2), (9, 8), True),
        ((3, 3), ((0, 0), (0, 0)), (1, 1), (11, 8), False),  # windows leave rows out
    ],
)
def test_blocked_weight_gradients(bench, backend, reference, stride, padding, dilation, size, fits):
    rng = np.random.default_rng(0)
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
    x, w = (rng.standard_normal(shape).astype("f4") for shape in ((16, 3, *size), (16, 3, 3, 3)))
    forward = bench.traced(lambda x, w: (ops.conv(x, w, **params),), [x, w])
    (y,) = bench.run(reference, forward, [x, w])
    program = bench.traced(
        lambda x, y: (ops.conv_weight_grad(x, y, kernel_size=(3, 3), **params),), [x, y]
    )
    bench.assert_same(
        bench.run(backend, program, [x, y])[0], bench.run(reference, program, [x, y])[0], 2e-4
    )
    if channel_block():
        assert ("ReorderInput" in backend.compile(program, CPU, {}).code) == fits


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding", "dilation", "size"),
    [
        (32, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (9, 8)),
        (16, (7, 5), (1, 1), ((3, 3), (2, 2)), (1, 1), (9, 13)),
        (32, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (9, 7)),
        (16, (3, 2), (1, 2), ((0, 2), (1, 0)), (2, 1), (11, 8)),
        (16, (3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1), (11, 8)),  # windows leave rows out
        (16, (2, 2), (1, 1), ((2, 2), (0, 0)), (1, 1), (5, 5)),  # more padding than the kernel
        (5, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (6, 6)),  # no blocks
    ],
)
def test_depthwise_convolutions(
    bench, backend, reference, channels, kernel, stride, padding, dilation, size
):
    rng = np.random.default_rng(0)
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": channels}
    x = rng.standard_normal((2, channels, *size)).astype("f4")
    w = rng.standard_normal((channels, 1, *kernel)).astype("f4")
    forward = bench.traced(lambda x, w: (ops.conv(x, w, **params),), [x, w])
    (y,) = bench.run(reference, forward, [x, w])

    def all_three(x, w, y):
        return (
            ops.conv(x, w, **params),
            ops.conv_input_grad(y, w, input_size=size, **params),
            ops.conv_weight_grad(x, y, kernel_size=kernel, **params),
        )

    program = bench.traced(all_three, [x, w, y])
    for got, wanted in zip(
        bench.run(backend, program, [x, w, y]),
        bench.run(reference, program, [x, w, y]),
        strict=True,
    ):
        bench.assert_same(got, wanted, 2e-4)
    if channel_block():
        assert ("ReorderInput" in backend.compile(program, CPU, {}).code) == (channels > 5)


def test_a_normalization_its_scale_and_shift_are_one_node():
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype("f4") for shape in ((5, 3, 4), (3, 4), (3, 4)))
    step = slope.jit(
        lambda x, w, b: (slope.layer_norm(x, (3, 4), w, b), slope.rms_norm(x, (3, 4), w)),
        backend="onnxruntime",
    )
    lowered = step.lower(*map(slope.tensor, (x, w, b)))
    got = [each.numpy() for each in step(*map(slope.tensor, (x, w, b)))]
    mean, square = x.mean((1, 2), keepdims=True), (x * x).mean((1, 2), keepdims=True)
    deviation = np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(got[0], (x - mean) / deviation * w + b, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(got[1], x / np.sqrt(square) * w, rtol=2e-5, atol=2e-6)
    assert lowered.code.count("LayerNormalization") == 2
    assert "Mul" not in lowered.code


def test_a_normalization_with_another_shape_of_scale():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype("f4") for shape in ((5, 4), (5, 4)))
    step = slope.jit(lambda x, w: slope.layer_norm(x, 4) * w + x, backend="onnxruntime")
    deviation = np.sqrt(x.var(1, keepdims=True) + 1e-5)
    wanted = (x - x.mean(1, keepdims=True)) / deviation * w + x
    got = step(slope.tensor(x), slope.tensor(w)).numpy()
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)


def test_a_normalization_of_float64_is_exact():
    x = np.random.default_rng(0).standard_normal((5, 4)) / 100
    norms = slope.jit(
        lambda x: (slope.layer_norm(x, 4), slope.rms_norm(x, (4,), eps=0.6)), backend="onnxruntime"
    )
    got = [each.numpy() for each in norms(slope.tensor(x))]
    deviation = np.sqrt(x.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(got[0], (x - x.mean(1, keepdims=True)) / deviation, rtol=1e-12)
    np.testing.assert_allclose(
        got[1], x / np.sqrt((x * x).mean(1, keepdims=True) + 0.6), rtol=1e-12
    )


def test_a_gradient_shares_the_parts_of_gelu():
    x = slope.tensor(np.linspace(-3, 3, 7, dtype="f4"))
    inference = slope.jit(slope.gelu, backend="onnxruntime").lower(x)
    training = slope.jit(
        slope.value_and_grad(lambda x: slope.gelu(x).sum()), backend="onnxruntime"
    ).lower(x)
    assert "Gelu" in inference.code
    assert "Gelu" not in training.code


NONE = ((0, 0),) * 4
LARGE_POOLS = pytest.mark.parametrize(
    ("window", "stride", "padding", "dilation"),
    [
        ((1, 1, 2, 2), (1, 1, 2, 2), NONE, (1, 1, 1, 1)),
        ((1, 1, 3, 2), (1, 1, 2, 1), ((0, 0), (0, 0), (1, 2), (0, 1)), (1, 1, 1, 1)),
        ((1, 1, 1, 2), (1, 1, 1, 2), NONE, (1, 1, 1, 2)),
        ((1, 1, 1, 2), (1, 1, 1, 1), ((0, 0), (0, 0), (0, 0), (2, 0)), (1, 1, 1, 1)),
        ((1, 2, 2, 1), (1, 2, 1, 1), NONE, (1, 1, 1, 1)),
        ((1, 2, 2, 2), (1, 1, 2, 3), NONE, (1, 1, 1, 1)),
        ((2, 2, 2, 2), (1, 1, 1, 1), NONE, (1, 1, 1, 1)),
    ],
)


def images(bad: float | None) -> np.ndarray:
    """Images large enough for the kernels, whose largest elements are equal, and some are odd."""
    x = np.random.default_rng(0).standard_normal((4, 8, 17, 16))
    x = np.minimum(x, 0.5).astype("f4")
    if bad is not None:
        x[:, 0, :3, 4:8] = bad
        x[1, 2, 3, 4] = bad
    return x


@pytest.mark.parametrize("name", ["window_max", "window_sum"])
@pytest.mark.parametrize("bad", [None, np.nan, -np.inf, np.inf])
@LARGE_POOLS
def test_large_pools(bench, backend, name, bad, window, stride, padding, dilation):
    params = {"window": window, "stride": stride, "padding": padding, "dilation": dilation}
    assert_as_expanded(bench, backend, OPERATORS[name], [images(bad)], params)


@pytest.mark.parametrize("bad", [None, np.nan, -np.inf, np.inf])
@LARGE_POOLS
def test_gradients_of_large_pools(bench, backend, bad, window, stride, padding, dilation):
    params = {"window": window, "stride": stride, "padding": padding, "dilation": dilation}
    x = images(bad)
    out = ops.window_max(slope.tensor(x), **params).numpy()
    cotangent = np.random.default_rng(1).standard_normal(out.shape).astype("f4")
    assert_as_expanded(bench, backend, ops.window_max_grad, [x, out, cotangent], params)


def assert_as_expanded(bench, backend, op, arrays, params):
    """The kernels compute what the operator's expansion does."""
    program, plain = (
        bench.traced(lambda *xs, rule=rule: (rule(*xs, **params),), arrays)
        for rule in (op, op.expand)
    )
    bench.assert_same(
        bench.run(backend, program, arrays)[0], bench.run(backend, plain, arrays)[0], 1e-5
    )


def test_the_gradient_of_a_large_pool_scatters():
    gradient = slope.grad(lambda x: (slope.max_pool2d(x, 2) ** 2).sum())
    code = slope.jit(gradient, backend="onnxruntime").lower(slope.ones(2, 8, 32, 32)).code
    assert "ScatterElements" in code


@pytest.mark.parametrize(("edges", "turns"), [(30, 3), (10, 0)])
def test_many_updates_are_scattered_along_the_last_dimension(edges, turns):
    sums = slope.jit(lambda x, i, u: x.at[i].add(u), backend="onnxruntime", options={"threads": 2})
    places = slope.zeros(edges, dtype=slope.int64)
    code = sums.lower(slope.ones(20, 8), places, slope.ones(edges, 8)).code
    assert code.count("= Transpose") == turns
    assert "ScatterElements" in code


@pytest.mark.parametrize(
    ("width", "one"), [(64, True), (4096, False)], ids=["sparse", "mostly products"]
)
def test_one_thread_scatters_rows(width, one):
    f = slope.jit(lambda x, i, w: x.at[i].add(x[i]) @ w, backend="onnxruntime")
    places = slope.zeros(20_000, dtype=slope.int64)
    code = f.lower(slope.ones(20_000, 64), places, slope.ones(64, width)).code
    assert ("ScatterND" in code) == one


@pytest.mark.parametrize("mode", ["set", "add", "max", "min"])
@pytest.mark.parametrize("shape", [(7, 3), (2, 7, 3), (2, 7, 3, 2)])
def test_rows_are_scattered_in_batches(bench, backend, reference, mode, shape):
    random = np.random.default_rng(2)
    batch, width = len(shape) > 2, 2 if len(shape) > 3 else 1  # coordinates
    places = random.integers(-1, 8, (*shape[:batch], 40, width))
    new = random.normal(size=(*shape[:batch], 40, *shape[batch + width :])).astype("f4")
    new.flat[5] = np.nan
    args = [random.normal(size=shape).astype("f4"), places, new]
    program = bench.traced(
        lambda x, i, u: (ops.scatter(x, i, u, axis=int(batch), batch_dims=int(batch), mode=mode),),
        args,
    )
    bench.assert_same(
        bench.run(backend, program, args)[0], bench.run(reference, program, args)[0], 1e-5
    )


def test_pooling_takes_the_kernels():
    x = slope.ones(2, 8, 32, 32)
    largest = slope.jit(lambda x: slope.max_pool2d(x, 2), backend="onnxruntime").lower(x)
    mean = slope.jit(lambda x: slope.avg_pool2d(x, 2), backend="onnxruntime").lower(x)
    assert "MaxPool" in largest.code
    assert "AveragePool" in mean.code


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_masks_hide_by_the_lowest_number(bench, backend, bad, negated, dtype):
    rng = np.random.default_rng(0)
    mask, x = np.tri(64, dtype=bool), rng.standard_normal((4, 64, 64)).astype(dtype)
    x[0, 5, 3:9] = -0.0
    if bad is not None:
        x[1, 2] = bad
    lowest = float(np.finfo(dtype).min)

    def hide(m, x):
        sees, hidden = ops.broadcast(m, shape=x.shape, dims=(1, 2)), Splat(lowest, x.type)
        return (ops.where(sees, *((hidden, x) if negated else (x, hidden))),)

    program = bench.traced(hide, [mask, x])
    (got,) = bench.run(backend, program, [mask, x])
    wanted = np.where(mask, *((lowest, x) if negated else (x, lowest)))
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == dtype
    if bad is None:  # else Where does it, which makes -0.0 to 0.0
        np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))
    assert "Min" in backend.compile(program, CPU, {}).code


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("odd", [(), (np.inf, -np.inf), (np.nan, -np.inf)])
def test_the_largest_of_many(dtype, odd):
    x = (np.random.default_rng(0).standard_normal((4, 3000)) * 9).round().astype(dtype)
    x[1, 100 : 100 + len(odd)] = odd
    for largest in (True, False):
        got, want = (
            slope.jit(lambda x, largest=largest: slope.topk(x, 7, largest=largest), backend=name)(
                slope.tensor(x)
            )
            for name in ("onnxruntime", "numpy")
        )
        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize(
    ("equation", "shapes", "node"),
    [
        ("bk,bk->b", [(80, 5), (80, 5)], "ReduceSum"),
        ("bmk,bk->bm", [(80, 4, 5), (80, 5)], "ReduceSum"),
        ("bkm,bk->bm", [(80, 5, 4), (80, 5)], "ReduceSum"),
        ("bk,bkn->bn", [(80, 5), (80, 5, 6)], "ReduceSum"),
        ("bk,bnk->bn", [(80, 5), (80, 6, 5)], "ReduceSum"),
        ("bi,bj->bij", [(8, 5), (8, 4)], "Mul"),
        ("i,j->ij", [(5,), (4,)], "Mul"),
        ("bmk,bnk->bmn", [(80, 4, 5), (80, 3, 5)], "MatMul"),
        ("bk,bk->b", [(8, 5), (8, 5)], "MatMul"),
    ],
)
@pytest.mark.parametrize("dtype", [slope.float32, slope.float16, slope.int32])
def test_tiny_products(equation, shapes, node, dtype):
    random = np.random.default_rng(0)
    args = [slope.tensor(random.integers(-9, 9, shape)).to(dtype) for shape in shapes]
    product = slope.jit(partial(slope.einsum, equation), backend="onnxruntime")
    code = product.lower(*args).code
    assert f"= {node} " in code
    assert ("MatMul" in code) == (node == "MatMul")
    with slope.use_backend("numpy"):
        wanted = slope.einsum(equation, *args)
    np.testing.assert_array_equal(product(*args).numpy(), wanted.numpy())
