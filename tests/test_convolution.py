"""Convolution, pooling and resizing against slow NumPy loops, on every backend.

All cases of a backend are one program: a compile costs more than all of them.
"""

# ruff: noqa: E501  # tables

import itertools
import math
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def each(value, count):
    return (value,) * count if isinstance(value, int) else tuple(value)


def padded(x, pairs, value=0.0):
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + list(pairs), constant_values=value)


def windows(x, kernel, stride, dilation):
    """The place and the elements of every window of a padded image."""
    size = x.shape[x.ndim - len(kernel) :]
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    for place in itertools.product(*map(range, out)):
        cut = [
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, k, s, d in zip(place, kernel, stride, dilation, strict=True)
        ]
        yield out, place, x[(..., *cut)]


def conv(x, w, bias=None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups=1):
    count = w.ndim - 2
    stride, dilation = each(stride, count), each(dilation, count)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        pairs = [(t // 2, t - t // 2) for t in totals]
    else:
        pairs = [(p, p) for p in each(0 if padding == "valid" else padding, count)]
    result = None
    for out, place, part in windows(
        padded(x.astype(np.float64), pairs), w.shape[2:], stride, dilation
    ):
        if result is None:
            result = np.zeros((x.shape[0], w.shape[0], *out))
        for o in range(w.shape[0]):
            group = o // (w.shape[0] // groups)
            into = part[:, group * w.shape[1] : (group + 1) * w.shape[1]]
            result[:, o, *place] = (into * w[o]).reshape(x.shape[0], -1).sum(1)
    assert result is not None
    return result if bias is None else result + bias.reshape(-1, *[1] * count)


def conv_transpose(x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    count, outs = w.ndim - 2, w.shape[1]
    stride, padding, extra, dilation = (
        each(v, count) for v in (stride, padding, output_padding, dilation)
    )
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    full = [
        (n - 1) * s + a + e for n, s, a, e in zip(x.shape[2:], stride, spans, extra, strict=True)
    ]
    result = np.zeros((x.shape[0], outs * groups, *full))
    for place in itertools.product(*map(range, x.shape[2:])):
        cut = [
            slice(p * s, p * s + a, d)
            for p, s, a, d in zip(place, stride, spans, dilation, strict=True)
        ]
        for c in range(x.shape[1]):
            group = c // (x.shape[1] // groups)
            result[:, group * outs : (group + 1) * outs, *cut] += np.multiply.outer(
                x[:, c, *place], w[c]
            )
    result = result[(..., *[slice(p, n - p) for p, n in zip(padding, full, strict=True)])]
    return result if bias is None else result + bias.reshape(-1, *[1] * count)


def pool(x, kernel, stride, padding, dilation, ceil_mode, fill, reduce):
    count = len(kernel)
    pairs = []
    for n, k, s, p, d in zip(x.shape[-count:], kernel, stride, padding, dilation, strict=True):
        outs = (math.ceil if ceil_mode else math.floor)((n + 2 * p - d * (k - 1) - 1) / s) + 1
        outs -= ceil_mode and (outs - 1) * s >= n + p
        pairs.append((p, p + max((outs - 1) * s + d * (k - 1) + 1 - n - 2 * p, 0)))
    result = None
    for out, place, part in windows(padded(x, pairs, fill), kernel, stride, dilation):
        if result is None:
            result = np.zeros((*x.shape[:-count], *out))
        result[(..., *place)] = reduce(part.reshape(*x.shape[:-count], -1))
    assert result is not None
    return result


def max_pool(x, count, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    kernel = each(kernel_size, count)
    rest = each(stride or kernel, count), each(padding, count), each(dilation, count)
    return pool(x, kernel, *rest, ceil_mode, -np.inf, lambda part: part.max(-1))


def avg_pool(
    x, count, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """Sums over counts; what is padded counts where it should, what lies beyond never."""
    kernel, around = each(kernel_size, count), each(padding, count)
    args = kernel, each(stride or kernel, count), around, (1,) * count, ceil_mode
    total = pool(x, *args, 0.0, lambda part: part.sum(-1))
    if not count_include_pad:
        return total / pool(np.ones_like(x), *args, 0.0, lambda part: part.sum(-1))
    inside = padded(np.ones_like(x), [(p, p) for p in around], 1.0)
    counts = pool(
        inside, *args[:2], (0,) * count, args[3], ceil_mode, 0.0, lambda part: part.sum(-1)
    )
    return total / counts[(..., *map(slice, total.shape[-count:]))]


def adaptive(x, sizes, reduce):
    count = len(sizes)
    result = np.zeros((*x.shape[:-count], *sizes))
    for place in itertools.product(*map(range, sizes)):
        cut = [
            slice(p * n // o, -(-(p + 1) * n // o))
            for p, n, o in zip(place, x.shape[-count:], sizes, strict=True)
        ]
        result[(..., *place)] = reduce(x[(..., *cut)].reshape(*x.shape[:-count], -1))
    return result


def bilinear(x, sizes, align):
    for dim, wanted in zip((2, 3), sizes, strict=True):
        length = x.shape[dim]
        at = (
            np.arange(wanted) * (length - 1) / max(wanted - 1, 1)
            if align
            else np.maximum((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0)
        )
        low = np.minimum(np.floor(at).astype(int), length - 1)
        share = (at - low).reshape([-1 if d == dim else 1 for d in range(4)])
        x = x.take(low, dim) * (1 - share) + x.take(np.minimum(low + 1, length - 1), dim) * share
    return x


def case(name, args, reference, *positional, **kwargs):
    return name, args, positional, kwargs, reference


IMAGE = draw(2, 3, 8, 7)
CASES = [
    *[
        case(name, args, conv(*args, **kwargs), **kwargs)
        for name, args, kwargs in [
            ("conv1d", (draw(2, 4, 9), draw(6, 2, 3), draw(6)), {"stride": 2, "padding": 1, "groups": 2}),
            ("conv2d", (draw(2, 4, 9, 8), draw(6, 4, 3, 2), draw(6)), {"stride": (2, 1), "padding": (1, 0), "dilation": (2, 1)}),
            ("conv2d", (draw(2, 4, 6, 5), draw(6, 4, 3, 2)), {"padding": "same"}),
            ("conv2d", (draw(2, 4, 6, 5), draw(6, 4, 3, 2)), {"padding": "valid"}),
            ("conv2d", (draw(2, 4, 7, 7), draw(8, 1, 3, 3)), {"padding": 1, "groups": 4, "stride": 2}),
            ("conv2d", (draw(2, 4, 5, 6), draw(3, 4, 1, 1)), {}),
            ("conv3d", (draw(2, 2, 5, 4, 5), draw(3, 2, 2, 3, 2), draw(3)), {"padding": (0, 1, 1), "stride": (1, 2, 1)}),
        ]
    ],
    *[
        case(name, args, conv_transpose(*args, **kwargs), **kwargs)
        for name, args, kwargs in [
            ("conv_transpose1d", (draw(2, 4, 5), draw(4, 3, 3), draw(3)), {"stride": 2, "padding": 1, "output_padding": 1}),
            ("conv_transpose2d", (draw(2, 4, 5, 4), draw(4, 3, 3, 2), draw(6)), {"stride": 2, "padding": (1, 0), "groups": 2, "dilation": (1, 2)}),
            ("conv_transpose2d", (draw(2, 4, 5, 4), draw(4, 3, 3, 3)), {"stride": 3, "output_padding": 2}),
            ("conv_transpose2d", (draw(2, 4, 5, 4), draw(4, 3, 3, 3)), {"dilation": 3, "output_padding": 2, "padding": 1}),
            ("conv_transpose2d", (draw(2, 4, 1, 2), draw(4, 3, 1, 1), draw(3)), {"stride": 3, "padding": 1, "output_padding": 2}),
            ("conv_transpose3d", (draw(1, 2, 3, 2, 3), draw(2, 3, 2, 2, 3)), {"stride": 2, "padding": 1}),
        ]
    ],
    *[
        case("max_pool2d", (IMAGE,), max_pool(IMAGE, 2, **kwargs), **kwargs)
        for kwargs in [
            {"kernel_size": 2},
            {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": (3, 2), "stride": 2, "ceil_mode": True},
            {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 2},
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        ]
    ],
    *[
        case("avg_pool2d", (IMAGE,), avg_pool(IMAGE, 2, **kwargs), **kwargs)
        for kwargs in [
            {"kernel_size": 2},
            {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
            {"kernel_size": 3, "stride": 2, "ceil_mode": True, "count_include_pad": False},
        ]
    ],
    case("max_pool1d", (IMAGE[0],), max_pool(IMAGE[0], 1, 3, padding=1), 3, padding=1),
    case("max_pool3d", (IMAGE,), max_pool(IMAGE, 3, 2), 2),
    case("avg_pool1d", (IMAGE[0],), avg_pool(IMAGE[0], 1, 3, padding=1), 3, padding=1),
    case("avg_pool3d", (IMAGE,), avg_pool(IMAGE, 3, 2), 2),
    case("adaptive_avg_pool2d", (IMAGE,), adaptive(IMAGE, (1, 1), lambda part: part.mean(-1)), 1),
    case("adaptive_avg_pool2d", (IMAGE,), adaptive(IMAGE, (4, 5), lambda part: part.mean(-1)), (4, 5)),
    case("adaptive_avg_pool1d", (IMAGE[0],), adaptive(IMAGE[0], (3,), lambda part: part.mean(-1)), 3),
    case("adaptive_max_pool2d", (IMAGE,), adaptive(IMAGE, (3, 7), lambda part: part.max(-1)), (3, None)),
    case("interpolate", (IMAGE,), IMAGE.repeat(2, 2).repeat(3, 3), scale_factor=(2, 3)),
    case("interpolate", (IMAGE,), IMAGE[:, :, [0, 1, 3, 4, 6]][..., [0, 2, 4]], size=(5, 3)),
    case("interpolate", (IMAGE,), bilinear(IMAGE, (5, 10), False), size=(5, 10), mode="bilinear"),
    case("interpolate", (IMAGE,), bilinear(IMAGE, (16, 3), True), size=(16, 3), mode="bilinear", align_corners=True),
]  # fmt: skip


def outputs(*arrays):
    rest = iter(arrays)
    return [
        getattr(slope, name)(*[next(rest) for _ in args], *positional, **kwargs)
        for name, args, positional, kwargs, _ in CASES
    ]


def loss(*arrays):
    total = 0.0
    for out in outputs(*arrays):
        weights = np.cos(np.arange(out.numel(), dtype=np.float32)).reshape(out.shape)
        total = total + (out * weights).sum()
    return total


ARRAYS = [array for _, args, *_ in CASES for array in args]


def test_values_and_gradients(backend):
    args = [slope.tensor(array) for array in ARRAYS]
    both = slope.jit(
        lambda *xs: (outputs(*xs), slope.grad(loss, argnums=tuple(range(len(xs))))(*xs))
    )
    found, slopes = both(*args)
    for out, (name, _, positional, kwargs, wanted) in zip(found, CASES, strict=True):
        np.testing.assert_allclose(
            out.numpy(), wanted, rtol=2e-5, atol=2e-5, err_msg=f"{name} {positional} {kwargs}"
        )
    with slope.use_backend("numpy"):
        for number, (mine, theirs) in enumerate(
            zip(slopes, slope.grad(loss, argnums=tuple(range(len(args))))(*args), strict=True)
        ):
            np.testing.assert_allclose(
                mine.numpy(), theirs.numpy(), rtol=2e-4, atol=2e-4, err_msg=f"gradient {number}"
            )


def test_half_and_double_precision(backend):
    x, w = draw(2, 3, 6, 5), draw(4, 3, 3, 3)

    def run(x, w):
        out = slope.conv2d(x, w, padding=1, stride=2)
        return (
            out,
            *slope.grad(
                lambda x, w: (slope.conv2d(x, w, padding=1, stride=2).float() ** 2).sum(),
                argnums=(0, 1),
            )(x, w),
        )

    wanted = run(slope.tensor(x).double(), slope.tensor(w).double())
    for dtype, tolerance in ((slope.float64, 1e-12), (slope.float16, 4e-3), (slope.bfloat16, 4e-2)):
        found = slope.jit(run)(slope.tensor(x).to(dtype), slope.tensor(w).to(dtype))
        for mine, theirs in zip(found, wanted, strict=True):
            assert mine.dtype is dtype
            theirs = theirs.numpy().astype(np.float64)
            scale = np.abs(theirs).max()
            if dtype is not slope.float64:  # the gradient's loss is formed in float32
                np.testing.assert_allclose(
                    mine.double().numpy(), theirs, atol=2 * tolerance * scale
                )
    np.testing.assert_allclose(
        slope.jit(run)(slope.tensor(x).double(), slope.tensor(w).double())[0].numpy(),
        conv(x, w, stride=2, padding=1),
        rtol=1e-12,
        atol=1e-12,
    )


def test_second_derivatives_and_vmap(backend):
    x, w = slope.tensor(draw(3, 2, 5, 4)), slope.tensor(draw(3, 4, 2, 2, 2))

    def f(x, w):
        return (slope.max_pool2d(slope.conv2d(x, w, padding=1), 2) ** 3).sum()

    def everything(x, w):
        curved = slope.grad(lambda x: (slope.grad(f)(x, w[0]) ** 2).sum())(x)
        per_sample = slope.vmap(slope.grad(f, argnums=1), in_dims=(0, None))(x, w[0])
        ensemble = slope.vmap(f, in_dims=(None, 0))(x, w)
        paired = slope.vmap(slope.grad(f, argnums=(0, 1)))(x, w)
        return curved, per_sample, ensemble, paired

    curved, per_sample, ensemble, paired = slope.jit(everything)(x, w)
    gradient = slope.grad(f, argnums=(0, 1))
    for i in range(3):
        np.testing.assert_allclose(
            per_sample[i].numpy(), gradient(x[i], w[0])[1].numpy(), rtol=2e-4, atol=2e-4
        )
        np.testing.assert_allclose(ensemble[i].item(), f(x, w[i]).item(), rtol=2e-4)
        for found, wanted in zip(paired, gradient(x[i], w[i]), strict=True):
            np.testing.assert_allclose(found[i].numpy(), wanted.numpy(), rtol=2e-4, atol=2e-4)
    step = 1e-2
    direction = draw(3, 2, 5, 4)

    def size(shift):
        return (
            (
                slope.grad(f)(
                    slope.tensor(x.numpy().astype(np.float64) + shift * direction), w[0].double()
                )
                ** 2
            )
            .sum()
            .item()
        )

    with slope.use_backend("numpy"):
        wanted = (size(step * 1e-3) - size(-step * 1e-3)) / (2e-3 * step)
    np.testing.assert_allclose((curved.numpy() * direction).sum(), wanted, rtol=1e-3)


def test_empty_batch(backend):
    w = slope.tensor(draw(4, 3, 3, 3))
    x = slope.zeros(0, 3, 6, 6)
    out, (dx, dw) = slope.jit(
        lambda x, w: (
            slope.max_pool2d(slope.conv2d(x, w), 2),
            slope.grad(lambda x, w: slope.conv2d(x, w).sum(), argnums=(0, 1))(x, w),
        )
    )(x, w)
    assert out.shape == (0, 4, 2, 2)
    assert dx.shape == x.shape
    assert (dw.numpy() == 0).all()


def test_pooling_at_the_edges(backend):
    x = slope.tensor([[1.0, math.nan, 3.0, 3.0, -math.inf]])
    out, ties = slope.jit(
        lambda x: (
            slope.max_pool1d(x, 2, 1),
            slope.grad(lambda y: slope.max_pool1d(y, 2, 1).sum())(slope.ones(1, 5)),
        )
    )(x)
    np.testing.assert_array_equal(out.numpy(), [[math.nan, math.nan, 3, 3]])
    np.testing.assert_array_equal(
        ties.numpy(), [[1, 1, 1, 1, 0]]
    )  # the first of equal elements, as in PyTorch
    assert slope.max_pool1d(slope.tensor([[3, 1, 2]]), 2, 1).tolist() == [[3, 2]]


def test_pixel_shuffle_and_unfold():
    x = np.arange(2 * 8 * 3 * 2, dtype=np.float32).reshape(2, 8, 3, 2)
    shuffled = slope.pixel_shuffle(x, 2)
    wanted = x.reshape(2, 2, 2, 2, 3, 2).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 6, 4)
    np.testing.assert_array_equal(shuffled.numpy(), wanted)
    np.testing.assert_array_equal(slope.pixel_unshuffle(shuffled, 2).numpy(), x)
    image, w = draw(2, 3, 6, 5), draw(4, 3, 2, 3)
    columns = slope.unfold(image, (2, 3), padding=(1, 0), stride=2, dilation=(2, 1))
    wanted = conv(image, w, stride=2, padding=(1, 0), dilation=(2, 1))
    np.testing.assert_allclose(
        (slope.tensor(w).reshape(4, -1) @ columns).numpy(),
        wanted.reshape(2, 4, -1),
        rtol=1e-4,
        atol=1e-5,
    )


ONE, TWO = np.ones((2, 4, 5, 5), np.float32), np.ones((3, 4, 3, 3), np.float32)
WRONG = {
    "rank": (lambda: slope.conv2d(ONE[0, 0], TWO), errors.ShapeError, r"conv2d: x must have 4 dimensions.*\(5, 5\)"),
    "channels": (lambda: slope.conv2d(ONE[:, :3], TWO), errors.ShapeError, "conv2d: x has 3 channels and weight takes 4"),
    "groups": (lambda: slope.conv2d(ONE, TWO, groups=0), errors.ArgumentError, "conv2d: groups=0 must be at least 1"),
    "divide": (lambda: slope.conv2d(ONE, TWO[:, :2], groups=2), errors.ShapeError, "weight gives 3 channels, which the groups must divide"),
    "stride": (lambda: slope.conv2d(ONE, TWO, stride=(1, 2, 3)), errors.ArgumentError, r"conv2d: stride=\(1, 2, 3\) must be an int of at least 1, or 2"),
    "padding": (lambda: slope.conv2d(ONE, TWO, padding="full"), errors.ArgumentError, "conv2d: padding='full' must be 'same', 'valid'"),  # pyright: ignore[reportArgumentType]  # on purpose
    "same": (lambda: slope.conv2d(ONE, TWO, padding="same", stride=2), errors.ArgumentError, "'same' goes with stride 1 alone"),
    "large": (lambda: slope.conv2d(ONE, TWO, dilation=3), errors.ShapeError, r"conv2d: a kernel of \(3, 3\) with dilation \(3, 3\) does not fit"),
    "bias": (lambda: slope.conv2d(ONE, TWO, ONE[0, 0, 0]), errors.ShapeError, r"conv2d: bias must have the shape \(3,\)"),
    "integers": (lambda: slope.conv2d(ONE.astype(int), TWO.astype(int)), errors.DTypeError, "conv2d: takes floating-point tensors"),
    "list": (lambda: slope.conv2d([1.0], TWO), errors.ArgumentError, "conv2d: x is a list"),  # pyright: ignore[reportArgumentType]  # on purpose
    "transposed": (lambda: slope.conv_transpose2d(ONE, TWO), errors.ShapeError, "conv_transpose2d: x has 4 channels and weight takes 3"),
    "transposed groups": (lambda: slope.conv_transpose2d(ONE[:, :3], TWO, groups=0), errors.ArgumentError, "conv_transpose2d: groups=0 must be at least 1"),
    "transposed divide": (lambda: slope.conv_transpose2d(ONE[:, :3], TWO, groups=2), errors.ShapeError, "a multiple of groups=2"),
    "output_padding": (lambda: slope.conv_transpose2d(ONE[:, :3], TWO, output_padding=1), errors.ArgumentError, "must be less than stride"),
    "nothing": (lambda: slope.conv_transpose2d(ONE[:, :3], TWO, padding=4), errors.ShapeError, "leaves nothing"),
    "pool padding": (lambda: slope.max_pool2d(ONE, 2, padding=2), errors.ArgumentError, "max_pool2d: padding=.* at most half"),
    "pool size": (lambda: slope.avg_pool2d(ONE, 6), errors.ShapeError, r"avg_pool2d: a window of \(6, 6\)"),
    "pool rank": (lambda: slope.max_pool1d(ONE, 2), errors.ShapeError, "max_pool1d: x must have 3 dimensions"),
    "pool bool": (lambda: slope.max_pool2d(ONE > 0, 2), errors.DTypeError, "max_pool2d: takes numbers"),
    "divisor": (lambda: slope.avg_pool2d(ONE, 2, divisor_override=0), errors.ArgumentError, "avg_pool2d: divisor_override=0"),
    "adaptive": (lambda: slope.adaptive_avg_pool2d(ONE, (1, 2, 3)), errors.ArgumentError, "adaptive_avg_pool2d: output_size="),
    "mode": (lambda: slope.interpolate(ONE, 3, mode="linear"), errors.ArgumentError, "interpolate: mode='linear' for 2 spatial dimensions"),
    "size": (lambda: slope.interpolate(ONE), errors.ArgumentError, "either size or scale_factor"),
    "scale": (lambda: slope.interpolate(ONE, scale_factor=0.1), errors.ArgumentError, "interpolate: scale_factor=0.1"),
    "align": (lambda: slope.interpolate(ONE, 3, align_corners=True), errors.ArgumentError, "align_corners goes with the linear and cubic modes"),
    "shuffle": (lambda: slope.pixel_shuffle(ONE, 3), errors.ShapeError, "pixel_shuffle: upscale_factor=3 needs a multiple of 9"),
    "unshuffle": (lambda: slope.pixel_unshuffle(ONE, 2), errors.ShapeError, "pixel_unshuffle: downscale_factor=2 must divide"),
    "factor": (lambda: slope.pixel_shuffle(ONE, 0), errors.ArgumentError, "pixel_shuffle: upscale_factor=0"),
    "unfold": (lambda: slope.unfold(ONE, 7), errors.ShapeError, r"unfold: a window of \(7, 7\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_messages(name):
    call, kind, text = WRONG[name]
    with slope.use_backend("numpy"), pytest.raises(kind, match=text):
        call()
