"""A failed call leaves the default generator as it was: of a draw, and of every transform."""

from __future__ import annotations

import threading

import pytest

import slope
from slope import errors


class OopsError(Exception):
    """What the functions raise."""


def draws_and_fails(x, *_):
    slope.rand(2)
    raise OopsError


def draws_and_gives_a_vector(x):
    return x * slope.rand(2)


@slope.custom_vjp
def custom(x):
    return draws_and_fails(x)


custom.defvjp(lambda x: (x, None), lambda _, g: (g,))


@slope.custom_jvp
def forward(x):
    return draws_and_fails(x)


forward.defjvp(lambda primals, tangents: (primals[0], tangents[0]))

ONE, TWO = slope.ones(()), slope.ones(2)
CALLS = {
    "rand": lambda: slope.rand(2, device="cuda:9"),
    "randn": lambda: slope.randn(2, dtype=slope.int64),
    "randint": lambda: slope.randint(5, 2, (3,)),
    "randperm": lambda: slope.randperm(3, dtype="no dtype"),
    "normal": lambda: slope.normal(slope.ones(2), slope.ones(3)),
    "multinomial": lambda: slope.multinomial(slope.ones(2), 7),
    "rand_like": lambda: slope.rand_like(slope.ones(2), dtype=slope.bool_),
    "jit": lambda: slope.jit(draws_and_fails)(ONE),
    "grad": lambda: slope.grad(draws_and_fails)(ONE),
    "grad of a vector": lambda: slope.grad(draws_and_gives_a_vector)(TWO),
    "value_and_grad": lambda: slope.value_and_grad(draws_and_fails)(ONE),
    "vjp": lambda: slope.vjp(draws_and_fails, ONE),
    "jvp": lambda: slope.jvp(draws_and_fails, (ONE,), (ONE,)),
    "linearize": lambda: slope.linearize(draws_and_fails, ONE),
    "vmap": lambda: slope.vmap(draws_and_fails, randomness="different")(TWO),
    "vmap alike": lambda: slope.vmap(draws_and_fails, randomness="same")(TWO),
    "jacfwd": lambda: slope.jacfwd(draws_and_fails)(TWO),
    "jacrev": lambda: slope.jacrev(draws_and_fails)(TWO),
    "hessian": lambda: slope.hessian(draws_and_fails)(TWO),
    "checkpoint": lambda: slope.checkpoint(draws_and_fails)(ONE),
    "scan": lambda: slope.scan(draws_and_fails, ONE, TWO),
    "map": lambda: slope.map(draws_and_fails, TWO),
    "cond": lambda: slope.cond(ONE > 0, draws_and_fails, draws_and_fails, ONE),
    "switch": lambda: slope.switch(slope.tensor(0), [draws_and_fails, draws_and_fails], ONE),
    "while_loop": lambda: slope.while_loop(lambda x: x < 2, draws_and_fails, ONE),
    "fori_loop": lambda: slope.fori_loop(0, 2, draws_and_fails, ONE),
    "custom_vjp": lambda: custom(ONE),
    "custom_jvp": lambda: forward(ONE),
}


@pytest.fixture(autouse=True)
def seeded():
    slope.manual_seed(3)


@pytest.mark.parametrize("name", CALLS)
def test_a_failed_call_draws_nothing(backend, name):
    slope.rand(1)
    before = slope.default_generator.key.tolist()
    with pytest.raises((OopsError, errors.SlopeError)):
        CALLS[name]()
    assert slope.default_generator.key.tolist() == before


@pytest.mark.parametrize("name", ["grad", "vmap", "vmap alike", "scan", "randint", "checkpoint"])
def test_a_failed_call_inside_jit_that_is_caught(name):
    @slope.jit
    def draw_after(fail):
        if fail:
            with pytest.raises((OopsError, errors.SlopeError)):
                CALLS[name]()
        return slope.rand(2)

    expected = draw_after(False).tolist()
    after = slope.default_generator.key.tolist()
    slope.manual_seed(3)
    # A key that a failed call was the first to ask for has become the program's input.
    assert draw_after(True).tolist() == expected
    assert slope.default_generator.key.tolist() == after


def test_a_plain_function_is_no_call_of_slope():
    before = slope.default_generator.key.tolist()
    with pytest.raises(OopsError):
        draws_and_fails(ONE)
    assert slope.default_generator.key.tolist() != before


def test_a_failed_call_never_takes_back_what_another_thread_drew():
    drawn = []

    def fails(x):
        slope.rand(2)
        other = threading.Thread(target=lambda: drawn.append(slope.rand(2).tolist()))
        other.start()
        other.join()
        raise OopsError

    with pytest.raises(OopsError):
        slope.grad(fails)(ONE)
    assert slope.rand(2).tolist() not in drawn
