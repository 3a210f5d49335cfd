"""What the three convolutions share: where dimensions stand, checks, batching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.ops._bilinear import Bilinear
from slope.ops._family import insert, require_kind, shifted
from slope.ops.linear import batched_at, reshape

Dims = tuple[Any, ...]

Padding = tuple[tuple[int, int], ...]

LAYOUTS: Final = ("NCHW", "NHWC")


class ConvAxes(NamedTuple):
    """Where the dimensions stand.

    Attributes:
        channel, spatial: of an input or output; its batch dimension is dimension 0.
        out, into, kernel: of the weights: output channels, input channels, spatial dimensions.
    """

    channel: int
    spatial: tuple[int, ...]
    out: int
    into: int
    kernel: tuple[int, ...]


def conv_axes(layout: str, ndim: int) -> ConvAxes:
    """Where the dimensions of a convolution's operands of ``ndim`` dimensions stand.

    Raises:
        ArgumentError: there is no such layout.
    """
    if layout == "NCHW":
        return ConvAxes(1, tuple(range(2, ndim)), 0, 1, tuple(range(2, ndim)))
    if layout == "NHWC":
        return ConvAxes(
            ndim - 1, tuple(range(1, ndim - 1)), ndim - 1, ndim - 2, tuple(range(ndim - 2))
        )
    raise ArgumentError(f"conv: there is no layout {layout!r}; there are {' and '.join(LAYOUTS)}.")


def placed(channel: Any, first: Any, spatial: Sequence[Any], at: int) -> Dims:
    """A shape of an input or output, its channels at ``at``."""
    return insert((first, *spatial), at, channel)


def windows(size: Any, kernel: Any, stride: int, padding: tuple[int, int], dilation: int) -> Any:
    """How many windows fit into a padded length."""
    return (size + padding[0] + padding[1] - dilation * (kernel - 1) - 1) // stride + 1


def differ(a: Any, b: Any) -> bool:
    """Whether two lengths surely differ; symbolic ones are left to the run."""
    return isinstance(a, int) and isinstance(b, int) and a != b


class Convolution(Bilinear):
    """The family base. Subclasses say in ``folds`` into which dimensions a batch folds.

    Class attributes:
        folds: for a batch in the first operand alone, in the second alone, and in both: pairs for
            the operands and the result, of a dimension's name in :class:`ConvAxes` (``"batch"`` for
            dimension 0), and whether the groups stay outside of the batch there.
    """

    folds: tuple[tuple[tuple[str, bool] | None, ...], ...]

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        groups, layout = params.get("groups", 1), params.get("layout", "NCHW")
        both = all(at is not None for at in in_dims)
        *into, out_of = self.folds[2 if both else 0 if in_dims[0] is not None else 1]
        ndim = max(x.ndim for x in args) - 1
        axes = conv_axes(layout, ndim)
        folded = [
            x
            if fold is None or at is None
            else _folded(x, at, _place(axes, fold), groups if fold[1] else 1, size)
            for x, at, fold in zip(args, in_dims, into, strict=True)
        ]
        out = self(*folded, **{**params, "groups": groups * size if both else groups})
        assert out_of is not None
        return _unfolded(out, _place(axes, out_of), groups if out_of[1] else 1, size)

    def check(
        self,
        x: TensorType,
        y: TensorType,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: Any,
    ) -> None:
        """Refuse operands and parameters that do not go together.

        Raises:
            DTypeError, ShapeError: they do not.
        """
        require_kind(self, x, "f")
        if x.dtype is not y.dtype:
            raise DTypeError(f"{self.name} takes operands of one dtype, and got {x} and {y}.")
        if x.ndim != y.ndim or x.ndim < 3:
            raise ShapeError(
                f"{self.name}: {x} and {y} must have the same number of dimensions, two more than "
                "spatial ones."
            )
        for name, values in (("stride", stride), ("padding", padding), ("dilation", dilation)):
            if len(values) != x.ndim - 2:
                raise ShapeError(
                    f"{self.name}: {name}={tuple(values)} must have {x.ndim - 2} entries for "
                    f"operands {x} and {y}."
                )
        positive = all(each >= 1 for each in (*stride, *dilation)) and (
            not isinstance(groups, int) or groups >= 1
        )
        if not positive or any(each < 0 for pair in padding for each in pair):
            raise ShapeError(
                f"{self.name}: stride={stride}, dilation={dilation} and groups={groups} must be "
                f"positive, and padding={padding} not negative."
            )

    def check_channels(
        self, x: TensorType, y: TensorType, channels: Any, into: Any, out: Any, groups: Any
    ) -> None:
        """Refuse channels that do not fall into the groups.

        Raises:
            ShapeError: they do not.
        """
        if differ(channels, into * groups) or differ(
            out % groups if isinstance(out, int) and isinstance(groups, int) else 0, 0
        ):
            raise ShapeError(
                f"{self.name}: {x} and {y} do not fit: with groups={groups}, {channels} input "
                f"channels must be {groups} times the weights' {into}, and the {out} output "
                f"channels a multiple of {groups}."
            )

    def check_windows(
        self, size: Dims, kernel: Dims, out: Dims, stride: Dims, padding: Padding, dilation: Dims
    ) -> None:
        """Refuse lengths of input, kernel and output that do not belong together.

        Raises:
            ShapeError: they do not.
        """
        found = tuple(map(windows, size, kernel, stride, padding, dilation))
        if any(isinstance(each, int) and each < 1 for each in found):
            raise ShapeError(
                f"{self.name}: a kernel {kernel} with dilation {dilation} is larger than an input "
                f"{size} with padding {padding}."
            )
        if any(map(differ, found, out)):
            raise ShapeError(
                f"{self.name}: an input {size} and a kernel {kernel} give an output {found}, and "
                f"got {out}."
            )


def _place(axes: ConvAxes, fold: tuple[str, bool]) -> int:
    return 0 if fold[0] == "batch" else getattr(axes, fold[0])


def _folded(x: Tensor, at: int, dim: int, groups: Any, size: Any) -> Tensor:
    """``x`` with its batch dimension made part of dimension ``dim``.

    It comes inside of the groups, and outside of what a group holds.
    """
    length = (*x.shape[:at], *x.shape[at + 1 :])[dim]
    if groups == 1:
        x = batched_at(x, at, size, dim)
        return reshape(x, shape=(*x.shape[:dim], size * length, *x.shape[dim + 2 :]))
    real = shifted(dim, at)
    x = reshape(x, shape=(*x.shape[:real], groups, length // groups, *x.shape[real + 1 :]))
    x = batched_at(x, at if at <= dim else at + 1, size, dim + 1)
    return reshape(x, shape=(*x.shape[:dim], size * length, *x.shape[dim + 3 :]))


def _unfolded(out: Tensor, dim: int, groups: Any, size: Any) -> tuple[Tensor, int]:
    """The result with the batch dimension apart, and where it is."""
    before, after = out.shape[:dim], out.shape[dim + 1 :]
    length = out.shape[dim] // size
    if groups == 1:
        return reshape(out, shape=(*before, size, length, *after)), dim
    out = reshape(out, shape=(*before, groups, size, length // groups, *after))
    out = batched_at(out, dim + 1, size, 0)
    return reshape(out, shape=(size, *before, length, *after)), 0
