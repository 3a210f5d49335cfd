"""One step of recurrent networks: the formulas, and the layers that take a single step."""

from __future__ import annotations

import math
from typing import Any, Final

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn import init
from slope_nn._checks import flag, positive, tensor
from slope_nn._keys import split_key
from slope_nn._module import Module
from slope_nn._placing import place

NONLINEARITIES: Final = {"tanh": slope.tanh, "relu": slope.relu}


def gru_step(given: slope.Tensor, own: slope.Tensor, hidden: slope.Tensor) -> slope.Tensor:
    """The next hidden state of a GRU.

    Args:
        given: what the input gives, shape (..., 3 * hidden_size): reset, update, new.
        own: likewise, what the hidden state gives.
        hidden: shape (..., hidden_size).
    """
    reset_in, update_in, new_in = slope.chunk(given, 3, -1)
    reset_own, update_own, new_own = slope.chunk(own, 3, -1)
    reset = slope.sigmoid(reset_in + reset_own)
    update = slope.sigmoid(update_in + update_own)
    new = slope.tanh(new_in + reset * new_own)
    return new + update * (hidden - new)


def lstm_step(gates: slope.Tensor, cell: slope.Tensor) -> tuple[slope.Tensor, slope.Tensor]:
    """The next output and the next cell state of an LSTM.

    Args:
        gates: what input and hidden state give together, shape (..., 4 * hidden_size): input,
            forget, cell, output.
        cell: shape (..., hidden_size).
    """
    into, forget, new, out = slope.chunk(gates, 4, -1)
    kept = slope.sigmoid(forget) * cell + slope.sigmoid(into) * slope.tanh(new)
    return slope.sigmoid(out) * slope.tanh(kept), kept


class _Cell(Module):
    """What cells share: the weights of one step."""

    _gates: int = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        flag(type(self).__name__, "bias", bias)
        self.input_size, self.hidden_size = input_size, hidden_size
        wide, bound = self._gates * hidden_size, 1 / math.sqrt(hidden_size)
        keys = split_key(key, 4)
        self.weight_ih = init.uniform((wide, input_size), -bound, bound, key=keys[0])
        self.weight_hh = init.uniform((wide, hidden_size), -bound, bound, key=keys[1])
        self.bias_ih = init.uniform((wide,), -bound, bound, key=keys[2]) if bias else None
        self.bias_hh = init.uniform((wide,), -bound, bound, key=keys[3]) if bias else None
        place(self, dtype, device)

    def _states(self, x: slope.Tensor, *given: slope.Tensor | None) -> list[slope.Tensor]:
        """The states as given, zeros for those that are not; checks them and ``x``."""
        who = type(self).__name__
        x = tensor(who, "x", x)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{who} takes (n, {self.input_size}) or ({self.input_size},), and got {x.type}."
            )
        shape = (*x.shape[:-1], self.hidden_size)
        states = [
            slope.zeros(*shape, dtype=x.dtype) if state is None else tensor(who, "state", state)
            for state in given
        ]
        for state in states:
            if state.shape != shape:
                raise ShapeError(
                    f"{who}: for an input of shape {x.shape} a state has the shape {shape}, and "
                    f"one is {state.type}."
                )
        return states

    def _given(self, x: slope.Tensor) -> slope.Tensor:
        return slope.linear(x, self.weight_ih, self.bias_ih)

    def _own(self, hidden: slope.Tensor) -> slope.Tensor:
        return slope.linear(hidden, self.weight_hh, self.bias_hh)

    def describe(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bias={self.bias_ih is not None}"


class RNNCell(_Cell):
    """One step of an Elman network: ``tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Source: J. Elman, "Finding structure in time", 1990.

    Args:
        input_size: length of the input's last dimension.
        hidden_size: length of the hidden state's.
        bias: whether to add biases.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight_ih: shape (hidden_size, input_size).
        weight_hh: shape (hidden_size, hidden_size).
        bias_ih: shape (hidden_size,), or None.
        bias_hh: likewise.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, key=key, dtype=dtype, device=device)
        self.nonlinearity = nonlinearity

    def __call__(self, x: slope.Tensor, hidden: slope.Tensor | None = None) -> slope.Tensor:
        """Map shapes (n, input_size) and (n, hidden_size) to the next (n, hidden_size).

        The hidden state is zero by default, and ``n`` may be left out.
        """
        (hidden,) = self._states(x, hidden)
        return NONLINEARITIES[self.nonlinearity](self._given(x) + self._own(hidden))


class GRUCell(_Cell):
    """One step of gated recurrent units, by PyTorch's formulas.

    ::

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h = (1 - z) * n + z * h

    Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Args:
        input_size: length of the input's last dimension.
        hidden_size: length of the hidden state's.
        bias: whether to add biases.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight_ih: shape (3 * hidden_size, input_size): r, z, n.
        weight_hh: shape (3 * hidden_size, hidden_size).
        bias_ih: shape (3 * hidden_size,), or None.
        bias_hh: likewise.
    """

    _gates = 3

    def __call__(self, x: slope.Tensor, hidden: slope.Tensor | None = None) -> slope.Tensor:
        """Map shapes (n, input_size) and (n, hidden_size) to the next (n, hidden_size).

        The hidden state is zero by default, and ``n`` may be left out.
        """
        (hidden,) = self._states(x, hidden)
        return gru_step(self._given(x), self._own(hidden), hidden)


class LSTMCell(_Cell):
    """One step of long short-term memory, by PyTorch's formulas.

    ::

        i, f, o = sigmoid(W_i* x + b_i* + W_h* h + b_h*)
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)
        c = f * c + i * g
        h = o * tanh(c)

    Source: S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; F. Gers et al., 2000.

    Args:
        input_size: length of the input's last dimension.
        hidden_size: length of the hidden and the cell state's.
        bias: whether to add biases.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight_ih: shape (4 * hidden_size, input_size): i, f, g, o.
        weight_hh: shape (4 * hidden_size, hidden_size).
        bias_ih: shape (4 * hidden_size,), or None.
        bias_hh: likewise.
    """

    _gates = 4

    def __call__(
        self, x: slope.Tensor, state: tuple[slope.Tensor, slope.Tensor] | None = None
    ) -> tuple[slope.Tensor, slope.Tensor]:
        """Map ``x`` of shape (n, input_size) and (h, c) to the next (h, c).

        Both are of shape (n, hidden_size) and zero by default; ``n`` may be left out.
        """
        if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
            raise ArgumentError(
                f"LSTMCell: the state is a pair of a hidden and a cell state, not a "
                f"{type(state).__name__}."
            )
        hidden, cell = self._states(x, *(state or (None, None)))
        return lstm_step(self._given(x) + self._own(hidden), cell)


def check_nonlinearity(who: str, nonlinearity: Any) -> None:
    """Refuse what is no nonlinearity of an Elman network.

    Raises:
        ArgumentError: naming those that are.
    """
    if not isinstance(nonlinearity, str) or nonlinearity not in NONLINEARITIES:
        raise ArgumentError(
            f"{who}: nonlinearity must be {' or '.join(map(repr, NONLINEARITIES))}, not "
            f"{nonlinearity!r}."
        )
