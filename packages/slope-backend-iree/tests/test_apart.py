"""What a program's text sets apart with barriers, so that one loop does not compute all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from slope import dtypes
from slope.core.operator import OPERATORS
from slope.extend import Splat, TensorType, ops, trace_program
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.lower.program import lower_program


def test_transposes_are_kept_apart_from_convolutions():
    params = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}

    def convolve(x: Any, w: Any) -> Sequence[Any]:
        last = ops.permute(x, dims=(0, 2, 3, 1))
        out = ops.conv(last, ops.permute(w, dims=(2, 3, 1, 0)), groups=1, layout="NHWC", **params)
        return [ops.permute(out, dims=(0, 3, 1, 2)), ops.permute(x, dims=(1, 0, 2, 3))]

    types = [TensorType((2, 3, 4, 5), dtypes.float32), TensorType((16, 3, 2, 2), dtypes.float32)]
    text = lower_program(trace_program(convolve, types), IreeBackend().lowerings).text
    # Behind both operands' transposes and before the result's; heads exchanged with batch are free.
    assert text.count("stablehlo.transpose") == 4
    assert text.count("compute_barrier.start") == 3
    alone = trace_program(lambda x, w: [ops.permute(x, dims=(0, 2, 3, 1))], types)
    assert "barrier" not in lower_program(alone, IreeBackend().lowerings).text


def test_softmax_is_kept_from_becoming_one_loop():
    def weights(x: Any) -> list[Any]:
        return [OPERATORS["softmax"](x, dim=1)]

    for dtype in (dtypes.float32, dtypes.bfloat16):
        program = trace_program(weights, [TensorType((4, 5), dtype)])
        text = lower_program(program, IreeBackend().lowerings).text
        made = re.search(r"(%\d+) = stablehlo.exponential .* : tensor<4x5xf32>", text)
        assert made is not None
        assert f"compute_barrier.start {made[1]} " in text
        assert len(re.findall(rf"{made[1]}\b", text)) == 2  # nobody passes the barrier by


@pytest.mark.parametrize(("rows", "apart"), [(512, True), (1, False)])
def test_exponentials_are_kept_apart_from_large_products(rows: int, apart: bool):
    def function(x: Any, y: Any) -> list[Any]:
        product = ops.dot_general(x, y, contract=((1,), (0,)))
        plain = ops.dot_general(x, ops.neg(y), contract=((1,), (0,)))
        half = Splat(0.5, product.type.with_shape((rows, 4, 16)))
        halved = ops.mul(ops.reshape(product, shape=(rows, 4, 16)), half)
        return [ops.tanh(halved), ops.sqrt(ops.add(plain, product))]

    types = [TensorType((rows, 8), dtypes.float32), TensorType((8, 64), dtypes.float32)]
    program = trace_program(function, types)
    rules = IreeBackend().lowerings
    text = lower_program(program, rules).text
    assert text.count("barrier") == apart
    assert "barrier" not in lower_program(program, rules, cpu=False).text
    if apart:  # the product that tanh needs, not the other one
        product = re.search(r"(%\d+) = stablehlo.dot_general %arg0, %arg1", text)
        assert product is not None
        assert f"barrier.start {product[1]} " in text
