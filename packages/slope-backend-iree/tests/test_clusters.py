"""Products of one row and what is around them run as one kernel, and mean what NumPy says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iree_checks import agree, code, randoms

import slope

pytestmark = pytest.mark.usefixtures("cache")


def kernels(f: Callable[..., Any], *args: Any) -> tuple[int, int]:
    """How many kernels there are, and how often one is started."""
    text = code(f, *args)
    return text.count("stream.executable private"), text.count("flow.dispatch @")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("product", "lengths"),
    [
        (lambda v, w: v @ w, (257,)),
        (lambda v, w: w @ v, (131,)),
        (lambda v, w: w.T @ v, (257,)),
        (slope.linear, (1, 1, 131)),
        (lambda v, w: slope.tensordot(w, v, 1), (131, 1)),
        (lambda v, w: slope.einsum("ab,ab->", v, w) + v.sum(), (257, 131)),
    ],
)
def test_a_row_times_a_matrix(product: Any, lengths: tuple[int, ...], dtype: Any):
    v, w = randoms(*lengths, dtype=dtype), randoms(257, 131, dtype=dtype, seed=1)
    agree(product, v, w, near=1e-4)
    assert ("stream.executable" in code(product, v, w)) == (len(lengths) != 2 or lengths[1] == 1)


def test_layers_of_one_row_are_one_kernel():
    def layers(v: slope.Tensor, *ws: slope.Tensor) -> slope.Tensor:
        for w in ws:
            v = slope.tanh(v @ w)
        return v

    given = (randoms(128), *(randoms(128, 128, seed=each) for each in range(1, 5)))
    agree(layers, *given, near=1e-4)
    assert kernels(layers, *given) == (1, 1)


def test_kernels_of_one_kind_are_written_once():
    def layers(v: slope.Tensor, *ws: slope.Tensor) -> slope.Tensor:
        for w in ws:
            v = slope.sort(slope.tanh(v @ w)).values
        return v

    given = (randoms(128), *(randoms(128, 128, seed=each) for each in range(1, 5)))
    agree(layers, *given, near=1e-4)
    assert kernels(layers, *given) == (2, 8)  # products with tanh, and sorts


def test_many_arrays_make_several_kernels():
    def layers(v: slope.Tensor, *ws: slope.Tensor) -> tuple[slope.Tensor, ...]:
        found = []
        for w in ws:
            v = slope.tanh(v @ w / 16)
            found.append(v)
        return (v.sum(), *found)

    given = (randoms(128), *(randoms(128, 128, seed=each) for each in range(1, 31)))
    agree(layers, *given, near=1e-4)
    assert kernels(layers, *given)[1] == 3


def test_results_of_all_kinds():
    def f(v: slope.Tensor, w: slope.Tensor, n: slope.Tensor, u: slope.Tensor) -> Any:
        y = v @ w
        best = y.argmax()
        views = y.reshape(4, 32).T, y[::-2], v, slope.broadcast_to(y[:3], (2, 3))
        others = y > 0, (y > 0).any(), u + 1, u.max() - u, n // 2, best
        return y, views, others, slope.where(n > 3, y[best], -y[0]), slope.where(y > 9, y, -0.0)

    agree(
        f,
        randoms(128),
        randoms(128, 128, seed=1),
        slope.tensor(7),
        slope.tensor([0, 1, 255], dtype=slope.uint8),
        near=1e-4,
    )


def test_values_of_no_finite_size():
    def f(v: slope.Tensor, w: slope.Tensor, b: slope.Tensor) -> Any:
        y = v @ w
        return (
            slope.maximum(y, b),
            slope.softmax(y + b, 0),
            (y + b).amax(),
            (y + b).argmax(),
            -y * 0,
        )

    odd = np.resize(np.array([np.nan, np.inf, -np.inf, -0.0, 1.5], np.float32), 128)
    for b in (odd, np.where(np.isnan(odd), 0, odd), np.full_like(odd, -np.inf)):
        agree(f, randoms(128), randoms(128, 128, seed=1), slope.tensor(b), near=1e-4)


def test_a_large_array_in_another_shape_is_read_where_it_is():
    def f(v: slope.Tensor, w: slope.Tensor) -> Any:
        y = slope.tanh(v @ w[:128])
        y = slope.tanh(y @ w[128:].T)
        return y, w.T  # which is written out, but not by the kernel

    given = randoms(128), randoms(256, 128, seed=1)
    agree(f, *given, near=1e-4)
    assert kernels(f, *given) == (1, 1)


def test_what_is_not_small_stands_between():
    def f(v: slope.Tensor, w: slope.Tensor, table: slope.Tensor) -> Any:
        y = v @ w
        far = slope.tanh(table + y[0]) @ slope.ones(table.shape[1])
        return slope.tanh((far[:128] + y) @ w)

    given = randoms(128), randoms(128, 128, seed=1), randoms(512, 300, seed=2)
    agree(f, *given, near=1e-3)
    assert kernels(f, *given)[1] == 2


def test_attention_of_one_token_over_a_donated_cache():
    def step(x: slope.Tensor, cache: list[slope.Tensor], place: Any, *ws: slope.Tensor) -> Any:
        x = x - x.mean()
        x = x * slope.rsqrt((x * x).mean() + 1e-5)
        q, *new = (slope.linear(x, w).reshape(1, 4, 1, 32) for w in ws[:3])
        cache = [
            slope.dynamic_update_slice(old, each, (0, 0, place, 0))
            for old, each in zip(cache, new, strict=True)
        ]
        mask = slope.arange(16)[None] <= place
        seen = slope.scaled_dot_product_attention(q, *cache, attn_mask=mask)
        x = x + slope.linear(seen.reshape(1, 128), ws[3])
        return x + slope.gelu(slope.linear(x, ws[3])), cache

    ws = [randoms(128, 128, seed=each) for each in range(1, 5)]
    made: dict[str, list[Any]] = {}
    for name in ("iree", "numpy"):
        compiled = slope.jit(step, backend=name, donate=1)
        x, cache = randoms(1, 128), [slope.zeros(1, 4, 16, 32) for _ in range(2)]
        for place in range(5):
            x, cache = compiled(x, cache, place, *ws)
        made[name] = [x, *cache]
    for found, expected in zip(*made.values(), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-3, 1e-3)
    assert kernels(step, x, cache, 0, *ws) == (1, 1)

    def loss(x: slope.Tensor) -> slope.Tensor:
        return step(x, cache, 3, *ws)[0].sum()

    agree(slope.grad(loss), randoms(1, 128), near=1e-3)


def test_what_is_no_row_or_large_is_left_to_iree():
    for shapes in (((2, 128), (128, 128)), ((64,), (64, 64)), ((1024,), (1024, 4096))):
        v, w = (slope.zeros(*shape) for shape in shapes)
        assert "stream.executable" not in code(lambda v, w: v @ w, v, w)


UNARY = (
    slope.tanh,
    slope.exp,
    lambda x: x.reshape(2, -1).sum(0).repeat(2),
    lambda x: slope.flip(x, (0,)),
    lambda x: slope.roll(x, 3),
    lambda x: slope.cumsum(x, 0),
    lambda x: slope.softmax(x, 0),
    lambda x: slope.where(x > 0, x, 0.5),
    lambda x: x - x.mean(),
    lambda x: slope.pad(x, (1, 2))[:-3],
    lambda x: x[slope.argsort(x)] if x.shape[0] > 200 else x[slope.arange(x.shape[0]) // 2],
    lambda x: x.at[x.argmin()].set(2.0),
    lambda x: slope.cat([x[5:], x[:5]]),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, len(UNARY)), min_size=1, max_size=12),
    st.lists(st.integers(0, 11), max_size=3),
    st.sampled_from([130, 128]),
)
def test_programs_at_random(names: list[int], kept: list[int], length: int):
    def f(v: slope.Tensor, w: slope.Tensor) -> Any:
        made = []
        for name in names:
            v = slope.tanh(v @ w) if name == len(UNARY) else slope.tanh(UNARY[name](v))
            made.append(v)
        return v @ w, [made[each] for each in kept if each < len(made)]

    agree(f, randoms(length), randoms(length, length, seed=1) / 8, near=1e-3)
