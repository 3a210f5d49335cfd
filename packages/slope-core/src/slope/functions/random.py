"""Random numbers: threefry keys, draws from keys, and draws from the default generator.

A key is a tensor uint32[2]. The same key gives the same draw, so use every key once, and
:func:`split` it for more. Keys, bits, integers and uniform floats in [0, 1) are the same on every
backend and under every transform; draws that go through logarithms and cosines (:func:`normal`)
agree to rounding.

Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC
    2011).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

from slope.core.tensor import Tensor
from slope.devices import Device
from slope.dtypes import DType, DTypeLike, float32, int64
from slope.errors import ArgumentError, RenamedError
from slope.functions._arguments import whole_of
from slope.functions._base import TensorLike, as_tensor
from slope.functions._devices import placed
from slope.functions.counts import binomial, choice, geometric, poisson, rademacher
from slope.functions.distributions import (
    beta,
    categorical,
    exponential,
    gamma,
    gumbel,
    laplace,
    multinomial,
    permutation,
    shuffle,
    truncated_normal,
)
from slope.functions.draws import bernoulli, normal, randint, uniform
from slope.functions.families import (
    ball,
    cauchy,
    chisquare,
    dirichlet,
    f,
    generalized_normal,
    loggamma,
    logistic,
    lognormal,
    maxwell,
    pareto,
    rayleigh,
    t,
    triangular,
    wald,
    weibull_min,
)
from slope.functions.generator import (
    BatchScope,
    Generator,
    JitScope,
    Scope,
    all_or_nothing,
    current_scope,
    default_generator,
    manual_seed,
    use_scope,
)
from slope.functions.keys import bits, fold_in, key, split

__all__ = [
    "BatchScope",
    "Generator",
    "JitScope",
    "Scope",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "current_scope",
    "default_generator",
    "dirichlet",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "manual_seed",
    "maxwell",
    "multinomial",
    "normal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "rand",
    "rand_like",
    "randint",
    "randints",
    "randn",
    "randn_like",
    "rayleigh",
    "shuffle",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "use_scope",
    "wald",
    "weibull_min",
]


# --- draws from the default generator


@all_or_nothing
def rand(
    *lengths: Any,
    size: Sequence[Any] | None = None,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Uniform floats in [0, 1), from the default generator.

    The shape is given as ints, as one sequence or as ``size``; float32 by default.
    """
    shape = lengths if size is None else (size,)
    return placed(uniform(current_scope().draw(), *shape, dtype=_or(dtype, float32)), device)


@all_or_nothing
def randn(
    *lengths: Any,
    size: Sequence[Any] | None = None,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Draws from the standard normal distribution, by the default generator.

    The shape is given as ints, as one sequence or as ``size``; float32 by default.
    """
    shape = lengths if size is None else (size,)
    return placed(normal(current_scope().draw(), *shape, dtype=_or(dtype, float32)), device)


@all_or_nothing
def randints(
    *arguments: Any,
    low: int | None = None,
    high: int | None = None,
    size: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """Uniform integers below ``high``: ``randint(high, size)`` or ``randint(low, high, size)``.

    Each of the three may be given by its name. int64 by default.
    """
    rest = list(arguments)
    if size is None and rest:
        size = rest.pop()
    if high is None and rest:
        high = rest.pop()
    if low is None and rest:
        low = rest.pop()
    if rest or high is None or not isinstance(size, (tuple, list)):
        raise ArgumentError(
            f"randint: takes (high, size) or (low, high, size), and got {arguments!r:.80}, "
            f"{low=}, {high=}, {size=}."
        )
    bounds = (whole_of(low or 0, "randint", "low"), whole_of(high, "randint", "high"))
    drawn = randint(current_scope().draw(), tuple(size), *bounds, _or(dtype, int64))
    return placed(drawn, device)


def _or(dtype: DTypeLike | None, default: DType) -> DTypeLike:
    return default if dtype is None else dtype


def rand_like(
    x: TensorLike, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """Uniform floats in [0, 1) of another tensor's shape, and of its dtype and device."""
    given = as_tensor(x, "rand_like", "x")
    where = given.device if device is None else device
    return rand(given.shape, dtype=given.dtype if dtype is None else dtype, device=where)


def randn_like(
    x: TensorLike, dtype: DTypeLike | None = None, device: Device | str | None = None
) -> Tensor:
    """Standard normal draws of another tensor's shape, and of its dtype and device unless given."""
    given = as_tensor(x, "randn_like", "x")
    where = given.device if device is None else device
    return randn(given.shape, dtype=given.dtype if dtype is None else dtype, device=where)


_NOT_HERE: Final = {
    "PRNGKey": "it is slope.random.key(seed)",
    "clone": "a key is a tensor, and tensors do not change",
    "double_sided_maxwell": "it is rademacher(k1, n) * maxwell(k2, n)",
    "fork_rng": "keys need no state to be kept: slope.random.key(seed)",
    "get_rng_state": "it is slope.default_generator.key",
    "initial_seed": "slope.manual_seed(seed) sets it",
    "key_data": "a key is a tensor uint32[2]: key.numpy()",
    "orthogonal": "slope.nn.init.orthogonal gives orthogonal matrices",
    "seed": "it is slope.manual_seed(seed)",
    "set_rng_state": "it is slope.manual_seed(seed)",
    "wrap_key_data": "a key is a tensor uint32[2]: slope.tensor(data, dtype=slope.uint32)",
}


def __getattr__(name: str) -> Any:
    if name == "multivariate_normal":  # which needs factors of matrices, from above this module
        return importlib.import_module("slope.linalg._draws").multivariate_normal
    if name in _NOT_HERE:
        raise RenamedError(f"slope.random has no {name!r}: {_NOT_HERE[name]}.")
    raise AttributeError(f"module 'slope.random' has no attribute {name!r}")
