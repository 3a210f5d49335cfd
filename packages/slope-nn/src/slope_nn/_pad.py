"""Layers that add edges."""

from __future__ import annotations

from collections.abc import Sequence

import slope
from slope.extend import ArgumentError
from slope_nn._checks import ints, real
from slope_nn._module import Module

Widths = int | Sequence[int]


class _Pad(Module):
    """What padding layers share: widths, checked, and the mode of :func:`slope.pad`.

    Args:
        padding: before and after the last dimension, then the one before it, and so on; or one
            width for all.
    """

    _dims: int = 0
    _mode: str = "constant"

    def __init__(self, padding: Widths) -> None:
        who, count = type(self).__name__, 2 * self._dims
        widths = ints(who, "padding", padding)
        self.padding = widths * count if isinstance(padding, int) else widths
        if len(self.padding) != count:
            raise ArgumentError(
                f"{who}: padding must be one width or {count} (before and after each dimension, "
                f"the last dimension first), not {padding!r}."
            )

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, ...) to longer spatial dimensions."""
        return slope.pad(x, self.padding, self._mode)

    def describe(self) -> str:
        return repr(self.padding)


class ConstantPad1d(_Pad):
    """A value at both ends of sequences.

    Args:
        padding: widths before and after, or one for both; negative ones cut off.
        value: what to add.
    """

    _dims = 1

    def __init__(self, padding: Widths, value: float) -> None:
        super().__init__(padding)
        self.value = real(type(self).__name__, "value", value)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map shape (n, c, ...) to longer spatial dimensions."""
        return slope.pad(x, self.padding, value=self.value)

    def describe(self) -> str:
        return f"{self.padding!r}, {self.value!r}"


class ConstantPad2d(ConstantPad1d):
    """A value around images: widths are (left, right, top, bottom), or one for all."""

    _dims = 2


class ConstantPad3d(ConstantPad1d):
    """A value around volumes: six widths, the last dimension's first, or one for all."""

    _dims = 3


class ZeroPad1d(_Pad):
    """Zeros at both ends of sequences; widths as of :class:`ConstantPad1d`."""

    _dims = 1


class ZeroPad2d(_Pad):
    """Zeros around images; widths as of :class:`ConstantPad2d`."""

    _dims = 2


class ZeroPad3d(_Pad):
    """Zeros around volumes; widths as of :class:`ConstantPad3d`."""

    _dims = 3


class ReflectionPad1d(_Pad):
    """The inside, mirrored, at both ends of sequences; widths as of :class:`ConstantPad1d`."""

    _dims = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """The inside, mirrored, around images; widths as of :class:`ConstantPad2d`."""

    _dims = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """The inside, mirrored, around volumes; widths as of :class:`ConstantPad3d`."""

    _dims = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Repetitions of the edge at both ends of sequences; widths as of :class:`ConstantPad1d`."""

    _dims = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Repetitions of the edge around images; widths as of :class:`ConstantPad2d`."""

    _dims = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Repetitions of the edge around volumes; widths as of :class:`ConstantPad3d`."""

    _dims = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """What is at the other end, at both ends of sequences; widths as of :class:`ConstantPad1d`."""

    _dims = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """What is at the other end, around images; widths as of :class:`ConstantPad2d`."""

    _dims = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """What is at the other end, around volumes; widths as of :class:`ConstantPad3d`."""

    _dims = 3
    _mode = "circular"
