"""The convolution trio and the pooling operators: their contracts, their expansions, refusals,
costs."""

# ruff: noqa: E501  # tables

import numpy as np
import pytest

from slope import errors, ops
from slope.core.program import expand, trace_program
from slope.core.tensor import Tensor
from slope.core.types import TensorType, type_of_array
from slope.dims import Dim
from slope.dtypes import float32, float64
from slope.testing.operators import check_operator

pytestmark = pytest.mark.usefixtures("on_numpy")

OPERATORS = [
    ops.conv,
    ops.conv_input_grad,
    ops.conv_weight_grad,
    ops.window_max,
    ops.window_sum,
]
PLAIN = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test_contract(op):
    assert check_operator(op) >= 5


def test_contract_of_the_gradient_of_maxima():
    assert check_operator(ops.window_max_grad) == 2


@pytest.mark.parametrize("op", OPERATORS[:3], ids=lambda op: op.name)
def test_expansions(op):
    for sample in op.samples():
        args = [Tensor(type_of_array(arg), host=arg) for arg in sample.args]
        (expanded,) = expand(op, args, sample.params)
        whole = op(*args, **sample.params)
        np.testing.assert_allclose(expanded.numpy(), whole.numpy(), rtol=1e-5, atol=1e-5)


def image(*shape, dtype=float32):
    return TensorType(shape, dtype)


def test_symbolic_lengths():
    n, h = Dim("n"), Dim("h", min=3)
    params = {**PLAIN, "stride": (2, 1), "padding": ((1, 1), (0, 0)), "groups": 1, "layout": "NCHW"}
    out = ops.conv.infer(image(n, 3, h, 8), image(4, 3, 3, 3), **params)
    assert str(out) == "float32[n, 4, (h + 1)//2, 6]" or out.shape[2] == (h - 1) // 2 + 1
    back = ops.conv_input_grad.infer(out, image(4, 3, 3, 3), input_size=(h, 8), **params)
    assert back == image(n, 3, h, 8)
    weights = ops.conv_weight_grad.infer(image(n, 3, h, 8), out, kernel_size=(3, 3), **params)
    assert weights == image(4, 3, 3, 3)


def test_flops():
    program = trace_program(
        lambda x, w: (ops.conv(x, w, **PLAIN, groups=2, layout="NCHW"),),
        [image(2, 4, 5, 5), image(6, 2, 3, 3)],
    )
    assert program.cost().flops == 2 * (2 * 6 * 3 * 3) * (2 * 3 * 3)


X, W, Y = image(2, 4, 5, 5), image(6, 4, 3, 3), image(2, 6, 3, 3)
WRONG = {
    "dtypes": (lambda: ops.conv.infer(X, W.with_dtype(float64), **PLAIN), errors.DTypeError, "of one dtype"),
    "ranks": (lambda: ops.conv.infer(X, image(6, 4, 3), **PLAIN), errors.ShapeError, "same number of dimensions"),
    "entries": (lambda: ops.conv.infer(X, W, **{**PLAIN, "stride": (1,)}), errors.ShapeError, r"stride=\(1,\) must have 2"),
    "negative": (lambda: ops.conv.infer(X, W, **{**PLAIN, "padding": ((-1, 0), (0, 0))}), errors.ShapeError, "not negative"),
    "channels": (lambda: ops.conv.infer(X, W, **PLAIN, groups=2), errors.ShapeError, "with groups=2, 4 input channels must be 2 times"),
    "layout": (lambda: ops.conv.infer(X, W, **PLAIN, layout="CHWN"), errors.ArgumentError, "no layout 'CHWN'"),
    "kernel": (lambda: ops.conv.infer(X, image(6, 4, 7, 3), **PLAIN), errors.ShapeError, "is larger than an input"),
    "size": (lambda: ops.conv_input_grad.infer(Y, W, input_size=(9, 5), **PLAIN), errors.ShapeError, r"give an output \(7, 3\), and got \(3, 3\)"),
    "outputs": (lambda: ops.conv_input_grad.infer(X, W, input_size=(7, 7), **PLAIN), errors.ShapeError, "has not the 6 output channels"),
    "batch": (lambda: ops.conv_weight_grad.infer(X, image(1, 6, 3, 3), kernel_size=(3, 3), **PLAIN), errors.ShapeError, "one batch length"),
    "window": (lambda: ops.window_max.infer(image(3), window=(4,), stride=(1,), padding=((0, 0),), dilation=(1,)), errors.ShapeError, "is larger than"),
    "maxima": (lambda: ops.window_max_grad.infer(image(4), image(2), image(3), window=(2,), stride=(2,), padding=((0, 0),), dilation=(1,)), errors.ShapeError, "cotangent float32\\[3\\] must be float32\\[2\\]"),
    "zero": (lambda: ops.window_sum.infer(image(3), window=(0,), stride=(1,), padding=((0, 0),), dilation=(1,)), errors.ShapeError, "must be positive"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_messages(name):
    call, kind, text = WRONG[name]
    with pytest.raises(kind, match=text):
        call()
