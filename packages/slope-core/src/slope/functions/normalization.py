"""Normalizing layers as functions: arguments and meanings as PyTorch's.

Tensors do not change, so statistics are returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor
from slope.core.types import Shape, TensorType
from slope.errors import ArgumentError, ShapeError
from slope.functions import norm_operators, precise, reductions
from slope.functions._arguments import flag_of, number_of, shape_of, shown, whole_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, expand_to, floating, splat_like, to_dtype

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


class BatchNorm(NamedTuple):
    """What :func:`batch_norm` returns: the result, and the running statistics for the next call."""

    output: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None


def _parameter(value: Any, shape: Shape, like: Tensor, function: str, argument: str) -> Tensor:
    given = as_tensor(value, function, argument)
    if given.shape != shape:
        raise ShapeError(
            f"{function}: {argument} must have shape {shown(shape)} for x {like.type}, but is "
            f"{given.type}."
        )
    return to_dtype(given, like.dtype)


def _affine(
    x: Tensor, weight: Any, bias: Any, shape: Shape, dims: tuple[int, ...], function: str
) -> Tensor:
    """``x * weight + bias``, both standing along ``dims``; either may be None."""
    if weight is not None:
        factor = _parameter(weight, shape, x, function, "weight")
        x = ops.mul(x, ops.broadcast(factor, shape=x.shape, dims=dims))
    if bias is not None:
        offset = _parameter(bias, shape, x, function, "bias")
        x = ops.add(x, ops.broadcast(offset, shape=x.shape, dims=dims))
    return x


def _trailing(x: Tensor, normalized_shape: Any, function: str) -> tuple[Shape, tuple[int, ...]]:
    given = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    shape = shape_of((tuple(given),), function, "normalized_shape")
    if not shape or len(shape) > x.ndim or x.shape[x.ndim - len(shape) :] != shape:
        raise ShapeError(
            f"{function}: normalized_shape={shown(shape)} must be the last dimensions of x, and "
            f"x is {x.type}."
        )
    return shape, tuple(range(x.ndim - len(shape), x.ndim))


@at_once
def layer_norm(
    x: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` over the last dimensions.

    Args:
        x: any tensor whose last dimensions are ``normalized_shape``.
        normalized_shape: the lengths of the dimensions that share a mean and a variance.
        weight: of that shape.
        bias: of that shape.
        eps: keeps the root from 0.

    Source: J. Ba, J. Kiros, G. Hinton, "Layer normalization" (2016).

    Raises:
        ShapeError: shapes that do not fit.
    """
    given = floating(x, "layer_norm")
    shape, dims = _trailing(given, normalized_shape, "layer_norm")
    out = norm_operators.standardize(given, dim=dims, eps=number_of(eps, "layer_norm", "eps"))
    return _affine(out, weight, bias, shape, dims, "layer_norm")


@at_once
def rms_norm(
    x: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """``x / sqrt(mean(x^2) + eps) * weight`` over the last dimensions.

    ``eps`` is the dtype's epsilon by default.

    Source: B. Zhang, R. Sennrich, "Root mean square layer normalization" (2019).

    Raises:
        ShapeError: shapes that do not fit.
    """
    given = floating(x, "rms_norm")
    shape, dims = _trailing(given, normalized_shape, "rms_norm")
    if eps is None:
        eps = float(dtypes.finfo(given.dtype).eps)
    out = norm_operators.rms_normalize(given, dim=dims, eps=number_of(eps, "rms_norm", "eps"))
    return _affine(out, weight, None, shape, dims, "rms_norm")


@at_once
def group_norm(
    x: TensorLike,
    num_groups: int,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Each group of an example's channels (dimension 1) normalized, and scaled by channel.

    Source: Y. Wu, K. He, "Group normalization" (2018).

    Raises:
        ShapeError: the channels do not divide into the groups, or shapes that do not fit.
    """
    given = floating(x, "group_norm")
    groups = whole_of(num_groups, "group_norm", "num_groups", 1)
    if given.ndim < 2 or given.shape[1] % groups != 0:
        raise ShapeError(
            "group_norm: x must be [batch, channels, ...] with channels divisible by "
            f"num_groups={groups}, not {given.type}."
        )
    batch, channels, *rest = given.shape
    parts = ops.reshape(given, shape=(batch, groups, channels // groups, *rest))
    dims = tuple(range(2, parts.ndim))
    out = norm_operators.standardize(parts, dim=dims, eps=number_of(eps, "group_norm", "eps"))
    out = ops.reshape(out, shape=given.shape)
    return _affine(out, weight, bias, (channels,), (1,), "group_norm")


@at_once
def instance_norm(
    x: TensorLike,
    running_mean: TensorLike | None = None,
    running_var: TensorLike | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each example normalized on its own.

    Without ``use_input_stats`` it is normalized by running statistics. These are not updated
    (``momentum`` has no effect): take :func:`slope.var_mean` of ``x`` for that.

    Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization" (2016).

    Raises:
        ShapeError: shapes that do not fit.
        ArgumentError: no statistics at all.
    """
    given = floating(x, "instance_norm")
    if given.ndim < 3:
        raise ShapeError(f"instance_norm: x must be [batch, channels, ...], not {given.type}.")
    small = number_of(eps, "instance_norm", "eps")
    number_of(momentum, "instance_norm", "momentum")
    if not flag_of(use_input_stats, "instance_norm", "use_input_stats"):
        return _by_running(given, running_mean, running_var, weight, bias, small, "instance_norm")
    out = norm_operators.standardize(given, dim=tuple(range(2, given.ndim)), eps=small)
    return _affine(out, weight, bias, (given.shape[1],), (1,), "instance_norm")


def _by_running(
    x: Tensor, mean: Any, variance: Any, weight: Any, bias: Any, eps: float, function: str
) -> Tensor:
    if mean is None or variance is None:
        raise ArgumentError(
            f"{function}: running_mean and running_var are needed to normalize by, and one is "
            "None; give both, or normalize by x's own statistics "
            f"({'training' if function == 'batch_norm' else 'use_input_stats'}=True)."
        )
    wide = dtypes.accumulator(x.dtype)
    shape = (x.shape[1],)
    like = TensorType(x.shape, wide)
    center, spread = (
        to_dtype(_parameter(value, shape, Splat(0.0, like), function, name), wide)
        for name, value in (("running_mean", mean), ("running_var", variance))
    )
    scale = ops.rsqrt(ops.add(spread, splat_like(eps, spread)))
    if weight is not None:
        scale = ops.mul(scale, _parameter(weight, shape, scale, function, "weight"))
    offset = ops.neg(ops.mul(center, scale))
    if bias is not None:
        offset = ops.add(_parameter(bias, shape, scale, function, "bias"), offset)
    out = ops.mul(to_dtype(x, wide), ops.broadcast(scale, shape=x.shape, dims=(1,)))
    return to_dtype(ops.add(out, ops.broadcast(offset, shape=x.shape, dims=(1,))), x.dtype)


def batch_norm(
    x: TensorLike,
    running_mean: TensorLike | None = None,
    running_var: TensorLike | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> BatchNorm:
    """Each channel (dimension 1) normalized over all other dimensions.

    Args:
        x: ``[batch, channels, ...]``.
        running_mean: ``[channels]``; what to normalize by unless ``training``.
        running_var: ``[channels]``; likewise.
        weight: ``[channels]``.
        bias: ``[channels]``.
        training: normalize by the batch's own statistics, and mix them into the running ones.
        momentum: their share in the new running statistics; the variance there is the unbiased one.
        eps: keeps the root from 0.

    Returns:
        ``(output, running_mean, running_var)``. Tensors do not change: keep the statistics for the
        next call. Without ``training`` they are those given; no derivative passes through them.

    Source: S. Ioffe, C. Szegedy, "Batch normalization" (2015).

    Raises:
        ShapeError: shapes that do not fit, or only one value a channel in training.
        ArgumentError: no statistics at all.
    """
    given = floating(x, "batch_norm")
    if given.ndim < 2:
        raise ShapeError(f"batch_norm: x must be [batch, channels, ...], not {given.type}.")
    small = number_of(eps, "batch_norm", "eps")
    share = number_of(momentum, "batch_norm", "momentum")
    if not flag_of(training, "batch_norm", "training"):
        out = _by_running(given, running_mean, running_var, weight, bias, small, "batch_norm")
        old = [
            each if each is None else as_tensor(each, "batch_norm", "statistics")
            for each in (running_mean, running_var)
        ]
        return BatchNorm(out, *old)
    like = Splat(0.0, TensorType(given.shape, dtypes.accumulator(given.dtype)))
    channels = (given.shape[1],)
    ones = Splat(1.0, like.type.with_shape(channels))
    factor = ones if weight is None else _parameter(weight, channels, like, "batch_norm", "weight")
    offset = (
        Splat(0.0, ones.type)
        if bias is None
        else _parameter(bias, channels, like, "batch_norm", "bias")
    )
    others = tuple(at for at in range(given.ndim) if at != 1)
    count = reductions.count_of(like, others)
    if isinstance(count, Splat) and count.value == 1:
        raise ShapeError(
            f"batch_norm: in training x {given.type} has one value a channel, whose variance is "
            "0; give a larger batch."
        )
    out, mean, variance = norm_operators.normalize_batch(given, factor, offset, dim=1, eps=small)
    mean, variance = ops.stop_gradient(mean), ops.stop_gradient(variance)
    variance = ops.mul(variance, ops.div(count, ops.sub(count, splat_like(1.0, count))))
    if isinstance(count, Splat) and count.value == 0:
        share = 0.0  # nothing was seen
        mean = variance = Splat(0.0, mean.type)
    new = [
        old if old is None else _mixed(old, fresh, share, channels, name)
        for old, fresh, name in (
            (running_mean, mean, "running_mean"),
            (running_var, variance, "running_var"),
        )
    ]
    return BatchNorm(out, *new)


def _mixed(old: Any, fresh: Tensor, share: float, shape: Shape, name: str) -> Tensor:
    given = as_tensor(old, "batch_norm", name)
    kept = _parameter(given, shape, fresh, "batch_norm", name)
    mixed = ops.add(
        ops.mul(kept, splat_like(1.0 - share, kept)), ops.mul(fresh, splat_like(share, fresh))
    )
    return to_dtype(mixed, given.dtype)


@at_once
def local_response_norm(
    x: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``x / (k + alpha * mean)**beta``: the mean square over ``size`` channels around each.

    Zeros stand beyond the first and the last channel.

    Source: A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional
        neural networks" (2012).

    Raises:
        ShapeError: ``x`` is not (n, channels, ...).
        ArgumentError: ``size`` is not positive.
    """
    name = "local_response_norm"
    given, width = floating(x, name), whole_of(size, name, "size", 1)
    if given.ndim < 3:
        raise ShapeError(f"{name}: takes (n, channels, ...), and got {given.type}.")
    one = (1,) * (given.ndim - 2)
    total = ops.window_sum(
        ops.mul(given, given),
        window=(1, width, *one),
        stride=(1, 1, *one),
        padding=((0, 0), (width // 2, (width - 1) // 2), *((0, 0) for _ in one)),
        dilation=(1, 1, *one),
    )
    share = splat_like(number_of(alpha, name, "alpha") / width, total)
    base = ops.add(splat_like(number_of(k, name, "k"), total), ops.mul(total, share))
    return ops.div(given, ops.pow_(base, splat_like(number_of(beta, name, "beta"), base)))


@at_once
def normalize(x: TensorLike, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """``x`` divided by its ``p``-norms along ``dim``; norms count as at least ``eps``."""
    given = floating(x, "normalize")
    sizes = reductions.norm(given, p=p, dim=dim, keepdim=True)
    least = splat_like(number_of(eps, "normalize", "eps"), sizes)
    return ops.div(given, expand_to(precise.clamp_min(sizes, least), given.shape))
