"""Recurrent networks over whole sequences: one loop for each layer and direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn import init
from slope_nn._cells import NONLINEARITIES, check_nonlinearity, gru_step, lstm_step
from slope_nn._checks import flag, positive, probability, tensor
from slope_nn._keys import split_key
from slope_nn._module import Module
from slope_nn._placing import place

State = tuple[slope.Tensor, ...]


class _Recurrent(Module):
    """What recurrent networks share: weights of all layers, directions, dropout in between.

    What the inputs of all positions give is one product before the loop, which only holds what
    depends on the state.
    """

    _gates: int = 1
    _states: int = 1  # 2 with a cell state

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        self._make(input_size, hidden_size, num_layers, bias, bidirectional, 0, key)
        who = type(self).__name__
        self.batch_first = flag(who, "batch_first", batch_first)
        self.dropout = probability(who, dropout)
        place(self, dtype, device)

    def _make(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        bidirectional: bool,
        proj_size: int,
        key: slope.Tensor | None,
    ) -> None:
        who = type(self).__name__
        positive(who, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional = flag(who, "bidirectional", bidirectional)
        self.bias = flag(who, "bias", bias)
        self.proj_size = proj_size
        wide, out = self._gates * hidden_size, proj_size or hidden_size
        bound = 1 / math.sqrt(hidden_size)
        suffixes = self._suffixes()
        for number, keys in enumerate(split_key(key, len(suffixes))):
            first = number < self._directions
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (wide, input_size if first else out * self._directions),
                "weight_hh": (wide, out),
            }
            if bias:
                shapes.update({"bias_ih": (wide,), "bias_hh": (wide,)})
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for (name, shape), each in zip(
                shapes.items(), split_key(keys, len(shapes)), strict=True
            ):
                value = init.uniform(shape, -bound, bound, key=each)
                setattr(self, f"{name}_{suffixes[number]}", value)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self) -> list[str]:
        """What the names of the weights end with, in PyTorch's order."""
        ends = ("", "_reverse")[: self._directions]
        return [f"l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def _weights(self, suffix: str) -> dict[str, Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return {name: self.__dict__.get(f"{name}_{suffix}") for name in names}

    def _run(self, x: slope.Tensor, state: State | None) -> tuple[slope.Tensor, State]:
        """Outputs and last states, batches and layouts as the user gave them."""
        x = tensor(type(self).__name__, "x", x)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            order = "(n, length, " if self.batch_first else "(length, n, "
            raise ShapeError(
                f"{type(self).__name__} takes {order}{self.input_size}), or without n, and got "
                f"{x.type}."
            )
        single = x.ndim == 2
        if single:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)
        starts = self._starts(x, state, single)
        ends: list[State] = []
        for layer in range(self.num_layers):
            outs = []
            for way in range(self._directions):
                place = layer * self._directions + way
                start = tuple(each[place] for each in starts)
                out, end = self._direction(x, start, self._suffixes()[place], way == 1)
                outs.append(out)
                ends.append(end)
            x = outs[0] if len(outs) == 1 else slope.cat(outs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = slope.dropout(x, self.dropout, self.training)
        last = tuple(slope.stack(each) for each in zip(*ends, strict=True))
        if single:
            return x.squeeze(1), tuple(each.squeeze(1) for each in last)
        return (x.transpose(0, 1) if self.batch_first else x), last

    def _starts(self, x: slope.Tensor, state: State | None, single: bool) -> State:
        """The states that the layers start with, each (layers * directions, n, size)."""
        count, n = self.num_layers * self._directions, x.shape[1]
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: self._states]
        if state is None:
            return tuple(slope.zeros(count, n, size, dtype=x.dtype) for size in sizes)
        state = tuple(tensor(type(self).__name__, "state", given) for given in state)
        for given, size in zip(state, sizes, strict=True):
            shape = (count, size) if single else (count, n, size)
            if given.shape != shape:
                raise ShapeError(
                    f"{type(self).__name__}: for an input of {x.shape[0]} positions and a state "
                    f"for each of {count} layers and directions, states have the shape {shape}, "
                    f"and one is {given.type}."
                )
        return tuple(each.unsqueeze(1) for each in state) if single else state

    def _direction(
        self, x: slope.Tensor, start: State, suffix: str, reverse: bool
    ) -> tuple[slope.Tensor, State]:
        """One layer in one direction over (length, n, features): outputs, last states."""
        weights = self._weights(suffix)
        given, step = self._step(x, weights)

        def body(state: State, now: slope.Tensor) -> tuple[State, slope.Tensor]:
            after = step(state, now)
            return after, after[0]

        last, outs = slope.scan(body, start, given, reverse=reverse)
        return outs, last

    def _step(
        self, x: slope.Tensor, weights: dict[str, Any]
    ) -> tuple[slope.Tensor, Callable[[State, slope.Tensor], State]]:
        """What the inputs give at all positions; from a state and that to the next state."""
        raise NotImplementedError  # RNN, GRU and LSTM define it

    def describe(self) -> str:
        options = {
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0.0),
            "bidirectional": (self.bidirectional, False),
            "proj_size": (self.proj_size, 0),
        }
        told = [f"{name}={now}" for name, (now, usual) in options.items() if now != usual]
        return ", ".join([str(self.input_size), str(self.hidden_size), *told])


def _joint(weights: dict[str, Any]) -> Any:
    """Both biases in one, where they are only added."""
    first, second = weights["bias_ih"], weights["bias_hh"]
    return None if first is None else first + second


class RNN(_Recurrent):
    """Elman networks in layers: ``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``; as PyTorch's.

    Source: J. Elman, "Finding structure in time", 1990.

    Args:
        input_size: length of the input's last dimension.
        hidden_size: length of the hidden state's.
        num_layers: each takes the outputs of the one before.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: whether to add biases.
        batch_first: whether the input is (n, length, features) instead of (length, n, features).
        dropout: the probability of dropping, in training, the outputs of all layers but the last.
        bidirectional: whether each layer also goes from the end to the start.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight_ih_l0: shape (hidden_size, input_size); ``l1`` and so on for the layers after it,
            which take (directions * hidden_size), and ``l0_reverse`` for the way back.
        weight_hh_l0: shape (hidden_size, hidden_size).
        bias_ih_l0: shape (hidden_size,).
        bias_hh_l0: likewise.

    Example:
        >>> output, hidden = nn.RNN(8, 16, batch_first=True)(slope.ones(4, 10, 8))
        >>> output.shape, hidden.shape
        ((4, 10, 16), (1, 4, 16))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            key=key,
            dtype=dtype,
            device=device,
        )
        self.nonlinearity = nonlinearity

    def __call__(
        self, x: slope.Tensor, hidden: slope.Tensor | None = None
    ) -> tuple[slope.Tensor, slope.Tensor]:
        """Go through sequences.

        Args:
            x: shape (length, n, input_size), see ``batch_first``; ``n`` may be left out.
            hidden: what the layers start with, shape (num_layers * directions, n, hidden_size);
                zeros by default.

        Returns:
            The last layer's outputs, (length, n, directions * hidden_size), and the hidden states
            after the last positions, of the shape of ``hidden``.
        """
        output, (last,) = self._run(x, None if hidden is None else (hidden,))
        return output, last

    def _step(
        self, x: slope.Tensor, weights: dict[str, Any]
    ) -> tuple[slope.Tensor, Callable[[State, slope.Tensor], State]]:
        function, own = NONLINEARITIES[self.nonlinearity], weights["weight_hh"]

        def step(state: State, given: slope.Tensor) -> State:
            return (function(given + slope.linear(state[0], own)),)

        return slope.linear(x, weights["weight_ih"], _joint(weights)), step


class GRU(_Recurrent):
    """Gated recurrent units in layers; formulas of :class:`GRUCell`, the rest of :class:`RNN`.

    Args:
        input_size: length of the input's last dimension.
        hidden_size: length of the hidden state's.
        num_layers: each takes the outputs of the one before.
        bias: whether to add biases.
        batch_first: whether the input is (n, length, features) instead of (length, n, features).
        dropout: the probability of dropping, in training, the outputs of all layers but the last.
        bidirectional: whether each layer also goes from the end to the start.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight_ih_l0: shape (3 * hidden_size, input_size): reset, update, new; other names as of
            :class:`RNN`.
        weight_hh_l0: shape (3 * hidden_size, hidden_size).
        bias_ih_l0: shape (3 * hidden_size,).
        bias_hh_l0: likewise.
    """

    _gates = 3

    def __call__(
        self, x: slope.Tensor, hidden: slope.Tensor | None = None
    ) -> tuple[slope.Tensor, slope.Tensor]:
        """Go through sequences; shapes as of :class:`RNN`."""
        output, (last,) = self._run(x, None if hidden is None else (hidden,))
        return output, last

    def _step(
        self, x: slope.Tensor, weights: dict[str, Any]
    ) -> tuple[slope.Tensor, Callable[[State, slope.Tensor], State]]:
        own, bias = weights["weight_hh"], weights["bias_hh"]

        def step(state: State, given: slope.Tensor) -> State:
            (hidden,) = state
            return (gru_step(given, slope.linear(hidden, own, bias), hidden),)

        return slope.linear(x, weights["weight_ih"], weights["bias_ih"]), step


class LSTM(_Recurrent):
    """Long short-term memory in layers; formulas of :class:`LSTMCell`, the rest of :class:`RNN`.

    Args:
        input_size: length of the input's last dimension.
        hidden_size: length of the hidden and the cell state's.
        num_layers: each takes the outputs of the one before.
        bias: whether to add biases.
        batch_first: whether the input is (n, length, features) instead of (length, n, features).
        dropout: the probability of dropping, in training, the outputs of all layers but the last.
        bidirectional: whether each layer also goes from the end to the start.
        proj_size: map hidden states and outputs to this length, less than hidden_size (H. Sak et
            al., arXiv:1402.1128); 0 leaves them.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight_ih_l0: shape (4 * hidden_size, input_size): input, forget, cell, output; other names
            as of :class:`RNN`.
        weight_hh_l0: shape (4 * hidden_size, proj_size or hidden_size).
        bias_ih_l0: shape (4 * hidden_size,).
        bias_hh_l0: likewise.
        weight_hr_l0: shape (proj_size, hidden_size), with ``proj_size`` alone.
    """

    _gates = 4
    _states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        positive("LSTM", hidden_size=hidden_size)
        if not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"LSTM: proj_size must be at least 0 and below hidden_size {hidden_size}, not "
                f"{proj_size!r}."
            )
        self._make(input_size, hidden_size, num_layers, bias, bidirectional, proj_size, key)
        self.batch_first = flag("LSTM", "batch_first", batch_first)
        self.dropout = probability("LSTM", dropout)
        place(self, dtype, device)

    def __call__(
        self, x: slope.Tensor, state: tuple[slope.Tensor, slope.Tensor] | None = None
    ) -> tuple[slope.Tensor, tuple[slope.Tensor, slope.Tensor]]:
        """Go through sequences.

        Args:
            x: shape (length, n, input_size), see ``batch_first``; ``n`` may be left out.
            state: hidden and cell states that the layers start with, shapes (num_layers *
                directions, n, proj_size or hidden_size) and (..., hidden_size); zeros by default.

        Returns:
            The last layer's outputs, (length, n, directions * (proj_size or hidden_size)), and the
            states after the last positions.
        """
        if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
            raise ArgumentError(
                f"LSTM: the state is a pair of a hidden and a cell state, not a "
                f"{type(state).__name__}."
            )
        output, (hidden, cell) = self._run(x, state)
        return output, (hidden, cell)

    def _step(
        self, x: slope.Tensor, weights: dict[str, Any]
    ) -> tuple[slope.Tensor, Callable[[State, slope.Tensor], State]]:
        own, projection = weights["weight_hh"], weights["weight_hr"]

        def step(state: State, given: slope.Tensor) -> State:
            out, cell = lstm_step(given + slope.linear(state[0], own), state[1])
            return (out if projection is None else slope.linear(out, projection)), cell

        return slope.linear(x, weights["weight_ih"], _joint(weights)), step
