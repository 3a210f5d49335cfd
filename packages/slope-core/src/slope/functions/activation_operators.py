"""Activation functions as operators, with derivatives that are shorter than their expansions'."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from slope import ops
from slope.core.operator import Sample, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.ops._family import draws, splat_like
from slope.ops.elementwise import Elementwise

__all__ = [
    "binary_cross_entropy_of_logits",
    "huber",
]

_EDGES = np.array([-100, -1, 0, 1, 100, np.inf, -np.inf, np.nan], np.float32)


class Relu(Elementwise):
    """``maximum(x, 0)``; NaN stays. The derivative at 0 is 0."""

    name = "relu"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        zero = splat_like(0.0, out)
        return ops.where(ops.gt(out, zero), tangent, zero)

    def expand(self, x: Any) -> Any:
        return ops.maximum(x, splat_like(0.0, x))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((np.array([-1, 0, 2, np.inf, -np.inf, np.nan], np.float32),), {}, False)


class LeakyRelu(Elementwise):
    """``x`` where it is positive, else ``negative_slope * x``.

    Params:
        negative_slope: a float.
    """

    name = "leaky_relu"

    def infer(self, *xs: TensorType, negative_slope: float = 0.01) -> TensorType:
        return super().infer(*xs)

    def push(
        self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor, negative_slope: float = 0.01
    ) -> Tensor:
        (x,) = xs
        return ops.mul(
            tangent,
            ops.where(
                ops.gt(x, splat_like(0.0, x)), splat_like(1.0, x), splat_like(negative_slope, x)
            ),
        )

    def expand(self, x: Any, *, negative_slope: float = 0.01) -> Any:
        return ops.where(
            ops.gt(x, splat_like(0.0, x)), x, ops.mul(x, splat_like(negative_slope, x))
        )

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3),), {"negative_slope": 0.01})
        yield Sample((draws(4),), {"negative_slope": 0.3})


class Hardtanh(Elementwise):
    """``x`` limited to ``[min_val, max_val]``; NaN stays. The derivative at both ends is 0.

    Params:
        min_val, max_val: floats in order.
    """

    name = "hardtanh"

    def infer(self, *xs: TensorType, min_val: float = -1.0, max_val: float = 1.0) -> TensorType:
        return super().infer(*xs)

    def push(
        self,
        i: int,
        tangent: Tensor,
        out: Tensor,
        *xs: Tensor,
        min_val: float = -1.0,
        max_val: float = 1.0,
    ) -> Tensor:
        low, high = splat_like(min_val, out), splat_like(max_val, out)
        ends = ops.bitwise_or(ops.le(out, low), ops.ge(out, high))
        return ops.where(ends, splat_like(0.0, tangent), tangent)

    def expand(self, x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
        return ops.minimum(ops.maximum(x, splat_like(min_val, x)), splat_like(max_val, x))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3),), {"min_val": -1.0, "max_val": 1.0})
        yield Sample((draws(4),), {"min_val": 0.0, "max_val": 6.0})
        special = np.array([-np.inf, -1, -0.0, 1, np.inf, np.nan], np.float32)
        yield Sample((special,), {"min_val": -1.0, "max_val": 1.0}, False)


class Silu(Elementwise):
    """``x * sigmoid(x)``."""

    name = "silu"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        (x,) = xs
        gate = ops.sigmoid(x)
        return ops.mul(tangent, ops.add(gate, ops.mul(out, ops.sub(splat_like(1.0, x), gate))))

    def expand(self, x: Any) -> Any:
        return ops.mul(x, ops.sigmoid(x))


class Gelu(Elementwise):
    """``x`` times the normal distribution's cumulative function at ``x``.

    Source: D. Hendrycks, K. Gimpel, "Gaussian error linear units" (2016).

    Params:
        approximate: ``"none"`` for ``x/2 * (1 + erf(x / sqrt 2))``, or ``"tanh"`` for
            ``x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))``.
    """

    name = "gelu"

    def infer(self, *xs: TensorType, approximate: str = "none") -> TensorType:
        return super().infer(*xs)

    def push(
        self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor, approximate: str = "none"
    ) -> Tensor:
        (x,) = xs
        gate = self._gate(x, approximate)
        if approximate == "none":
            bell = ops.exp(ops.mul(splat_like(-0.5, x), ops.mul(x, x)))
            density = ops.mul(splat_like(1.0 / math.sqrt(2.0 * math.pi), x), bell)
        else:  # the gate is (1 + tanh u) / 2, so its derivative is 2 gate (1 - gate) u'
            inner = ops.add(splat_like(1.0, x), ops.mul(splat_like(3 * 0.044715, x), ops.mul(x, x)))
            rest = ops.mul(gate, ops.sub(splat_like(1.0, x), gate))
            density = ops.mul(splat_like(2.0 * math.sqrt(2.0 / math.pi), x), ops.mul(rest, inner))
        return ops.mul(tangent, ops.add(gate, ops.mul(x, density)))

    def expand(self, x: Any, *, approximate: str = "none") -> Any:
        return ops.mul(x, self._gate(x, approximate))

    def _gate(self, x: Tensor, approximate: str) -> Tensor:
        half, one = splat_like(0.5, x), splat_like(1.0, x)
        if approximate == "none":
            inner = ops.erf(ops.mul(x, splat_like(math.sqrt(0.5), x)))
        else:
            cubic = ops.mul(splat_like(0.044715, x), ops.mul(x, ops.mul(x, x)))
            inner = ops.tanh(ops.mul(splat_like(math.sqrt(2.0 / math.pi), x), ops.add(x, cubic)))
        return ops.mul(half, ops.add(one, inner))

    def samples(self) -> Iterator[Sample]:
        for approximate in ("none", "tanh"):
            yield Sample((draws(2, 3),), {"approximate": approximate})
            yield Sample(
                (np.array([0, 10, -10, 1e4, -1e4], np.float32),),
                {"approximate": approximate},
                False,
            )


class Softplus(Elementwise):
    """``log(1 + exp(x))``, without overflow."""

    name = "softplus"

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, ops.sigmoid(xs[0]))

    def expand(self, x: Any) -> Any:
        return ops.add(ops.maximum(x, splat_like(0.0, x)), ops.log1p(ops.exp(ops.neg(ops.abs_(x)))))


class Elu(Elementwise):
    """``scale * x`` where ``x`` is positive, else ``scale * alpha * (exp(input_scale * x) - 1)``.

    Source: D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
        exponential linear units" (2015).

    Params:
        alpha, scale, input_scale: floats.
    """

    name = "elu"

    def infer(
        self, *xs: TensorType, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
    ) -> TensorType:
        return super().infer(*xs)

    def expand(self, x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
        zero = splat_like(0.0, x)
        low = ops.minimum(x, zero)
        if input_scale != 1.0:
            low = ops.mul(low, splat_like(input_scale, x))
        low = ops.mul(ops.expm1(low), splat_like(alpha * scale, x))
        high = x if scale == 1.0 else ops.mul(x, splat_like(scale, x))
        return ops.where(ops.gt(x, zero), high, low)

    def push(
        self,
        i: int,
        tangent: Tensor,
        out: Tensor,
        *xs: Tensor,
        alpha: float,
        scale: float,
        input_scale: float,
    ) -> Tensor:
        (x,) = xs
        slope = ops.add(out, splat_like(alpha * scale, x))
        if input_scale != 1.0:
            slope = ops.mul(slope, splat_like(input_scale, x))
        return ops.mul(
            tangent, ops.where(ops.gt(x, splat_like(0.0, x)), splat_like(scale, x), slope)
        )

    def samples(self) -> Iterator[Sample]:
        plain = {"alpha": 1.0, "scale": 1.0, "input_scale": 1.0}
        yield Sample((draws(2, 3),), plain)
        yield Sample((_EDGES,), plain, False)
        yield Sample((draws(4),), {"alpha": 1.5, "scale": 1.2, "input_scale": 0.5})


class Mish(Elementwise):
    """``x * tanh(softplus(x))``.

    With ``n = exp(x)``, the gate ``tanh(softplus(x))`` is ``n (n + 2) / (n (n + 2) + 2)``; large
    ``x`` pass unchanged.

    Source: D. Misra, "Mish: a self regularized non-monotonic activation function" (2019).
    """

    name = "mish"

    def expand(self, x: Any) -> Any:
        return ops.mul(x, _mish_gate(x)[0])

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        (x,) = xs
        gate, _ = _mish_gate(x)
        rest = ops.mul(ops.sigmoid(x), ops.sub(splat_like(1.0, x), ops.mul(gate, gate)))
        return ops.mul(tangent, ops.add(gate, ops.mul(x, rest)))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((np.array([-1e4, -30, 0, 30, 1e4, np.inf, np.nan], np.float32),), {}, False)


def _mish_gate(x: Tensor) -> tuple[Tensor, Tensor]:
    grown = ops.exp(ops.minimum(x, splat_like(4.0 if x.dtype.itemsize == 2 else 20.0, x)))
    part = ops.mul(grown, ops.add(grown, splat_like(2.0, x)))
    gate = ops.div(part, ops.add(part, splat_like(2.0, x)))
    return gate, part


class LogSigmoid(Elementwise):
    """``-log(1 + exp(-x))``, without overflow."""

    name = "logsigmoid"

    def expand(self, x: Any) -> Any:
        size = ops.log1p(ops.exp(ops.neg(ops.abs_(x))))
        return ops.sub(ops.minimum(x, splat_like(0.0, x)), size)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        return ops.mul(tangent, ops.sigmoid(ops.neg(xs[0])))

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample((_EDGES,), {}, False)


class BinaryCrossEntropy(Elementwise):
    """``-(target * logsigmoid(x) + (1 - target) * logsigmoid(-x))``, without overflow.

    The derivative is ``sigmoid(x) - target``, and ``-x`` for the target.
    """

    name = "binary_cross_entropy_of_logits"
    arity = 2

    def expand(self, x: Any, target: Any) -> Any:
        size = ops.log1p(ops.exp(ops.neg(ops.abs_(x))))
        high = ops.maximum(x, splat_like(0.0, x))
        return ops.add(ops.sub(high, ops.mul(x, target)), size)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor) -> Tensor:
        x, target = xs
        return (
            ops.neg(ops.mul(tangent, x)) if i else ops.mul(tangent, ops.sub(ops.sigmoid(x), target))
        )

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample(
            (np.array([-100, 100, 0], np.float32), np.array([0, 1, 0.5], np.float32)), {}, False
        )


class Huber(Elementwise):
    """``x^2 / 2`` where ``abs(x)`` is at most ``delta``, else ``delta * (abs(x) - delta / 2)``.

    The derivative is ``x``, limited.

    Params:
        delta: a positive float.
    """

    name = "huber"

    def infer(self, *xs: TensorType, delta: float = 1.0) -> TensorType:
        return super().infer(*xs)

    def expand(self, x: Any, *, delta: float) -> Any:
        half, top = splat_like(0.5, x), splat_like(delta, x)
        size = ops.abs_(x)
        near = ops.mul(half, ops.mul(x, x))
        far = ops.mul(top, ops.sub(size, splat_like(0.5 * delta, x)))
        return ops.where(ops.le(size, top), near, far)

    def push(self, i: int, tangent: Tensor, out: Tensor, *xs: Tensor, delta: float) -> Tensor:
        top = splat_like(delta, out)
        return ops.mul(tangent, ops.minimum(ops.maximum(xs[0], splat_like(-delta, out)), top))

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3),), {"delta": 1.0})
        yield Sample((draws(4),), {"delta": 0.5})


relu = register(Relu())
leaky_relu = register(LeakyRelu())
hardtanh = register(Hardtanh())
silu = register(Silu())
gelu = register(Gelu())
softplus = register(Softplus())
elu = register(Elu())
mish = register(Mish())
huber = register(Huber())
logsigmoid = register(LogSigmoid())
binary_cross_entropy_of_logits = register(BinaryCrossEntropy())
