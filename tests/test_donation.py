"""Donated arguments: right results, memory used again, and nothing lost that somebody holds."""

import threading

import numpy as np
import pytest

import slope
from slope import errors, nn


def fresh(*values):
    return slope.tensor(np.array(values, np.float32))


def test_a_donated_tensor_is_gone_and_says_why(backend):
    step = slope.jit(lambda state, x: state + x, donate=0)
    state, x = fresh(1, 2), fresh(3, 4)
    assert step(state, x).tolist() == [4, 6]
    for use in (
        state.numpy,
        lambda: state + 1,
        lambda: repr(state),
        lambda: step(state, x),
        lambda: slope.jit(lambda x: x * 2)(state),
        lambda: slope.grad(lambda x: x.sum())(state),
    ):
        with pytest.raises(errors.DonatedTensorError, match=r"donated to an earlier call of <lam"):
            use()
    assert state.shape == (2,)
    assert x.tolist() == [3, 4]


def test_a_loop_of_donated_steps(backend):
    step = slope.jit(
        lambda state, x: {"a": state["a"] * 0.5 + x, "n": state["n"] + 1}, donate="state"
    )
    state, x = {"a": slope.zeros(100) + 0, "n": slope.tensor(0)}, slope.ones(100)
    expected = np.zeros(100, np.float32)
    for _ in range(20):
        state = step(state, x)
        expected = expected * np.float32(0.5) + 1
    np.testing.assert_allclose(state["a"].numpy(), expected, rtol=1e-6)
    assert state["n"].item() == 20
    assert step.compile_count == 1


def test_what_others_hold_is_never_written(backend):
    step = slope.jit(lambda state: state * 2 + 1, donate=0)
    array = np.ones(64, np.float32)
    borrowed = step(slope.from_numpy(array))
    np.testing.assert_array_equal(array, np.ones(64))

    views = []
    state = borrowed
    for _ in range(5):
        views.append((state.numpy(), state.numpy().copy()))
        state = step(state)
    exported = np.from_dlpack(state)
    copy = exported.copy()
    step(state)
    np.testing.assert_array_equal(exported, copy)
    for view, kept in views:
        np.testing.assert_array_equal(view, kept)


def test_one_tensor_twice(backend):
    step = slope.jit(lambda a, b: (a + 1, b * 2), donate=0)
    x = fresh(1, 2) + 0
    first, second = step(x, x)
    assert first.tolist() == [2, 3]
    assert second.tolist() == [2, 4]
    both = slope.jit(lambda a, b: (a + 1, b * 2 + a), donate=(0, 1))
    y = fresh(1, 2) + 0
    first, second = both(y, y)
    assert first.tolist() == [2, 3]
    assert second.tolist() == [3, 6]


def test_one_tensor_donated_and_returned(backend):
    for places in (0, (0, 1)):
        x = fresh(1, 2) + 0
        changed, same = slope.jit(lambda a, b: (a.at[0].set(5), b), donate=places)(x, x)
        assert changed.tolist() == [5, 2]
        assert same is x
        assert x.tolist() == [1, 2]


def test_tensors_that_share_memory(backend):
    x = slope.ones(4, 6) + 0
    row = x[1]
    turned = x.reshape(6, 4)
    out = slope.jit(lambda x: x * 3, donate=0)(x)
    assert (out.numpy() == 3).all()
    assert (row.numpy() == 1).all()
    assert (turned.numpy() == 1).all()


def test_what_is_returned_as_it_came_stays(backend):
    step = slope.jit(lambda state, x: (state, state + x), donate=0)
    state = fresh(1, 2)
    same, total = step(state, fresh(1, 1))
    assert same is state
    assert state.tolist() == [1, 2]
    assert total.tolist() == [2, 3]


def test_a_call_that_fails_before_it_runs_loses_nothing(backend):
    step = slope.jit(lambda state, x: state + x, donate=0)
    state, gone = fresh(1, 2), fresh(1, 2)
    step(gone, fresh(0, 0))
    with pytest.raises(errors.ShapeError, match="shape"):
        step(state, fresh(1, 2, 3))
    with pytest.raises(errors.DonatedTensorError, match="donated"):
        step(state, gone)
    assert state.tolist() == [1, 2]


def test_numbers_and_arrays_are_not_taken(backend):
    step = slope.jit(lambda state: [each + 1 for each in state], donate=0)
    array = np.zeros(3, np.float32)
    out = step([array, 2.0, 3])
    assert [each.tolist() for each in out] == [[1, 1, 1], 3.0, 4]
    assert array.tolist() == [0, 0, 0]


def test_methods_modules_and_names(backend):
    class Model(nn.Module):
        def __init__(self):
            self.weight = slope.tensor(np.ones(3, np.float32))

        @slope.jit(donate="x")
        def __call__(self, x, *, scale=None):
            return self.weight * x if scale is None else self.weight * x * scale

    model, x = Model(), fresh(1, 2, 3)
    assert model(x).tolist() == [1, 2, 3]
    with pytest.raises(errors.DonatedTensorError, match="donated"):
        x.tolist()
    bound = slope.jit(model.__call__, donate=0)
    y = fresh(1, 1, 1)
    bound(y)
    with pytest.raises(errors.DonatedTensorError, match="donated"):
        y.tolist()
    assert model.weight.tolist() == [1, 1, 1]

    keyword = slope.jit(lambda a, **rest: a + rest["b"], donate="b")
    b = fresh(1)
    keyword(fresh(1), b=b)
    with pytest.raises(errors.DonatedTensorError, match="donated"):
        b.tolist()


def test_a_train_step_is_the_same(backend):
    def loss(model, x, y):
        return slope.mse_loss(model(x), y)

    def step(model, optimizer, x, y):
        value, gradients = slope.value_and_grad(loss)(model, x, y)
        model, optimizer = optimizer(model, gradients)
        return model, optimizer, value

    def run(jitted):
        key = slope.random.key(0)
        model = nn.Sequential(nn.Linear(4, 8, key=key), nn.ReLU(), nn.Linear(8, 2, key=key))
        model = slope.tree_map(lambda x: x + 0, model)
        optimizer = nn.AdamW(model, lr=0.01)
        x, y = slope.random.normal(key, (16, 4)), slope.ones(16, 2)
        values = []
        for _ in range(10):
            model, optimizer, value = jitted(model, optimizer, x, y)
            values.append(value.item())
        return values

    np.testing.assert_array_equal(
        run(slope.jit(step)), run(slope.jit(step, donate=("model", "optimizer")))
    )


def test_numpy_writes_in_place():
    with slope.use_backend("numpy"):
        state = slope.zeros(1000) + 0
        place = state.host().ctypes.data
        out = slope.jit(lambda state: state * 2 + 1, donate=0)(state)
        assert out.host().ctypes.data == place


def test_under_another_transform_nothing_is_given_away(backend):
    step = slope.jit(lambda state: (state * state).sum(), donate=0)
    x = fresh(1, 2)
    assert slope.grad(step)(x).tolist() == [2, 4]
    assert slope.jit(lambda x: step(x) + x.sum())(x).item() == 8
    assert x.tolist() == [1, 2]


def test_threads(backend):
    step = slope.jit(lambda state, x: state * 0.5 + x, donate=0)
    failures = []

    def work(seed):
        state, x = slope.full((256,), float(seed)) + 0, slope.full((256,), float(seed)) + 0
        expected = np.full(256, seed, np.float32)
        for _ in range(50):
            state = step(state, x)
            expected = expected * np.float32(0.5) + np.float32(seed)
        if not np.allclose(state.numpy(), expected):
            failures.append(seed)

    with slope.use_backend(backend):
        step(slope.zeros(256) + 0, slope.ones(256) + 0)

    def start(seed):
        with slope.use_backend(backend):
            work(seed)

    threads = [threading.Thread(target=start, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    ("donate", "text"),
    [
        (2, r"jit of f: donate=2 is out of range: the arguments are a, b"),
        (-3, r"jit of f: donate=-3 is out of range"),
        ("c", r"jit of f: donate names 'c', and its arguments are a, b"),
        ((0, 1.5), r"jit of f: donate takes positions and names of arguments, and got 1\.5"),
        (True, r"jit of f: donate takes positions and names of arguments, and got True"),
        ("a", r"jit of f: donate and static_argnums= both name the argument 'a'"),
    ],
)
def test_bad_donations(donate, text):
    def f(a, b):
        return a + b

    with pytest.raises(errors.ArgumentError, match=text):
        slope.jit(f, static_argnums=0 if donate == "a" else (), donate=donate)
    with pytest.raises(errors.ArgumentError, match="donate"):
        slope.jit(f, donate=3.5)  # pyright: ignore[reportArgumentType]  # what is tested
