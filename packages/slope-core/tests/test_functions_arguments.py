"""Arguments, edges and errors of functions, with the values that PyTorch gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slope
from slope import errors

pytestmark = pytest.mark.usefixtures("on_numpy")

WHOLE = [7, -7, 5]


def twice(function):
    """What a function gives at its first call and, remembered, at its second."""
    first, second = function(), function()
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    return first


@pytest.mark.parametrize(
    ("function", "values", "dtype"),
    [
        (lambda x: slope.add(x, x, alpha=2), [21, -21, 15], slope.int64),
        (lambda x: slope.sub(x, 1, alpha=2), [5, -9, 3], slope.int64),
        (lambda x: x.float().add(x, alpha=0.5), [10.5, -10.5, 7.5], slope.float32),
        (lambda x: slope.add(x.half(), 1.5, alpha=2.0), [10, -4, 8], slope.float16),
        (lambda x: slope.add(x > 0, x < 0, alpha=True), [True, True, True], slope.bool_),
        (lambda x: slope.div(x, 2, rounding_mode="trunc"), [3, -3, 2], slope.int64),
        (lambda x: slope.div(x, 2, rounding_mode="floor"), [3, -4, 2], slope.int64),
        (lambda x: x.double().div(2, rounding_mode="trunc"), [3, -3, 2], slope.float64),
        (lambda x: x.float().div(2, rounding_mode="floor"), [3, -4, 2], slope.float32),
        (lambda x: slope.addcmul(x, x, x, value=3), [154, 140, 80], slope.int64),
        (slope.relu6, [6, 0, 5], slope.int64),
        (lambda x: slope.hardtanh(x.float(), 2.0, 2.0), [2, 2, 2], slope.float32),
        (lambda x: slope.norm(x.float()[1]), 7, slope.float32),
        (lambda x: slope.norm(x.float(), 2, ()), 123**0.5, slope.float32),
        (lambda x: slope.norm(x.double()[:2], "fro"), 98**0.5, slope.float64),
        (lambda x: slope.norm(x.double()[:2], None, 0, True), [98**0.5], slope.float64),
        (lambda x: slope.max(x > 0, 0).values, True, slope.bool_),
        (lambda x: slope.min(x > 0, 0).indices, 1, slope.int64),
        (lambda x: slope.cummax(x < 0, 0).values, [False, True, True], slope.bool_),
        (lambda x: slope.cummin(x > 0, 0).indices, [0, 1, 1], slope.int64),
        (lambda x: slope.std(x.double(), correction=None), 57.333333333333336**0.5, slope.float64),
        (lambda x: slope.var_mean(x.double(), unbiased=False)[0], 344 / 9, slope.float64),
        (lambda x: slope.std_mean(x.double(), unbiased=True)[1], 5 / 3, slope.float64),
        (
            lambda x: slope.searchsorted(x, slope.tensor([6, -8]), sorter=x.argsort()),
            [2, 0],
            slope.int64,
        ),
        (lambda x: slope.full_like(x, 2, device="cpu"), [2, 2, 2], slope.int64),
        (lambda x: slope.zeros_like(x, slope.float32, "cpu"), [0, 0, 0], slope.float32),
    ],
)
def test_values(function, values, dtype):
    got = twice(lambda: function(slope.tensor(WHOLE)))
    assert got.dtype is dtype
    tolerance = 1e-12 if dtype is slope.float64 else 1e-6
    np.testing.assert_allclose(got.numpy().astype(float), values, rtol=tolerance)


def test_derivatives_of_new_arguments():
    gradient = slope.grad(lambda x, y: slope.add(x, y * y, alpha=3.0), argnums=(0, 1))
    assert [each.item() for each in gradient(slope.tensor(2.0), slope.tensor(5.0))] == [1.0, 30.0]
    assert slope.grad(lambda x: slope.div(x, 0.3, rounding_mode="trunc"))(2.0).item() == 0.0
    assert slope.grad(slope.norm)(slope.tensor(-3.0)).item() == -1.0


@pytest.mark.parametrize("dtype", [slope.float32, slope.float64])
def test_floor_of_a_quotient_goes_with_the_remainder(dtype):
    x = slope.tensor([1.0, -1.0, 1.0, 6.0, -0.3], dtype=dtype)
    y = slope.tensor([0.1, 0.1, -0.1, 0.1, 0.1], dtype=dtype)
    expected = [9, -10, -10, 59, -3 if dtype is slope.float64 else -4]
    assert twice(lambda: x // y).tolist() == expected
    ends = slope.tensor([1.0, -1.0, 0.5, float("inf"), -1.0, 0.0], dtype=dtype)
    by = slope.tensor([0.0, 0.0, float("inf"), 2.0, float("inf"), 0.0], dtype=dtype)
    expected = [np.inf, -np.inf, 0, np.nan, -1, np.nan]
    np.testing.assert_array_equal((ends // by).numpy(), expected)


@given(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(-1e3, 1e3, allow_subnormal=False).filter(lambda y: abs(y) > 1e-6),
)
@settings(deadline=None, max_examples=200)
def test_floor_division_is_pythons(x, y):
    got = slope.tensor(x, dtype=slope.float64) // slope.tensor(y, dtype=slope.float64)
    assert got.item() == x // y


def test_numbers_lose_their_fractions_before_they_are_counted():
    ints = slope.int64
    assert slope.arange(0.0, -8.000001, -4.0, dtype=ints).tolist() == [0, -4]
    assert slope.arange(0.0, 8.5, 4.0).tolist() == [0, 4, 8]
    assert slope.linspace(4.3, -3, 5, dtype=ints).tolist() == [4, 2, 0, -1, -3]
    with pytest.raises(errors.ArgumentError, match="step=0 does not lead from 0 to 2"):
        slope.arange(0, 2, 0.5, dtype=ints)


@pytest.mark.parametrize("function", [slope.softmax, slope.log_softmax, slope.softmin])
def test_softmax_of_nothing_is_nothing(function):
    x = slope.zeros(5, 0, 2)
    assert twice(lambda: function(x, 1)).shape == (5, 0, 2)
    assert slope.grad(lambda x: function(x, 1).sum())(x).shape == (5, 0, 2)
    assert slope.vmap(lambda x: function(x, 0))(x).shape == (5, 0, 2)


def test_an_empty_batch_is_padded():
    assert slope.pad(slope.zeros(0, 3, 3), (1, 2), "reflect").shape == (0, 3, 6)
    assert slope.pad(slope.zeros(0, 3, 3), (1, 2), "circular").shape == (0, 3, 6)


def test_triplets_are_swapped():
    anchor, positive, negative = (slope.tensor([[x, 0.0]]) for x in (0.0, 3.0, 5.0))
    loss = slope.triplet_margin_loss
    np.testing.assert_allclose(loss(anchor, positive, negative, margin=1.0).item(), 0.0)
    swapped = loss(anchor, positive, negative, 1.0, 2.0, 1e-6, True, "sum")
    np.testing.assert_allclose(swapped.item(), 2.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "each", "mean"),
    [
        (slope.mse_loss, [0.5, 12.0], 12.5 / 3.5),
        (slope.l1_loss, [0.5, 6.0], 6.5 / 3.5),
        (slope.huber_loss, [0.25, 4.5], 4.75 / 2),
    ],
)
def test_losses_are_weighted(loss, each, mean):
    x, target, weight = slope.tensor([[1.0, 3.0], [0.0, 1.0], [0.5, 3.0]])
    assert twice(lambda: loss(x, target, "none", weight=weight)).tolist() == each
    assert loss(x, target, "sum", weight=weight).item() == sum(each)
    np.testing.assert_allclose(loss(x, target, weight=weight).item(), mean, rtol=1e-6)
    with pytest.raises(errors.ShapeError, match=r"weight is float32\[\] and x is float32\[2\]"):
        loss(x, target, weight=2.0)


def test_adaptive_pooling_says_where():
    x = slope.tensor([[[1.0, 4.0, 2.0, 4.0], [4.0, 0.0, 5.0, 5.0], [4.0, 1.0, 5.0, 6.0]]])
    values, places = slope.adaptive_max_pool2d(x, (2, 2), True)
    assert values.tolist() == [[[4.0, 5.0], [4.0, 6.0]]]
    assert places.tolist() == [[[1, 6], [4, 11]]]
    assert places.dtype is slope.int64
    values, places = slope.adaptive_max_pool1d(x[:, 0], 3, return_indices=True)
    assert values.tolist() == [[4.0, 4.0, 4.0]]
    assert places.tolist() == [[1, 1, 3]]
    gradient = slope.grad(lambda x: slope.adaptive_max_pool2d(x, (None, 1), True)[0].sum())(x)
    assert gradient.tolist() == [[[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]]
    batched = slope.vmap(lambda x: slope.adaptive_max_pool2d(x, 2, True))(x[None])
    assert batched[1].tolist() == [[[[1, 6], [4, 11]]]]


def test_interpolation_recomputes_its_steps():
    x = slope.arange(5).float()[None, None]
    kept = slope.interpolate(x, scale_factor=1.7, mode="linear")
    again = slope.interpolate(x, scale_factor=1.7, mode="linear", recompute_scale_factor=True)
    values = [0.0, 0.3823529, 0.9705882, 1.5588236, 2.1470588, 2.7352941, 3.3235295, 3.9117646]
    np.testing.assert_allclose(kept[0, 0].numpy(), values, rtol=1e-5, atol=1e-6)
    values = [0.0, 0.4375, 1.0625, 1.6875, 2.3125, 2.9375, 3.5625, 4.0]
    np.testing.assert_allclose(again[0, 0].numpy(), values, rtol=1e-5, atol=1e-6)


def test_the_barrier_gives_back_what_it_is_given():
    one, two = slope.tensor([1.0]), slope.tensor(2.0)
    assert slope.optimization_barrier(one).tolist() == [1.0]
    tree = slope.optimization_barrier({"a": one, "b": (two, None)})
    assert tree["a"].tolist() == [1.0]
    assert tree["b"][0].item() == 2.0
    assert tree["b"][1] is None
    assert [each.shape for each in slope.optimization_barrier(one, two)] == [(1,), ()]
    assert slope.grad(lambda x: slope.optimization_barrier(x * x))(two).item() == 4.0
    assert slope.vmap(slope.optimization_barrier)(one).tolist() == [1.0]
    program = slope.jit(lambda x: slope.optimization_barrier(x * 2) + 1).lower(one).program
    names: dict = {}
    exec(str(program), names)
    assert names["lambda_"](one)[0].tolist() == [3.0]


X = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "read",
    [
        lambda x, i: x[i],
        lambda x, i: x[i, i],
        lambda x, i: slope.index_select(x, 0, i),
        lambda x, i: slope.gather(x, 0, i[:, None]),
        lambda x, i: slope.take_along_dim(x, i[:, None], 0),
        lambda x, i: slope.embedding(i, x),
    ],
)
def test_places_out_of_range_are_refused_at_every_call(read):
    x = slope.tensor(X)
    for _ in range(2):
        read(x, slope.tensor([0, -1]))
        for wrong in (2, -3):
            with pytest.raises(errors.IndexingError, match=f"index {wrong} is out of range"):
                read(x, slope.tensor([0, wrong]))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: slope.add(slope.tensor(WHOLE), 1, alpha=0.5),
            errors.DTypeError,
            "add: alpha=0.5 has a fraction, and the operands are int64",
        ),
        (
            lambda: slope.sub(1.0, 1, alpha="x"),
            errors.ArgumentError,
            "sub: alpha must be a number, not 'x'",
        ),
        (
            lambda: slope.div(1.0, 2, rounding_mode="up"),
            errors.ArgumentError,
            "div: rounding_mode='up' must be None, 'floor' or 'trunc'",
        ),
        (
            lambda: slope.addcmul(1.0, 1.0, 1.0, value="x"),
            errors.ArgumentError,
            "addcmul: value must be a number, not 'x'",
        ),
        (
            lambda: slope.isclose(slope.tensor(1.0), slope.tensor(1.0), rtol=-1.0),
            errors.ArgumentError,
            "isclose: rtol=-1.0 and atol=1e-08 must be at least 0",
        ),
        (
            lambda: slope.hardtanh(slope.tensor(1.0), 2.0, 1.0),
            errors.ArgumentError,
            "hardtanh: min_val=2.0 must not be above max_val=1.0",
        ),
        (
            lambda: slope.triplet_margin_loss(*[slope.tensor(X)] * 3, margin=0.0),
            errors.ArgumentError,
            "triplet_margin_loss: margin=0.0 must be above 0",
        ),
        (
            lambda: slope.searchsorted(slope.tensor([1.0, 2.0]), 1.0, sorter=slope.tensor([0])),
            errors.ShapeError,
            r"sorter is int64\[1\], and must have the shape of sorted_sequence float32\[2\]",
        ),
        (
            lambda: slope.interpolate(slope.ones(1, 1, 4), 8, recompute_scale_factor=True),
            errors.ArgumentError,
            "recompute_scale_factor goes with scale_factor, and not with size",
        ),
        (
            lambda: slope.slice(slope.tensor([1.0]), dim=0, start=0),
            errors.ArgumentError,
            r"slope.slice: .*; it is the operator slope.slice\(x, start, stop, step\)",
        ),
        (
            lambda: slope.grad(lambda x: x.sum(), has_aux=True)(slope.tensor([1.0])),
            errors.ArgumentError,
            "it returned a Tensor",
        ),
        (
            lambda: slope.scan(lambda c, x: (c, x), 0.0, slope.zeros(3), length=7),
            errors.ShapeError,
            "and have 7 of the argument length, 3",
        ),
    ],
)
def test_messages_are_the_same_at_every_call(call, kind, message):
    for _ in range(2):
        with pytest.raises(kind, match=message):
            call()


def test_an_int_is_never_taken_for_a_tensor():
    for dtype in (slope.int32, slope.int64, slope.uint8, slope.int16, slope.int8):
        place = slope.tensor(1, dtype=dtype)
        number = place.type.number  # what stands for the tensor's type in keys
        x = slope.arange(number + 1)
        assert slope.max(x, place).shape == (number + 1,)
        with pytest.raises(errors.ShapeError, match="out of range"):
            slope.max(x, number)
        assert x[(place,)].item() == 1
        assert x[(number,)].item() == number
        assert slope.narrow(x, 0, 0, number).shape == (number,)


def test_older_ways_to_ask_for_variances():
    x = np.arange(12.0).reshape(3, 4) ** 2
    tensor = slope.tensor(x)
    for got, wanted in (
        (tensor.std(False), x.std()),
        (tensor.var(True), x.var(ddof=1)),
        (tensor.std(1, False), x.std(1)),
        (tensor.var(0, True, True), x.var(0, ddof=1, keepdims=True)),
        (slope.var_mean(tensor, False)[0], x.var()),
        (slope.std_mean(tensor, True)[1], x.mean()),
    ):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12)


def test_to_takes_the_flags_of_moves():
    x = slope.ones(2)
    assert x.to("cpu", non_blocking=True).shape == (2,)
    assert x.to("cpu", slope.float64, False, True).dtype is slope.float64
    assert x.to(slope.float16, copy=True).dtype is slope.float16
    with pytest.raises(errors.ArgumentError, match="True is neither a dtype nor a device"):
        x.to(True)


def test_normal_draws_of_a_dtype():
    assert slope.normal(0.0, 1.0, (2, 3), dtype=slope.float64, device="cpu").dtype is slope.float64
    assert slope.normal(slope.zeros(2), 1.0).dtype is slope.float32
    assert slope.normal(slope.zeros(2).half(), slope.ones(2).half()).dtype is slope.float16


@pytest.mark.parametrize("data", [2**63, [2**63], [[2**63, 2**64 - 1]]])
def test_ints_that_int64_does_not_hold_need_a_dtype(data):
    with pytest.raises(errors.ArgumentError, match=r"does not fit int64; give dtype=slope\.uint64"):
        slope.tensor(data)
    np.testing.assert_array_equal(slope.tensor(data, dtype=slope.uint64).numpy(), data)


def test_small_and_large_ints_together_keep_their_digits():
    data = [1, 2**64 - 1]
    assert slope.tensor(data, dtype=slope.uint64).tolist() == data


@pytest.mark.parametrize("exponent", [63, 64, 70, 1001])
def test_powers_of_integers_wrap_around(exponent):
    for dtype in (np.int64, np.int8, np.uint16):
        base = [3, -2, 7, -1, 0] if dtype is not np.uint16 else [3, 2, 7, 1, 0]
        got = slope.tensor(np.array(base, dtype)) ** exponent
        bits = 8 * np.dtype(dtype).itemsize
        wanted = np.array([each**exponent % 2**bits for each in base], f"uint{bits}").view(dtype)
        np.testing.assert_array_equal(got.numpy(), wanted)
