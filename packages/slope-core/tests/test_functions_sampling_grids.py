"""Grids, unpooling, quantiles of what is known and CTC, against PyTorch: values and derivatives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import slope
from slope import errors

pytestmark = pytest.mark.usefixtures("on_numpy")

RANDOM = np.random.default_rng(7)


def _agree(function, other, *values, tolerance=1e-9):
    """A function of slope's and PyTorch's: equal values, equal derivatives of a weighted sum."""
    torch = pytest.importorskip("torch")
    leaves = [torch.tensor(value, requires_grad=True) for value in values]
    want = other(*leaves)
    weights = RANDOM.standard_normal(tuple(want.shape))
    (want * torch.tensor(weights)).sum().backward()

    def weighed(*given):
        out = function(*given)
        return (out * slope.tensor(weights)).sum(), out

    argnums = tuple(range(len(values)))
    (_, got), gradients = slope.value_and_grad(weighed, argnums, has_aux=True)(
        *map(slope.tensor, values)
    )
    np.testing.assert_allclose(got.numpy(), want.detach().numpy(), atol=tolerance)
    for mine, leaf in zip(gradients, leaves, strict=True):
        expected = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        np.testing.assert_allclose(mine.numpy(), expected, atol=tolerance)


# --- grids


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("spatial", [(4, 5), (3, 4, 5), (1, 3)])
@pytest.mark.filterwarnings("ignore:Since version 1.3.0")  # torch's, of grids of length 1
def test_affine_grid(aligned, spatial):
    torch = pytest.importorskip("torch")
    size, count = (2, 3, *spatial), len(spatial)
    _agree(
        lambda theta: slope.affine_grid(theta, size, aligned),
        lambda theta: torch.nn.functional.affine_grid(theta, size, aligned),
        RANDOM.standard_normal((2, count, count + 1)),
    )


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("mode", "spatial"),
    [("bilinear", (4, 5)), ("nearest", (4, 5)), ("bicubic", (4, 5)), ("bilinear", (1, 4)),
     ("bilinear", (4, 5, 3)), ("nearest", (4, 5, 3))],
)  # fmt: skip
def test_grid_sample(mode, spatial, padding, aligned):
    torch = pytest.importorskip("torch")
    count = len(spatial)
    grid = RANDOM.standard_normal((2, *(3, 2, 4)[:count], count)) * 1.3
    grid.flat[:6] = [1, -1, 0, 1, -1, 0.5]  # on the borders, too
    _agree(
        lambda x, places: slope.grid_sample(x, places, mode, padding, aligned),
        lambda x, places: torch.nn.functional.grid_sample(x, places, mode, padding, aligned),
        RANDOM.standard_normal((2, 3, *spatial)),
        grid,
    )


def test_grid_sample_in_compiled_functions():
    image, grid = slope.arange(6.0).reshape(1, 1, 2, 3), slope.tensor([[[[-1.0, -1], [1, 1]]]])
    assert slope.jit(
        lambda x, g: slope.grid_sample(x, g, align_corners=True)
    )(image, grid).tolist() == [[[[0, 5]]]]  # fmt: skip


GRID_ERRORS = {
    "shape": (
        lambda: slope.grid_sample(slope.ones(1, 1, 4, 4), slope.ones(1, 2, 2, 3)),
        r"^grid_sample: takes x \(batch, channels, height.* got float32\[1, 1, 4, 4\] and float32",
    ),
    "mode": (
        lambda: slope.grid_sample(slope.ones(1, 1, 4, 4, 4), slope.ones(1, 2, 2, 2, 3), "bicubic"),
        r"mode='bicubic' for 3 spatial dimensions; there are 'bilinear', 'nearest'\.",
    ),
    "padding": (
        lambda: slope.grid_sample(
            slope.ones(1, 1, 4, 4), slope.ones(1, 2, 2, 2), padding_mode="wrap"
        ),
        r"padding_mode='wrap' for 2 .* there are 'zeros', 'border', 'reflection'\.",
    ),
    "theta": (
        lambda: slope.affine_grid(slope.ones(1, 2, 2), (1, 1, 4, 4)),
        r"^affine_grid: theta must be \(batch, 2, 3\) .* is float32\[1, 2, 2\] for size \(1, 1, 4",
    ),
    "places": (
        lambda: slope.max_unpool1d(slope.ones(1, 1, 2), slope.tensor([[[0, 9]]]), 2),
        r"^max_unpool1d: indices go from 0 to 9, and a result of size \(4,\) has places 0 to 3",
    ),
    "size": (
        lambda: slope.max_unpool1d(
            slope.ones(1, 1, 2), slope.tensor([[[0, 3]]]), 2, output_size=(9,)
        ),
        r"^max_unpool1d: output_size=\(9,\) must differ from \(4,\) by less than the stride \(2,\)",
    ),
    "kind of places": (
        lambda: slope.max_unpool1d(slope.ones(1, 1, 2), slope.ones(1, 1, 2), 2),
        "indices must be of an integer dtype",
    ),
}


@pytest.mark.parametrize("name", GRID_ERRORS)
def test_what_does_not_fit(name):
    call, text = GRID_ERRORS[name]
    with pytest.raises(errors.SlopeError, match=text):
        call()


# --- unpooling


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("given", [False, True])
def test_max_unpooling(count, given):
    torch = pytest.importorskip("torch")
    shape = (2, 3, *((7, 5, 9) if given else (6, 4, 8))[:count])
    x = torch.tensor(RANDOM.standard_normal(shape))
    pool = getattr(torch.nn.functional, f"max_pool{count}d")
    values, places = pool(x, 2, return_indices=True)
    theirs = getattr(torch.nn.functional, f"max_unpool{count}d")
    ours = getattr(slope, f"max_unpool{count}d")
    size = shape[2:] if given else None
    _agree(
        lambda v: ours(v, slope.tensor(places.numpy()), 2, output_size=size),
        lambda v: theirs(v, places, 2, output_size=size),
        values.numpy(),
    )
    again = ours(*getattr(slope, f"max_pool{count}d")(slope.tensor(x.numpy()), 2,
                 return_indices=True), 2, output_size=shape)  # fmt: skip
    np.testing.assert_array_equal(again.numpy(), theirs(values, places, 2, output_size=shape))


# --- quantiles


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
@pytest.mark.parametrize("kind", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_quantiles(name, kind):
    torch = pytest.importorskip("torch")
    x = RANDOM.standard_normal((4, 5, 3))
    x[0, 1, 2] = x[3, :, 1] = np.nan
    options = itertools.product((None, 0, 1, -1), (False, True), (0.3, [0.0, 0.5, 0.9, 1.0]))
    for dim, keepdim, q in options:
        theirs = getattr(torch, name)(
            torch.tensor(x), torch.tensor(q, dtype=torch.float64), dim, keepdim, interpolation=kind
        )
        ours = getattr(slope, name)(
            slope.tensor(x), slope.tensor(q, dtype=slope.float64), dim, keepdim, interpolation=kind
        )
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)
    scalar = getattr(slope.tensor(2.5), name)(0.5, 0, True)
    assert scalar.shape == ()
    assert scalar.item() == 2.5


def test_the_gradient_of_nanquantile_passes_by_what_is_unknown():
    x = slope.tensor([1.0, np.nan, 2.0, 4.0])
    assert slope.grad(lambda x: slope.nanquantile(x, 0.75))(x).tolist() == [0, 0, 0.5, 0.5]


# --- connectionist temporal classification

TIME, BATCH, CLASSES = 9, 4, 5
LABELS = np.array([[1, 1, 2, 3], [4, 3, 3, 3], [2, 1, 2, 2], [3, 4, 3, 1]])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("form", ["padded", "joined"])
@pytest.mark.parametrize("fits", [True, False])
def test_ctc_loss(reduction, blank, form, fits):
    torch = pytest.importorskip("torch")
    labels = LABELS if blank == 0 else LABELS - 1
    times, counts = (9, 7, 4, 5) if fits else (9, 1, 0, 5), (4, 2, 0, 3)
    if form == "joined":
        parts = [row[:count] for row, count in zip(labels, counts, strict=True)]
        labels = np.concatenate(parts)
    rest = (blank, reduction, not fits)  # what does not fit counts as 0
    _agree(
        lambda x: slope.ctc_loss(
            slope.log_softmax(x, 2), slope.tensor(labels), slope.tensor(times), counts, *rest
        ),
        lambda x: torch.nn.functional.ctc_loss(
            x.log_softmax(2), torch.tensor(labels), times, counts, *rest
        ),
        RANDOM.standard_normal((TIME, BATCH, CLASSES)),
    )


def test_ctc_loss_without_a_batch_and_of_what_does_not_fit():
    torch = pytest.importorskip("torch")
    x = RANDOM.standard_normal((6, 4))
    _agree(
        lambda x: slope.ctc_loss(slope.log_softmax(x, 1), slope.tensor([1, 3]), (6,), (2,)),
        lambda x: torch.nn.functional.ctc_loss(x.log_softmax(1), torch.tensor([1, 3]), (6,), (2,)),
        x,
    )
    tight = slope.log_softmax(slope.tensor(x), 1)
    alone = slope.ctc_loss(tight, slope.tensor([1, 1, 2]), (3,), (3,), reduction="none")
    assert alone.shape == ()
    assert alone.item() == np.inf  # equal labels need a blank between them


def test_compiled_ctc_loss_equals_the_sum_over_all_paths():
    scores = slope.log_softmax(slope.tensor(RANDOM.standard_normal((4, 1, 3))), 2)
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        spoken = [c for c, _ in itertools.groupby(path) if c]
        if spoken == [1, 2]:
            total += float(np.exp(sum(scores[t, 0, c].item() for t, c in enumerate(path))))
    lengths = slope.tensor([4]), slope.tensor([2])
    got = slope.jit(slope.ctc_loss, static_argnames=("reduction",))(
        scores, slope.tensor([[1, 2, 0]]), *lengths, reduction="sum"
    )
    np.testing.assert_allclose(got.item(), -np.log(total), rtol=1e-12)


CTC_ERRORS = {
    "class": ({"targets": [[1, 9]]}, "label 1 of row 0 is 9; labels must be from 0 to 3, and not"),
    "blank as a label": ({"targets": [[0, 1]]}, "label 0 of row 0 is 0; .* not the blank, 0"),
    "blank": ({"blank": 4}, "blank=4 must be one of the 4 classes"),
    "time": ({"input_lengths": [7]}, "input_lengths must be at least 0 and at most 6, the steps"),
    "rows": ({"input_lengths": [3, 3]}, r"input_lengths must be 1 integers, .* int64\[2\]"),
    "labels": ({"target_lengths": [3]}, "have fewer labels than target_lengths says, 3"),
    "joined": ({"targets": [1, 2, 3]}, "target_lengths add up to 2"),
    "kind": ({"targets": [[1.0, 2.0]]}, "targets of an integer one"),
    "reduction": ({"reduction": "max"}, "reduction='max' must be"),
}


@pytest.mark.parametrize("name", CTC_ERRORS)
def test_ctc_loss_says_what_does_not_fit(name):
    changed, text = CTC_ERRORS[name]
    given = {"targets": [[1, 2]], "input_lengths": [6], "target_lengths": [2]} | changed
    given |= {key: slope.tensor(given[key]) for key in ("targets", "input_lengths")}
    with pytest.raises(errors.SlopeError, match=f"^ctc_loss: .*{text}"):
        slope.ctc_loss(slope.zeros(6, 1, 4), **given)
