"""Dropout: elements or whole channels set to 0 at random."""

from __future__ import annotations

import math

from slope import ops
from slope.core.tensor import Tensor
from slope.core.types import Shape
from slope.errors import ArgumentError, ShapeError, boundary
from slope.functions import random
from slope.functions._arguments import flag_of, number_of
from slope.functions._base import TensorLike, as_tensor, floating, splat_like, to_dtype

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
]

_SELU_LIMIT = -1.0507009873554805 * 1.6732632423543772  # what selu gives at minus infinity


@boundary
def dropout(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: TensorLike | None = None,
) -> Tensor:
    """Each element is 0 with probability ``p``, else divided by ``1 - p``.

    ``x`` itself unless ``training``.

    Args:
        x: a tensor.
        p: the probability, from 0 to 1.
        training: whether to drop at all.
        inplace: PyTorch's, and changes nothing: tensors do not change.
        key: a key (:func:`slope.random.key`); the default generator draws otherwise.

    Source: N. Srivastava and others, "Dropout: a simple way to prevent neural networks from
        overfitting" (2014).

    Raises:
        ArgumentError: ``p`` is no probability.
    """
    del inplace
    return _dropped("dropout", x, p, training, key, None)


@boundary
def dropout1d(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: TensorLike | None = None,
) -> Tensor:
    """:func:`dropout` of whole channels of ``[batch, channels, length]``.

    The batch may be left out.
    """
    del inplace
    return _dropped("dropout1d", x, p, training, key, 1)


@boundary
def dropout2d(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: TensorLike | None = None,
) -> Tensor:
    """:func:`dropout` of whole channels of ``[batch, channels, height, width]``.

    The batch may be left out.
    """
    del inplace
    return _dropped("dropout2d", x, p, training, key, 2)


@boundary
def dropout3d(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: TensorLike | None = None,
) -> Tensor:
    """:func:`dropout` of whole channels of ``[batch, channels, a, b, c]``.

    The batch may be left out.
    """
    del inplace
    return _dropped("dropout3d", x, p, training, key, 3)


@random.all_or_nothing
def alpha_dropout(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: TensorLike | None = None,
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks of :func:`slope.selu`.

    What is dropped takes SELU's limit at minus infinity, and then all is scaled and shifted.

    Args:
        x: a tensor.
        p: the probability, from 0 to 1.
        training: whether to drop at all.
        inplace: PyTorch's, and changes nothing: tensors do not change.
        key: a key (:func:`slope.random.key`); the default generator draws otherwise.

    Source: G. Klambauer and others, "Self-normalizing neural networks" (2017).

    Raises:
        ArgumentError: ``p`` is no probability.
    """
    del inplace
    given, chance = _checked("alpha_dropout", x, p)
    if not flag_of(training, "alpha_dropout", "training") or chance == 0.0:
        return given
    if chance == 1.0:
        return ops.mul(given, splat_like(0.0, given))
    factor = 1.0 / math.sqrt((1.0 - chance) * (1.0 + chance * _SELU_LIMIT**2))
    kept = _kept("alpha_dropout", chance, given.shape, key)
    out = ops.where(kept, given, splat_like(_SELU_LIMIT, given))
    scaled = ops.mul(out, splat_like(factor, out))
    return ops.add(scaled, splat_like(-factor * chance * _SELU_LIMIT, out))


def _checked(function: str, x: object, p: float) -> tuple[Tensor, float]:
    given, chance = floating(x, function), number_of(p, function, "p")
    if not 0.0 <= chance <= 1.0:
        raise ArgumentError(f"{function}: p={chance} must be a probability, from 0 to 1.")
    return given, chance


def _kept(function: str, chance: float, shape: Shape, key: object) -> Tensor:
    """What stays, drawn for each element of a shape."""
    drawn = random.current_scope().draw() if key is None else as_tensor(key, function, "key")
    return random.bernoulli(drawn, 1.0 - chance, shape)


@random.all_or_nothing
def _dropped(
    function: str, x: object, p: float, training: bool, key: object, spatial: int | None
) -> Tensor:
    given, chance = _checked(function, x, p)
    if spatial is not None and given.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            f"{function}: x must have {spatial + 1} or {spatial + 2} dimensions, channels before "
            f"{spatial} others, but is {given.type}."
        )
    if not flag_of(training, function, "training") or chance == 0.0:
        return given
    if chance == 1.0:
        return ops.mul(given, splat_like(0.0, given))
    shape = given.shape if spatial is None else given.shape[: given.ndim - spatial]
    scale = to_dtype(_kept(function, chance, shape, key), given.dtype)
    scale = ops.mul(scale, splat_like(1.0 / (1.0 - chance), scale))
    if spatial is not None:
        scale = ops.broadcast(scale, shape=given.shape, dims=tuple(range(len(shape))))
    return ops.mul(given, scale)
