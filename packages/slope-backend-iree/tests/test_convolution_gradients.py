"""Gradients of convolutions and what surrounds them: phases, parts, shifts, tiles, fused loops."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slope
from slope import dtypes
from slope.extend import CPU, Program, TensorType, ops, trace_program
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.lower.conv_phases import phases_of
from slope_backend_iree.lower.fusion import plan
from slope_backend_iree.lower.parts import parts_of
from slope_backend_iree.lower.program import lower_program
from slope_backend_numpy.backend import NumpyBackend

Array = Any
REFERENCE = NumpyBackend()
F32 = dtypes.float32


@pytest.fixture(scope="module")
def backend(cache: Path) -> IreeBackend:
    return IreeBackend()


def arrays_of(*shapes: tuple[int, ...], dtype: dtypes.DType = F32) -> list[Array]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(dtype.numpy) for shape in shapes]


def traced(function: Callable[..., Any], arrays: Sequence[Array]) -> Program:
    return trace_program(
        function, [TensorType(each.shape, dtypes.as_dtype(each.dtype)) for each in arrays]
    )


def agree(backend: IreeBackend, program: Program, arrays: Sequence[Array], rtol: float) -> None:
    results: list[list[Array]] = []
    for each in (backend, REFERENCE):
        executable = each.compile(program.check(), CPU, {})
        outs = executable([each.from_host(array, CPU) for array in arrays])
        results.append([np.asarray(each.to_host(out)).astype(np.float64) for out in outs])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * max(np.abs(want).max(), 1))


# --- one window


@pytest.mark.parametrize(
    ("x", "w", "stride", "padding", "dilation"),
    [
        ((4, 8, 2, 2), (16, 8, 3, 3), (2, 2), (1, 1), (1, 1)),
        ((8, 12, 4, 2), (16, 6, 4, 2), (3, 1), (1, 1), (1, 2)),
        ((2, 4, 2, 3, 2), (4, 4, 3, 3, 2), (2, 3, 1), (1, 0, 0), (1, 1, 1)),
    ],
)
def test_strides_where_there_is_one_window(
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
):
    """IREE refuses them where elements are left behind the window."""
    convolve = getattr(slope, f"conv{len(stride)}d")

    def loss(x: Array, w: Array) -> Array:
        made = convolve(
            x, w, stride=stride, padding=padding, dilation=dilation, groups=x.shape[1] // w.shape[1]
        )
        return (made**3).mean()

    given = [slope.from_numpy(each) for each in arrays_of(x, w)]
    gradient = slope.grad(loss, argnums=(0, 1))
    found, wanted = (slope.jit(gradient, backend=name)(*given) for name in ("iree", "numpy"))
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3, atol=1e-3)


# --- input gradients with strides


def input_gradient(y: Array, w: Array, length: int, stride: int, before: int) -> Array:
    found = np.zeros(length)
    for place, tap in itertools.product(range(len(y)), range(len(w))):
        at = place * stride + tap - before
        if 0 <= at < length:
            found[at] += y[place] * w[tap]
    return found


def test_phases_of_every_size():
    random = np.random.default_rng(0)
    checked = 0
    for length, kernel, stride, before, after in itertools.product(
        range(1, 10), range(1, 6), range(1, 4), range(4), range(3)
    ):
        count = (length + before + after - kernel) // stride + 1
        phases = phases_of(length, count, kernel, stride, before)
        if length + before + after < kernel or phases is None:
            continue
        y, w = random.random(count), random.random(kernel)
        filled = np.zeros(phases.taps * phases.kinds)
        filled[phases.margin : phases.margin + kernel] = w
        turned = filled.reshape(phases.taps, phases.kinds)[::-1]
        padded = np.pad(y, (phases.low, phases.high))
        out = np.zeros((phases.places, phases.stride))
        for place, tap in itertools.product(range(phases.places), range(phases.taps)):
            out[place, : phases.kinds] += padded[place + tap] * turned[tap]
        got = out.reshape(-1)[phases.start : phases.start + length]
        np.testing.assert_allclose(got, input_gradient(y, w, length, stride, before))
        checked += 1
    assert checked > 1000


@pytest.mark.parametrize("dtype", [F32, dtypes.bfloat16])
def test_input_gradients_with_strides_have_no_gaps(backend: IreeBackend, dtype: dtypes.DType):
    cases: list[dict[str, Any]] = [
        {"input_size": (8, 7), "stride": (2, 2), "padding": ((1, 1), (1, 1))},
        {"input_size": (9, 8), "stride": (2, 3), "padding": ((0, 1), (2, 0))},
        {"input_size": (6, 5), "stride": (1, 4), "padding": ((1, 0), (0, 0))},
    ]
    ys = [
        tuple(
            (length + sum(pad) - 3) // step + 1
            for length, pad, step in zip(*case.values(), strict=True)
        )
        for case in [
            {"size": each["input_size"], "pad": each["padding"], "step": each["stride"]}
            for each in cases
        ]
    ]
    arrays = arrays_of((3, 3, 2, 5), *((2, *y, 5) for y in ys), dtype=dtype)

    def gradients(w: Any, *ys: Any) -> list[Any]:
        return [
            ops.conv_input_grad(y, w, dilation=(1, 1), groups=1, layout="NHWC", **case)
            for y, case in zip(ys, cases, strict=True)
        ]

    program = traced(gradients, arrays)
    text = lower_program(program, backend.lowerings).text
    assert text.count("stablehlo.convolution") == len(cases)
    assert set(re.findall(r"lhs_dilate = (\[.*?\])", text)) == {"[1, 1]"}
    agree(backend, program, arrays, 1e-5 if dtype is F32 else 2e-2)


def test_padding_beyond_the_kernel_has_gaps(backend: IreeBackend):
    arrays = arrays_of((2, 6, 5), (2, 5, 3))

    def gradient(y: Any, w: Any) -> list[Any]:
        params = {"input_size": (4,), "stride": (2,), "padding": ((5, 4),), "dilation": (1,)}
        return [
            ops.conv_input_grad(
                y, ops.permute(w, dims=(0, 2, 1)), groups=1, layout="NHWC", **params
            )
        ]

    assert phases_of(4, 6, 2, 2, 5) is None
    program = traced(gradient, arrays)
    assert "lhs_dilate = [2]" in lower_program(program, backend.lowerings).text
    agree(backend, program, arrays, 1e-5)


# --- weights' gradients


@pytest.mark.parametrize(
    ("channels", "dtype", "tiled"),
    [((16, 32), F32, 1), ((3, 16), F32, 1), ((5, 7), F32, 0), ((16, 16), dtypes.float64, 0)],
)
def test_weight_gradients(
    backend: IreeBackend, channels: tuple[int, int], dtype: dtypes.DType, tiled: int
):
    into, outs = channels
    cases: list[dict[str, Any]] = [
        {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)},
        {"stride": (1, 1), "padding": ((2, 0), (0, 3)), "dilation": (2, 1)},
        {"stride": (2, 2), "padding": ((1, 1), (1, 0)), "dilation": (1, 1)},
        {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)},
    ]
    kernels = [(3, 3), (3, 2), (3, 3), (1, 1)]
    shape = (4, 24, 25, into)
    w_shapes = [(*kernel, into, outs) for kernel in kernels]
    params = {"groups": 1, "layout": "NHWC"}
    y_shapes = [
        ops.conv.infer(TensorType(shape, dtype), TensorType(w, dtype), **case, **params).shape
        for w, case in zip(w_shapes, cases, strict=True)
    ]
    arrays = arrays_of(shape, *y_shapes, dtype=dtype)

    def gradients(x: Any, *ys: Any) -> list[Any]:
        return [
            ops.conv_weight_grad(x, y, kernel_size=kernel, **case, **params)
            for y, kernel, case in zip(ys, kernels, cases, strict=True)
        ]

    program = traced(gradients, arrays)
    text = lower_program(program, backend.lowerings, lanes=16).text
    assert "stablehlo.transpose" not in text
    assert (text.count("linalg.generic"), "dot_general" in text) == (
        (9 + 6 + 9 + 1, False) if tiled else (0, True)
    )
    assert "linalg" not in lower_program(program, backend.lowerings).text
    agree(backend, program, arrays, 1e-4)


@pytest.mark.parametrize(
    ("rows", "least", "parts"),
    [(32768, 4, 8), (2048, 4, 4), (2048, 32, 16), (100, 8, 1), (2 * 1009, 4, 1), (300, 2, 2)],
)
def test_parts_divide_the_rows(rows: int, least: int, parts: int):
    assert parts_of(rows, least) == parts
    assert parts_of(rows, least, most=1) == 1


# --- fused loops


def normalized_step(x: Any, w: Any, v: Any, scale: Any, bias: Any) -> Any:
    """The gradients of a small residual network with batch normalization."""

    def loss(w: Any, v: Any, scale: Any, bias: Any) -> Any:
        def layer(x: Any, w: Any) -> Any:
            out = slope.conv2d(x, w, padding=1)
            return slope.batch_norm(out, None, None, scale, bias, training=True).output

        first = slope.relu(layer(x, w))
        out = slope.relu(layer(first, v) + first)
        return (out * out).mean()

    return slope.grad(loss, argnums=(0, 1, 2, 3))(w, v, scale, bias)


STEP_SHAPES = ((8, 3, 16, 16), (16, 3, 3, 3), (16, 16, 3, 3), (16,), (16,))


def test_batch_normalization_stores_no_masks_and_sums_once():
    tensors = [slope.tensor(each) for each in arrays_of(*STEP_SHAPES)]
    text = slope.jit(normalized_step, backend="iree").lower(*tensors).code
    regions = re.findall(r"flow\.dispatch\.region -> \((.*?)\) \{", text)
    pairs = [each for each in regions if each == "tensor<16x16xf32>, tensor<16x16xf32>"]
    assert len(pairs) == 2  # both sums of each layer's gradient
    outside = re.sub(r"flow\.dispatch\.region.*?flow\.return.*?\}", "", text, flags=re.DOTALL)
    assert "8x16x16x16xi1" in text
    # The second layer's mask needs two tensors, so it is computed once.
    assert outside.count("stablehlo.compare GT") <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_normalization_agrees(dtype: Any):
    arrays = [each.astype(dtype) for each in arrays_of(*STEP_SHAPES)]
    tensors = [slope.tensor(each) for each in arrays]
    got = slope.jit(normalized_step, backend="iree")(*tensors)
    want = slope.jit(normalized_step, backend="numpy")(*tensors)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-3, atol=1e-5)


def test_without_convolutions_loops_are_left_to_iree():
    def function(x: Any, y: Any) -> list[Any]:
        masked = ops.mul(x, y)
        return [ops.sum_(masked, dim=(0,)), ops.sum_(ops.mul(masked, x), dim=(0,))]

    types = [TensorType((4096, 16), F32)] * 2
    program = trace_program(function, types)
    assert len(plan(program).loops) == 1
    assert "region" not in lower_program(program, IreeBackend().lowerings).text


# --- depthwise


@pytest.mark.parametrize("dtype", [F32, dtypes.float16])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_depthwise_weights_take_no_products_of_one_number(backend, layout, dtype):
    shapes = {"NHWC": ((3, 9, 7, 20), (3, 5, 4, 20)), "NCHW": ((3, 20, 9, 7), (3, 20, 5, 4))}
    arrays = arrays_of(*shapes[layout], dtype=dtype)
    params: dict[str, Any] = {
        "kernel_size": (3, 2), "stride": (2, 2), "padding": ((1, 1), (1, 0)), "dilation": (1, 1),
    }  # fmt: skip

    def gradient(x, y):
        return [ops.conv_weight_grad(x, y, groups=20, layout=layout, **params)]

    program = traced(gradient, arrays)
    assert "dot_general" not in lower_program(program, backend.lowerings).text
    agree(backend, program, arrays, 1e-5 if dtype is F32 else 1e-2)
