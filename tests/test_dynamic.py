"""jit(dynamic=...): one trace, and where a backend can, one executable, for all sizes."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import slope
from slope import nn
from slope.errors import ArgumentError, IndexingError, ShapeError

ROWS = {"x": {0: slope.Dim("n")}}
W = slope.tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))


def rows(count, width=4):
    values = np.random.default_rng(count).standard_normal((count, width))
    return slope.tensor(values.astype(np.float32))


def agree(found, wanted):
    for one, other in zip(slope.tree_leaves(found), slope.tree_leaves(wanted), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert one.numpy().shape == one.shape
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


def attend(x):
    return slope.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True)


FUNCTIONS = {
    "mean": lambda x: (x.mean(), x.mean(0), x.var(0), x.sum() / x.shape[0]),
    "shapes": lambda x: (x.flatten(), x.reshape(-1, 2), x.reshape(x.shape[0], 2, 2), x.T),
    "products": lambda x: (x @ W, x @ x.T, x.T @ x, slope.einsum("ni,ij->jn", x, W)),
    "slices": lambda x: (x[1:], x[-1], x[:, ::2], x.flip(0), slope.roll(x, 1, 0)),
    "joined": lambda x: (slope.cat([x, x[:1]], 0), slope.pad(x, (1, 2, 3, 1)), x.repeat(2, 1)),
    "softmax": lambda x: (slope.softmax(x, 0), slope.logsumexp(x, 0), slope.log_softmax(x, 1)),
    "order": lambda x: (x.sort(0), x.topk(2, dim=1), x.argmax(0), x.amax(), x.cumsum(0)),
    "places": lambda x: (x[x.argmax(0)], x.at[0].set(1.0), slope.one_hot(x.argmax(1), 4)),
    "counting": lambda x: (x * slope.arange(x.shape[0])[:, None], x @ x.T + slope.eye(x.shape[0])),
    "attention": attend,
    "vmap": slope.vmap(slope.jacrev(lambda row: slope.tanh(row @ W))),
    "scan": lambda x: slope.scan(lambda c, row: (c + row, c * row), slope.zeros(4), x),
    "loops": lambda x: slope.while_loop(lambda c: c.amax() < 50, lambda c: c * 2 + 1, x.abs()),
    "cond": lambda x: slope.cond(x.sum() > 0, lambda x: x * 2, lambda x: -x, x),
    "gradients": slope.grad(lambda x: attend(x).sum() + x.mean() ** 2 + slope.sin(x).amax()),
    "draws": lambda x: (slope.rand(x.shape), slope.randn(x.shape), slope.dropout(x, 0.5)),
    "numbers": lambda x: (
        *(x * (1 / x.shape[0]), x / x.shape[0] ** 0.5, x * (2.5 - x.shape[0])),
        *(slope.tensor(x.shape[0]), slope.tensor([x.shape[0], 7]), x * ((x.shape[0] - 4) / 2)),
    ),
    "strides": lambda x: (x[::2], x[1::3], x[::-2], x[:, ::-1], x.at[::2].add(1.0)),
    "counts": lambda x: (
        *(slope.arange(1, x.shape[0] + 1, 2), slope.arange(x.shape[0], 0, -1)),
        *(slope.linspace(0, 1, x.shape[0]), slope.arange(x.shape[0], 2 * x.shape[0])),
    ),
    "middles": lambda x: (x.median(), *x.median(0), x.quantile(0.3, 0), *x.nanmedian(0)),
    "orders": lambda x: (
        *(x[slope.randperm(x.shape[0])], slope.random.permutation(slope.random.key(1), x)),
        slope.searchsorted(x[:, 0].sort().values, x[:, 1]),
    ),
    "pieces": lambda x: (
        *slope.tensor_split(x, 3),
        x.unfold(0, 1, 2),
        slope.pad(x.T, (0, 9)).T[1:],
    ),
    "squares": lambda x: (
        *((x @ x.T).diagonal(), slope.diagonal(x, 1), slope.trace(x @ x.T)),
        *(slope.diag(x[:, 0]), slope.diag(x[:, 0], 1), slope.diag(x[:, 0], -2)),
    ),
    "pools": lambda x: (
        slope.adaptive_avg_pool1d(x.T, 1),
        slope.adaptive_max_pool2d(x[None], (None, 2)),
        slope.adaptive_avg_pool2d(x[None], (1, 1)),
        slope.interpolate(x.T[None], scale_factor=2),
    ),
    "loop over rows": lambda x: slope.fori_loop(
        0, x.shape[0], lambda i, c: c + x[i] * i, slope.zeros(4)
    ),
    "gradients of strides": slope.grad(
        lambda x: slope.sin(x[::2]).sum() + (x[::3] ** 2).sum() + x[::-2].sum() + x.median() ** 2
    ),
    "gradients of pieces": slope.grad(
        lambda x: (
            (slope.diag(x[:, 0], 1) @ slope.diag(x[:, 1], 1)).sum()
            + (slope.tensor_split(x, 2)[1] ** 2).sum()
            + (slope.adaptive_max_pool1d(x.T, 1) ** 2).sum() * (1 / x.shape[0])
        )
    ),
    "convolution": lambda x: slope.conv1d(x.T[None], slope.ones(2, 4, 3), padding=1),
}


@pytest.mark.parametrize("chosen", ["numpy", "onnxruntime"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_executable_serves_all_sizes(name, chosen, caplog):
    dynamic, plain = slope.jit(FUNCTIONS[name], dynamic={0: ROWS["x"]}), slope.jit(FUNCTIONS[name])
    with slope.use_backend(chosen), caplog.at_level(logging.INFO, "slope.jit"):
        for count in (5, 2, 1, 8):
            results = []
            for function in (dynamic, plain):
                slope.manual_seed(count)
                results.append(function(rows(count)))
            agree(*results)
    assert dynamic.compile_count == 1
    assert "executable for all sizes" not in caplog.text


def test_every_backend_gives_the_same(backend):
    def loss_of(w, x):
        return (slope.softmax(x @ w, 1).amax(1) - x.mean()).mean()

    f = slope.jit(slope.value_and_grad(loss_of), dynamic={"x": {0: "n"}})
    for count in (3, 2, 3):
        agree(f(W, rows(count)), slope.value_and_grad(loss_of)(W, rows(count)))
    assert f.compile_count == 1


def test_the_program_is_for_any_size():
    f = slope.jit(lambda x: x.mean(), dynamic={"x": ("n", None)}, backend="numpy")
    lowered = f.lower(rows(3))
    assert "n = x0.shape[0]" in str(lowered.program)
    assert "    n = x0.shape[0]" in lowered.code
    assert "np.asarray(4*n)" in lowered.code  # what the mean divides by


# --- saying what is dynamic


def test_dimensions_of_pytrees_modules_and_arrays():
    @slope.jit(
        dynamic={"batch": {"x": {0: "n"}, "y": {-1: "n"}}, "more": {0: "m"}}, backend="numpy"
    )
    def total(batch, more, flag=True, *, scale=1):
        assert flag
        return batch["x"].sum() * scale + batch["y"].mean() + sum(each.sum() for each in more)

    for n, m in ((3, 2), (4, 4)):
        batch = {"x": np.ones((n, 2), np.float32), "y": slope.ones(n), "z": None}
        assert total(batch, (slope.ones(m), slope.ones(m, 2)), scale=2).item() == 4 * n + 1 + 3 * m
    assert total.compile_count == 1
    model = nn.Linear(4, 3)
    f = slope.jit(model, dynamic={0: {0: "n"}}, backend="numpy")
    for count in (2, 3):
        agree(f(rows(count)), model(rows(count)))
    assert f.compile_count == 1

    last = slope.jit(lambda a, x: a + x.sum(), dynamic={-1: {0: "n"}}, backend="numpy")
    assert [last(1.0, slope.ones(count)).item() for count in (2, 3)] == [3.0, 4.0]
    assert last.compile_count == 1

    class Scaled:
        def __call__(self, x):
            return x * 2

    by_name = slope.jit(Scaled(), dynamic={"x": {0: "n"}}, backend="numpy")
    assert by_name(x=slope.ones(2)).tolist() == [2.0, 2.0]


def test_donated_and_static_arguments_stay_so():
    f = slope.jit(
        lambda state, x, how: state + (x.sum() if how == "sum" else x.mean()),
        dynamic={"x": {0: "n"}},
        donate="state",
        static_argnames="how",
        backend="numpy",
    )
    state = slope.zeros(2)
    for count in (2, 3):
        old, state = state, f(state, slope.ones(count), "sum")
        with pytest.raises(slope.errors.DonatedTensorError, match="donated"):
            slope.sin(old)
    assert state.tolist() == [5.0, 5.0]
    f(state, slope.ones(2), "mean")
    assert f.compile_count == 2


def test_under_other_transforms_it_is_traced_for_the_sizes_at_hand():
    f = slope.jit(lambda x: (x * x).mean(), dynamic=ROWS, backend="numpy")
    assert slope.grad(f)(slope.ones(2)).tolist() == [1.0, 1.0]
    assert slope.jit(lambda x: f(x) + 1)(slope.ones(3)).item() == 2.0
    assert slope.vmap(f)(slope.ones(2, 4)).tolist() == [1.0, 1.0]
    outer = slope.jit(lambda x: f(x) + 1, dynamic=ROWS, backend="numpy")
    assert [outer(slope.ones(n)).item() for n in (2, 3)] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("dynamic", "error", "message"),
    [
        (True, ArgumentError, r"dynamic must be a dict by argument"),
        ({"y": {0: "n"}}, ArgumentError, r"dynamic names 'y', and its arguments are x"),
        ({1: {0: "n"}}, ArgumentError, r"dynamic=1 is out of range"),
        ({"x": {2: "n"}}, ShapeError, r"dynamic has \{2: 'n'\} for .* which has 2 dimensions"),
        ({"x": ("n",)}, ShapeError, r"dynamic has \('n',\) for .* which has 2 dimensions"),
        ({"x": {0: 4}}, ArgumentError, r"dynamic holds 4 for a dimension"),
        ({"x": {"a": {0: "n"}}}, ArgumentError, r"dynamic has .* for the argument 0"),
        ({"x": ("n", "n")}, ShapeError, r"dimension n is 3 in dimension 0 .* and 4 in dimension 1"),
        ({"x": {0: slope.Dim("n", min=4)}}, ShapeError, r"is 3, which is not within .* min=4"),
        ({"x": {0: slope.Dim("n", max=2)}}, ShapeError, r"is 3, which is not within .* max=2"),
    ],
)
def test_what_does_not_fit_is_refused(dynamic, error, message):
    def f(x):
        return x

    with pytest.raises(error, match=message):
        slope.jit(f, dynamic=dynamic, backend="numpy")(rows(3))


def test_what_depends_on_the_size_is_refused_with_the_line():
    def f(x):
        if x.shape[0] == 3:
            return x
        return x * 2

    with pytest.raises(ShapeError, match=r"cannot decide n == 3 for every size") as caught:
        slope.jit(f, dynamic=ROWS, backend="numpy")(rows(3))
    assert "while f was traced for any size of n (dynamic=)" in caught.value.__notes__[0]
    assert f.__code__.co_firstlineno + 1 in [entry.lineno + 1 for entry in caught.traceback]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: float(x.shape[0]),
            r"float\(\) of the symbolic dimension n",
        ),
        (lambda x: x.chunk(2), r"chunk: dimension 0 of float32\[n, 4\] .* slope\.tensor_split"),
        (lambda x: x.split(2), r"split: dimension 0 of float32\[n, 4\] has no known length"),
        (lambda x: x.unbind(), r"unbind: dimension 0 of float32\[n, 4\] has no known length"),
        (lambda x: x[3::-2], r"step -2 and bounds .* write \[::-2\]"),
        (lambda x: x[:: x.shape[0]], r"a slice's step must be a known int, not n"),
        (lambda x: slope.arange(0, x.shape[0], 0), r"arange: step=0"),
        (lambda x: slope.adaptive_avg_pool1d(x.T, 2), r"\(n,\) must be known for more than one"),
        (lambda x: slope.interpolate(x.T[None], 8), r"must be known, but for mode='nearest' with"),
    ],
)
def test_what_a_symbolic_length_does_not_allow_says_so(function, message):
    with pytest.raises((ShapeError, ArgumentError, IndexingError), match=message):
        slope.jit(function, dynamic={0: ROWS["x"]}, backend="numpy")(rows(3))


def test_bounds_decide():
    f = slope.jit(
        lambda x: x if x.shape[0] > 1 else x * 2,
        dynamic={"x": {0: slope.Dim("n", min=2)}},
        backend="numpy",
    )
    assert f(slope.ones(2)).tolist() == [1.0, 1.0]


def test_sizes_that_a_function_returns_are_ints():
    f = slope.jit(lambda x: (x, x.shape, x.shape[0] // 2), dynamic=ROWS, backend="numpy")
    for count in (5, 2):
        assert f(rows(count))[1:] == ((count, 4), count // 2)


def test_a_size_of_zero():
    f = slope.jit(
        lambda x: (x * 2, x.sum()), dynamic={"x": {0: slope.Dim("n", min=0)}}, backend="numpy"
    )
    for count in (0, 3):
        doubled, total = f(slope.ones(count, 2))
        assert (doubled.shape, total.item()) == ((count, 2), 2.0 * count)


# --- beside other tools


def test_programs_that_numpy_cannot_write_for_all_sizes_are_written_for_each(caplog):
    def f(x):
        return slope.pure_callback(np.sort, x, x) + x.mean()

    dynamic = slope.jit(f, dynamic=ROWS, backend="numpy")
    with caplog.at_level(logging.INFO, "slope.jit"):
        for count in (3, 2):
            agree(dynamic(rows(count)), f(rows(count)))
    assert dynamic.compile_count == 1
    assert caplog.text.count("no executable for all sizes") == 1
    assert caplog.text.count("jit of f is compiled by numpy for n = ") == 2


def test_a_terminal_hears_once_that_each_size_is_compiled(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(slope.backend("numpy"), "dynamic", False)
    f = slope.jit(lambda x: x * 2, dynamic=ROWS, backend="numpy")
    assert [f(slope.ones(count)).shape for count in (2, 3)] == [(2,), (3,)]
    assert capsys.readouterr().err.count("is compiled by numpy for n = 2 alone (said once)") == 1


def test_names_that_mean_something_else_in_the_code():
    for name in ("np", "x0", "t1", "kernels", "len"):
        f = slope.jit(lambda x: x.flatten() * 2, dynamic={"x": {0: name}}, backend="numpy")
        assert [f(slope.ones(n, 2)).shape for n in (2, 3)] == [(4,), (6,)]


def test_prints_nans_and_profiles(capsys):
    f = slope.jit(
        lambda x: (slope.debug.print("{}", x), slope.log(x).sum())[1], dynamic=ROWS, backend="numpy"
    )
    f(slope.ones(1))
    f(slope.ones(2))
    assert capsys.readouterr().out == "[1.]\n[1. 1.]\n"
    with slope.debug.nans(), pytest.raises(ArithmeticError, match="'log' gave NaN"):
        f(slope.ones(2) * -1)
    capsys.readouterr()
    assert "log" in [row.name for row in slope.profile(f, slope.ones(3), rounds=1)]


def test_endless_sizes_are_forgotten(monkeypatch):
    monkeypatch.setattr("slope.api._dynamic._LIMIT", 3)
    f = slope.jit(lambda x: x * 2, dynamic=ROWS, backend="numpy")
    for count in range(1, 9):
        assert f(slope.ones(count)).shape == (count,)
    assert len(f._entries) <= 3
    assert f.compile_count == 1
