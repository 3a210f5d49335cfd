"""Recurrent layers beyond the stored references: programs, cells, dropout, states and refusals."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


def draws(*shape, seed=0):
    return slope.random.normal(slope.random.key(seed), shape)


loose: Any = nn  # so that type checkers let wrong arguments pass
ALONE: Any = slope.ones(1, 2, 4)
CELLS = [(nn.RNN, nn.RNNCell), (nn.GRU, nn.GRUCell), (nn.LSTM, nn.LSTMCell)]


@pytest.mark.parametrize(("layer", "cell"), CELLS)
def test_a_layer_is_its_cell_repeated(layer, cell):
    whole: Any = layer(3, 4, key=slope.random.key(1))
    single: Any = cell(3, 4)
    single.load_state_dict({k.removesuffix("_l0"): v for k, v in whole.state_dict().items()})
    x = draws(6, 2, 3)
    outs, last = whole(x)
    state = None
    for place in range(6):
        state = single(x[place], state)
        out = state[0] if isinstance(state, tuple) else state
        np.testing.assert_allclose(outs[place].numpy(), out.numpy(), atol=1e-6)
    for end, own in zip(slope.tree_leaves(last), slope.tree_leaves(state), strict=True):
        np.testing.assert_allclose(end[0].numpy(), own.numpy(), atol=1e-6)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_sequences_may_be_cut_and_programs_stay_short(layer):
    model: Any = layer(3, 4, 2, key=slope.random.key(1))
    step = slope.jit(lambda model, x, state: model(x, state))
    x = draws(9, 2, 3)
    outs, last = model(x)
    first, state = model(x[:4])
    second, end = step(model, x[4:], state)
    np.testing.assert_allclose(slope.cat([first, second]).numpy(), outs.numpy(), atol=1e-6)
    for one, other in zip(slope.tree_leaves(last), slope.tree_leaves(end), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    counts = [len(step.lower(model, draws(n, 2, 3), state).program.instrs) for n in (5, 50)]
    assert counts[0] == counts[1]


def test_dropout_lies_between_layers_and_rests_in_evaluation():
    model: Any = nn.GRU(3, 50, 2, dropout=0.5, key=slope.random.key(0))
    x = draws(4, 2, 3)
    slope.manual_seed(0)
    first, second = model(x)[0].numpy(), model(x)[0].numpy()
    assert not np.allclose(first, second)
    plain = nn.GRU(3, 50, 2, key=slope.random.key(0))
    np.testing.assert_array_equal(model.eval()(x)[0].numpy(), plain(x)[0].numpy())
    alone = nn.GRU(3, 5, dropout=0.5, key=slope.random.key(0))  # one layer: nothing in between
    np.testing.assert_array_equal(alone(x)[0].numpy(), alone(x)[0].numpy())


def test_names_and_shapes_are_pytorchs():
    model: Any = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert list(shapes)[:6] == [
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
        "weight_hr_l0",
        "weight_ih_l0_reverse",
    ]
    assert shapes["weight_ih_l1_reverse"] == (16, 4)
    assert shapes["weight_hr_l1"] == (2, 4)
    assert repr(model) == "LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)"
    assert repr(nn.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"
    bound = max(abs(value.numpy()).max() for value in nn.GRU(30, 25).state_dict().values())
    assert 0.19 < bound <= 0.2  # 1 / sqrt(hidden_size)


def test_training_falls_to_the_sum_of_a_sequence():
    slope.manual_seed(0)
    model: Any = nn.Sequential(
        nn.LSTM(1, 8, batch_first=True), lambda o: o[0][:, -1], nn.Linear(8, 1)
    )
    optimizer = nn.Adam(model, 0.05)
    x = slope.rand(64, 6, 1)

    @slope.jit
    def step(model, optimizer):
        loss, grads = slope.value_and_grad(lambda m: slope.mse_loss(m(x), x.sum(1)))(model)
        return loss, *optimizer(model, grads)

    losses = []
    for _ in range(220):
        loss, model, optimizer = step(model, optimizer)
        losses.append(loss.item())
    assert losses[0] > 1  # the sums vary by 0.5 around 3
    assert losses[-1] < 0.1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), "RNN: nonlinearity must be 'tanh' or 'relu'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="x"), "RNNCell: nonlinearity must be 'tanh'"),
        (lambda: nn.GRU(3, 0), "GRU: hidden_size must be a positive int, not 0"),
        (lambda: nn.GRU(3, 4, num_layers=0), "num_layers must be a positive int"),
        (lambda: nn.GRU(3, 4, dropout=1.5), "GRU: p must be at least 0 and below 1"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "proj_size must be at least 0 and below hidden_size"),
        (
            lambda: nn.LSTM(3, 4)(slope.ones(2, 2, 3), ALONE),
            "LSTM: the state is a pair",
        ),
        (lambda: nn.LSTMCell(3, 4)(slope.ones(2, 5)), r"LSTMCell takes \(n, 3\).*float32\[2, 5\]"),
        (lambda: nn.GRU(3, 4)(slope.ones(2, 5, 4)), r"takes \(length, n, 3\), or without n"),
        (
            lambda: nn.GRU(3, 4, batch_first=True)(slope.ones(2)),
            r"takes \(n, length, 3\), or without n",
        ),
        (
            lambda: nn.GRU(3, 4, 2)(slope.ones(5, 2, 3), slope.ones(1, 2, 4)),
            r"states have the shape \(2, 2, 4\), and one is float32\[1, 2, 4\]",
        ),
        (
            lambda: nn.GRUCell(3, 4)(slope.ones(2, 3), slope.ones(2, 1, 1, 4)),
            r"GRUCell: .*\(2, 3\) a state has the shape \(2, 4\), and one is float32\[2, 1, 1, 4\]",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(slope.ones(2, 3), (slope.ones(2, 4), slope.ones(4))),
            r"LSTMCell: .* a state has the shape \(2, 4\), and one is float32\[4\]",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(slope.ones(2, 3), slope.ones(2, 4)),
            "LSTMCell: the state is a pair of a hidden and a cell state, not a Tensor",
        ),
        (lambda: loose.LSTM(3, 4, 2, 0.5), r"LSTM: bias must be True or False, not 0\.5"),
        (lambda: loose.GRU(3, 4, batch_first=1), "GRU: batch_first must be True or False, not 1"),
        (lambda: loose.GRUCell(3, 4, "no"), "GRUCell: bias must be True or False, not 'no'"),
    ],
)
def test_bad_arguments_are_refused(make, told):
    with pytest.raises(errors.SlopeError, match=told):
        make()
