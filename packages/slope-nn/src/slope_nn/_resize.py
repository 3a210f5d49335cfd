"""Layers that change resolution."""

from __future__ import annotations

from collections.abc import Sequence

import slope
from slope.extend import ArgumentError
from slope_nn._checks import positive
from slope_nn._module import Module


class Upsample(Module):
    """Another resolution; see :func:`slope.interpolate`.

    Args:
        size: the new spatial lengths, or one for all; or else
        scale_factor: what the lengths are multiplied by, one number or one for each dimension.
        mode: ``"nearest"``, ``"linear"``, ``"bilinear"``, ``"bicubic"`` or ``"trilinear"``.
        align_corners: for all modes but the nearest: whether the first and last elements, rather
            than the borders, come to lie upon each other.
        recompute_scale_factor: take the steps between samples from the lengths, and not from
            ``scale_factor``.

    Example:
        >>> nn.Upsample(scale_factor=2, mode="bilinear")(slope.ones(1, 3, 8, 8)).shape
        (1, 3, 16, 16)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"Upsample: give either size or scale_factor, and not both; got size={size!r}, "
                f"scale_factor={scale_factor!r}."
            )
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, ...) to (n, c, new lengths)."""
        return slope.interpolate(
            x,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )


class UpsamplingNearest2d(Upsample):
    """Images at another resolution, by the nearest pixel; see :class:`Upsample`."""

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Images at another resolution, bilinear with aligned corners; see :class:`Upsample`."""

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class ChannelShuffle(Module):
    """Channels taken from each of several groups in turn; see :func:`slope.channel_shuffle`.

    Args:
        groups: how many; they divide the channels.
    """

    def __init__(self, groups: int) -> None:
        positive("ChannelShuffle", groups=groups)
        self.groups = groups

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, channels, ...) to the same."""
        return slope.channel_shuffle(x, self.groups)


class PixelShuffle(Module):
    """Turn channels into finer pixels.

    Source: W. Shi et al., "Real-time single image and video super-resolution", CVPR 2016.

    Args:
        upscale_factor: r.
    """

    def __init__(self, upscale_factor: int) -> None:
        positive("PixelShuffle", upscale_factor=upscale_factor)
        self.upscale_factor = upscale_factor

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c * r * r, h, w) to (n, c, h * r, w * r)."""
        return slope.pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Module):
    """Turn pixels into channels: the inverse of :class:`PixelShuffle`.

    Args:
        downscale_factor: r.
    """

    def __init__(self, downscale_factor: int) -> None:
        positive("PixelUnshuffle", downscale_factor=downscale_factor)
        self.downscale_factor = downscale_factor

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, h * r, w * r) to (n, c * r * r, h, w)."""
        return slope.pixel_unshuffle(x, self.downscale_factor)
