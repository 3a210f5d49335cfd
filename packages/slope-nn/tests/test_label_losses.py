"""Losses of labels, and sequences aligned by all the ways there are."""

import itertools
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")
X = np.array([[0.1, -0.2, 0.4, 0.8], [0.5, 0.3, -1.0, 0.0]], np.float32)


def test_soft_margins():
    signs = np.array([[1, -1, 1, -1], [1, 1, -1, -1]])
    each = np.log1p(np.exp(-signs * X))
    x, y = slope.tensor(X), slope.tensor(signs)
    np.testing.assert_allclose(nn.SoftMarginLoss()(x, y).numpy(), each.mean(), rtol=1e-5)
    np.testing.assert_allclose(nn.SoftMarginLoss(reduction="none")(x, y).numpy(), each, rtol=1e-5)
    with pytest.raises(errors.ShapeError, match=r"soft_margin_loss: x .* must have one shape"):
        slope.soft_margin_loss(x, y[0])


def test_soft_margins_of_several_labels():
    labels = np.array([[1, 0, 1, 0], [0, 0, 1, 1]])
    weight = np.array([1.0, 2.0, 0.5, 1.0], np.float32)
    chance = 1 / (1 + np.exp(-X))
    each = -(labels * np.log(chance) + (1 - labels) * np.log(1 - chance)) * weight
    layer = nn.MultiLabelSoftMarginLoss(slope.tensor(weight), reduction="none")
    made = layer(slope.tensor(X), slope.tensor(labels))
    np.testing.assert_allclose(made.numpy(), each.mean(1), rtol=1e-5)


def test_margins_between_right_and_wrong_classes():
    target = np.array([[3, 0, -1, 1], [2, -1, 0, 0]])
    right = [[3, 0], [2]]
    expected = []
    for row, chosen in zip(X, right, strict=True):
        wrong = [k for k in range(4) if k not in chosen]
        expected.append(sum(max(0, 1 - row[a] + row[b]) for a in chosen for b in wrong) / 4)
    layer = nn.MultiLabelMarginLoss(reduction="none")
    made = layer(slope.tensor(X), slope.tensor(target))
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-6)
    single = slope.multilabel_margin_loss(slope.tensor(X[0]), slope.tensor(target[0]))
    np.testing.assert_allclose(single.numpy(), expected[0], rtol=1e-6)
    with pytest.raises(errors.DTypeError, match="signed integer dtype"):
        layer(slope.tensor(X), slope.tensor(X))


@pytest.mark.parametrize("swap", [False, True])
def test_triplets_with_a_distance_of_ones_own(swap):
    a, p, n = (
        np.array(rows, np.float32) for rows in ([[0.0], [1.0]], [[1.0], [1.5]], [[0.5], [4.0]])
    )

    def distance(x, y):
        return abs(x - y).sum(-1)

    layer = nn.TripletMarginWithDistanceLoss(
        distance_function=lambda x, y: slope.abs(x - y).sum(-1), swap=swap, reduction="none"
    )
    far = np.minimum(distance(a, n), distance(p, n)) if swap else distance(a, n)
    made = layer(*(slope.tensor(each) for each in (a, p, n)))
    np.testing.assert_allclose(made.numpy(), np.maximum(0, distance(a, p) - far + 1))


def spelled(path, blank):
    joined = [key for key, _ in itertools.groupby(path)]
    return tuple(label for label in joined if label != blank)


def by_all_paths(log_probs, target, blank):
    """Minus the logarithm of the summed chances of all paths that spell the target."""
    classes = range(log_probs.shape[1])
    total = 0.0
    for path in itertools.product(classes, repeat=len(log_probs)):
        if spelled(path, blank) == tuple(target):
            total += np.exp(sum(row[label] for row, label in zip(log_probs, path, strict=True)))
    return -np.log(total)


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_sums_over_all_paths(backend, blank):
    scores = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    log_probs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    labels = [1, 2] if blank == 0 else [0, 1]
    a, b = labels
    targets = [[a, b, a], [b, b], [a], []]
    padded = np.array([[*row, *[a] * (3 - len(row))] for row in targets])
    sizes = [5, 4, 2, 3]
    expected = [
        by_all_paths(log_probs[:size, k].astype(np.float64), target, blank)
        for k, (size, target) in enumerate(zip(sizes, targets, strict=True))
    ]

    @slope.jit
    def losses(scores):
        return nn.functional.ctc_loss(
            slope.log_softmax(scores, -1),
            slope.tensor(padded),
            slope.tensor(sizes),
            slope.tensor([3, 2, 1, 0]),
            blank,
            "none",
        )

    with slope.use_backend(backend):
        x = slope.tensor(scores)
        np.testing.assert_allclose(losses(x).numpy(), expected, rtol=1e-5)
        gradient = slope.jit(slope.grad(lambda x: losses(x).sum()))(x).numpy()
    step = 1e-2
    for place in ((0, 0, 1), (3, 1, 0), (1, 2, 2)):
        moved = [scores.copy(), scores.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        with slope.use_backend("numpy"):
            up, down = (losses(slope.tensor(each)).sum().item() for each in moved)
        assert gradient[place] == pytest.approx((up - down) / (2 * step), abs=1e-3)
    assert np.all(gradient[2:, 2] == 0)  # beyond the third input


def test_ctc_reductions_and_what_does_not_fit():
    log_probs = slope.log_softmax(slope.zeros(3, 2, 4), -1)
    targets, counts = slope.tensor([[1, 1], [2, 3]]), slope.tensor([2, 2])
    layer: Any = nn.CTCLoss(reduction="none")
    each = layer(log_probs, targets, slope.tensor([2, 3]), counts)
    assert each[0].item() == np.inf  # two equal labels need a blank between them
    assert np.isfinite(each[1].item())
    mean = nn.CTCLoss(zero_infinity=True)(log_probs, targets, slope.tensor([2, 3]), counts)
    assert mean.item() == pytest.approx(each[1].item() / 2 / 2)
    total = nn.CTCLoss(reduction="sum")(log_probs, targets, slope.tensor([3, 3]), counts)
    alone = layer(log_probs[:, 1], targets[1], slope.tensor(3), slope.tensor(2))
    assert alone.item() == pytest.approx(each[1].item())
    assert np.isfinite(total.item())
    gradient = slope.grad(
        lambda x: nn.CTCLoss(zero_infinity=True)(x, targets, slope.tensor([2, 3]), counts)
    )(log_probs)
    assert np.all(np.isfinite(gradient.numpy()))
    joined = slope.tensor([1, 1, 2])
    for lengths in ([1, 2], slope.tensor([1, 2])):
        apart = layer(log_probs, joined, [3, 3], lengths)
        rows = layer(log_probs, slope.tensor([[1, 0], [1, 2]]), [3, 3], [1, 2])
        np.testing.assert_allclose(apart.numpy(), rows.numpy(), rtol=1e-6)
    with pytest.raises(errors.ShapeError, match="ctc_loss: targets must be"):
        layer(log_probs, targets[:1], counts, counts)
    with pytest.raises(errors.ArgumentError, match="reduction='median' must be"):
        nn.functional.ctc_loss(log_probs, targets, counts, counts, reduction="median")
