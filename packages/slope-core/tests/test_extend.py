"""What slope.extend gives to the authors of operators, used as a stranger would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors
from slope.extend import (
    LinearOperator,
    Pointwise,
    Sample,
    TensorType,
    dims_of,
    known_operators,
    operands_of,
)
from slope.testing import check_operator

pytestmark = pytest.mark.usefixtures("on_numpy")


class Halves(LinearOperator):
    """The mean of each two neighbours."""

    name = "strange_halves"

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((x.shape[0] // 2,))

    def transpose(self, cotangent: Any, x: Any) -> Any:
        pairs = slope.stack([cotangent, cotangent], dim=-1)
        return (pairs.reshape(x.shape) / 2,)

    def expand(self, x: Any) -> Any:
        return x.reshape(-1, 2).mean(dim=1)

    def samples(self) -> Iterator[Sample]:
        yield Sample((np.linspace(-1, 1, 6, dtype=np.float32),))


class Hinge(Pointwise):
    """``max(0, 1 - x y)``."""

    name = "strange_hinge"
    arity = 2

    def expand(self, x: Any, y: Any) -> Any:
        return slope.relu(1 - x * y)


halves, hinge = Halves(), Hinge()


def hinge_loss(x: Any, y: Any, dim: Any = None) -> Any:
    """As a function: promotes, broadcasts, and takes the mean."""
    x, y = operands_of("hinge_loss", None, x=x, y=y)
    return hinge(x, y).mean(dims_of(dim, x, "hinge_loss"))


def test_families_need_few_rules():
    assert check_operator(halves) == 1
    assert check_operator(hinge) > 1
    out, tangent = slope.jvp(halves, (slope.arange(4.0),), (slope.ones(4),))
    assert (out.tolist(), tangent.tolist()) == ([0.5, 2.5], [1.0, 1.0])


def test_a_function_takes_what_users_have():
    assert hinge_loss(np.float32([0.5, 2.0]), 1).tolist() == 0.25
    assert hinge_loss(slope.zeros(2, 1), slope.ones(3), dim=-1).tolist() == [1.0, 1.0]
    with pytest.raises(errors.ShapeError, match="hinge_loss: dim=4 is out of range"):
        hinge_loss(slope.zeros(2), 1.0, dim=4)
    with pytest.raises(errors.ArgumentError, match="hinge_loss: y is a str"):
        hinge_loss(slope.zeros(2), "1")


def test_an_operator_says_how_to_convert():
    with pytest.raises(errors.ArgumentError, match=r"got float \(0.5\); convert it with slope.ten"):
        hinge(slope.ones(2), 0.5)


def test_what_a_whole_backend_lowers():
    needed = {name for name, op in known_operators().items() if not op.has("expand")}
    assert {"add", "dot_general", "run_scan", "run_branch", "run_while"} <= needed
    assert not {"softmax", "conv", "threefry2x32"} & needed
    assert all(slope.backend("numpy").lowers(known_operators()[name]) for name in needed)
