"""What bfloat16 cuts off, which IREE would keep within a loop."""

from __future__ import annotations

import numpy as np

import slope


def test_what_is_cut_off_stays_so():
    rng = np.random.default_rng(0)
    x, y = (slope.tensor(rng.standard_normal(shape).astype("f4")) for shape in ((7, 9), (9,)))

    def cut(z):
        return z.to(slope.bfloat16).to(slope.float32)

    def everything(x, y):
        products = x.to(slope.bfloat16) * y.to(slope.bfloat16)
        last, _ = slope.scan(lambda carry, row: (cut(carry + row), None), y, x)
        return (
            *(cut(slope.outer(y, y)), cut(x[0, 0]), cut(x + y), cut(y @ y), last),
            *(products, products.to(slope.float32), products.to(slope.int32)),
            *(slope.exp((3 * x).to(slope.bfloat16)), slope.tan((9 * x).to(slope.bfloat16))),
        )

    found, wanted = (slope.jit(everything, backend=name)(x, y) for name in ("iree", "numpy"))
    for got, want in zip(found, wanted, strict=True):
        one, other = (each.to(slope.float32).numpy() for each in (got, want))
        np.testing.assert_array_equal(one, other)
