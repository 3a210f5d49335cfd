"""Initial values: functions of a shape and a key.

Every function takes ``shape``, and ``key`` for its draws (from slope's default generator if not
given). Where fans matter, a shape is ``(out, in, *window)`` as of PyTorch's weights: the fan in is
``in`` times the window's size, the fan out ``out`` times it.

Example:
    >>> layer.weight = nn.init.he_normal(layer.weight.shape, key=slope.random.key(0))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

import slope
from slope.extend import ArgumentError, RenamedError, ShapeError
from slope_nn import _checks
from slope_nn._missing import missing_in

__all__ = [
    "constant",
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "skip",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = Sequence[int]
Key = slope.Tensor | None

_skipping: Final[ContextVar[bool]] = ContextVar("slope_nn_skipping", default=False)


@contextmanager
def skip() -> Iterator[None]:
    """Leave out all draws inside a ``with`` block: models start with zeros, at no cost.

    For models whose weights are loaded next.

    Example:
        >>> with nn.init.skip():
        ...     model = nn.Linear(4096, 4096)
        >>> model.load("weights.safetensors")
    """
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def zeros(shape: Shape, *, key: Key = None, dtype: Any = slope.float32) -> slope.Tensor:
    """Zeros; the key is not used."""
    return slope.zeros(*_checks.shape("zeros", shape), dtype=dtype)


def ones(shape: Shape, *, key: Key = None, dtype: Any = slope.float32) -> slope.Tensor:
    """Ones; the key is not used."""
    return slope.ones(*_checks.shape("ones", shape), dtype=dtype)


def constant(
    shape: Shape, value: float, *, key: Key = None, dtype: Any = slope.float32
) -> slope.Tensor:
    """One value everywhere; the key is not used."""
    return slope.full(_checks.shape("constant", shape), value, dtype=dtype)


def uniform(
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    *,
    key: Key = None,
    dtype: Any = slope.float32,
) -> slope.Tensor:
    """Evenly spread in ``[low, high)``, the same values on every backend."""
    shape = _checks.shape("uniform", shape)
    low, high = _checks.real("uniform", "low", low), _checks.real("uniform", "high", high)
    if _skipping.get():
        return zeros(shape, dtype=dtype)
    unit = (
        slope.rand(*shape, dtype=dtype)
        if key is None
        else slope.random.uniform(key, shape, dtype=dtype)
    )
    # Centre first, then scale: no backend can fuse that into one rounding where the centre is 0.
    spread = (unit - 0.5) * (high - low)
    return spread if low == -high else spread + (low + high) / 2


def normal(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    key: Key = None,
    dtype: Any = slope.float32,
) -> slope.Tensor:
    """Normal draws."""
    shape = _checks.shape("normal", shape)
    mean, std = _checks.real("normal", "mean", mean), _checks.real("normal", "std", std)
    if _skipping.get():
        return zeros(shape, dtype=dtype)
    unit = (
        slope.randn(*shape, dtype=dtype)
        if key is None
        else slope.random.normal(key, shape, dtype=dtype)
    )
    return unit * std + mean


def truncated_normal(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    *,
    key: Key = None,
    dtype: Any = slope.float32,
) -> slope.Tensor:
    """Normal draws between bounds, by the inverse of the distribution function.

    Args:
        shape: of the result.
        mean: of the whole normal distribution.
        std: of the whole normal distribution.
        low: the lower bound, as a value (not in standard deviations), as in PyTorch.
        high: the upper bound.
        key: for the draws.
        dtype: of the result.
    """
    given = {"mean": mean, "std": std, "low": low, "high": high}
    mean, std, low, high = (
        _checks.real("truncated_normal", name, each) for name, each in given.items()
    )
    if not std > 0:
        raise ArgumentError(f"truncated_normal: std must be above 0, not {std!r}.")
    if not low < high:
        raise ArgumentError(f"truncated_normal: low ({low!r}) must be less than high ({high!r}).")
    ends = [math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (low, high)]
    if ends[0] == ends[1]:
        raise ArgumentError(
            f"truncated_normal: no float lies between {low!r} and {high!r} with mean {mean!r} and "
            f"std {std!r}."
        )
    unit = slope.erfinv(uniform(shape, *ends, key=key, dtype=dtype))
    return slope.clamp(unit * (std * math.sqrt(2)) + mean, low, high)


def fans(shape: Shape) -> tuple[int, int]:
    """The fan in and the fan out of a weight.

    Raises:
        ShapeError: less than two dimensions.
    """
    shape = _checks.shape("fans", shape)
    if len(shape) < 2:
        raise ShapeError(
            f"fans: a weight of shape {tuple(shape)} has no fan in and fan out; it needs at least "
            f"two dimensions (out, in)."
        )
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def variance_scaling(
    shape: Shape,
    scale: float = 1.0,
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in",
    distribution: Literal["normal", "truncated_normal", "uniform"] = "truncated_normal",
    *,
    key: Key = None,
    dtype: Any = slope.float32,
) -> slope.Tensor:
    """Draws with the variance ``scale / fan``.

    Args:
        shape: of the weight.
        scale: the variance times the fan.
        mode: which fan.
        distribution: of the draws; the truncated normal one ends at two standard deviations and is
            widened so that its own deviation is right.
        key: for the draws.
        dtype: of the result.
    """
    if _checks.real("variance_scaling", "scale", scale) < 0:
        raise ArgumentError(f"variance_scaling: scale must be at least 0, not {scale!r}.")
    both = fans(shape)
    known = {"fan_in": both[0], "fan_out": both[1], "fan_avg": sum(both) / 2}
    if not isinstance(mode, str) or mode not in known:
        raise ArgumentError(f"variance_scaling: mode must be one of {[*known]}, not {mode!r}.")
    std = math.sqrt(scale / max(known[mode], 1))
    if distribution == "uniform":
        bound = std * math.sqrt(3)
        return uniform(shape, -bound, bound, key=key, dtype=dtype)
    if distribution == "normal":
        return normal(shape, 0.0, std, key=key, dtype=dtype)
    if distribution == "truncated_normal":
        wide = std / 0.87962566103423978  # the deviation of a normal cut at 2
        return truncated_normal(shape, 0.0, wide, -2 * wide, 2 * wide, key=key, dtype=dtype)
    raise ArgumentError(
        f"variance_scaling: distribution must be 'normal', 'truncated_normal' or 'uniform', "
        f"not {distribution!r}."
    )


def glorot_uniform(
    shape: Shape, gain: float = 1.0, *, key: Key = None, dtype: Any = slope.float32
) -> slope.Tensor:
    """Uniform with variance ``2 * gain**2 / (fan in + fan out)``.

    Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.
    """
    gain = _checks.real("glorot_uniform", "gain", gain)
    return variance_scaling(shape, gain**2, "fan_avg", "uniform", key=key, dtype=dtype)


def glorot_normal(
    shape: Shape, gain: float = 1.0, *, key: Key = None, dtype: Any = slope.float32
) -> slope.Tensor:
    """Normal with variance ``2 * gain**2 / (fan in + fan out)``; see :func:`glorot_uniform`."""
    gain = _checks.real("glorot_normal", "gain", gain)
    return variance_scaling(shape, gain**2, "fan_avg", "normal", key=key, dtype=dtype)


def he_uniform(
    shape: Shape,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    negative_slope: float = 0.0,
    *,
    key: Key = None,
    dtype: Any = slope.float32,
) -> slope.Tensor:
    """Uniform with variance ``2 / ((1 + negative_slope**2) * fan)``, for layers before a ReLU.

    Source: K. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    negative_slope = _checks.real("he_uniform", "negative_slope", negative_slope)
    scale = 2.0 / (1 + negative_slope**2)
    return variance_scaling(shape, scale, mode, "uniform", key=key, dtype=dtype)


def he_normal(
    shape: Shape,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    negative_slope: float = 0.0,
    *,
    key: Key = None,
    dtype: Any = slope.float32,
) -> slope.Tensor:
    """Normal with variance ``2 / ((1 + negative_slope**2) * fan)``; see :func:`he_uniform`."""
    negative_slope = _checks.real("he_normal", "negative_slope", negative_slope)
    scale = 2.0 / (1 + negative_slope**2)
    return variance_scaling(shape, scale, mode, "normal", key=key, dtype=dtype)


def lecun_uniform(shape: Shape, *, key: Key = None, dtype: Any = slope.float32) -> slope.Tensor:
    """Uniform with variance ``1 / fan in``.

    Source: Y. LeCun et al., "Efficient backprop", 1998.
    """
    return variance_scaling(shape, 1.0, "fan_in", "uniform", key=key, dtype=dtype)


def lecun_normal(shape: Shape, *, key: Key = None, dtype: Any = slope.float32) -> slope.Tensor:
    """Truncated normal with variance ``1 / fan in``; see :func:`lecun_uniform`."""
    return variance_scaling(shape, 1.0, "fan_in", "truncated_normal", key=key, dtype=dtype)


def orthogonal(
    shape: Shape, gain: float = 1.0, *, key: Key = None, dtype: Any = slope.float32
) -> slope.Tensor:
    """A matrix with orthonormal rows or columns (whichever are fewer), times ``gain``.

    Dimensions after the first count as one. Source: A. Saxe, J. McClelland, S. Ganguli, "Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.

    Raises:
        ShapeError: less than two dimensions.
    """
    shape, gain = _checks.shape("orthogonal", shape), _checks.real("orthogonal", "gain", gain)
    if len(shape) < 2:
        raise ShapeError(
            f"orthogonal: a shape of at least two dimensions is needed, not {tuple(shape)}."
        )
    if _skipping.get():
        return zeros(shape, dtype=dtype)
    rows, columns = shape[0], math.prod(shape[1:])
    tall = (max(rows, columns), min(rows, columns))
    wide = slope.float64 if slope.zeros(0, dtype=dtype).dtype == slope.float64 else slope.float32
    basis, upper = slope.linalg.qr(normal(tall, key=key, dtype=wide))
    basis = basis * slope.where(slope.diagonal(upper) < 0, -gain, gain)  # makes the draw even
    return (basis if rows >= columns else basis.T).reshape(tuple(shape)).astype(dtype)


xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


_NOT_HERE: Final = {
    "calculate_gain": "gains are numbers: math.sqrt(2) before a ReLU, 5 / 3 before tanh, else 1",
    "delta_orthogonal": "place nn.init.orthogonal at the window's centre: zeros.at[..., 1, 1].set",
    "dirac_": "place slope.eye at the window's centre: zeros.at[..., 1, 1].set",
    "eye_": "write layer.weight = slope.eye(rows, columns)",
    "sparse_": "write layer.weight = nn.init.normal(shape) * slope.bernoulli(...)",
    "trunc_normal_": "write layer.weight = nn.init.truncated_normal(layer.weight.shape)",
}


def __getattr__(name: str) -> Any:
    if name[-1:] == "_" and name[:-1] in __all__:
        raise RenamedError(
            f"nn.init has no {name!r}: tensors do not change; write for instance "
            f"layer.weight = nn.init.{name[:-1]}(layer.weight.shape)."
        )
    raise missing_in("slope.nn.init", name, _NOT_HERE)
