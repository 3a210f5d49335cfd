"""Batches and prefetching: orders, positions, threads."""

from __future__ import annotations

import gc
import itertools
import logging
import threading
import time
from typing import cast

import numpy as np
import pytest

import slope
from slope import errors, nn
from slope_nn import data


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "slope-prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    gc.collect()
    assert threads() == []


def test_an_epoch_visits_everything_once_in_an_order_of_its_own():
    batches = data.Batches(12, 4, key=3)
    assert len(batches) == batches.per_epoch == 3
    first, second = (np.concatenate(list(batches)) for _ in range(2))
    np.testing.assert_array_equal(np.sort(first), np.arange(12))
    np.testing.assert_array_equal(np.sort(second), np.arange(12))
    assert not np.array_equal(first, second)
    again = data.Batches(np.int64(12), 4, key=slope.random.key(3))
    np.testing.assert_array_equal(np.concatenate(list(again.until(2))), [*first, *second])
    assert not np.array_equal(np.concatenate(list(data.Batches(12, 4, key=4))), first)


def test_orders_are_pinned_and_the_same_on_every_backend(backend):
    drawn = [batch.tolist() for batch in data.Batches(7, 3, key=0).until(2)]
    assert drawn == PINNED
    key = slope.random.split(slope.random.fold_in(slope.random.key(0), 1))[0]
    assert slope.random.permutation(key, 7).tolist() == [n for batch in PINNED[3:] for n in batch]


PINNED = [[2, 5, 1], [4, 6, 3], [0], [6, 1, 3], [4, 0, 2], [5]]


def test_batches_have_the_structure_of_the_data():
    x, y = np.arange(20.0).reshape(10, 2), slope.tensor(np.arange(10))
    batches = data.Batches({"x": x, "y": y}, 4, key=1)
    shapes = [(batch["x"].shape, batch["y"].shape) for batch in batches]
    assert shapes == [((4, 2), (4,)), ((4, 2), (4,)), ((2, 2), (2,))]
    for batch in batches:
        np.testing.assert_array_equal(batch["x"][:, 0], 2 * batch["y"])
        assert batch["x"].dtype == x.dtype
        assert batch["y"].dtype == np.int64


def test_without_a_key_the_order_is_kept_and_the_rest_dropped_or_not():
    assert [b.tolist() for b in data.Batches(5, 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in data.Batches(5, 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert [b.tolist() for b in data.Batches(4, 2)] == [[0, 1], [2, 3]]
    assert [b.tolist() for b in data.Batches(2, 5)] == [[0, 1]]


def test_a_last_batch_of_another_shape_is_compiled_once_and_told_once(on_numpy, caplog):
    @slope.jit
    def total(x):
        return x.sum()

    batches = data.Batches(np.ones((10, 3), np.float32), 4, key=0)
    with caplog.at_level(logging.INFO, logger="slope"):
        sums = [total(x).item() for x in batches.until(3)]
    assert sums == [12, 12, 6] * 3
    assert total.compile_count == 2
    (told,) = [message for message in caplog.messages if "compiles again" in message]
    assert "[4, 3]" in told
    assert "[2, 3]" in told


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_a_saved_position_goes_on_exactly(tmp_path, ahead):
    def batches(key=8):
        def noisy(index, key):
            return index, slope.random.bits(key, 2).numpy()

        return data.Batches(10, 3, key=key, drop_last=True, transform=noisy, prefetch=ahead)

    def shown(items):
        return [(index.tolist(), noise.tolist()) for index, noise in items]

    whole = shown(batches().until(4))
    assert len(whole) == 12
    assert len({tuple(noise) for _, noise in whole}) == 12
    for stop in (1, 3, 7, 12):
        first = batches()
        begun = shown(itertools.islice(first.until(4), stop))
        nn.save(tmp_path / "state", first.state_dict())
        second = batches(key=9)  # the state brings the key
        second.load_state_dict(nn.load(tmp_path / "state"))
        assert len(second.until(4)) == 12 - stop
        assert (second.epoch, second.batch) == divmod(stop, 3)
        assert begun + shown(second.until(4)) == whole
        assert shown(second.until(4)) == []


def test_a_loop_that_was_left_goes_on():
    batches = data.Batches(6, 2)
    for batch in batches:
        assert batch.tolist() == [0, 1]
        break
    assert len(batches) == 2
    assert [b.tolist() for b in batches] == [[2, 3], [4, 5]]
    assert len(batches) == 3
    assert repr(batches) == "Batches(6 examples, batch_size=2, epoch=1, batch=0 of 3)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.Batches(10, 0), errors.ArgumentError, "positive int, not 0"),
        (lambda: data.Batches(10, cast(int, 2.5)), errors.ArgumentError, r"positive int, not 2\.5"),
        (lambda: data.Batches(10, 2, prefetch=-1), errors.ArgumentError, "from 0, not -1"),
        (
            lambda: data.Batches(10, 11, drop_last=True),
            errors.ArgumentError,
            "10 examples make no batch of batch_size=11; drop_last=False keeps",
        ),
        (lambda: data.Batches(0, 1), errors.ArgumentError, "0 examples make no batch"),
        (
            lambda: data.Batches((np.ones((3, 2)), np.ones(4)), 1),
            errors.ShapeError,
            r"got shapes \(3, 2\), \(4,\)",
        ),
        (lambda: data.Batches(np.ones(()), 1), errors.ShapeError, r"got shapes \(\)"),
        (lambda: data.Batches((), 1), errors.ShapeError, "got shapes of no array"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_state_of_other_batches_is_refused():
    state = data.Batches(10, 2, key=0).state_dict()
    with pytest.raises(errors.ArgumentError, match="count=10 here 12, batch_size=2 here 3"):
        data.Batches(12, 3, key=0).load_state_dict(state)
    with pytest.raises(errors.ArgumentError, match="if and only if the batches were shuffled"):
        data.Batches(10, 2).load_state_dict(state)


def test_prefetch_prepares_ahead_and_no_further():
    made = []

    def source():
        for number in range(10):
            made.append(number)
            yield number

    items = data.prefetch(source(), 3)
    assert made == []
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3]
    assert list(items) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert threads() == []


def test_an_exception_comes_in_its_turn():
    def source():
        yield 1
        yield 2
        raise KeyError("lost")

    items = data.prefetch(source(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError, match="lost") as caught:
        next(items)
    assert caught.traceback[-1].name == "source"
    assert threads() == []
    with pytest.raises(ZeroDivisionError):
        list(data.Batches(4, 2, transform=lambda batch, key: 1 // 0, prefetch=2))


@pytest.mark.parametrize("leave", ["close", "drop", "raise"])
def test_leaving_early_leaves_no_thread(leave):
    closed = []

    def source():
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    items = data.prefetch(source(), 2)
    assert next(items) == 0
    assert len(threads()) == 1
    if leave == "close":
        items.close()
    elif leave == "drop":
        del items
        gc.collect()
    else:
        with pytest.raises(ValueError, match="mine"):
            items.throw(ValueError("mine"))
    assert threads() == []
    assert closed == ["slope-prefetch"]


def test_the_thread_sees_the_callers_backend(backend):
    def source():
        yield slope.backend().name

    assert list(data.prefetch(source())) == [backend]


def test_what_is_never_begun_starts_no_thread():
    items = data.prefetch(range(3))
    assert threads() == []
    items.close()


@pytest.mark.parametrize("ahead", [0, -1, 1.5, True])
def test_prefetch_refuses_a_bad_number(ahead):
    with pytest.raises(errors.ArgumentError, match="ahead must be a positive int"):
        data.prefetch([1], ahead)
