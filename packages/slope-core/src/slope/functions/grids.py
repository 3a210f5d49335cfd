"""Images sampled at computed places: affine grids and grid sampling, as PyTorch has them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from slope import ops
from slope.core.tensor import Tensor
from slope.dims import is_static
from slope.dtypes import DType, int64
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.functions._arguments import flag_of, shape_of, shown
from slope.functions._at_once import at_once
from slope.functions._base import (
    TensorLike,
    as_tensor,
    floating,
    result_dtype,
    splat_like,
    to_dtype,
)
from slope.functions.contraction import matmul
from slope.functions.creation import arange, ones
from slope.functions.joining import stack
from slope.functions.logic import where
from slope.functions.shapes import expand, reshape, transpose

__all__ = ["affine_grid", "grid_sample"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
_CUBIC = -0.75  # the free parameter of the cubic kernel, as in PyTorch


@at_once
def affine_grid(theta: TensorLike, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """The places that :func:`grid_sample` reads for an affine map of an image.

    Args:
        theta: ``[batch, 2, 3]`` for images or ``[batch, 3, 4]`` for volumes: what maps a place of
            the output, ``(x, y, 1)`` or ``(x, y, z, 1)``, to one of the input. The first and the
            last pixel of a dimension are at -1 and 1.
        size: the output's: (batch, channels, height, width) or (batch, channels, depth, height,
            width).
        align_corners: whether -1 and 1 are the centres of those pixels, or their outer borders.

    Returns:
        ``[batch, height, width, 2]`` or ``[batch, depth, height, width, 3]``.

    Raises:
        ShapeError, DTypeError, ArgumentError: arguments that do not fit.
    """
    maps, sizes = as_tensor(theta, "affine_grid", "theta"), shape_of((size,), "affine_grid", "size")
    if maps.dtype.kind != "f":
        raise DTypeError(f"affine_grid: theta must be of a floating dtype, not {maps.type}.")
    count = len(sizes) - 2
    if count not in (2, 3) or maps.shape != (sizes[0], count, count + 1) or not is_static(sizes):
        raise ShapeError(
            f"affine_grid: theta must be (batch, 2, 3) for size (batch, channels, height, width), "
            f"or (batch, 3, 4) with a depth, but is {maps.type} for size {shown(sizes)}."
        )
    if 0 in sizes:
        raise ShapeError(f"affine_grid: size={shown(sizes)} must be positive.")
    aligned, spatial = flag_of(align_corners, "affine_grid", "align_corners"), sizes[2:]
    axes = [_axis(length, aligned, maps.dtype) for length in spatial]
    places = [
        expand(reshape(axis, (-1,) + (1,) * (count - 1 - at)), spatial)
        for at, axis in enumerate(axes)
    ]
    points = stack([*reversed(places), ones(spatial, dtype=maps.dtype)], -1)
    grid = matmul(reshape(points, (1, -1, count + 1)), transpose(maps, 1, 2))
    return reshape(grid, (sizes[0], *spatial, count))


def _axis(length: Any, aligned: bool, dtype: DType) -> Tensor:
    """Where the pixels of a dimension are, from -1 to 1."""
    steps = arange(length, dtype=dtype) * 2.0 - (length - 1.0)
    return steps / max(length - 1.0 if aligned else length, 1.0)


@at_once
def grid_sample(
    x: TensorLike,
    grid: TensorLike,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """An image or a volume sampled at the places that a grid names.

    Args:
        x: (batch, channels, height, width), or (batch, channels, depth, height, width).
        grid: (batch, ..., 2) or (batch, ..., 3) with as many dimensions as ``x``: places (x, y) or
            (x, y, z); -1 and 1 are the first and the last pixel of a dimension.
        mode: ``"bilinear"`` (the weighted mean of the nearest, in volumes trilinear), ``"nearest"``
            (halves go to the even neighbour) or, of images, ``"bicubic"``.
        padding_mode: what is beyond the borders: ``"zeros"``, ``"border"`` (its last pixel) or
            ``"reflection"``.
        align_corners: whether -1 and 1 are the centres of those pixels, or their outer borders.

    Returns:
        (batch, channels, ...), with the grid's lengths.

    Source: M. Jaderberg et al., "Spatial transformer networks" (2015).

    Raises:
        ShapeError, DTypeError, ArgumentError: arguments that do not fit.
    """
    image, places = floating(x, "grid_sample"), floating(grid, "grid_sample", "grid")
    count = image.ndim - 2
    if (
        count not in (2, 3)
        or places.ndim != image.ndim
        or places.shape[-1] != count
        or places.shape[0] != image.shape[0]
    ):
        raise ShapeError(
            "grid_sample: takes x (batch, channels, height, width) with grid (batch, ..., 2), or "
            "x (batch, channels, depth, height, width) with grid (batch, ..., 3), and got "
            f"{image.type} and {places.type}."
        )
    if not is_static(image.shape[1:]) or 0 in image.shape[2:]:
        raise ShapeError(
            f"grid_sample: the sizes of x {image.type} must be known, and none of them 0."
        )
    known = _MODES if count == 2 else _MODES[:2]
    for name, given, choices in (
        ("mode", mode, known),
        ("padding_mode", padding_mode, _PADDINGS),
    ):
        if given not in choices:
            raise ArgumentError(
                f"grid_sample: {name}={given!r} for {count} spatial dimensions; there are "
                f"{', '.join(map(repr, choices))}."
            )
    aligned = align_corners is not None and flag_of(align_corners, "grid_sample", "align_corners")
    dtype = result_dtype("grid_sample", (image, places))
    image, places = to_dtype(image, dtype), to_dtype(places, dtype)
    flat = reshape(places, (places.shape[0], -1, count))
    where_to = [  # of each spatial dimension of x, in their order, in pixels: (batch, places)
        _pixels(flat[:, :, count - 1 - at], length, aligned)
        for at, length in enumerate(image.shape[2:])
    ]
    sampler = _Sampler(image, padding_mode, aligned)
    sample = {"bilinear": sampler.linear, "nearest": sampler.nearest, "bicubic": sampler.cubic}
    return reshape(sample[mode](where_to), (*image.shape[:2], *places.shape[1:-1]))


def _pixels(place: Tensor, length: int, aligned: bool) -> Tensor:
    """From -1 to 1 to pixels from 0 on."""
    if aligned:
        return (place + 1.0) * ((length - 1) / 2)
    return ((place + 1.0) * length - 1.0) / 2.0


class _Sampler:
    """Reads an image at places given in pixels, one tensor (batch, places) for each dimension."""

    def __init__(self, image: Tensor, padding_mode: str, aligned: bool) -> None:
        self.sizes: tuple[int, ...] = tuple(image.shape[2:])
        self.image = reshape(image, (*image.shape[:2], -1))
        self.padding_mode, self.aligned = padding_mode, aligned

    def linear(self, places: list[Tensor]) -> Tensor:
        """The weighted mean of the pixels around."""
        places = self._inside(places)
        floors = [ops.floor(place) for place in places]
        parts = [place - floor for place, floor in zip(places, floors, strict=True)]
        taps = [
            [(floor, 1.0 - part), (floor + 1.0, part)]
            for floor, part in zip(floors, parts, strict=True)
        ]
        return self._summed(taps)

    def nearest(self, places: list[Tensor]) -> Tensor:
        """The nearest pixel."""
        return self._at([ops.round_(place) for place in self._inside(places)])

    def cubic(self, places: list[Tensor]) -> Tensor:
        """Cubic convolution of the nearest four pixels of each dimension."""
        taps = []
        for place in places:
            floor = ops.floor(place)
            part = place - floor
            weights = (_far(part + 1.0), _near(part), _near(1.0 - part), _far(2.0 - part))
            taps.append([(floor + (tap - 1.0), weight) for tap, weight in enumerate(weights)])
        return self._summed(taps, padded=False)

    def _summed(self, taps: list[Any], padded: bool = True) -> Tensor:
        total: Any = None
        for chosen in itertools.product(*taps):
            corner = [place for place, _ in chosen]
            value = self._at(corner if padded else self._inside(corner))
            weight: Any = math.prod((weight for _, weight in chosen[1:]), start=chosen[0][1])
            value = value * reshape(weight, (weight.shape[0], 1, weight.shape[1]))
            total = value if total is None else total + value
        return total

    def _at(self, places: list[Tensor]) -> Tensor:
        """The pixels at whole places; zeros where there are none."""
        index: Any = 0
        inside: Any = True
        for place, length in zip(places, self.sizes, strict=True):
            inside = (place >= 0) & (place <= length - 1) & inside
            index = index * length + _between(place, length - 1.0).to(int64)
        found = ops.gather(self.image, reshape(index, (*index.shape, 1)), axis=2, batch_dims=1)
        if self.padding_mode != "zeros":
            return found
        return where(reshape(inside, (inside.shape[0], 1, inside.shape[1])), found, 0.0)

    def _inside(self, places: list[Tensor]) -> list[Tensor]:
        """Places beyond the border moved to where the padding mode finds their values."""
        if self.padding_mode == "zeros":
            return places
        moved = []
        for place, length in zip(places, self.sizes, strict=True):
            if self.padding_mode == "reflection":
                place = self._reflected(place, length)
            moved.append(_between(place, length - 1.0))
        return moved

    def _reflected(self, place: Tensor, length: int) -> Tensor:
        """Places mirrored at the borders, as often as needed."""
        start, span = (0.0, length - 1.0) if self.aligned else (-0.5, float(length))
        if span == 0:
            return splat_like(0.0, place)
        away = ops.abs_(place - start)
        turns = ops.stop_gradient(ops.floor(away / span))
        rest = away - turns * span
        return where(turns % 2.0 == 0.0, rest, span - rest) + start


def _between(place: Tensor, high: float) -> Tensor:
    """From 0 to ``high``; what is beyond has no derivative, nor have the ends, as in PyTorch."""
    return where(place <= 0.0, 0.0, where(place >= high, high, place))


def _near(d: Any) -> Any:
    """The cubic kernel at distances up to 1 (R. Keys, 1981)."""
    return ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1.0


def _far(d: Any) -> Any:
    """The cubic kernel at distances from 1 to 2."""
    return ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC
