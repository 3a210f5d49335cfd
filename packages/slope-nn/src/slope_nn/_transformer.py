"""The layers of transformers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import slope
from slope.extend import ArgumentError
from slope_nn import init
from slope_nn._activations import Dropout
from slope_nn._attention import MultiheadAttention
from slope_nn._checks import positive
from slope_nn._containers import ModuleList
from slope_nn._keys import split_key
from slope_nn._linear import Linear
from slope_nn._masks import Mask
from slope_nn._module import Module
from slope_nn._norm import LayerNorm
from slope_nn._placing import place

Layer = Callable[[Any], Any]
Activation = str | Layer


class _Layer(Module):
    """What the layers of encoders and decoders share; decoders attend to another sequence, too."""

    _attends_to_memory: bool = False

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        keys = split_key(key, 4 if self._attends_to_memory else 3)
        options: dict[str, Any] = {"dropout": dropout, "bias": bias, "batch_first": batch_first}
        self.self_attn = MultiheadAttention(d_model, nhead, **options, key=keys[0])
        if self._attends_to_memory:
            self.multihead_attn = MultiheadAttention(d_model, nhead, **options, key=keys[1])
        self.linear1 = Linear(d_model, dim_feedforward, bias, key=keys[-2])
        self.linear2 = Linear(dim_feedforward, d_model, bias, key=keys[-1])
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        if self._attends_to_memory:
            self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout = Dropout(dropout)
        self.norm_first = norm_first
        self.activation = _activation(type(self).__name__, activation)
        place(self, dtype, device)

    def _around(self, x: slope.Tensor, part: Callable[[Any], Any], norm: LayerNorm) -> slope.Tensor:
        """A part with a sum around it, and the normalization before it or after the sum."""
        if self.norm_first:
            return x + self.dropout(part(norm(x)))
        return norm(x + self.dropout(part(x)))

    def _feed(self, x: slope.Tensor) -> slope.Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and two linear maps, each with a sum around it and a normalization.

    As PyTorch's. Source: A. Vaswani et al., "Attention is all you need", 2017; normalization first,
    R. Xiong et al., arXiv:2002.04745.

    Args:
        d_model: length of the last dimension.
        nhead: how many heads.
        dim_feedforward: length between the two linear maps.
        dropout: the probability in attention weights and after each part.
        activation: between the linear maps: ``"relu"``, ``"gelu"``, or a function.
        layer_norm_eps: added to the variances.
        batch_first: inputs are (n, length, d_model), and (length, n, d_model) if not. True by
            default, which in PyTorch it is not.
        norm_first: normalize before each part instead of after its sum.
        bias: whether the linear maps and normalizations have biases.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.
    """

    def __call__(
        self,
        x: slope.Tensor,
        src_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        Masks are PyTorch's: bools that *hide* where they are True, or floats to add.

        Args:
            x: the input.
            src_mask: shape (length, length) or (n * nhead, length, length): True where a position
                does not see another.
            src_key_padding_mask: shape (n, length): True at padding.
            is_causal: a position sees those up to itself alone.
        """
        attend = partial(
            self.self_attn,
            attn_mask=src_mask,
            key_padding_mask=src_key_padding_mask,
            is_causal=is_causal,
        )
        x = self._around(x, attend, self.norm1)
        return self._around(x, self._feed, self.norm2)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to another sequence, and two linear maps.

    As PyTorch's; see :class:`TransformerEncoderLayer` for the arguments.
    """

    _attends_to_memory = True

    def __call__(
        self,
        x: slope.Tensor,
        memory: slope.Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        Masks are PyTorch's: bools that *hide* where they are True, or floats to add.

        Args:
            x: the input.
            memory: what the second attention looks at, shape (n, s, d_model).
            tgt_mask: of the first attention, shape (length, length): True where a position does not
                see another.
            memory_mask: of the second, shape (length, s).
            tgt_key_padding_mask: of the first, shape (n, length): True at padding.
            memory_key_padding_mask: of the second, shape (n, s).
            tgt_is_causal: a position sees those up to itself alone, in the first.
            memory_is_causal: likewise, in the second.
            is_causal: the same as ``tgt_is_causal``.
        """
        attend = partial(
            self.self_attn,
            attn_mask=tgt_mask,
            key_padding_mask=tgt_key_padding_mask,
            is_causal=is_causal or tgt_is_causal,
        )
        look = partial(
            self.multihead_attn,
            key=memory,
            attn_mask=memory_mask,
            key_padding_mask=memory_key_padding_mask,
            is_causal=memory_is_causal,
        )
        x = self._around(x, attend, self.norm1)
        x = self._around(x, look, self.norm2)
        return self._around(x, self._feed, self.norm3)


class _Stack(Module):
    """Copies of a layer, one after the other, and perhaps a normalization behind them."""

    def __init__(self, layer: Module, num_layers: int, norm: Layer | None = None) -> None:
        positive(type(self).__name__, num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.norm = norm

    def _run(self, x: slope.Tensor, *others: Any) -> slope.Tensor:
        for layer in self.layers:
            x = layer(x, *others)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """Encoder layers one after the other.

    Args:
        encoder_layer: the layers are copies of it; as in PyTorch they start with equal values, so
            give them others (:mod:`slope.nn.init`) to train from the start.
        num_layers: how many.
        norm: a normalization behind the last (a module or a function), if any.
        enable_nested_tensor: PyTorch's, and changes nothing: there are no nested tensors.
        mask_check: likewise.
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Layer | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        del enable_nested_tensor, mask_check
        super().__init__(encoder_layer, num_layers, norm)

    def __call__(
        self,
        x: slope.Tensor,
        mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        All layers get the arguments; see :class:`TransformerEncoderLayer`.
        """
        return self._run(x, mask, src_key_padding_mask, is_causal)


class TransformerDecoder(_Stack):
    """Decoder layers one after the other; see :class:`TransformerEncoder` for the arguments."""

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Layer | None = None
    ) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def __call__(
        self,
        x: slope.Tensor,
        memory: slope.Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``x`` of shape (n, length, d_model) to the same shape.

        All layers get the arguments; see :class:`TransformerDecoderLayer`.
        """
        return self._run(
            x,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            is_causal or tgt_is_causal,
            memory_is_causal,
        )


class Transformer(Module):
    """An encoder of one sequence and a decoder of another that looks at it; as PyTorch's.

    Source: A. Vaswani et al., "Attention is all you need", 2017.

    Args:
        d_model: length of the last dimension.
        nhead: how many heads.
        num_encoder_layers: how many layers read the source.
        num_decoder_layers: how many layers make the output.
        dim_feedforward: as of :class:`TransformerEncoderLayer`, and so are those that follow.
        dropout: likewise.
        activation: likewise.
        custom_encoder: stands in for the encoder.
        custom_decoder: stands in for the decoder.
        layer_norm_eps: as of :class:`TransformerEncoderLayer`, and so are those that follow.
        batch_first: likewise.
        norm_first: likewise.
        bias: likewise.
        key: draws the initial values.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Example:
        >>> model = nn.Transformer(32, 4, 2, 2, 64)
        >>> model(slope.ones(8, 10, 32), slope.ones(8, 6, 32), tgt_is_causal=True).shape
        (8, 6, 32)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Layer | None = None,
        custom_decoder: Layer | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "dim_feedforward": dim_feedforward,
            "dropout": dropout,
            "activation": activation,
            "layer_norm_eps": layer_norm_eps,
            "batch_first": batch_first,
            "norm_first": norm_first,
            "bias": bias,
        }
        keys = split_key(key, 3)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias)

        self.encoder: Any = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(d_model, nhead, **options, key=keys[0]),
            num_encoder_layers,
            norm(),
        )
        self.decoder: Any = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(d_model, nhead, **options, key=keys[1]),
            num_decoder_layers,
            norm(),
        )
        matrices = [  # the copies of a layer start equal: draw each anew
            (module, name)
            for module in self.modules()
            for name, tensor in module.__dict__.items()
            if isinstance(tensor, slope.Tensor) and tensor.ndim > 1
        ]
        for (module, name), each in zip(matrices, split_key(keys[2], len(matrices)), strict=True):
            setattr(module, name, init.glorot_uniform(getattr(module, name).shape, key=each))
        place(self, dtype, device)

    def __call__(
        self,
        src: slope.Tensor,
        tgt: slope.Tensor,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> slope.Tensor:
        """Map ``src`` (n, s, d_model) and ``tgt`` (n, length, d_model) to the shape of ``tgt``.

        Masks are PyTorch's, see :class:`TransformerEncoderLayer` and
        :class:`TransformerDecoderLayer`.
        """
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, dtype: slope.DType = slope.float32
    ) -> slope.Tensor:
        """Floats of shape (sz, sz) to add: -inf where a position comes after, else 0."""
        return slope.triu(slope.full((sz, sz), -slope.inf, dtype=dtype), 1)


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
