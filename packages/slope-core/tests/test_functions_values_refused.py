"""Values that make no sense: refused where they are known, NaN where a program cannot know."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import slope
from slope import errors, random

pytestmark = pytest.mark.usefixtures("on_numpy")

KEY = random.key(3)
SCORES = slope.tensor([[0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4], [4, 3, 2, 1]], dtype=slope.float32)


# --- reductions over no dimension in particular

WHOLE = ("sum", "prod", "mean", "var", "std", "nansum", "nanmean", "amax", "amin", "norm")


@pytest.mark.parametrize("name", [*WHOLE, "logsumexp", "var_mean", "std_mean"])
def test_an_empty_dim_means_all_as_in_pytorch(name):
    function = getattr(slope, name)
    for keepdim in (False, True):
        got, want = function(SCORES, dim=(), keepdim=keepdim), function(SCORES, keepdim=keepdim)
        for each, other in zip(slope.tree_leaves(got), slope.tree_leaves(want), strict=True):
            assert each.shape == other.shape == ((1, 1) if keepdim else ())
            assert each.item() == other.item()
    assert slope.count_nonzero(SCORES, ()).item() == 12


@pytest.mark.parametrize("name", ["any", "all"])
def test_an_empty_dim_tests_each_element_as_in_pytorch(name):
    got = getattr(slope, name)(slope.tensor([[0.0, 2.0]]), dim=())
    assert got.tolist() == [[False, True]]


@pytest.mark.parametrize("name", ["var", "std", "norm", "nansum", "any", "logsumexp"])
def test_printed_programs_of_batched_scalars_reduce_what_the_program_does(name):
    function = getattr(slope, name)

    def each(x):
        return slope.vmap(function)(x)

    x = slope.tensor([1.0, -2.0, 0.0])
    lowered = slope.jit(each).lower(x)
    space: dict[str, object] = {}
    exec(str(lowered.program), space)  # printed programs are Python
    (got,) = space["each"](x)  # pyright: ignore[reportCallIssue]  # it is a function
    np.testing.assert_array_equal(got.numpy(), slope.jit(each)(x).numpy())
    assert "dim=()" not in str(lowered.program)


# --- targets that are no classes

LOSSES = {"cross_entropy": slope.cross_entropy, "nll_loss": slope.nll_loss}
STRANGE = ([0, 4, 1], [-1, 0, 1])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("target", STRANGE)
def test_a_target_that_is_no_class_raises(name, target):
    place = 0 if target[0] < 0 else 1
    said = (
        rf"^{name}: target\[{place}\] is {target[place]}, and x float32\[3, 4\] has 4 classes: "
        r"targets must be from 0 to 3, or ignore_index, which is -100\.$"
    )
    loss, labels = LOSSES[name], slope.tensor(target)
    for call in (
        lambda: loss(SCORES, labels),
        lambda: loss(x=SCORES, target=labels.to(slope.int32)),
        lambda: slope.grad(lambda x: loss(x, labels))(SCORES),
        lambda: slope.jit(lambda x: loss(x, labels))(SCORES),  # a constant is known
    ):
        with pytest.raises(errors.IndexingError, match=said):
            call()
    with pytest.raises(errors.IndexingError, match=r"from 0 to 3\.$"):
        loss(SCORES, labels, None, None)


def test_ignored_targets_and_images_are_no_mistake():
    labels = slope.tensor([7, -100, 3])
    allowed = slope.tensor([7, 0, 3])
    assert slope.cross_entropy(SCORES, allowed, ignore_index=7, reduction="none")[0].item() == 0
    with pytest.raises(errors.IndexingError, match=r"target\[1\] is -100"):
        slope.cross_entropy(SCORES, labels, ignore_index=7)
    assert slope.cross_entropy(SCORES, slope.tensor([0, -100, 3])).isfinite().item()
    with pytest.raises(errors.IndexingError, match=r"target\[0, 1, 0\] is 9"):
        slope.nll_loss(slope.ones(1, 4, 2, 2), slope.tensor([[[0, 1], [9, 0]]]))
    with pytest.raises(errors.IndexingError, match=r"^cross_entropy: target is 9"):
        slope.cross_entropy(slope.ones(4), slope.tensor(9))
    with pytest.raises(errors.IndexingError, match=r"^nll_loss: target is -1, and x"):
        slope.nll_loss(slope.ones(4), -1)
    with pytest.raises(errors.IndexingError, match=r"target\[2\] is 9"):
        slope.cross_entropy(SCORES, np.array([0, 1, 9]))
    with pytest.raises(errors.IndexingError, match=r"target\[0\] is 200"):
        slope.cross_entropy(SCORES, slope.tensor([200, 0, 0], dtype=slope.uint8))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("target", STRANGE)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [-100, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_traced_target_that_is_no_class_makes_the_loss_nan(
    name, target, reduction, ignore_index, weighted
):
    weight = slope.ones(4) if weighted else None
    for labels in (slope.tensor(target), slope.tensor(target, dtype=slope.int32)):

        def loss(x, y):
            return LOSSES[name](x, y, weight, ignore_index, reduction)

        got = slope.jit(loss)(SCORES, labels).isnan()
        wrong = [each not in range(4) for each in target]
        assert got.tolist() == (wrong if reduction == "none" else True)
        fine = slope.tensor([3, 0, 1])
        assert slope.jit(loss)(SCORES, fine).isfinite().all().item()


def test_smoothed_losses_and_margins_mark_strange_targets_too():
    labels = slope.tensor([0, 4, -100])
    smoothed = slope.jit(
        lambda x, y: slope.cross_entropy(x, y, slope.ones(4), reduction="none", label_smoothing=0.1)
    )
    assert smoothed(SCORES, labels).isnan().tolist() == [False, True, False]
    assert slope.jit(slope.multi_margin_loss)(SCORES, labels).isnan().item()
    with pytest.raises(errors.IndexingError, match=r"multi_margin_loss: target\[1\] is 4"):
        slope.multi_margin_loss(SCORES, labels)


def test_the_gradient_of_a_mean_with_a_strange_target_is_nan():
    gradient = slope.jit(slope.grad(slope.cross_entropy))
    assert gradient(SCORES, slope.tensor([0, 4, 1])).isnan().all().item()


# --- probabilities


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial_refuses_what_is_no_probability(replacement):
    for bad in (-1.0, np.inf, np.nan):
        said = rf"probabilities\[1, 0\] is {bad}; they must be finite and not negative\.$"
        rows = slope.tensor([[1.0, 2], [bad, 1]])
        for draw in (slope.multinomial, lambda *given: random.multinomial(KEY, *given)):
            with pytest.raises(errors.ArgumentError, match=said):
                draw(rows, 1, replacement)
    with pytest.raises(errors.ArgumentError, match=r"probabilities of row 1 are all 0, so noth"):
        slope.multinomial(slope.tensor([[1.0, 2], [0, 0]]), 1, replacement)
    with pytest.raises(errors.ArgumentError, match=r"the probabilities are all 0"):
        slope.multinomial(slope.zeros(3), 1, replacement)
    drawn = slope.jit(lambda p: random.multinomial(KEY, p, 1, replacement))
    assert drawn(slope.tensor([0.0, 0, 2])).tolist() == [2]


# --- windows


POOLS = {"max_pool1d": (1, 2), "avg_pool1d": (1,), "max_pool2d": (1, 2), "avg_pool2d": (1,)}


@pytest.mark.parametrize("name", POOLS)
def test_pooling_takes_what_pytorch_takes(name):
    torch = pytest.importorskip("torch")
    sizes = ((0,), (1,), (2,), (5,)) if name.endswith("1d") else ((0, 3), (1, 4), (5, 2))
    options = itertools.product(
        [(*lead, *size) for lead in ((1, 1), (1,), (0, 1), (1, 0)) for size in sizes],
        (1, 2, 3), (1, 3), (0, 1, 2), POOLS[name], (False, True),
    )  # fmt: skip
    for shape, kernel, stride, padding, dilation, ceil in options:
        given = [kernel, stride, padding, dilation, ceil]
        if name.startswith("avg"):
            del given[3]
        try:
            want = tuple(getattr(torch.nn.functional, name)(torch.zeros(shape), *given).shape)
        except (RuntimeError, ValueError):
            want = None
        try:
            got = getattr(slope, name)(slope.zeros(shape), *given).shape
        except errors.SlopeError:
            got = None
        assert got == want, (shape, given)


def test_pooling_says_what_is_empty_or_too_large():
    with pytest.raises(
        errors.ShapeError, match=r"shape \(2, 0, 4\), and only the batch may be emp"
    ):
        slope.max_pool1d(slope.zeros(2, 0, 4), 2)
    with pytest.raises(errors.ShapeError, match=r"a window of \(5,\) .* does not fit into \(4,\)"):
        slope.max_pool1d(slope.zeros(1, 1, 4), 5)
    with pytest.raises(errors.ArgumentError, match=r"padding=\(2,\) must be at most half"):
        slope.max_pool1d(slope.zeros(1, 1, 4), 3, padding=2)
