"""Loops over small values become kernels, and mean what the NumPy backend says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iree_checks import agree, check, code, randoms

import slope
from slope import errors
from slope.extend import TensorType, dtypes, trace_program
from slope.tree import tree_leaves
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.compiler import IreeCompileError, compile_module
from slope_backend_iree.lower.program import lower_program

pytestmark = pytest.mark.usefixtures("cache")


# --- how often


def collatz(n: slope.Tensor) -> Any:
    def step(state: Any) -> Any:
        n, count = state
        return slope.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

    return slope.while_loop(lambda state: state[0] > 1, step, (n, slope.tensor(0)))


@pytest.mark.parametrize("start", [0, 1, 6, 27])
def test_a_loop_that_depends_on_its_data(start: int):
    check(collatz, slope.tensor(start))
    found = slope.jit(collatz, backend="iree")(slope.tensor(start))[1]
    assert found.item() == {0: 0, 1: 0, 6: 8, 27: 111}[start]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_slices_and_stacks(reverse: bool, length: int):
    def run(h: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = slope.tanh(h * 0.5 + x)
            return h, (h, x > 0, (x * 10).to("uint8") + 1, h.sum())

        return slope.scan(step, h, xs, reverse=reverse)

    check(run, randoms(3, 5), slope.abs(randoms(length, 3, 5)))


def test_nothing_to_go_through():
    agree(lambda xs: slope.scan(lambda h, x: (h + x, h), slope.ones(3), xs), slope.zeros(0, 3))


def test_a_loop_that_reads_nothing():
    """IREE takes the first result of such a kernel for its others, too."""

    def run(x: Any) -> Any:
        last, rows = slope.scan(
            lambda h, _: (slope.zeros(24), h + 1), slope.ones(24), None, length=2
        )
        return rows.sum(), last, x

    check(run, slope.ones(1))


# --- what is carried

BODIES = {
    "swap": lambda i, a, b: (b, a),
    "one twice": lambda i, a, b: (a, a),
    "shifted": lambda i, a, b: (a + 1, a),
    "sums": lambda i, a, b: (b, a + b),
    "views": lambda i, a, b: (b.T, a.T),
    "part of the other": lambda i, a, b: (a.at[0].set(b[1]), b.at[1].set(a[0])),
    "onto itself": lambda i, a, b: (a.at[1:].set(a[:-1]), b.at[:-1].add(b[1:])),
    "itself at places": lambda i, a, b: (a.at[slope.tensor([2, 0, 2])].add(a), b),
    "read before and after": lambda i, a, b: (a.at[i].set(b[0]), a[i] + b + a.at[i].set(1.0)),
    "two updates": lambda i, a, b: (a.at[i].set(1.0).at[:, i].mul(2.0), a + b),
    "a window": lambda i, a, b: (slope.dynamic_update_slice(a, b[:1] * 2, (i, 0)), b + a),
    "untouched": lambda i, a, b: (a, b * 0.5),
    "a constant": lambda i, a, b: (slope.ones(3, 3), b + a),
    "behind a barrier": lambda i, a, b: (slope.stop_gradient(a).at[0].set(2.0), b + a),
    "a branch": lambda i, a, b: slope.cond(
        a.sum() > b.sum(), lambda a, b: (a - 1, b), lambda a, b: (b, a * 2), a, b
    ),
    "three branches": lambda i, a, b: (
        slope.switch(i - 1, [lambda x: x + 1, lambda x: x * 2, lambda x: x.T], a),
        b,
    ),
    "a loop": lambda i, a, b: (slope.fori_loop(0, 3, lambda j, x: x * 0.5 + b[j], a), a),
    "a while": lambda i, a, b: (
        slope.while_loop(lambda x: x.sum() < 40, lambda x: x + 2, a),
        b + 1,
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_carried(name: str):
    def run(a: Any, b: Any) -> Any:
        step = BODIES[name]
        once = slope.fori_loop(0, 3, lambda i, state: step(i, *state), (a, b))
        return once, a * 1

    a = slope.arange(9.0).reshape(3, 3)
    check(run, a, a * 10 + 1)
    check(lambda a: run(a, a), a)


def test_a_large_carry_is_written_in_place():
    def fill(x: Any) -> Any:
        return slope.fori_loop(0, 50, lambda i, x: x.at[i + 1].set(x[i] * 0.5 + 1), x)

    x = randoms(500, 1000)
    check(fill, x)
    assert code(fill, x).count("memref<500000xf32>, vector") < 10  # filled once, a row a turn


def test_many_inputs_and_results():
    """IREE's runtime takes 32 arrays a kernel."""

    def run(weights: Any, xs: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            outs = [slope.sin(h * w + x) for w, x in zip(weights, now, strict=True)]
            return sum(outs), (outs, [out > 0 for out in outs])

        return slope.scan(step, slope.zeros(3), xs)

    weights = [randoms(3, seed=i) for i in range(40)]
    xs = [randoms(4, 3, seed=100 + i) for i in range(40)]
    check(run, weights, xs, near=1e-4)  # each turn magnifies what was rounded before

    def loss(weights: Any, xs: Any) -> Any:
        return sum(each.sum() for each in tree_leaves(run(weights, xs)) if each.dtype.kind == "f")

    agree(slope.grad(loss), weights, xs, near=1e-4)


LOWERED = """
import hashlib, slope
def run(h, weights):
    def step(h, _):
        outs = [h * w for w in weights]
        return sum(outs), outs
    return slope.scan(step, h, None, length=4)
lowered = slope.jit(run, backend="iree").lower(slope.ones(3), [slope.ones(3)] * 40)
print(hashlib.sha256(lowered.code.encode()).hexdigest())
"""


def test_every_process_writes_the_same_text():
    """It is the key of the compiled module on disk; hashes of strings differ between processes."""
    texts = set()
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", LOWERED]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        texts.add(run.stdout)
    assert len(texts) == 1


def test_more_carries_than_the_stack_takes():
    def run(state: Any) -> Any:
        return slope.fori_loop(0, 3, lambda i, state: [*state[1:], state[0] * 0.5 + i], state)

    check(run, [randoms(256, seed=i) for i in range(40)])


# --- derivatives


def lstm(weights: Any, xs: Any) -> Any:
    inner, outer, bias = weights
    width = outer.shape[0]

    def step(state: Any, x: Any) -> Any:
        hidden, cell = state
        gates = x @ inner + hidden @ outer + bias
        i, f, g, o = (gates[..., k * width : (k + 1) * width] for k in range(4))
        cell = slope.sigmoid(f) * cell + slope.sigmoid(i) * slope.tanh(g)
        hidden = slope.sigmoid(o) * slope.tanh(cell)
        return (hidden, cell), hidden

    start = slope.zeros(*xs.shape[1:-1], width, dtype=xs.dtype)
    return (slope.scan(step, (start, start), xs)[1] ** 2).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [(), (5,)])
def test_gradients_of_an_lstm(dtype: Any, batch: tuple[int, ...]):
    shapes = (3, 28), (7, 28), (28,)
    weights = [randoms(*shape, dtype=dtype, seed=i) * 0.3 for i, shape in enumerate(shapes)]
    xs = randoms(6, *batch, 3, dtype=dtype)
    near = 1e-4 if dtype is np.float32 else 1e-11
    check(lstm, weights, xs, near=near)
    check(slope.grad(lstm), weights, xs, kernels=2, near=near)
    agree(
        slope.jit(slope.vmap(slope.grad(lstm), in_dims=(None, 1))),
        weights,
        xs if batch else randoms(6, 2, 3, dtype=dtype),
    )


def test_gradients_of_a_gru():
    def loss(weights: Any, xs: Any) -> Any:
        inner, outer = weights
        width = outer.shape[1]

        def step(h: Any, x: Any) -> Any:
            ours, theirs = slope.chunk(x @ inner.T, 3, -1), slope.chunk(h @ outer.T, 3, -1)
            reset, update = (slope.sigmoid(ours[k] + theirs[k]) for k in range(2))
            new = slope.tanh(ours[2] + reset * theirs[2])
            h = update * h + (1 - update) * new
            return h, h

        return (slope.scan(step, slope.zeros(xs.shape[1], width), xs)[1] ** 2).mean()

    weights = [randoms(18, 4) * 0.5, randoms(18, 6, seed=1) * 0.5]
    check(slope.grad(loss), weights, randoms(9, 10, 4), kernels=2)


def test_gradients_of_a_differential_equation():
    def solve(weight: Any, y: Any) -> Any:
        def slope_of(y: Any) -> Any:
            return slope.tanh(weight @ y)

        def step(y: Any, _: Any) -> Any:
            first = slope_of(y)
            second = slope_of(y + 0.05 * first)
            return y + 0.1 * second, y

        last, path = slope.scan(step, y, None, length=20)
        return (last * last).sum() + path[3].sum()

    weight, y = randoms(6, 6), randoms(6, seed=1)
    check(slope.grad(solve), weight, y, kernels=2)
    agree(lambda w, y: slope.jvp(slope.grad(solve), (w, y), (w, y)), weight, y, near=1e-4)


# --- what stays outside

OUTSIDE = {
    "half precision": lambda h: slope.fori_loop(0, 3, lambda i, h: h * 2, h.to("float16")),
    "an unknown operator": lambda h: slope.fori_loop(0, 3, lambda i, h: slope.sort(h)[0] + 1, h),
    "float64's erf": lambda h: slope.fori_loop(0, 3, lambda i, h: slope.erf(h), h.to("float64")),
    "too much work": lambda h: slope.fori_loop(
        0, 3, lambda i, m: m @ m, slope.ones(256, 256) * h[0]
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_kernels_do_not_know(name: str):
    h = slope.tensor([0.01, 3.0, -2.0])
    assert "stream.executable" not in code(OUTSIDE[name], h)
    agree(OUTSIDE[name], h, near=1e-3)


def test_a_kernel_within_a_loop_that_is_none():
    def run(h: Any, m: Any) -> Any:
        def step(state: Any, _: Any) -> Any:
            h, m = state
            h = slope.fori_loop(0, 4, lambda i, h: slope.sin(h) + 1, h)
            return (h, m @ m * 1e-3), h

        return slope.scan(step, (h, m), None, length=3)

    h, m = randoms(7), randoms(256, 256)
    text = code(run, h, m)
    assert "scf.while" in text.partition("func.func @main")[2]
    assert "stream.executable" in text
    agree(run, h, m, near=1e-3)


def test_what_iree_refuses_with_kernels_is_compiled_without(monkeypatch: pytest.MonkeyPatch):
    def compiled(text: str, options: Any) -> bytes:
        if "stream.executable" in text:
            raise IreeCompileError("unknown dialect")
        return compile_module(text, options)

    monkeypatch.setenv("SLOPE_DISK_CACHE", "0")
    monkeypatch.setattr("slope_backend_iree.modules.compile_module", compiled)
    loop = slope.jit(lambda x: slope.fori_loop(0, 3, lambda i, v: v * 2 + i, x), backend="iree")
    assert loop(slope.ones(2)).tolist() == [12, 12]
    assert "stream.executable" not in loop.lower(slope.ones(2)).code
    monkeypatch.setattr("slope_backend_iree.modules.compile_module", refused)
    with pytest.raises(errors.CompileError, match="unknown dialect"):
        slope.jit(lambda x: slope.fori_loop(0, 4, lambda i, v: v * 2 + i, x), backend="iree")(
            slope.ones(2)
        )


@pytest.mark.parametrize(
    ("diagnostics", "again"),
    [
        (("unknown dialect",), False),
        (("cannot write: No space left on device",), True),
        (("failed to link executable and generate target dylib",), True),
        ((), True),
    ],
)
def test_what_iree_refused_for_good_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, diagnostics: tuple[str, ...], again: bool
):
    """A second run of a script compiles nothing, also where the first one compiled twice."""
    tried: list[bool] = []

    def compiled(text: str, options: Any) -> bytes:
        tried.append("stream.executable" in text)
        if tried[-1]:
            raise IreeCompileError("refused", diagnostics)
        return compile_module(text, options)

    monkeypatch.setenv("SLOPE_DISK_CACHE", "1")
    monkeypatch.setenv("SLOPE_CACHE", str(tmp_path))
    monkeypatch.setattr("slope_backend_iree.modules.compile_module", compiled)
    for _ in range(2):  # a new function, as in another process
        loop = slope.jit(lambda x: slope.fori_loop(0, 3, lambda i, v: v * 3 + i, x), backend="iree")
        assert loop(slope.ones(2)).tolist() == [32, 32]
    assert tried == [True, False, *([True] if again else [])]


def refused(text: str, options: Any) -> bytes:
    raise IreeCompileError("unknown dialect" if "stream.executable" in text else "unknown program")


def test_no_kernels_but_on_a_cpu():
    program = trace_program(
        lambda x: slope.fori_loop(0, 3, lambda i, x: x + 1, x), [TensorType((3,), dtypes.float32)]
    )
    backend = IreeBackend()
    assert "stream.executable" in lower_program(program, backend.lowerings).text
    assert "stream.executable" not in lower_program(program, backend.lowerings, cpu=False).text


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 8, 9, 17])
def test_rows_of_products_are_summed_side_by_side(rows: int):
    def run(w: Any, xs: Any) -> Any:
        return slope.scan(lambda h, x: (slope.tanh(h @ w + x), h @ w.T), xs[0], xs)

    agree(run, randoms(33, 33) * 0.1, randoms(2, rows, 33))


@pytest.mark.parametrize(("lanes", "rows"), [(0, 4), (16, 8)])
def test_wide_registers_hold_more_rows(lanes: int, rows: int):
    def run(w: Any, xs: Any) -> Any:
        return (slope.scan(lambda h, x: (h @ w + x, None), xs[0], xs)[0],)

    types = [TensorType((64, 64), dtypes.float32), TensorType((3, 16, 64), dtypes.float32)]
    text = lower_program(trace_program(run, types), IreeBackend().lowerings, lanes=lanes).text
    assert text.count("vector.broadcast") == rows  # in the loop over what is summed


def test_constants_are_read_where_they_are():
    def run(table: Any, places: Any) -> Any:
        return slope.scan(lambda h, i: (h + table[i], h.sum()), slope.zeros(8), places)

    table, places = randoms(100_000, 8), slope.tensor([3, 99_999, -1, 7])
    check(run, table, places)
    assert code(run, table, places).count("memref<800000xf32>") <= 3


def test_a_solver_multiplies_by_a_large_matrix_as_it_lies():
    """Its few turns would not make up for a copy."""

    def solve(a: Any, b: Any) -> Any:
        return slope.while_loop(
            lambda state: state[1] > 1e-4,
            lambda state: (b - a @ state[0], abs(b - a @ state[0] - state[0]).max()),
            (b, slope.ones(())),
        )[0]

    a, b = randoms(512, 512) * 0.01, randoms(512, seed=1)
    check(solve, a, b, near=1e-3)
    assert "memref<?x" not in code(solve, a, b)  # memory that is not an argument


def test_float64_tanh_is_right_to_the_last_places():
    edges = [0.0, -0.0, np.inf, -np.inf, 0.625, np.nextafter(0.625, 1), -0.625, 1e-300, 700.0, -1e9]
    x = np.concatenate([np.linspace(-25, 25, 5001), np.linspace(-1, 1, 5001), edges])

    def run(xs: Any) -> Any:
        def step(count: Any, x: Any) -> Any:
            x = slope.where(count >= 0, x, 0.0)  # without the carry it would leave the loop
            return count + 1, slope.tanh(x)

        return slope.scan(step, slope.tensor(0), xs)[1]

    rows = slope.from_numpy(np.stack([x, np.full_like(x, np.nan)]))
    check(run, rows, near=1e-15)
    found = slope.jit(run, backend="iree")(rows).numpy()
    np.testing.assert_array_max_ulp(found[0], np.tanh(x), 4)
    assert np.isnan(found[1]).all()
    assert np.signbit(found[0][np.signbit(x)]).all()


# --- bodies at random

UNARY = (
    slope.sin,
    lambda x: slope.exp(-x * x),
    lambda x: x.T,
    lambda x: x[::-1],
    lambda x: x - x.mean(dim=0, keepdim=True),
    lambda x: slope.softmax(x, dim=1),
    lambda x: slope.cat([x[1:], x[:1]], dim=0),
    lambda x: x.amax(dim=0) + x,
    lambda x: slope.pad(x, (1, 0))[:, :-1] + x,
    lambda x: x.reshape(-1).reshape(x.shape) + x[0],
    lambda x: x.T.reshape(x.shape),
    lambda x: slope.cumsum(x, dim=1) * 0.1,
    lambda x: x[slope.argmax(x, dim=0)],
    lambda x: x.at[slope.argmin(x, dim=1)].add(x * 0.1),
    lambda x: slope.where(x > 0, x, x.sum() * 0.1),
    lambda x: x + slope.arange(x.shape[1]) * 0.1,
)
BINARY = (
    slope.add,
    slope.mul,
    slope.maximum,
    lambda a, b: a / (b * b + 1),
    lambda a, b: a @ b.T @ a * 0.1,
    lambda a, b: slope.cond(a.sum() > 0, lambda a, b: a, lambda a, b: b * 2, a, b),
    lambda a, b: a.at[1].set(b[0]),
)
STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, deadline=None)
@given(STEPS, st.sampled_from([(3, 3), (5, 5), (33, 33)]), st.booleans())
def test_bodies_at_random(steps: list[Any], shape: tuple[int, int], reverse: bool):
    def run(a: Any, b: Any, xs: Any) -> Any:
        def body(state: Any, x: Any) -> Any:
            values = [*state, x]
            for binary, which, first, second in steps:
                one, other = values[first % len(values)], values[second % len(values)]
                made = (
                    BINARY[which % len(BINARY)](one, other)
                    if binary
                    else UNARY[which % len(UNARY)](one)
                )
                values.append(slope.tanh(made))
            return (values[-1], values[len(values) // 2]), (values[-1], values[3])

        return slope.scan(body, (a, b), xs, reverse=reverse)

    args = randoms(*shape), randoms(*shape, seed=1), randoms(3, *shape, seed=2)
    args = tuple(each.to("float64") for each in args)
    check(run, *args, near=1e-9)
