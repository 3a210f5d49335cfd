"""Embeddings and the bilinear map."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import slope
from slope.extend import ArgumentError, ShapeError
from slope_nn import init
from slope_nn._checks import positive
from slope_nn._keys import split_key
from slope_nn._module import Module
from slope_nn._placing import place


class Embedding(Module):
    """A table of vectors, looked up by number.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: their length.
        padding_idx: a number whose vector starts as zeros and gets no gradient.
        key: draws the initial values, standard normal as in PyTorch.
        dtype: of the parameters, float32 by default.
        device: where they are.

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
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
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
        place(self, dtype, device)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map integers of shape (...) to (..., embedding_dim)."""
        found = slope.embedding(x, self.weight)
        if self.padding_idx is None:
            return found
        padding = slope.unsqueeze(slope.as_tensor(x) == self.padding_idx, -1)
        return slope.where(padding, slope.stop_gradient(found), found)

    @classmethod
    def from_pretrained(
        cls, embeddings: slope.Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Self:
        """An embedding of given vectors.

        Args:
            embeddings: shape (num_embeddings, embedding_dim).
            freeze: whether they are not trained.
            padding_idx: a number whose vector gets no gradient.

        Raises:
            ShapeError: the vectors are no matrix.
        """
        if embeddings.ndim != 2:
            raise ShapeError(
                f"Embedding: from_pretrained takes (num_embeddings, embedding_dim), and got "
                f"{embeddings.type}."
            )
        count, width = embeddings.shape
        made = cls(count, width, padding_idx, key=slope.random.key(0))
        made.weight = embeddings
        return made.freeze() if freeze else made

    def attend(self, x: slope.Tensor) -> slope.Tensor:
        """Likeness to each vector, ``x @ weight.T``: (..., embedding_dim) to (..., numbers)."""
        return slope.linear(x, self.weight, None)

    def describe(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class EmbeddingBag(Module):
    """Sums, means or maxima of the vectors of several numbers; as PyTorch's.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: their length.
        mode: ``"sum"``, ``"mean"`` or ``"max"``; of no number at all, zeros.
        padding_idx: a number that counts nothing, and whose vector starts as zeros.
        include_last_offset: whether the last of the offsets is the end of the last bag.
        key: draws the initial values, standard normal as in PyTorch.
        dtype: of the parameters, float32 by default.
        device: where they are.

    Attributes:
        weight: shape (num_embeddings, embedding_dim).

    Example:
        >>> nn.EmbeddingBag(10, 4)(slope.tensor([1, 2, 4, 5]), slope.tensor([0, 3])).shape
        (2, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        mode: Literal["sum", "mean", "max"] = "mean",
        padding_idx: int | None = None,
        include_last_offset: bool = False,
        *,
        key: slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
    ) -> None:
        if mode not in ("sum", "mean", "max"):
            raise ArgumentError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', not {mode!r}.")
        table = Embedding(num_embeddings, embedding_dim, padding_idx, key=key)
        self.weight, self.padding_idx = table.weight, table.padding_idx
        self.mode, self.include_last_offset = mode, include_last_offset
        place(self, dtype, device)

    def __call__(
        self,
        x: slope.Tensor,
        offsets: slope.Tensor | None = None,
        per_sample_weights: slope.Tensor | None = None,
    ) -> slope.Tensor:
        """Map bags of numbers to (bags, embedding_dim).

        Args:
            x: shape (bags, numbers); or, with ``offsets``, (numbers,) of all bags.
            offsets: where each bag starts, shape (bags,).
            per_sample_weights: of ``x``'s shape: factors, for ``mode="sum"``.

        Raises:
            ShapeError: there are offsets and rows, or neither.
            ArgumentError: weights for another mode.
        """
        if (x.ndim == 1) != (offsets is not None) or x.ndim not in (1, 2):
            raise ShapeError(
                f"EmbeddingBag takes (bags, numbers), or (numbers,) and offsets, and got {x.type} "
                f"with{'out' if offsets is None else ''} offsets."
            )
        if per_sample_weights is not None and self.mode != "sum":
            raise ArgumentError(f"EmbeddingBag: weights are for mode='sum', not {self.mode!r}.")
        if offsets is None:
            return self._of_rows(x, per_sample_weights)
        starts = offsets[:-1] if self.include_last_offset else offsets
        bags = (starts <= slope.arange(x.shape[0]).unsqueeze(-1)).sum(-1) - 1
        return self._of_parts(x, bags, starts.shape[0], per_sample_weights)

    def _of_rows(self, x: slope.Tensor, weights: slope.Tensor | None) -> slope.Tensor:
        """Bags of equal sizes, ``x`` of shape (bags, numbers)."""
        rows, counted = self._looked_up(x)
        if self.mode == "max":
            rows = slope.where(counted.unsqueeze(-1) > 0, rows, -slope.inf)
            if x.shape[1] == 0:  # the largest of none
                return slope.zeros(x.shape[0], rows.shape[2], dtype=rows.dtype)
            most = slope.amax(rows, 1)
            return slope.where(slope.isinf(most), 0.0, most)
        if weights is not None:
            counted = counted * weights
        if weights is not None or self.padding_idx is not None:
            rows = rows * counted.unsqueeze(-1)
        total = rows.sum(1)
        if self.mode == "sum":
            return total
        return total / slope.clamp_min(counted.sum(1), 1).unsqueeze(-1)

    def _of_parts(
        self, x: slope.Tensor, bags: slope.Tensor, count: Any, weights: slope.Tensor | None
    ) -> slope.Tensor:
        """Bags of any sizes: numbers ``x`` and the bag of each, both of shape (numbers,)."""
        rows, counted = self._looked_up(x)
        if self.mode == "max":
            low = slope.where(counted.unsqueeze(-1) > 0, rows, -slope.inf)
            most = slope.full((count, rows.shape[1]), -slope.inf, dtype=rows.dtype)
            places = bags.unsqueeze(-1).expand(*rows.shape)
            most = slope.scatter_reduce(most, 0, places, low, "amax")
            return slope.where(slope.isinf(most), 0.0, most)
        factors = counted if weights is None else counted * weights
        total = slope.zeros(count, rows.shape[1], dtype=rows.dtype)
        total = slope.index_add(total, 0, bags, rows * factors.unsqueeze(-1))
        if self.mode == "sum":
            return total
        each = slope.index_add(slope.zeros(count, dtype=rows.dtype), 0, bags, counted)
        return total / slope.clamp_min(each, 1).unsqueeze(-1)

    def _looked_up(self, x: slope.Tensor) -> tuple[slope.Tensor, slope.Tensor]:
        """The vectors of numbers, and which numbers count, as 1 and 0."""
        rows = slope.embedding(x, self.weight, self.padding_idx)
        if self.padding_idx is None:
            return rows, slope.ones(*x.shape, dtype=rows.dtype)
        return rows, (x != self.padding_idx).astype(rows.dtype)


class Bilinear(Module):
    """``y[k] = x1 @ weight[k] @ x2 + bias[k]``.

    Args:
        in1_features: length of the first input's last dimension.
        in2_features: length of the second input's last dimension.
        out_features: length of the output's last dimension.
        bias: whether to add a bias.
        key: draws the initial values, uniform within ``1 / sqrt(in1_features)`` as in PyTorch.
        dtype: of the parameters, float32 by default.
        device: where they are.

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
        dtype: slope.DType | None = None,
        device: slope.Device | str | None = None,
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
        place(self, dtype, device)

    def __call__(self, x1: slope.Tensor, x2: slope.Tensor) -> slope.Tensor:
        """Map shapes (..., in1_features) and (..., in2_features) to (..., out_features)."""
        return slope.bilinear(x1, x2, self.weight, self.bias)
