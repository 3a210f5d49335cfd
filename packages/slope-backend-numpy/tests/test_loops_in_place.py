"""Carries of loops are written in place, and never what somebody else still reads."""

import numpy as np
import pytest

import slope


@pytest.fixture(autouse=True)
def numpy_backend():
    with slope.use_backend("numpy"):
        yield


BODIES = {
    "swap": lambda i, a, b: (b, a),
    "both the same": lambda i, a, b: (a * 2, a * 2),
    "one twice": lambda i, a, b: (a, a),
    "shifted": lambda i, a, b: (a + 1, a),
    "views": lambda i, a, b: (b.T, a.T),
    "part of the other": lambda i, a, b: (a.at[0].set(b[1]), b.at[1].set(a[0])),
    "onto itself": lambda i, a, b: (a.at[1:].set(a[:-1]), b.at[:-1].add(b[1:])),
    "a window": lambda i, a, b: (slope.dynamic_update_slice(a, b[:1] * 2, (i, 0)), b + a),
    "untouched": lambda i, a, b: (a, b * 0.5),
    "a constant": lambda i, a, b: (slope.ones(3, 3), b + a),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("kind", ["fori", "scan"])
@pytest.mark.parametrize("same_start", [False, True])
def test_loops_agree_with_their_turns_one_by_one(name, kind, same_start):
    body = BODIES[name]
    a = slope.arange(9.0).reshape(3, 3)
    b = a if same_start else a * 10 + 1
    kept = a.numpy().copy()

    def run(a, b):
        if kind == "fori":
            return (*slope.fori_loop(0, 3, lambda i, c: body(i, *c), (a, b)), a * 1)
        (x, y), seen = slope.scan(lambda c, i: (body(i, *c), c[0]), (a, b), slope.arange(3))
        return x, y, seen

    found = slope.jit(run)(a, b)
    x, y, seen = a, b, []
    for i in range(3):
        seen.append(x)
        x, y = body(slope.tensor(i), x, y)
    wanted = (x, y, a if kind == "fori" else slope.stack(seen))
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(a.numpy(), kept)


def test_no_turns():
    a = slope.arange(3.0)
    for limit in (0, 2):
        x, y = slope.jit(
            lambda a, n: slope.while_loop(
                lambda c: c[1] < n, lambda c: (c[0] * 2, c[1] + 1), (a, 0)
            )
        )(a, limit)
        assert x.tolist() == [0, 2**limit, 2 * 2**limit]
        assert y.item() == limit
    assert a.tolist() == [0, 1, 2]


def test_a_turn_that_sets_a_row_copies_nothing():
    x = slope.zeros(64, 8)
    loop = slope.jit(
        lambda x: slope.fori_loop(0, 64, lambda i, c: c.at[i].set(slope.ones(8) * i), x)
    )
    code = loop.lower(x).code
    assert "into=True" in code
    assert code.count("x0.copy()") == 1  # before the loop
    assert loop(x).numpy()[:, 0].tolist() == list(range(64))
    assert not x.numpy().any()
