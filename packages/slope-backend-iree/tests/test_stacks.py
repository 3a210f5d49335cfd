"""Loops that are no kernels: stacks are written in place, weights packed once, results right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from iree.compiler import tools

import slope
from slope.extend import TensorType, dtypes, trace_program
from slope.tree import tree_leaves
from slope_backend_iree.estimate import program_work

Array = Any

TURNS, ROWS, WIDTH = 5, 4, 16


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True, scope="module")
def no_kernels() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slope_backend_iree.lower.control.fits", lambda params: False)
        yield


def sequences(count: int = 2) -> list[slope.Tensor]:
    made = np.random.default_rng(0).normal(size=(count, TURNS, ROWS, WIDTH))
    return [slope.from_numpy(each) for each in made.astype(np.float32)]


def gates(state: Any, x: Any) -> Any:
    """Two carries of one type, which also are stacked before and after they change."""
    a, b = state
    c, d = slope.tanh(a + b @ x.T @ x), slope.tanh(a - b * x)
    return (c, d), (a, b, c, d)


def both_ways(x: Any, y: Any) -> Any:
    start = x[0], y[0]
    return slope.scan(gates, start, x), slope.scan(gates, start, x, reverse=True)


def one_after_the_other(x: Any, y: Any) -> Any:
    _, first = slope.scan(gates, (x[0], y[0]), y)
    return slope.scan(gates, (x[1], y[1]), first[3])


def one_in_the_other(x: Any, y: Any) -> Any:
    def outer(state: Any, row: Any) -> Any:
        last, stacks = slope.scan(gates, (state[0], row), x)
        return stacks[2] + stacks[1], (stacks[0], last[0], stacks[3])

    return slope.scan(outer, x, y)


def a_stack_that_is_carried(x: Any, y: Any) -> Any:
    """Written in each turn, and stacked as it was and as it is."""

    def step(stack: Any, place: Any) -> Any:
        row = slope.dynamic_slice(stack, (place, 0, 0), (1, ROWS, WIDTH))
        new = slope.dynamic_update_slice(stack, row * 2 + 1, (place, 0, 0))
        return new, (stack, new)

    return slope.scan(step, x, slope.arange(TURNS))


def many_dtypes(x: Any, y: Any) -> Any:
    bits = (x * 100).abs().to(slope.uint32)

    def step(state: Any, given: Any) -> Any:
        row, own = given
        state = slope.tanh(state + row)
        whole = (row * 100).to(slope.int8), own ^ (own << 3), (state * 9).to(slope.int64)
        return state, (state > 0, *whole, state.to(slope.bfloat16), row[:0], row[0, 0])

    return slope.scan(step, x[0], (x, bits))


def batched_gradients(x: Any, y: Any) -> Any:
    def loss(x: Any, y: Any) -> Any:
        return sum((each**2).sum() for each in slope.scan(gates, (x[0], y[0]), x)[1])

    def of_row(x: Any, y: Any) -> Any:
        return slope.grad(loss, (0, 1))(x[:, None], y[:, None])

    return slope.vmap(of_row, in_dims=1)(x, y)


LOOPS = (
    both_ways,
    one_after_the_other,
    one_in_the_other,
    a_stack_that_is_carried,
    many_dtypes,
    batched_gradients,
)


@pytest.mark.parametrize("f", LOOPS, ids=lambda f: f.__name__)
def test_what_is_stacked(f: Callable[..., Any]):
    given = sequences()
    run = slope.jit(f, backend="iree")
    assert "flow.tensor.alloca" in run.lower(*given).code
    expected = tree_leaves(slope.jit(f, backend="numpy")(*given))
    for _ in range(2):  # the second call finds what the first left in memory
        for out, want in zip(tree_leaves(run(*given)), expected, strict=True):
            assert out.type == want.type
            if out.dtype.is_floating_point:
                found, wanted = (each.to(slope.float32).numpy() for each in (out, want))
                np.testing.assert_allclose(found, wanted, 1e-4, 1e-3)
            else:
                np.testing.assert_array_equal(out.numpy(), want.numpy())
    for own, first in zip(given, sequences(), strict=True):
        np.testing.assert_array_equal(own.numpy(), first.numpy())


def schedule(f: Callable[..., Any], *given: slope.Tensor, flags: Sequence[str] = ()) -> str:
    """What the compiled program does, in IREE's words."""
    made = tools.compile_str(
        slope.jit(f, backend="iree").lower(*given).code,
        input_type="stablehlo",
        target_backends=["llvm-cpu"],
        extra_args=["--compile-to=stream", "--iree-opt-level=O1", *flags],
    )
    assert made is not None  # as it would be if written to a file
    return made.decode()


def copies(f: Callable[..., Any], *given: slope.Tensor) -> list[int]:
    """The lengths in bytes of what the compiled program copies."""
    text = schedule(f, *given)
    numbers = {
        name: int(value) for name, value in re.findall(r"(%c[\w]+) = arith.constant (\d+) :", text)
    }
    lengths = re.findall(r"stream.cmd.copy [^:]*, (%\w+) :", text)
    assert text.count("stream.cmd.copy") == len(lengths)
    return [numbers[each] for each in lengths]


def training(x: Any, y: Any) -> Any:
    """A step of a plain recurrent network, whose gradient needs stacked residuals."""

    def of_weights(w: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            h = slope.tanh(row + h @ w)
            return h, h

        _, hidden = slope.scan(step, x[0], x)
        return ((hidden - y) ** 2).mean()

    w = slope.ones(WIDTH, WIDTH) * x[0, 0, 0]
    return w - slope.grad(of_weights)(w)


@pytest.mark.parametrize("f", [both_ways, training], ids=lambda f: f.__name__)
def test_no_turn_copies_a_stack(f: Callable[..., Any]):
    found = copies(f, *sequences())
    assert found  # slices are copied into their places
    assert max(found) <= 4 * ROWS * WIDTH


def test_weights_are_packed_before_the_loop():
    def run(x: Any, w: Any) -> Any:
        return slope.scan(lambda h, row: (slope.tanh(row + slope.linear(h, w)), h), x[0], x)

    x = slope.ones(TURNS, 32, 64)
    text = schedule(run, x, slope.ones(64, 64), flags=["--iree-global-opt-data-tiling"])
    before, loop = text.partition("util.func")[2].split("cf.br", 1)
    packs = re.compile(r"cmd.dispatch @\w+::@\w+_pack")
    assert len(packs.findall(before)) == 1
    assert len(packs.findall(loop)) <= 1  # of the rows, which each turn makes


def test_a_product_of_a_few_rows_is_worth_packing_in_a_loop():
    def program(turns: int) -> Any:
        types = [TensorType(shape, dtypes.float32) for shape in ((turns, 16, 1024), (1024, 1024))]
        return trace_program(
            lambda x, w: slope.scan(lambda h, row: (slope.tanh(row + h @ w), h), x[0], x), types
        )

    once, often = (program_work(program(turns)) for turns in (1, 64))
    assert once.products == 0
    assert often.products == 64 * 2 * 16 * 1024 * 1024


# --- carries that the body ignores: IREE 3.13 would take all memory to compile them


def ignoring_scan(x: Any, y: Any) -> Any:
    def step(state: Any, row: Any) -> Any:
        a, _ = state
        b = slope.tanh(a + row @ y[0].T @ a)
        return (b, b @ b.T @ a), a

    return slope.scan(step, (x[0], x[1]), x)


def ignoring_while(x: Any, y: Any) -> Any:
    def step(state: Any) -> Any:
        a, _, count = state
        return slope.tanh(a @ y[0].T @ y[1]), a @ a.T @ a, count + 1

    return slope.while_loop(lambda state: state[2] < 3, step, (x[0], y[0], 0))


@pytest.mark.parametrize("f", [ignoring_scan, ignoring_while], ids=lambda f: f.__name__)
def test_carries_that_are_not_read(f: Callable[..., Any]):
    given = sequences()
    found, expected = (
        tree_leaves(slope.jit(f, backend=each)(*given)) for each in ("iree", "numpy")
    )
    for out, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(out.numpy(), want.numpy(), 1e-4, 1e-4)
