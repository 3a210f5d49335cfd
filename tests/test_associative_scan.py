"""associative_scan against the loop that it stands for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slope
from slope.errors import ArgumentError, DTypeError, ShapeError, TreeError


def recurrence(first, second):
    """``y[i] = a[i] * y[i - 1] + b[i]`` as a combination of pairs (a, b): not commutative."""
    return first[0] * second[0], second[0] * first[1] + second[1]


def by_loop(a, b, reverse=False):
    y, out = 0.0 * b[0], []
    for i in reversed(range(len(a))) if reverse else range(len(a)):
        y = a[i] * y + b[i]
        out.append(y)
    return slope.stack(out[::-1] if reverse else out)


def random_pair(count):
    random = np.random.default_rng(count)
    return tuple(slope.tensor(random.standard_normal((count, 2))) for _ in range(2))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 13, 16, 33])
def test_it_is_the_loop(count, reverse):
    a, b = random_pair(count)
    _, y = slope.associative_scan(recurrence, (a, b), reverse=reverse)
    np.testing.assert_allclose(y, by_loop(a, b, reverse), rtol=1e-9, atol=1e-9)


@given(st.lists(st.integers(-5, 5), max_size=40), st.booleans())
def test_of_sums_it_is_cumsum(values, reverse):
    x = slope.tensor(values, dtype=slope.int64)
    found = slope.associative_scan(slope.add, x, reverse=reverse)
    expected = np.cumsum(values[::-1])[::-1] if reverse else np.cumsum(values)
    assert found.tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize(
    ("f", "dim"), [(slope.matmul, 0), (slope.matmul, 1), (slope.matmul, -3), (slope.mul, -1)]
)
def test_along_any_dimension(f, dim):
    x = slope.tensor(np.random.default_rng(0).standard_normal((5, 6, 3, 3)))
    found = slope.associative_scan(f, x, dim=dim)
    out = []
    for each in slope.movedim(x, dim, 0):
        out.append(f(out[-1], each) if out else each)
    np.testing.assert_allclose(slope.movedim(found, dim, 0), slope.stack(out), rtol=1e-9)


def test_an_empty_tree_and_no_slices_come_back_as_they_are():
    assert slope.associative_scan(lambda a, b: a, ()) == ()
    assert slope.associative_scan(slope.add, slope.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("count", [1, 6, 7])
def test_derivatives_of_both_modes_and_second_order(count):
    a, b = random_pair(count)

    def fast(a, b):
        return slope.sin(slope.associative_scan(recurrence, (a, b))[1]).sum()

    def slow(a, b):
        return slope.sin(by_loop(a, b)).sum()

    for transform in (slope.grad, slope.jacfwd, slope.hessian):
        found, expected = transform(fast)(a, b), transform(slow)(a, b)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_jit_and_vmap(backend):
    a, b = (x.astype(slope.float32) for x in random_pair(7))
    y = by_loop(a, b)
    scanned = slope.jit(lambda a, b: slope.associative_scan(recurrence, (a, b))[1])
    np.testing.assert_allclose(scanned(a, b), y, rtol=1e-4, atol=1e-5)
    batched = slope.vmap(scanned, in_dims=1, out_dims=1)
    np.testing.assert_allclose(batched(a, b), y, rtol=1e-4, atol=1e-5)


def test_it_combines_twice_as_often_as_there_are_slices_and_calls_few_times():
    lengths = []

    def counted(first, second):
        lengths.append(first.shape[0])
        return first + second

    slope.associative_scan(counted, slope.ones(1024))
    assert len(lengths) == 19  # two at each of ten levels but the last, which has no rest
    assert sum(lengths) < 2 * 1024


def test_draws_go_on_from_call_to_call():
    slope.manual_seed(3)
    slope.associative_scan(lambda a, b: a + b + slope.rand(()), slope.zeros(4))
    found = slope.rand(()).item()
    slope.manual_seed(3)
    fourth = [slope.rand(()).item() for _ in range(4)][3]
    assert found == fourth  # behind the draws of three calls


X = slope.ones(4, 2)


@pytest.mark.parametrize(
    ("f", "xs", "options", "error", "message"),
    [
        (3, X, {}, ArgumentError, "associative_scan takes a function, and got a int"),
        (slope.add, X, {"dim": "a"}, ArgumentError, "dim must be an int, not 'a'"),
        (slope.add, X, {"dim": 2}, ShapeError, r"xs is float32\[4, 2\], which has no dimension 2"),
        (slope.add, X, {"reverse": 1}, ArgumentError, "reverse"),
        (
            recurrence,
            (X, slope.ones(3)),
            {},
            ShapeError,
            r"one length along dimension 0, and have 4 of \[0\], 3 of \[1\]",
        ),
        (lambda a, b: a.sum(1), X, {}, ShapeError, r"turned float32\[2, 2\] into float32\[2\]"),
        (lambda a, b: a.half(), X, {}, DTypeError, r"turned float32\[2, 2\] into float16\[2, 2\]"),
        (lambda a, b: (a, b), X, {}, TreeError, "must have one structure"),
    ],
)
def test_what_does_not_fit_is_refused(f, xs, options, error, message):
    with pytest.raises(error, match=message):
        slope.associative_scan(f, xs, **options)


def test_symbolic_lengths_are_refused():
    scanned = slope.jit(
        lambda x: slope.associative_scan(slope.add, x), dynamic={"x": {0: slope.Dim("n")}}
    )
    with pytest.raises(ShapeError, match=r"symbolic length n, .* use slope.scan"):
        scanned(slope.ones(4))
