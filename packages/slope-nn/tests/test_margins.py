"""Losses of margins and distances as modules; their values are those of slope's functions."""

import pytest

import slope
from slope import nn

pytestmark = pytest.mark.usefixtures("on_numpy")

A, B = [[1.0, 2.0], [0.0, 3.0]], [[4.0, 6.0], [0.0, -2.0]]


@pytest.mark.parametrize(
    ("layer", "args", "expected"),
    [
        (nn.GaussianNLLLoss(), (A, A, [[1.0, 1.0], [1.0, 1.0]]), 0),
        (nn.GaussianNLLLoss(reduction="sum"), (A, B, [[1.0, 1.0], [1.0, 1.0]]), 25),
        (nn.MarginRankingLoss(1.0), (A[0], B[0], [1, -1]), 2),
        (nn.HingeEmbeddingLoss(2.0, reduction="none"), (A[0], [1, -1]), [1, 0]),
        (nn.MultiMarginLoss(reduction="none"), (A, [0, 1]), [1, 0]),
        (nn.PairwiseDistance(eps=0.0), (A, B), [5, 5]),
        (nn.PairwiseDistance(1, 0.0, True), (A, B), [[7], [5]]),
        (nn.CosineSimilarity(), ([[1.0, 0.0]], [[0.0, 2.0]]), [0]),
        (nn.CosineSimilarity(dim=0), ([1.0, 0.0], [2.0, 0.0]), 1),
        (nn.ChannelShuffle(2), ([[[0], [1], [2], [3]]],), [[[0], [2], [1], [3]]]),
    ],
)
def test_values(layer, args, expected):
    got = layer(*(slope.tensor(each) for each in args))
    assert got.tolist() == pytest.approx(expected) if got.ndim < 2 else got.tolist() == expected


def test_weights_are_buffers():
    layer = nn.MultiMarginLoss(weight=slope.tensor([1.0, 2.0]))
    assert layer(slope.tensor(A), slope.tensor([0, 0])).item() == pytest.approx(1.5)
    assert list(layer.parameters()) == []
