"""The layout pass: where permutes stand, what programs compute, and regions that meet."""

# ruff: noqa: E501  # tables

import numpy as np
import pytest

import slope
from slope import ops
from slope.core.program import evaluate, trace_program
from slope.core.types import type_of_array
from slope.passes import optimize, to_layout
from slope.passes.layout import order_of

pytestmark = pytest.mark.usefixtures("on_numpy")

PARAMS = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1, "layout": "NCHW"}  # fmt: skip
RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def turned(function, *arrays, layout="NHWC"):
    """The program in another layout; it computes the same."""
    program = optimize(trace_program(function, [type_of_array(array) for array in arrays]))
    result = optimize(to_layout(program, layout).check()).check()
    tensors = [slope.tensor(array) for array in arrays]
    for mine, theirs in zip(evaluate(result, tensors), evaluate(program, tensors), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)
    return result


def beside_convolutions(program):
    """Permutes of computed values that a convolution reads, and of convolutions' results."""
    made = {var: instr for instr in program.instrs for var in instr.outputs}
    names = ("conv", "conv_input_grad", "conv_weight_grad")
    found = 0
    for instr in program.instrs:
        for atom in instr.inputs:
            source = made.get(atom)
            if source is None:
                continue
            if instr.op.name in names and source.op.name == "permute":
                found += made.get(source.inputs[0]) is not None
            found += source.op.name in names and instr.op.name == "permute"
    return found


def net(w1, gamma, beta, w2, x):
    """conv, batch norm, relu, conv."""
    h = slope.conv2d(x, w1, padding=1)
    mean = h.mean((0, 2, 3), keepdim=True)
    var = ((h - mean) ** 2).mean((0, 2, 3), keepdim=True)
    scale, shift = gamma.reshape(1, -1, 1, 1), beta.reshape(1, -1, 1, 1)
    h = slope.relu((h - mean) * slope.rsqrt(var + 1e-5) * scale + shift)
    return (slope.conv2d(h, w2, stride=2, padding=1) ** 2).sum()


def step(*args):
    gradients = slope.grad(net, argnums=(0, 1, 2, 3))(*args)
    return [p - 0.1 * g for p, g in zip(args, gradients, strict=False)]


ARGS = draw(8, 3, 3, 3), draw(8), draw(8), draw(6, 8, 3, 3), draw(2, 3, 9, 8)


def test_a_training_step_is_permuted_at_its_edges_alone():
    program = turned(step, *ARGS)
    # In: the image and two weights; out: two new weights. A program without the pass has none.
    assert program.count("permute") == 5
    assert beside_convolutions(program) == 0
    assert program.count("conv") == 2
    assert program.count("conv_input_grad") == 1
    assert program.count("conv_weight_grad") == 2
    assert all(instr.params.get("layout", "NHWC") == "NHWC" for instr in program.instrs)


def test_and_back_again():
    program = turned(step, *ARGS)
    back = optimize(to_layout(program, "NCHW").check())
    assert back.count("permute") == 0


def test_pooling_padding_and_concatenation_stay_in_the_region():
    def f(x, w):
        h = slope.conv2d(x, w, padding=1)
        h = slope.cat([slope.max_pool2d(h, 2), slope.avg_pool2d(h, 2)], dim=1)
        h = slope.softmax(slope.flip(slope.pad(h, (1, 0, 0, 2)), (3,)), dim=1)[:, ::2]
        return [h.mean((2, 3)), h.sum((1,)), h.amax((0, 3))]

    program = turned(f, draw(2, 3, 6, 4), draw(5, 3, 3, 3))
    # In: image and weights; the reduction over batch and width alone leaves (height, channels).
    assert program.count("permute") == 3


def test_regions_that_meet():
    def f(x, w):
        y = ops.conv(x, w, **PARAMS)
        as_weights = ops.conv(w, w, **PARAMS)  # an image and weights at once
        rows = ops.reshape(y, shape=(2, 5 * 6 * 4))
        channels_last = ops.permute(y, dims=(0, 2, 3, 1))
        stack = ops.broadcast(ops.sum_(y, dim=(0,)), shape=(3, *y.shape[1:]), dims=(1, 2, 3))
        return [y, as_weights, rows, channels_last, stack, ops.add(x, x)]

    program = turned(f, draw(2, 3, 6, 4), draw(5, 3, 3, 3))
    assert all(instr.params.get("layout") != "NCHW" for instr in program.instrs)
    assert program.count("conv") == 2


def test_other_dimensions_than_two():
    def f(x, w, v, u):
        line = ops.conv(
            x, w, stride=(2,), padding=((1, 0),), dilation=(1,), groups=1, layout="NCHW"
        )
        space = ops.conv(v, u, stride=(1, 2, 1), padding=((0, 0),) * 3, dilation=(1, 1, 1), groups=2, layout="NCHW")  # fmt: skip
        return [ops.sin(line), ops.cos(space)]

    program = turned(f, draw(2, 3, 6), draw(4, 3, 3), draw(1, 2, 3, 4, 3), draw(4, 1, 2, 2, 2))
    assert program.count("permute") == 6


def test_nothing_to_do():
    program = trace_program(lambda x: [ops.sin(x)], [type_of_array(draw(1, 2, 3, 4))])
    assert to_layout(program, "NHWC") is program
    conv = trace_program(lambda x, w: [ops.conv(x, w, **PARAMS)], [type_of_array(draw(1, 2, 3, 4)), type_of_array(draw(1, 2, 3, 3))])  # fmt: skip
    assert to_layout(conv, None) is conv
    assert to_layout(conv, "NCHW") is conv


@pytest.mark.parametrize("role", ["image", "weights"])
def test_orders_undo_each_other(role):
    there, back = order_of(role, 5, "NHWC"), order_of(role, 5, "NCHW")
    assert [there[dim] for dim in back] == [0, 1, 2, 3, 4]


def test_a_long_chain():
    def f(x, w):
        y = ops.conv(x, w, **PARAMS)
        for _ in range(20_000):
            y = ops.neg(y)
        return [y]

    types = [type_of_array(draw(1, 2, 3, 3)), type_of_array(draw(2, 2, 3, 3))]
    program = to_layout(trace_program(f, types), "NHWC")
    assert program.count("neg") == 20_000
    assert program.count("permute") == 3
