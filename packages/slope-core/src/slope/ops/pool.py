"""Pooling: sums and maxima over windows that move along every dimension.

Params, each a tuple with one entry for each dimension of the operand (1, 1, (0, 0) and 1 where
nothing is pooled):
    window: how many elements a window has.
    stride: the step between windows.
    padding: pairs: how many neutral elements before and after, not negative.
    dilation: the step between the elements of a window.

They are sequences of strided slices, one for each element of the window and, where it does not
matter in which order elements are combined, one dimension after the other: compilers fuse these
well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from slope.core.operator import Operand, Operator, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ShapeError
from slope.ops._conv_family import windows
from slope.ops._family import draws, insert, ints, require_kind, require_rank, splat_like
from slope.ops.elementwise import add, maximum
from slope.ops.linear import LinearOperator, broadcast, reshape, sum_
from slope.ops.logic import eq, where
from slope.ops.slicing import pad, slice_

Dims = tuple[Any, ...]
Padding = tuple[tuple[int, int], ...]


class _Windows(NamedTuple):
    window: Dims
    stride: Dims
    padding: Padding
    dilation: Dims


class Pooling(Operator):
    """The family base: types and batching."""

    def infer(
        self, x: TensorType, *, window: Dims, stride: Dims, padding: Padding, dilation: Dims
    ) -> TensorType:
        require_kind(self, x, "iuf")
        for name, values in (
            ("window", window),
            ("stride", stride),
            ("padding", padding),
            ("dilation", dilation),
        ):
            require_rank(self, values, x, name)
        if any(each < 1 for each in (*window, *stride, *dilation)) or any(
            each < 0 for pair in padding for each in pair
        ):
            raise ShapeError(
                f"{self.name}: window={window}, stride={stride} and dilation={dilation} must be "
                f"positive, and padding={padding} not negative."
            )
        shape = tuple(map(windows, x.shape, window, stride, padding, dilation))
        if any(
            isinstance(length, int) and length < 1 and width > 1
            for length, width in zip(shape, window, strict=True)
        ):
            raise ShapeError(
                f"{self.name}: a window {window} with dilation {dilation} is larger than {x} with "
                f"padding {padding}."
            )
        return x.with_shape(shape)

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (at,) = in_dims
        assert at is not None
        plain = {"window": 1, "stride": 1, "padding": (0, 0), "dilation": 1}
        return self(
            args[0], **{name: insert(params[name], at, value) for name, value in plain.items()}
        ), at

    def samples(self) -> Iterator[Sample]:
        yield Sample(
            (draws(2, 5, 6),), _params((1, 2, 3), (1, 2, 3), ((0, 0), (0, 0), (0, 0)), (1, 1, 1))
        )
        yield Sample((draws(5, 4),), _params((3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2)))
        yield Sample((draws(6),), _params((3,), (1,), ((2, 2),), (1,)))
        yield Sample((draws(0, 4),), _params((1, 2), (1, 2), ((0, 0), (0, 0)), (1, 1)))
        yield Sample((ints(2, 5),), _params((1, 2), (1, 1), ((0, 0), (1, 0)), (1, 1)), False)


def _params(window: Dims, stride: Dims, padding: Padding, dilation: Dims) -> dict[str, Any]:
    return {"window": window, "stride": stride, "padding": padding, "dilation": dilation}


def _padded(x: Tensor, padding: Padding, value: Any) -> Tensor:
    if not any(map(any, padding)):
        return x
    low, high = (tuple(pair[side] for pair in padding) for side in (0, 1))
    return pad(x, low=low, high=high, interior=(0,) * x.ndim, value=value)


def _is_zero(count: Any) -> bool:
    """Whether a length is 0; a symbolic one counts as any other."""
    return isinstance(count, int) and count == 0


def _met(x: Tensor, tap: Sequence[int], out: Dims, stride: Dims, dilation: Dims) -> Tensor:
    """The elements of a padded operand that stand at one place of the windows."""
    start = tuple(place * gap for place, gap in zip(tap, dilation, strict=True))
    stop = tuple(
        first if _is_zero(count) else first + (count - 1) * step + 1
        for first, count, step in zip(start, out, stride, strict=True)
    )
    return slice_(x, start=start, stop=stop, step=stride)


def _along_each(x: Tensor, combine: Callable[[Tensor, Tensor], Tensor], pool: _Windows) -> Tensor:
    """All windows of a padded operand combined, one dimension after the other."""
    one = (1,) * x.ndim
    for dim in range(x.ndim):
        if pool.window[dim] == 1 and pool.stride[dim] == 1:
            continue
        out = list(x.shape)
        out[dim] = windows(
            x.shape[dim], pool.window[dim], pool.stride[dim], (0, 0), pool.dilation[dim]
        )
        stride, dilation = (
            insert(one[1:], dim, each[dim]) for each in (pool.stride, pool.dilation)
        )
        parts = [
            _met(x, insert((0,) * (x.ndim - 1), dim, place), tuple(out), stride, dilation)
            for place in range(pool.window[dim])
        ]
        x = parts[0]
        for part in parts[1:]:
            x = combine(x, part)
    return x


class WindowSum(Pooling, LinearOperator):
    """The sum of each window; padding counts as 0."""

    name = "window_sum"

    def transpose(
        self,
        cotangent: Any,
        x: Operand,
        *,
        window: Dims,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
    ) -> Sequence[Tangent]:
        if all(map(_is_tile, window, stride, dilation)):
            whole = _repeated(cotangent, x.shape, window, padding)
            if whole is not None:
                return (whole,)
        low, high, start, stop = [], [], [], []
        for size, count, width, step, (before, after), gap in zip(
            x.shape, cotangent.shape, window, stride, padding, dilation, strict=True
        ):
            span = gap * (width - 1)
            used = 0 if _is_zero(count) else (count - 1) * step + span + 1
            low.append(span)
            high.append(span + size + before + after - used)
            start.append(before)
            stop.append(before + size)
        spread = pad(
            cotangent,
            low=tuple(low),
            high=tuple(high),
            interior=tuple(each - 1 for each in stride),
            value=0,
        )
        nothing = ((0, 0),) * x.ndim
        whole = window_sum(
            spread, window=window, stride=(1,) * x.ndim, padding=nothing, dilation=dilation
        )
        return (slice_(whole, start=tuple(start), stop=tuple(stop), step=(1,) * x.ndim),)

    def expand(
        self, x: Any, *, window: Dims, stride: Dims, padding: Padding, dilation: Dims
    ) -> Any:
        padded = _padded(x, padding, 0)
        whole = [
            dim
            for dim, (size, width, gap) in enumerate(
                zip(padded.shape, window, dilation, strict=True)
            )
            if isinstance(size, int) and size == width > 1 and gap == 1
        ]
        if whole:  # one window: a sum does it at once
            kept = tuple(1 if dim in whole else size for dim, size in enumerate(padded.shape))
            padded = reshape(sum_(padded, dim=tuple(whole)), shape=kept)
            window, stride = (
                tuple(1 if dim in whole else each for dim, each in enumerate(given))
                for given in (window, stride)
            )
        return _along_each(padded, add, _Windows(window, stride, padding, dilation))


def _is_tile(width: Any, step: Any, gap: Any) -> bool:
    """Whether windows stand side by side."""
    return width == step and (gap == 1 or width == 1)


def _repeated(x: Tensor, shape: Dims, window: Dims, padding: Padding) -> Tensor | None:
    """Each element at all places of its window, in a result of this shape without the padding.

    None where symbolic lengths leave open whether windows reach the end.
    """
    spread, dims, joined = [], [], []
    for length, width in zip(x.shape, window, strict=True):
        dims.append(len(spread))
        spread += [length, width] if width != 1 else [length]
        joined.append(length * width)
    rest = tuple(  # places that no window reaches; below 0 behind windows that end in the padding
        before + size - length
        for size, length, (before, _) in zip(shape, joined, padding, strict=True)
    )
    if not all(isinstance(each, int) for each in rest):
        return None
    none = (0,) * x.ndim
    whole = reshape(broadcast(x, shape=tuple(spread), dims=tuple(dims)), shape=tuple(joined))
    if any(each > 0 for each in rest):
        more = tuple(max(each, 0) for each in rest)
        whole = pad(whole, low=none, high=more, interior=none, value=0)
    start = tuple(before for before, _ in padding)
    stop = tuple(first + size for first, size in zip(start, shape, strict=True))
    return slice_(whole, start=start, stop=stop, step=(1,) * x.ndim)


class WindowMax(Pooling):
    """The largest element of each window; NaN if any is NaN. Padding counts as less than anything.

    The derivative goes to the first of equal elements, in row-major order; where the maximum is
    NaN, to the last element.
    """

    name = "window_max"

    def expand(
        self, x: Any, *, window: Dims, stride: Dims, padding: Padding, dilation: Dims
    ) -> Any:
        return _along_each(
            _padded(x, padding, _least(x)), maximum, _Windows(window, stride, padding, dilation)
        )

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x,), (tangent,) = primals, tangents
        out = window_max(x, **params)
        if tangent is None:
            return out, None
        pool = _Windows(**params)
        whole, moving = _padded(x, pool.padding, _least(x)), _padded(tangent, pool.padding, 0)
        taps = list(itertools.product(*map(range, pool.window)))
        result = _met(moving, taps[-1], out.shape, pool.stride, pool.dilation)
        for tap in reversed(taps[:-1]):
            best = eq(_met(whole, tap, out.shape, pool.stride, pool.dilation), out)
            result = where(best, _met(moving, tap, out.shape, pool.stride, pool.dilation), result)
        return out, result

    def vjp(self, *primals: Any, **params: Any) -> Any:
        (x,) = primals
        out = window_max(x, **params)
        return out, (x, out)

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, **params: Any
    ) -> Sequence[Tangent]:
        x, out = residuals
        return (window_max_grad(x, out, cotangent, **params),)

    def samples(self) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample(
            (np.array([1, np.nan, 3, 3, -np.inf], np.float32),),
            _params((2,), (1,), ((1, 0),), (1,)),
            False,
        )


class WindowMaxGrad(Operator):
    """``x``'s cotangent in ``window_max``: each window's goes to the first of its largest elements.

    Operands: ``x``, the maxima of its windows, and their cotangent. Params: the pooling's.
    """

    name = "window_max_grad"

    def infer(
        self, x: TensorType, out: TensorType, cotangent: TensorType, **params: Any
    ) -> TensorType:
        require_kind(self, x, "f")
        wanted = window_max.infer(x, **params)
        if out != wanted or cotangent != wanted:
            raise ShapeError(
                f"{self.name}: maxima {out} and their cotangent {cotangent} must be {wanted}, as "
                f"{x} gives with {params}."
            )
        return x

    def expand(
        self,
        x: Any,
        out: Any,
        cotangent: Any,
        *,
        window: Dims,
        stride: Dims,
        padding: Padding,
        dilation: Dims,
    ) -> Any:
        pool = _Windows(window, stride, padding, dilation)
        whole, rest, none = _padded(x, padding, _least(x)), cotangent, splat_like(0, cotangent)
        *taps, last = itertools.product(*map(range, window))
        given: Tensor | None = None
        for tap in taps:
            best = eq(_met(whole, tap, out.shape, stride, dilation), out)
            given = _given(given, where(best, rest, none), tap, whole.shape, pool)
            rest = where(best, none, rest)
        start = tuple(before for before, _ in padding)
        stop = tuple(first + size for first, size in zip(start, x.shape, strict=True))
        given = _given(given, rest, last, whole.shape, pool)
        return slice_(given, start=start, stop=stop, step=(1,) * x.ndim)

    def samples(self) -> Iterator[Sample]:
        x = draws(2, 4, 6)
        out = x.reshape(2, 2, 2, 2, 3).max((2, 4))
        tiles = _params((1, 2, 3), (1, 2, 3), ((0, 0), (0, 0), (0, 0)), (1, 1, 1))
        yield Sample((x, out, draws(2, 2, 2)), tiles, False)
        x, out = (np.array(each, np.float32) for each in ([1, 3, 3, 2, 0], [1, 3, 3, 3, 3, 2]))
        yield Sample((x, out, draws(6)), _params((3,), (1,), ((2, 1),), (1,)), False)


def _given(
    before: Tensor | None, cotangent: Tensor, tap: Sequence[int], shape: Dims, pool: _Windows
) -> Tensor:
    """``before`` and windows' cotangents at one place of the windows, in a padded operand."""
    low = tuple(place * gap for place, gap in zip(tap, pool.dilation, strict=True))
    high = tuple(
        size - first - (0 if _is_zero(count) else (count - 1) * step + 1)
        for size, first, count, step in zip(shape, low, cotangent.shape, pool.stride, strict=True)
    )
    interior = tuple(step - 1 for step in pool.stride)
    spread = pad(cotangent, low=low, high=high, interior=interior, value=0)
    return spread if before is None else add(before, spread)


def _least(x: Tensor) -> Any:
    return -math.inf if x.dtype.is_floating_point else int(np.iinfo(x.dtype.numpy).min)


window_max = register(WindowMax())
window_max_grad = register(WindowMaxGrad())
window_sum = register(WindowSum())
