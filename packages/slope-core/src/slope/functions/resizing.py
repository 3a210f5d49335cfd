"""Other resolutions: interpolation, and channels exchanged with pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import flag_of, shown
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, floating, of_host
from slope.functions._taps import Array, taps_of, wide_taps
from slope.functions.adaptive_pooling import adaptive_mean, taken
from slope.functions.convolution import Lengths, lengths
from slope.functions.pooling import image
from slope.functions.selection import repeat_interleave

__all__ = [
    "fold",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]

_DIMS = {  # of the modes that do not take any number of spatial dimensions
    "linear": 1,
    "bilinear": 2,
    "bicubic": 2,
    "trilinear": 3,
}
_PLAIN = ("nearest", "nearest-exact", "area")
_SMOOTH = ("bilinear", "bicubic")
# How many elements a matrix that resizes may have: contractions are far faster than gathers, whose
# gradients scatter (IREE, 32 to 64 pixels: 100 times), but their work grows with the length.
_MATRIX = 1 << 20


@at_once
def interpolate(
    x: TensorLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """``x`` resized to another resolution.

    Args:
        x: (batch, channels, spatial...).
        size: the new spatial lengths; or else
        scale_factor: what the lengths are multiplied by (rounded down), which then are also the
            steps between samples.
        mode: ``"nearest"`` (the element at or before each place), ``"nearest-exact"`` (that of the
            nearest centre), ``"area"`` (the mean, :func:`slope.adaptive_avg_pool2d`), or
            ``"linear"``, ``"bilinear"``, ``"trilinear"`` for one, two, three spatial dimensions
            (the weighted mean of the nearest), or ``"bicubic"`` for two (cubic convolution of the
            nearest four in each, which may overshoot).
        align_corners: for the linear and cubic ones: whether the first and last elements, rather
            than the borders, come to lie upon those of ``x``.
        recompute_scale_factor: take the new lengths from ``scale_factor``, and the steps between
            samples from the lengths.
        antialias: for ``"bilinear"`` and ``"bicubic"``: where samples are further apart than
            elements, stretch the kernel so that each is a mean of all that it stands for, as Pillow
            does (whose cubic kernel has a = -0.5).

    An element that is not finite may make NaN of all that stands in its row and column in the
    linear and cubic modes, which are products with matrices.

    Source of the cubic kernel, with a = -0.75: R. Keys, "Cubic convolution interpolation for
        digital image processing" (1981).

    Raises:
        ArgumentError: arguments that do not go together.
        ShapeError: a wrong number of dimensions.
    """
    given = as_tensor(x, "interpolate", "x")
    count = given.ndim - 2
    if count in (1, 2, 3) and not is_static(given.shape[2:]):
        return _repeated(given, count, size, scale_factor, mode)
    if count not in (1, 2, 3) or 0 in given.shape[2:]:
        raise ShapeError(
            "interpolate: x must have a batch dimension, channels and 1 to 3 spatial dimensions "
            f"that are not empty, and has the shape {shown(given.shape)}."
        )
    _check_mode(mode, count, align_corners, antialias)
    targets, steps = _targets(given, count, size, scale_factor)
    if recompute_scale_factor:
        if size is not None:
            raise ArgumentError(
                "interpolate: recompute_scale_factor goes with scale_factor, and not with size."
            )
        steps = tuple(old / new for old, new in zip(given.shape[2:], targets, strict=True))
    if mode == "area":
        return adaptive_mean(given, count, "interpolate", targets)
    if mode in _PLAIN:
        shift = 0.5 if mode == "nearest-exact" else 0.0
        for dim, (wanted, step) in enumerate(zip(targets, steps, strict=True), start=2):
            given = _nearest(given, dim, wanted, step, shift)
        return given
    given = floating(given, "interpolate")
    sizes = list(zip(given.shape[2:], targets, steps, strict=True))
    find = wide_taps if antialias else taps_of
    taps = [find(mode, *size, bool(align_corners)) for size in sizes]
    if all(length * wanted <= _MATRIX for length, wanted, _ in sizes):
        return _by_matrices(given, taps)
    for dim, (places, weights) in enumerate(taps, start=2):
        given = _by_gathers(given, dim, places, weights)
    return given


def _check_mode(mode: str, count: int, align_corners: bool | None, antialias: bool) -> None:
    """Refuse a mode that is none, and what does not go with it."""
    known = [*_PLAIN, *(name for name, dims in _DIMS.items() if dims == count)]
    if mode not in known:
        raise ArgumentError(
            f"interpolate: mode={mode!r} for {count} spatial dimensions; there are "
            f"{', '.join(map(repr, known))}."
        )
    if mode in _PLAIN and align_corners is not None:
        raise ArgumentError(
            "interpolate: align_corners goes with the linear and cubic modes alone; leave it out."
        )
    if flag_of(antialias, "interpolate", "antialias") and mode not in _SMOOTH:
        raise ArgumentError(
            f"interpolate: antialias goes with mode='bilinear' and 'bicubic', not {mode!r}."
        )


def _repeated(x: Tensor, count: int, size: Any, scale_factor: Any, mode: str) -> Tensor:
    """:func:`interpolate` where spatial lengths are symbolic: each element several times.

    Raises:
        ShapeError: anything else than ``"nearest"`` by whole factors.
    """
    scales = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * count
    whole = all(
        isinstance(scale, int | float) and scale >= 1 and scale % 1 == 0 for scale in scales
    )
    if size is not None or len(scales) != count or not whole or mode not in _PLAIN[:2]:
        raise ShapeError(
            f"interpolate: the spatial lengths of x, of shape {shown(x.shape)}, must be known, but "
            f"for mode='nearest' with whole numbers as scale_factor; here are mode={mode!r}, "
            f"size={size!r} and scale_factor={scale_factor!r}."
        )
    for dim, scale in enumerate(scales, start=2):
        x = repeat_interleave(x, int(scale), dim)
    return x


def _targets(
    x: Tensor, count: int, size: Any, scale: Any
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The new lengths, and how far apart samples are in ``x``."""
    if (size is None) == (scale is None):
        raise ArgumentError(
            f"interpolate: give either size or scale_factor, and not both; got size={size!r}, "
            f"scale_factor={scale!r}."
        )
    if scale is None:
        targets = lengths(size, count, "interpolate", "size", 1)
        return targets, tuple(old / new for old, new in zip(x.shape[2:], targets, strict=True))
    factors = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,) * count
    valid = all(isinstance(each, (int, float)) and each > 0 for each in factors)
    targets = (
        tuple(math.floor(old * each) for old, each in zip(x.shape[2:], factors, strict=False))
        if valid
        else ()
    )
    if len(factors) != count or not valid or 0 in targets:
        raise ArgumentError(
            f"interpolate: scale_factor={scale!r} must be a positive number or {count} of them, "
            f"and leave something of {shown(x.shape[2:])}."
        )
    return targets, tuple(1.0 / each for each in factors)


def _nearest(x: Tensor, dim: int, wanted: int, step: float, shift: float) -> Tensor:
    length = x.shape[dim]
    times = wanted // length
    if times * length == wanted and step * times == 1.0:  # each element several times
        shape = (*x.shape[: dim + 1], times, *x.shape[dim + 1 :])
        dims = tuple(each for each in range(len(shape)) if each != dim + 1)
        merged = (*x.shape[:dim], wanted, *x.shape[dim + 1 :])
        return ops.reshape(ops.broadcast(x, shape=shape, dims=dims), shape=merged)
    numbers = np.arange(wanted, dtype=np.float32) + np.float32(shift)
    places = np.floor(numbers * np.float32(step))
    return taken(x, dim, np.minimum(places, length - 1).astype(np.int64))


def _by_matrices(x: Tensor, taps: Sequence[tuple[Array, Array]]) -> Tensor:
    """Contractions with constant matrices, whose gradients are contractions, too.

    Each takes the first spatial dimension away and puts the new one behind the last, so that after
    all they stand in order again.
    """
    for places, weights in taps:
        matrix = np.zeros((len(places), x.shape[2]))
        np.add.at(matrix, (np.arange(len(places))[:, None], places), weights)
        given = of_host(matrix.astype(x.dtype.numpy))
        x = ops.dot_general(x, given, contract=((2,), (1,)), batch=((), ()))
    return x


def _by_gathers(x: Tensor, dim: int, places: Array, weights: Array) -> Tensor:
    """The same along one dimension without a matrix, for those too long for one."""
    out = None
    for tap in range(places.shape[1]):
        met = taken(x, dim, places[:, tap])
        factor = of_host(np.ascontiguousarray(weights[:, tap]).astype(x.dtype.numpy))
        part = ops.mul(met, ops.broadcast(factor, shape=met.shape, dims=(dim,)))
        out = part if out is None else ops.add(out, part)
    assert out is not None
    return out


@at_once
def pixel_shuffle(x: TensorLike, upscale_factor: int) -> Tensor:
    """(..., channels r r, height, width) as (..., channels, height r, width r).

    ``r`` is ``upscale_factor``.

    Raises:
        ShapeError: channels that are no multiple of ``r r``.
        ArgumentError: no positive factor.
    """
    given, r = _pixels("pixel_shuffle", x, "upscale_factor", upscale_factor)
    *lead, channels, height, width = given.shape
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: upscale_factor={r} needs a multiple of {r * r} channels, and x has "
            f"the shape {shown(given.shape)}."
        )
    n = len(lead)
    split = ops.reshape(given, shape=(*lead, channels // (r * r), r, r, height, width))
    moved = ops.permute(split, dims=(*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return ops.reshape(moved, shape=(*lead, channels // (r * r), height * r, width * r))


@at_once
def pixel_unshuffle(x: TensorLike, downscale_factor: int) -> Tensor:
    """(..., channels, height r, width r) as (..., channels r r, height, width).

    ``r`` is ``downscale_factor``.

    Raises:
        ShapeError: lengths that are no multiples of ``r``.
        ArgumentError: no positive factor.
    """
    given, r = _pixels("pixel_unshuffle", x, "downscale_factor", downscale_factor)
    *lead, channels, height, width = given.shape
    if height % r or width % r:
        raise ShapeError(
            f"pixel_unshuffle: downscale_factor={r} must divide height and width, and x has the "
            f"shape {shown(given.shape)}."
        )
    n = len(lead)
    split = ops.reshape(given, shape=(*lead, channels, height // r, r, width // r, r))
    moved = ops.permute(split, dims=(*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return ops.reshape(moved, shape=(*lead, channels * r * r, height // r, width // r))


def _pixels(function: str, x: TensorLike, argument: str, factor: Any) -> tuple[Tensor, int]:
    given = as_tensor(x, function, "x")
    if given.ndim < 3:
        raise ShapeError(
            f"{function}: x must have at least 3 dimensions (channels, height, width), and has the "
            f"shape {shown(given.shape)}."
        )
    if not isinstance(factor, int) or isinstance(factor, bool) or factor < 1:
        raise ArgumentError(f"{function}: {argument}={factor!r} must be a positive int.")
    return given, factor


@at_once
def unfold(
    x: TensorLike,
    kernel_size: Lengths,
    dilation: Lengths = 1,
    padding: Lengths = 0,
    stride: Lengths = 1,
) -> Tensor:
    """All windows of an image as columns: (batch, channels times elements of a window, windows).

    Args:
        x: (batch, channels, height, width); the batch may be left out.
        kernel_size: height and width of a window, one number or two.
        dilation: as for :func:`slope.conv2d`.
        padding: likewise.
        stride: likewise.

    Raises:
        ShapeError: a window that does not fit.
    """
    given = image(x, 2, "unfold")
    single = given.ndim == 3
    if single:
        given = ops.reshape(given, shape=(1, *given.shape))
    kernel = lengths(kernel_size, 2, "unfold", "kernel_size", 1)
    gaps = lengths(dilation, 2, "unfold", "dilation", 1)
    steps = lengths(stride, 2, "unfold", "stride", 1)
    around = (0, 0, *lengths(padding, 2, "unfold", "padding"))
    if any(around):
        given = ops.pad(given, low=around, high=around, interior=(0,) * 4, value=0)
    out = _windows(given.shape[2:], kernel, gaps, steps)
    if any(isinstance(each, int) and each < 1 for each in out):
        raise ShapeError(
            f"unfold: a window of {kernel} with dilation {gaps} does not fit into "
            f"{shown(given.shape[2:])}, padding included."
        )
    batch, channels = given.shape[:2]
    parts = []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            first = (row * gaps[0], column * gaps[1])
            stop = tuple(a + (n - 1) * s + 1 for a, n, s in zip(first, out, steps, strict=True))
            part = ops.slice_(
                given, start=(0, 0, *first), stop=(batch, channels, *stop), step=(1, 1, *steps)
            )
            parts.append(ops.reshape(part, shape=(batch, channels, 1, out[0] * out[1])))
    columns = ops.cat(*parts, dim=2)
    lead = () if single else (batch,)
    return ops.reshape(columns, shape=(*lead, channels * kernel[0] * kernel[1], out[0] * out[1]))


@at_once
def fold(
    x: TensorLike,
    output_size: Lengths,
    kernel_size: Lengths,
    dilation: Lengths = 1,
    padding: Lengths = 0,
    stride: Lengths = 1,
) -> Tensor:
    """Columns back into an image, added where windows overlap: the transpose of :func:`unfold`.

    Args:
        x: (batch, channels times elements of a window, windows); the batch may be left out.
        output_size: height and width of the image, one number or two.
        kernel_size: height and width of a window, one number or two.
        dilation: as for :func:`slope.unfold`.
        padding: likewise.
        stride: likewise.

    Raises:
        ShapeError: another number of windows, or of elements, than such an image has.
    """
    given = as_tensor(x, "fold", "x")
    if given.ndim not in (2, 3):
        raise ShapeError(f"fold: x must be (batch, elements, windows), not {given.type}.")
    single = given.ndim == 2
    kernel = lengths(kernel_size, 2, "fold", "kernel_size", 1)
    size = lengths(output_size, 2, "fold", "output_size", 1)
    gaps = lengths(dilation, 2, "fold", "dilation", 1)
    steps = lengths(stride, 2, "fold", "stride", 1)
    around = lengths(padding, 2, "fold", "padding")
    whole = tuple(n + 2 * more for n, more in zip(size, around, strict=True))
    out = _windows(whole, kernel, gaps, steps)
    taps = kernel[0] * kernel[1]
    batch = 1 if single else given.shape[0]
    if given.shape[-2] % taps or given.shape[-1] != out[0] * out[1] or min(out) < 1:
        raise ShapeError(
            f"fold: an image of {size} has {out[0]} x {out[1]} windows of {kernel}, and x, of "
            f"{given.type}, should have a multiple of {taps} elements in each of as many."
        )
    channels = given.shape[-2] // taps
    parts = ops.reshape(given, shape=(batch, channels, taps, *out))
    firsts = [(row * gaps[0], column * gaps[1]) for row, column in np.ndindex(*kernel)]
    image_ = ops.slice_(
        _overlaid(parts, firsts, whole, steps),
        start=(0, 0, *around),
        stop=(batch, channels, around[0] + size[0], around[1] + size[1]),
        step=(1,) * 4,
    )
    return ops.reshape(image_, shape=image_.shape[1:]) if single else image_


def _windows(
    shape: Sequence[Any], kernel: Sequence[int], gaps: Sequence[int], steps: Sequence[int]
) -> tuple[Any, ...]:
    """How many windows fit along each spatial dimension, padding included."""
    return tuple(
        (n - gap * (taps - 1) - 1) // step + 1
        for n, gap, taps, step in zip(shape, gaps, kernel, steps, strict=True)
    )


def _overlaid(
    parts: Tensor, firsts: Sequence[tuple[int, int]], whole: tuple[Any, ...], steps: tuple[int, ...]
) -> Tensor:
    """The sum over taps of (batch, channels, tap, windows...), each begun at its first place."""
    batch, channels, _, *out = parts.shape
    total: Tensor | None = None
    for tap, first in enumerate(firsts):
        rest = tuple(
            n - at - (count - 1) * step - 1
            for n, at, count, step in zip(whole, first, out, steps, strict=True)
        )
        part = ops.slice_(
            parts,
            start=(0, 0, tap, 0, 0),
            stop=(batch, channels, tap + 1, *out),
            step=(1,) * 5,
        )
        placed = ops.pad(
            ops.reshape(part, shape=(batch, channels, *out)),
            low=(0, 0, *first),
            high=(0, 0, *rest),
            interior=(0, 0, steps[0] - 1, steps[1] - 1),
            value=0,
        )
        total = placed if total is None else ops.add(total, placed)
    assert total is not None
    return total
