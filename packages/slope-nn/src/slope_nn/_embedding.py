"""Embeddings and the bilinear map."""

from __future__ import annotations

import math

import slope
from slope.extend import ArgumentError
from slope_nn import init
from slope_nn._checks import positive
from slope_nn._keys import split_key
from slope_nn._module import Module


class Embedding(Module):
    """A table of vectors, looked up by number.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: their length.
        padding_idx: a number whose vector starts as zeros and gets no gradient.
        key: draws the initial values, standard normal as in PyTorch.

    Attributes:
        weight: shape (num_embeddings, embedding_dim).

    Example:
        >>> nn.Embedding(10, 4)(slope.tensor([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            known = isinstance(padding_idx, int) and not isinstance(padding_idx, bool)
            if not known or not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"Embedding: padding_idx {padding_idx!r} is not among {num_embeddings} vectors."
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        self.weight = init.normal((num_embeddings, embedding_dim), key=key)
        if padding_idx is not None:
            self.weight = self.weight.at[padding_idx].set(0.0)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map integers of shape (...) to (..., embedding_dim)."""
        found = slope.embedding(x, self.weight)
        if self.padding_idx is None:
            return found
        padding = slope.unsqueeze(slope.as_tensor(x) == self.padding_idx, -1)
        return slope.where(padding, slope.stop_gradient(found), found)

    def attend(self, x: slope.Tensor) -> slope.Tensor:
        """Likeness to each vector, ``x @ weight.T``: (..., embedding_dim) to (..., numbers)."""
        return slope.linear(x, self.weight, None)

    def describe(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Bilinear(Module):
    """``y[k] = x1 @ weight[k] @ x2 + bias[k]``.

    Args:
        in1_features: length of the first input's last dimension.
        in2_features: length of the second input's last dimension.
        out_features: length of the output's last dimension.
        bias: whether to add a bias.
        key: draws the initial values, uniform within ``1 / sqrt(in1_features)`` as in PyTorch.

    Attributes:
        weight: shape (out_features, in1_features, in2_features).
        bias: shape (out_features,), or None.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        key: slope.Tensor | None = None,
    ) -> None:
        positive(
            "Bilinear",
            in1_features=in1_features,
            in2_features=in2_features,
            out_features=out_features,
        )
        bound = 1 / math.sqrt(in1_features)
        keys = split_key(key, 2)
        shape = (out_features, in1_features, in2_features)
        self.weight = init.uniform(shape, -bound, bound, key=keys[0])
        self.bias = init.uniform((out_features,), -bound, bound, key=keys[1]) if bias else None

    def __call__(self, x1: slope.Tensor, x2: slope.Tensor) -> slope.Tensor:
        """Map shapes (..., in1_features) and (..., in2_features) to (..., out_features)."""
        return slope.bilinear(x1, x2, self.weight, self.bias)
