"""The layers of transformers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import slope
from slope.extend import ArgumentError
from slope_nn._activations import Dropout
from slope_nn._attention import MultiheadAttention
from slope_nn._checks import positive
from slope_nn._containers import ModuleList
from slope_nn._keys import split_key
from slope_nn._linear import Linear
from slope_nn._module import Module
from slope_nn._norm import LayerNorm

Layer = Callable[[Any], Any]
Activation = str | Layer


class TransformerEncoderLayer(Module):
    """Self-attention and two linear maps, each with a sum around it and a normalization.

    As PyTorch's with ``batch_first=True``. Source: A. Vaswani et al., "Attention is all you need",
    2017; normalization first, R. Xiong et al., arXiv:2002.04745.

    Args:
        d_model: length of the last dimension.
        nhead: how many heads.
        dim_feedforward: length between the two linear maps.
        dropout: the probability in attention weights and after each part.
        activation: between the linear maps: ``"relu"``, ``"gelu"``, or a function.
        layer_norm_eps: added to the variances.
        norm_first: normalize before each part instead of after its sum.
        bias: whether the linear maps and normalizations have biases.
        key: draws the initial values.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        keys = split_key(key, 3)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, key=keys[0])
        self.linear1 = Linear(d_model, dim_feedforward, bias, key=keys[1])
        self.linear2 = Linear(dim_feedforward, d_model, bias, key=keys[2])
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout = Dropout(dropout)
        self.norm_first = norm_first
        self.activation = _activation("TransformerEncoderLayer", activation)

    def __call__(
        self, x: slope.Tensor, mask: slope.Tensor | None = None, is_causal: bool = False
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        Args:
            x: the input.
            mask: as of :class:`MultiheadAttention`.
            is_causal: a position sees those up to itself alone.
        """

        def attend(x: slope.Tensor) -> slope.Tensor:
            return self.dropout(self.self_attn(x, mask=mask, is_causal=is_causal))

        x = _around(x, attend, self.norm1, self.norm_first)
        return _around(x, self._feed, self.norm2, self.norm_first)

    def _feed(self, x: slope.Tensor) -> slope.Tensor:
        inner = self.dropout(self.activation(self.linear1(x)))
        return self.dropout(self.linear2(inner))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to another sequence, and two linear maps.

    As PyTorch's with ``batch_first=True``; see :class:`TransformerEncoderLayer` for the arguments.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        keys = split_key(key, 4)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, key=keys[0])
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, key=keys[1])
        self.linear1 = Linear(d_model, dim_feedforward, bias, key=keys[2])
        self.linear2 = Linear(dim_feedforward, d_model, bias, key=keys[3])
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout = Dropout(dropout)
        self.norm_first = norm_first
        self.activation = _activation("TransformerDecoderLayer", activation)

    def __call__(
        self,
        x: slope.Tensor,
        memory: slope.Tensor,
        mask: slope.Tensor | None = None,
        memory_mask: slope.Tensor | None = None,
        is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        Args:
            x: the input.
            memory: what the second attention looks at, shape (n, s, d_model).
            mask: of the first attention, as of :class:`MultiheadAttention`.
            memory_mask: of the second.
            is_causal: a position sees those up to itself alone, in the first.
        """

        def attend(x: slope.Tensor) -> slope.Tensor:
            return self.dropout(self.self_attn(x, mask=mask, is_causal=is_causal))

        def look(x: slope.Tensor) -> slope.Tensor:
            return self.dropout(self.multihead_attn(x, memory, mask=memory_mask))

        x = _around(x, attend, self.norm1, self.norm_first)
        x = _around(x, look, self.norm2, self.norm_first)
        return _around(x, self._feed, self.norm3, self.norm_first)

    def _feed(self, x: slope.Tensor) -> slope.Tensor:
        inner = self.dropout(self.activation(self.linear1(x)))
        return self.dropout(self.linear2(inner))


class TransformerEncoder(Module):
    """Encoder layers one after the other.

    Args:
        encoder_layer: the layers are copies of it; as in PyTorch they start with equal values, so
            give them others (:mod:`slope.nn.init`) to train from the start.
        num_layers: how many.
        norm: a normalization behind the last (a module or a function), if any.
    """

    def __init__(
        self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: Layer | None = None
    ) -> None:
        positive("TransformerEncoder", num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.norm = norm

    def __call__(
        self, x: slope.Tensor, mask: slope.Tensor | None = None, is_causal: bool = False
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        All layers get the arguments; see :class:`TransformerEncoderLayer`.
        """
        for layer in self.layers:
            x = layer(x, mask, is_causal)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """Decoder layers one after the other; see :class:`TransformerEncoder` for the arguments."""

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Layer | None = None
    ) -> None:
        positive("TransformerDecoder", num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.norm = norm

    def __call__(
        self,
        x: slope.Tensor,
        memory: slope.Tensor,
        mask: slope.Tensor | None = None,
        memory_mask: slope.Tensor | None = None,
        is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        All layers get the arguments; see :class:`TransformerDecoderLayer`.
        """
        for layer in self.layers:
            x = layer(x, memory, mask, memory_mask, is_causal)
        return x if self.norm is None else self.norm(x)


def _around(
    x: slope.Tensor, part: Callable[[Any], Any], norm: LayerNorm, first: bool
) -> slope.Tensor:
    return x + part(norm(x)) if first else norm(x + part(x))


def _activation(who: str, activation: Activation) -> Callable[[Any], Any]:
    known: dict[str, Callable[[Any], Any]] = {"relu": slope.relu, "gelu": slope.gelu}
    if callable(activation):
        return activation
    found = known.get(activation) if isinstance(activation, str) else None
    if found is None:
        raise ArgumentError(
            f"{who}: activation must be 'relu', 'gelu' or a function, not {activation!r}."
        )
    return found
