"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn._checks import ints, positive, tensor
from slope_nn._module import Module
from slope_nn._node import Buffer
from slope_nn._placing import place


class LayerNorm(Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions.

    Source: J. Ba, J. Kiros, G. Hinton, "Layer normalization", arXiv:1607.06450.

    Args:
        normalized_shape: the last dimensions, or an int for one.
        eps: added to the variance.
        elementwise_affine: whether there are weight and bias.
        bias: whether there is a bias.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape normalized_shape, ones at the start; or None.
        bias: likewise, zeros; or None.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        self.normalized_shape = ints(type(self).__name__, "normalized_shape", normalized_shape)
        self.eps = eps
        shape = self.normalized_shape
        self.weight = slope.ones(*shape) if elementwise_affine else None
        self.bias = slope.zeros(*shape) if elementwise_affine and bias else None
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Normalize ``x`` of shape (..., *normalized_shape)."""
        return slope.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    """``x / sqrt(mean(x**2) + eps) * weight`` over the last dimensions.

    Source: B. Zhang, R. Sennrich, "Root mean square layer normalization", arXiv:1910.07467.

    Args:
        normalized_shape: the last dimensions, or an int for one.
        eps: added to the mean; the dtype's machine epsilon by default, as in PyTorch.
        elementwise_affine: whether there is a weight.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape normalized_shape, ones at the start; or None.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        self.normalized_shape = ints(type(self).__name__, "normalized_shape", normalized_shape)
        self.eps = eps
        self.weight = slope.ones(*self.normalized_shape) if elementwise_affine else None
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Normalize ``x`` of shape (..., *normalized_shape)."""
        return slope.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Normalize groups of channels together, each example by itself.

    Source: Y. Wu, K. He, "Group normalization", ECCV 2018.

    Args:
        num_groups: how many groups the channels form.
        num_channels: length of dimension 1; a multiple of num_groups.
        eps: added to the variance.
        affine: whether there are weight and bias.
        bias: whether there is a bias beside the weight.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape (num_channels,), ones at the start; or None.
        bias: likewise, zeros; or None.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: {num_channels} channels cannot form {num_groups} equal groups."
            )
        self.num_groups, self.eps = num_groups, eps
        self.weight = slope.ones(num_channels) if affine else None
        self.bias = slope.zeros(num_channels) if affine and bias else None
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Normalize ``x`` of shape (n, num_channels, ...)."""
        return slope.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class _ChannelNorm(Module):
    """What batch and instance normalization share: channels in dimension 1, running statistics."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        positive(type(self).__name__, num_features=num_features)
        if isinstance(momentum, bool) or not isinstance(momentum, int | float | None):
            raise ArgumentError(
                f"{type(self).__name__}: momentum must be a number, or None for the mean over all "
                f"batches, not {momentum!r}."
            )
        self.eps, self.momentum = eps, None if momentum is None else float(momentum)
        self.weight = slope.ones(num_features) if affine else None
        self.bias = slope.zeros(num_features) if affine and bias else None
        self.running_mean = Buffer(slope.zeros(num_features)) if track_running_stats else None
        self.running_var = Buffer(slope.ones(num_features)) if track_running_stats else None
        if track_running_stats and momentum is None:
            self.num_batches_tracked = Buffer(slope.tensor(0))
        place(self, dtype, device)

    def _track(self, mean: slope.Tensor, var: slope.Tensor) -> None:
        """Mix a batch's statistics into the running ones; without momentum, into their mean."""
        if self.momentum is None:
            self.num_batches_tracked = self.num_batches_tracked + 1
            share: Any = 1.0 / self.num_batches_tracked.astype(mean.dtype)
        else:
            share = self.momentum
        for name, fresh in (("running_mean", mean), ("running_var", var)):
            old = getattr(self, name)
            setattr(self, name, old + share * (fresh - old))

    def _checked(self, x: slope.Tensor) -> slope.Tensor:
        x = tensor(type(self).__name__, "x", x)
        dims = self._dims
        if x.ndim not in dims:
            raise ShapeError(
                f"{type(self).__name__} takes {' or '.join(map(str, dims))} dimensions "
                f"(n, channels, ...), and got {x.type}."
            )
        return x

    _dims: tuple[int, ...] = ()


class BatchNorm1d(_ChannelNorm):
    """Normalize each channel over the batch (and the length).

    In training, by the batch's own statistics, and the running ones are updated: an assignment, so
    inside a transformed function return the module to keep them. In evaluation, by the running
    statistics. The running variance is the unbiased one, as in PyTorch.

    Source: S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how much of the running statistics each batch replaces; with ``None`` they are the
            means over all batches.
        affine: whether there are weight and bias.
        track_running_stats: without them, evaluation uses the batch's own, too.
        bias: whether there is a bias beside the weight.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape (num_features,), ones at the start; or None.
        bias: likewise, zeros; or None.
        running_mean: a buffer, zeros at the start; or None.
        running_var: a buffer, ones at the start; or None.
        num_batches_tracked: a buffer, int64, with ``momentum=None`` alone: how many batches.

    Example:
        >>> def loss_of(model, x, y):
        ...     return slope.cross_entropy(model(x), y), model
        >>> (loss, model), grads = slope.value_and_grad(loss_of, has_aux=True)(model, x, y)
    """

    _dims = (2, 3)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Normalize ``x`` of shape (n, num_features, ...)."""
        x = self._checked(x)
        batch = self.training or self.running_mean is None
        out, mean, var = slope.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=batch,
            momentum=1.0 if self.momentum is None else self.momentum,
            eps=self.eps,
        )
        if self.training and self.running_mean is not None:
            if self.momentum is None:
                assert mean is not None  # with running statistics
                assert var is not None
                self._track(mean, var)
            else:
                self.running_mean, self.running_var = mean, var
        return out


class BatchNorm2d(BatchNorm1d):
    """Batch normalization of images, (n, channels, height, width); see :class:`BatchNorm1d`."""

    _dims = (4,)


class BatchNorm3d(BatchNorm1d):
    """Batch normalization of volumes, (n, channels, a, b, c); see :class:`BatchNorm1d`."""

    _dims = (5,)


class InstanceNorm1d(_ChannelNorm):
    """Normalize each channel of each example over its length.

    Source: D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", arXiv:1607.08022.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how much of the running statistics each batch replaces; with ``None`` they are the
            means over all batches.
        affine: whether there are weight and bias; as in PyTorch, there are none by default.
        track_running_stats: whether to keep means of the examples' statistics, as
            :class:`BatchNorm1d` does, and normalize by them in evaluation; not by default.
        bias: whether there is a bias beside the weight.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape (num_features,), ones at the start; or None.
        bias: likewise, zeros; or None.
        running_mean: a buffer, zeros at the start; or None.
        running_var: a buffer, ones at the start; or None.
    """

    _dims: tuple[int, ...] = (2, 3)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            bias=bias,
            dtype=dtype,
            device=device,
        )

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Normalize ``x`` of shape (n, num_features, ...), or without n."""
        x = self._checked(x)
        single = x.ndim == self._dims[0]
        out = self._normalize(x.unsqueeze(0) if single else x)
        return out.squeeze(0) if single else out

    def _normalize(self, x: slope.Tensor) -> slope.Tensor:
        mean, var = self.running_mean, self.running_var
        if mean is None or var is None:
            return slope.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        out = slope.instance_norm(
            x, mean, var, self.weight, self.bias, use_input_stats=self.training, eps=self.eps
        )
        if self.training:
            new_var, new_mean = slope.var_mean(x, tuple(range(2, x.ndim)))
            self._track(new_mean.mean(0), new_var.mean(0))
        return out


class InstanceNorm2d(InstanceNorm1d):
    """Instance normalization of images; see :class:`InstanceNorm1d`."""

    _dims = (3, 4)


class InstanceNorm3d(InstanceNorm1d):
    """Instance normalization of volumes; see :class:`InstanceNorm1d`."""

    _dims = (4, 5)


class LocalResponseNorm(Module):
    """Divide each element by what its neighbours in the channels hold: ``x / (k + ...)**beta``.

    The dots are ``alpha`` times the mean square over ``size`` channels, with zeros beyond the first
    and last. Source: A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep
    convolutional neural networks", 2012.

    Args:
        size: how many channels.
        alpha: how much the squares count.
        beta: the power.
        k: what stands beside the squares.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        positive("LocalResponseNorm", size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Normalize ``x`` of shape (n, channels, ...)."""
        return slope.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
