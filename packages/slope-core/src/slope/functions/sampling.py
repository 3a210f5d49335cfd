"""Draws from the default generator, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from slope import dtypes
from slope.core.tensor import Tensor
from slope.devices import Device
from slope.dims import DimExpr
from slope.dtypes import DTypeLike, as_dtype, int64
from slope.errors import ArgumentError
from slope.functions import arithmetic, distributions, random
from slope.functions._arguments import dim_of, flag_of, number_of, whole_of
from slope.functions._base import TensorLike, as_tensor, broadcast_shapes, floating
from slope.functions._devices import placed
from slope.functions.activations import softmax
from slope.functions.creation import arange
from slope.functions.elementwise import stop_gradient
from slope.functions.generator import all_or_nothing, current_scope
from slope.functions.reductions import argmax

__all__ = [
    "bernoulli",
    "gumbel_softmax",
    "multinomial",
    "normal",
    "poisson",
    "randint_like",
    "randperm",
]


@all_or_nothing
def bernoulli(x: TensorLike) -> Tensor:
    """1 with the probability that stands at the place, else 0, in the probabilities' dtype."""
    given = floating(x, "bernoulli")
    return random.bernoulli(current_scope().draw(), given).to(given.dtype)


@all_or_nothing
def gumbel_softmax(x: TensorLike, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Tensor:
    """Random weights along a dimension, which tend to one class as ``tau`` does to 0.

    ``softmax((x + g) / tau)`` with Gumbel draws g from the default generator, so that the largest
    weight is at each class with probability ``softmax(x)``. Source: E. Jang, S. Gu, B. Poole,
    "Categorical reparameterization with Gumbel-softmax", ICLR 2017.

    Args:
        x: scores.
        tau: how even the weights are.
        hard: give 1 at the largest weight and 0 elsewhere, with the derivative of the weights.
        dim: the dimension.

    Raises:
        ArgumentError: ``tau`` is not positive.
    """
    given = floating(x, "gumbel_softmax")
    even = number_of(tau, "gumbel_softmax", "tau")
    if not even > 0:
        raise ArgumentError(f"gumbel_softmax: tau={even} must be positive.")
    noise = distributions.gumbel(current_scope().draw(), given.shape, dtype=given.dtype)
    weights = softmax((given + noise) / even, dim)
    if not flag_of(hard, "gumbel_softmax", "hard"):
        return weights
    at = dim_of(dim, given.ndim, "gumbel_softmax", shape=given.shape)
    best = argmax(weights, at, keepdim=True)
    places = arange(given.shape[at]).reshape(-1, *(1,) * (given.ndim - at - 1))
    return (places == best).to(given.dtype) + (weights - stop_gradient(weights))


@all_or_nothing
def poisson(x: TensorLike) -> Tensor:
    """Draws of Poisson's distribution of the rates that stand at the places, in their dtype."""
    given = floating(x, "poisson")
    return random.poisson(current_scope().draw(), given).to(given.dtype)


@all_or_nothing
def multinomial(x: TensorLike, num_samples: int, replacement: bool = False) -> Tensor:
    """Classes drawn in proportion to each row: :func:`slope.random.multinomial`."""
    given = floating(x, "multinomial")
    return distributions.multinomial(current_scope().draw(), given, num_samples, replacement)


@all_or_nothing
def normal(
    mean: TensorLike = 0.0,
    std: TensorLike = 1.0,
    size: Any = None,
    *,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Normal draws of given means and standard deviations, which broadcast; or of ``size``.

    Of ``size`` they are float32; of tensors they have their dtype; unless ``dtype`` says else.

    Raises:
        ArgumentError: both are numbers and there is no ``size``.
    """
    if size is None:
        if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
            raise ArgumentError("normal: mean and std are numbers, so size must be given.")
        center, spread = floating(mean, "normal", "mean"), floating(std, "normal", "std")
        size = broadcast_shapes("normal", center.shape, spread.shape)
        found = arithmetic.result_type(center, spread)
    else:
        found = dtypes.float32
    dtype = found if dtype is None else as_dtype(dtype)
    drawn = random.normal(current_scope().draw(), size, dtype=dtype)
    return placed(arithmetic.add(arithmetic.mul(drawn, std), mean).to(dtype), device)


@all_or_nothing
def randperm(
    n: int, *, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """The numbers from 0 to ``n`` less one in random order; int64 by default."""
    count = n if isinstance(n, DimExpr) else whole_of(n, "randperm", "n", 0)
    drawn = distributions.permutation(current_scope().draw(), count)
    return placed(drawn.to(int64 if dtype is None else dtype), device)


@all_or_nothing
def randint_like(
    x: TensorLike,
    *bounds: int,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Uniform integers: ``randint_like(x, high)`` or ``randint_like(x, low, high)``.

    Shape, dtype and device are another tensor's, the last two unless given.
    """
    given = as_tensor(x, "randint_like", "x")
    if len(bounds) not in (1, 2):
        raise ArgumentError(
            f"randint_like: takes (x, high) or (x, low, high), and got {bounds!r:.60} for the "
            "bounds."
        )
    drawn = random.randints(*bounds, given.shape)
    where = given.device if device is None else device
    return placed(drawn.to(given.dtype if dtype is None else dtype), where)
