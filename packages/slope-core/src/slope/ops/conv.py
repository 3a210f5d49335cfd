"""Convolution: three bilinear operators whose transposes are each other.

``conv`` maps an input and weights to an output; each of the other two maps the output's cotangent
and one operand to the cotangent of the other operand. Their operands lie as ``layout`` says, with
any number of spatial dimensions:

======== ===================== =====================================
layout   input and output      weights
======== ===================== =====================================
"NCHW"   batch, channels, ...  outputs, inputs of a group, ...
"NHWC"   batch, ..., channels  ..., inputs of a group, outputs
======== ===================== =====================================

It is correlation, as everywhere in machine learning: the kernel is not flipped. Half-precision
products accumulate in float32.

Params of all three, each a tuple with one entry for each spatial dimension:
    stride: the step between windows.
    padding: pairs: how many zeros before and after, not negative.
    dilation: the step between the elements of a window.

And numbers for all: ``groups``, into how many groups the channels fall, of which each is convolved
by itself; ``layout``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from slope.core.operator import Linear, Operator, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ArgumentError, DTypeError, ShapeError
from slope.ops._family import draws, insert, require_kind
from slope.ops.elementwise import add
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


def _differ(a: Any, b: Any) -> bool:
    """Whether two lengths surely differ; symbolic ones are left to the run."""
    return isinstance(a, int) and isinstance(b, int) and a != b


class Convolution(Operator):
    """The family base. Bilinear; subclasses say in ``folds`` into which dimensions a batch folds.

    Class attributes:
        folds: for a batch in the first operand alone, in the second alone, and in both: pairs for
            the operands and the result, of a dimension's name in :class:`ConvAxes` (``"batch"`` for
            dimension 0), and whether the groups stay outside of the batch there.
    """

    folds: tuple[tuple[tuple[str, bool] | None, ...], ...]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        out = self(x, y, **params)
        first = None if dx is None else self(dx, y, **params)
        second = None if dy is None else self(x, dy, **params)
        if first is None or second is None:
            return out, first if second is None else second
        return out, add(first, second)

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
        if _differ(channels, into * groups) or _differ(
            out % groups if isinstance(out, int) and isinstance(groups, int) else 0, 0
        ):
            raise ShapeError(
                f"{self.name}: {x} and {y} do not fit: with groups={groups}, {channels} input "
                f"channels must be {groups} times the weights' "
                f"{into}, and the {out} output channels a multiple of {groups}."
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
        if any(map(_differ, found, out)):
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
    real = dim if dim < at else dim + 1
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


# Names of dimensions for ``folds``; True: the batch goes inside of the groups.
_N, _C, _GC = ("batch", False), ("channel", False), ("channel", True)
_O, _GO, _I = ("out", False), ("out", True), ("into", False)


class Conv(Convolution):
    """The convolution of an input with weights; see the module for shapes and parameters."""

    name = "conv"
    folds = ((_N, None, _N), (None, _GO, _GC), (_C, _O, _C))

    def infer(
        self,
        x: TensorType,
        w: TensorType,
        *,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: int = 1,
        layout: str = "NCHW",
    ) -> TensorType:
        self.check(x, w, stride, padding, dilation, groups)
        axes = conv_axes(layout, x.ndim)
        size, kernel = (
            tuple(x.shape[d] for d in axes.spatial),
            tuple(w.shape[d] for d in axes.kernel),
        )
        out = tuple(map(windows, size, kernel, stride, padding, dilation))
        self.check_channels(
            x, w, x.shape[axes.channel], w.shape[axes.into], w.shape[axes.out], groups
        )
        self.check_windows(size, kernel, out, stride, padding, dilation)
        return x.with_shape(placed(w.shape[axes.out], x.shape[0], out, axes.channel))

    def transpose(self, cotangent: Any, x: Any, w: Any, **params: Any) -> Sequence[Tangent]:
        axes = conv_axes(params["layout"], x.ndim)
        if isinstance(x, Linear):
            return conv_input_grad(
                cotangent, w, input_size=tuple(x.shape[d] for d in axes.spatial), **params
            ), None
        return None, conv_weight_grad(
            x, cotangent, kernel_size=tuple(w.shape[d] for d in axes.kernel), **params
        )

    def expand(self, x: Any, w: Any, **params: Any) -> Any:
        from slope.ops._conv_taps import conv_by_taps

        return conv_by_taps(x, w, **params)

    def flops(self, x: TensorType, w: TensorType, **params: Any) -> Any:
        """A multiplication and an addition for each product, padding included."""
        return _flops(self.infer(x, w, **params), w, params)

    def samples(self) -> Iterator[Sample]:
        for case in _cases():
            x, w, _ = _shapes(case)
            yield Sample((draws(*x), draws(*w, seed=1)), case.params)


class ConvInputGrad(Convolution):
    """The cotangent of a convolution's input, from that of its output and the weights.

    Params:
        input_size: the spatial lengths of the input; besides those of ``conv``.
    """

    name = "conv_input_grad"
    folds = ((_N, None, _N), (None, _I, _GC), (_C, _O, _C))

    def infer(
        self,
        y: TensorType,
        w: TensorType,
        *,
        input_size: Dims,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: int = 1,
        layout: str = "NCHW",
    ) -> TensorType:
        self.check(y, w, stride, padding, dilation, groups)
        axes = conv_axes(layout, y.ndim)
        channels, out = w.shape[axes.into] * groups, tuple(y.shape[d] for d in axes.spatial)
        if _differ(y.shape[axes.channel], w.shape[axes.out]):
            raise ShapeError(
                f"{self.name}: {y} has not the {w.shape[axes.out]} output channels of the weights "
                f"{w} (layout {layout})."
            )
        self.check_channels(y, w, channels, w.shape[axes.into], w.shape[axes.out], groups)
        self.check_windows(
            input_size, tuple(w.shape[d] for d in axes.kernel), out, stride, padding, dilation
        )
        return y.with_shape(placed(channels, y.shape[0], input_size, axes.channel))

    def transpose(
        self, cotangent: Any, y: Any, w: Any, *, input_size: Dims, **params: Any
    ) -> Sequence[Tangent]:
        if isinstance(y, Linear):
            return conv(cotangent, w, **params), None
        axes = conv_axes(params["layout"], y.ndim)
        return None, conv_weight_grad(
            cotangent, y, kernel_size=tuple(w.shape[d] for d in axes.kernel), **params
        )

    def expand(self, y: Any, w: Any, **params: Any) -> Any:
        from slope.ops._conv_taps import input_grad_by_taps

        return input_grad_by_taps(y, w, **params)

    def flops(self, y: TensorType, w: TensorType, **params: Any) -> Any:
        """As many as the convolution."""
        return _flops(y, w, params)

    def samples(self) -> Iterator[Sample]:
        for case in _cases():
            x, w, y = _shapes(case)
            axes = conv_axes(case.params["layout"], len(x))
            yield Sample(
                (draws(*y), draws(*w, seed=1)),
                {**case.params, "input_size": tuple(x[d] for d in axes.spatial)},
            )


class ConvWeightGrad(Convolution):
    """The cotangent of a convolution's weights, from its input and the cotangent of its output.

    Params:
        kernel_size: the spatial lengths of the weights; besides those of ``conv``.
    """

    name = "conv_weight_grad"
    folds = ((_GC, None, _I), (None, _GC, _GO), (_C, _C, _O))

    def infer(
        self,
        x: TensorType,
        y: TensorType,
        *,
        kernel_size: Dims,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
        groups: int = 1,
        layout: str = "NCHW",
    ) -> TensorType:
        self.check(x, y, stride, padding, dilation, groups)
        axes = conv_axes(layout, x.ndim)
        channels, out = x.shape[axes.channel], y.shape[axes.channel]
        into = channels // groups
        if _differ(x.shape[0], y.shape[0]):
            raise ShapeError(
                f"{self.name}: the input {x} and the output's cotangent {y} must have one batch "
                "length."
            )
        self.check_channels(x, y, channels, into, out, groups)
        self.check_windows(
            tuple(x.shape[d] for d in axes.spatial),
            kernel_size,
            tuple(y.shape[d] for d in axes.spatial),
            stride,
            padding,
            dilation,
        )
        return x.with_shape(
            (out, into, *kernel_size) if layout == "NCHW" else (*kernel_size, into, out)
        )

    def transpose(
        self, cotangent: Any, x: Any, y: Any, *, kernel_size: Dims, **params: Any
    ) -> Sequence[Tangent]:
        if isinstance(y, Linear):
            return None, conv(x, cotangent, **params)
        axes = conv_axes(params["layout"], x.ndim)
        return conv_input_grad(
            y, cotangent, input_size=tuple(x.shape[d] for d in axes.spatial), **params
        ), None

    def expand(self, x: Any, y: Any, **params: Any) -> Any:
        from slope.ops._conv_taps import weight_grad_by_taps

        return weight_grad_by_taps(x, y, **params)

    def flops(self, x: TensorType, y: TensorType, **params: Any) -> Any:
        """As many as the convolution."""
        return _flops(y, self.infer(x, y, **params), params)

    def samples(self) -> Iterator[Sample]:
        for case in _cases():
            x, w, y = _shapes(case)
            axes = conv_axes(case.params["layout"], len(x))
            yield Sample(
                (draws(*x), draws(*y, seed=1)),
                {**case.params, "kernel_size": tuple(w[d] for d in axes.kernel)},
            )


def _flops(out: TensorType, w: TensorType, params: dict[str, Any]) -> Any:
    axes = conv_axes(params.get("layout", "NCHW"), w.ndim)
    return (
        2
        * out.size
        * (
            w.size // max(w.shape[axes.out], 1)
            if isinstance(w.size, int)
            else w.size // w.shape[axes.out]
        )
    )


# --- samples: the same geometries for all three


class _Case(NamedTuple):
    batch: int
    channels: int
    out: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    params: dict[str, Any]


def _case(
    batch: int, channels: int, out: int, size: Dims, kernel: Dims, stride: Dims, padding: Padding,
    dilation: Dims, groups: int = 1, layout: Literal["NCHW", "NHWC"] = "NCHW",
) -> _Case:  # fmt: skip
    return _Case(
        batch,
        channels,
        out,
        size,
        kernel,
        {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "layout": layout,
        },
    )


def _cases() -> Iterator[_Case]:
    yield _case(2, 2, 3, (4, 5), (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 1))
    yield _case(
        1, 4, 2, (5, 7), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), groups=2
    )  # odd lengths, stride 2
    yield _case(
        2, 2, 2, (6, 5), (2, 2), (3, 2), ((0, 0), (2, 1)), (2, 1)
    )  # the last rows lie in no window
    yield _case(1, 2, 4, (5,), (3,), (1,), ((2, 0),), (2,), groups=2)
    yield _case(1, 1, 2, (3, 2, 3), (2, 1, 2), (1, 1, 2), ((0, 1), (0, 0), (1, 0)), (1, 1, 1))
    yield _case(0, 2, 3, (4, 4), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    yield _case(
        2, 3, 2, (3, 3), (1, 1), (1, 1), ((1, 0), (0, 1)), (1, 1)
    )  # more padding than kernel
    yield _case(2, 2, 3, (4, 3), (3, 2), (1, 2), ((1, 1), (1, 0)), (1, 1), layout="NHWC")
    yield _case(1, 4, 4, (4, 4), (3, 2), (2, 1), ((1, 0), (0, 0)), (1, 2), groups=4, layout="NHWC")


def _shapes(case: _Case) -> tuple[Dims, Dims, Dims]:
    params = case.params
    out = tuple(
        map(
            windows, case.size, case.kernel, params["stride"], params["padding"], params["dilation"]
        )
    )
    channel = conv_axes(params["layout"], len(case.size) + 2).channel
    into = case.channels // params["groups"]
    weights = (
        (case.out, into, *case.kernel)
        if params["layout"] == "NCHW"
        else (*case.kernel, into, case.out)
    )
    return (
        placed(case.channels, case.batch, case.size, channel),
        weights,
        placed(case.out, case.batch, out, channel),
    )


conv = register(Conv())
conv_input_grad = register(ConvInputGrad())
conv_weight_grad = register(ConvWeightGrad())
