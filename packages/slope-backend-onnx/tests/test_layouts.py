"""How programs are laid out for ONNX Runtime: gradients of weights, sums, and threads."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope.extend import CPU, ops
from slope_backend_onnx.lower.program import work
from slope_backend_onnx.sessions import SMALL_WORK


@pytest.mark.parametrize(
    ("channels", "groups", "kernel", "padding", "dilation", "size", "apart"),
    [
        ((4, 4), 1, (3, 3), ((1, 1), (1, 1)), (1, 1), (13, 12), True),
        ((8, 8), 2, (3, 2), ((2, 0), (1, 3)), (1, 1), (14, 13), True),
        ((8, 8), 4, (3, 3), ((1, 2), (0, 1)), (2, 3), (17, 18), True),
        ((6, 6), 6, (5, 5), ((2, 2), (2, 2)), (1, 1), (13, 13), True),
        ((3, 16), 1, (3, 3), ((1, 1), (1, 1)), (1, 1), (13, 12), False),  # few inputs
        ((5, 4), 1, (1, 1), ((0, 0), (0, 0)), (1, 1), (12, 12), False),
    ],
)
def test_weight_gradients_by_rows_and_columns(
    bench, backend, reference, channels, groups, kernel, padding, dilation, size, apart
):
    rng = np.random.default_rng(0)
    params = {"stride": (1, 1), "padding": padding, "dilation": dilation, "groups": groups}
    into, outs = channels
    x = rng.standard_normal((2, into, *size)).astype("f4")
    w = rng.standard_normal((outs, into // groups, *kernel)).astype("f4")
    (y,) = bench.run(
        reference, bench.traced(lambda x, w: (ops.conv(x, w, **params),), [x, w]), [x, w]
    )
    program = bench.traced(
        lambda x, y: (ops.conv_weight_grad(x, y, kernel_size=kernel, **params),), [x, y]
    )
    bench.assert_same(
        bench.run(backend, program, [x, y])[0], bench.run(reference, program, [x, y])[0], 2e-4
    )
    nodes = [node.op_type for node in backend.compile(program, CPU, {}).model().graph.node]
    assert nodes.count("Conv") == (2 if apart else int(kernel != (1, 1)))


@pytest.mark.parametrize(
    ("shape", "dim", "sums"),
    [((3, 2, 8, 8), (0, 2, 3), 2), ((3, 2, 64), (0, 2), 2), ((3, 2, 4), (0, 2), 1),
     ((3, 64), (0, 1), 1), ((3, 64), (1,), 1), ((64, 3, 2), (0,), 1)],
)  # fmt: skip
def test_sums_of_runs_come_first(bench, backend, reference, shape, dim, sums):
    x = np.random.default_rng(0).standard_normal(shape).astype("f4")
    program = bench.traced(lambda x: (ops.sum_(x, dim=dim),), [x])
    bench.assert_same(
        bench.run(backend, program, [x])[0], bench.run(reference, program, [x])[0], 1e-5
    )
    nodes = [node.op_type for node in backend.compile(program, CPU, {}).model().graph.node]
    assert nodes == ["ReduceSum"] * sums


def test_threads_are_for_heavy_instructions(bench):
    def step(length):
        x = np.zeros((length, length), "f4")
        return bench.traced(lambda x: (ops.dot_general(x, x, contract=((1,), (0,))),), [x])

    small, large = step(32), step(256)
    assert work(small) == 2 * 32**3 < SMALL_WORK < work(large)

    def loop(x):
        return (scan_of(x, 10_000),)

    program = bench.traced(loop, [np.zeros(4, "f4")])
    assert work(program) < SMALL_WORK  # many light instructions, one after the other


def scan_of(x, length):
    """A loop of so many light instructions."""
    return slope.fori_loop(0, length, lambda _, value: value * 2 + 1, x)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "bool"])
@pytest.mark.parametrize("shapes", [((500, 1, 2), (40, 2)), ((9000, 3), (3,)), ((9000, 1), (3,))])
def test_short_rows_are_written_out(shapes, dtype):
    random = np.random.default_rng(0)
    x, y = ((random.standard_normal(shape) * 3).astype(dtype) for shape in shapes)

    @slope.jit(backend="onnxruntime")
    def several(x, y):
        return slope.maximum(x, y), slope.where(x > y, y, x), x == y

    wanted = np.maximum(x, y), np.where(x > y, y, x), x == y
    for got, want in zip(several(slope.tensor(x), slope.tensor(y)), wanted, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


def test_a_short_row_is_written_out_once():
    x, y = slope.zeros((500, 1, 2)), slope.zeros((40, 2))
    made = slope.jit(lambda x, y: (x + y, x * y, x > y), backend="onnxruntime").lower(x, y)
    assert made.code.count("Expand") == 1
    long = slope.jit(lambda x, y: x + y, backend="onnxruntime").lower(x, slope.zeros((500, 40, 2)))
    assert long.code.count("Expand") == 1
    few = slope.jit(lambda x, y: x + y, backend="onnxruntime").lower(x[:9], y)
    assert few.code.count("Expand") == 0


def test_gaps_in_the_last_dimension_are_joined_not_padded():
    x = slope.arange(24).reshape(2, 3, 4) + 1
    pads = {"low": (1, 0, 2), "high": (0, 1, 1), "interior": (0, 1, 2), "value": 7}
    wanted = np.full((3, 6, 13), 7)
    wanted[1:, 0:5:2, 2:12:3] = x.numpy()
    made = slope.jit(lambda x: ops.pad(x, **pads), backend="onnxruntime")
    np.testing.assert_array_equal(made(x).numpy(), wanted)
    half = slope.jit(slope.grad(lambda x: (x[:, ::2] ** 2).sum()), backend="onnxruntime")
    code = half.lower(slope.ones((4, 6))).code
    assert "Concat" in code
    assert "Pad" not in code
