"""Gathers and scatters whose places are repeated over whole slices."""

from __future__ import annotations

import numpy as np
import pytest

import slope


def names(function, *args):
    return [instr.op.name for instr in slope.jit(function).lower(*args).program.instrs]


def numbers(*shape, seed=0):
    return slope.tensor(np.random.default_rng(seed).standard_normal(shape).astype("f4"))


def places(high, *shape):
    return slope.tensor(np.random.default_rng(1).integers(-high, high, shape))


def rows(x, i, u):
    return x.gather(0, i[:, None].expand(-1, 8))


def sums(x, i, u):
    return x.scatter_add(0, i[:, None].expand(-1, 8), u)


def means(x, i, u):
    return x.scatter_reduce(0, i.unsqueeze(1).expand_as(u), u, reduce="mean", include_self=False)


def gradient(x, i, u):
    return slope.grad(lambda x, u: (sums(x, i, u) ** 3).sum(), argnums=(0, 1))(x, u)


def other_rows(x, i, u):  # places that differ between columns stay a batch
    return x.gather(0, i[:, None] % slope.arange(1, 9))


def batched(x, i, u):
    x, i = slope.stack([x, -x]), slope.stack([i, -i])
    return x.gather(1, i[:, :, None].expand(-1, -1, 8)), x[:, :, :3].scatter_add(
        1, i[:, :, None].expand(-1, -1, 3), slope.stack([u, u * 2])[:, :, :3]
    )


def along_the_last(x, i, u):
    return x.T.gather(1, i.expand(8, -1)), x.T.scatter(1, i.expand(8, -1), u.T)


def deep(x, i, u):
    x, u = x.reshape(20, 2, 4), u.reshape(30, 2, 4)
    index = i[:, None, None].expand(30, 2, 4)
    return (
        x.gather(0, index),
        x.scatter_reduce(0, index, u, reduce="amax"),
        x.permute(1, 0, 2).gather(1, i[None, :, None].expand(2, -1, 4)),
    )


@pytest.mark.parametrize(
    "function", [rows, sums, means, gradient, other_rows, batched, along_the_last, deep]
)
@pytest.mark.parametrize("backend", ["numpy", "onnxruntime"])
def test_results(function, backend):
    args = numbers(20, 8), places(20, 30), numbers(30, 8, seed=2)
    wanted = slope.tree_leaves(function(*args))
    got = slope.tree_leaves(slope.jit(function, backend=backend)(*args))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (rows, ["add", "lt", "where", "reshape", "gather_slices"]),
        (sums, ["add", "lt", "where", "reshape", "scatter_slices"]),
        (along_the_last, ["add", "lt", "where", "reshape", "gather_slices", "permute"]),
    ],
)
def test_places_are_worked_out_once_for_a_row(function, wanted):
    found = names(function, numbers(20, 8), places(20, 30), numbers(30, 8))
    assert found[: len(wanted)] == wanted
    assert len(found) <= len(wanted) + 2


def test_counts_are_made_once_for_a_row():
    program = slope.jit(means).lower(numbers(20, 8), places(20, 30), numbers(30, 8)).program
    types = [str(each.outputs[0].type) for each in program.instrs if "scatter" in each.op.name]
    assert types == ["float32[20, 8]", "float32[20, 8]", "float32[20]"]


def test_places_of_single_elements_stay_a_batch():
    program = slope.jit(other_rows).lower(numbers(20, 8), places(20, 30), numbers(30, 8)).program
    (found,) = [each for each in program.instrs if each.op.name == "gather_slices"]
    assert found.params["batch_dims"] == 1
