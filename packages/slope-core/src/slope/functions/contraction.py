"""Matrix products and their kin: each is one ``dot_general``, permuted where the order asks.

Batch dimensions that only one operand has (or that are 1 in the other) become free dimensions:
nothing is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope import dtypes, ops
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions._arguments import dim_of, wholes_of
from slope.functions._at_once import at_once
from slope.functions._base import TensorLike, as_tensor, is_one, result_dtype, to_dtype
from slope.functions.arithmetic import add, mul
from slope.functions.arrangement import diagonal
from slope.functions.shapes import movedim, reshape

__all__ = [
    "bmm",
    "dot",
    "einsum",
    "linear",
    "matmul",
    "mm",
    "mv",
    "outer",
    "tensordot",
]

Labels = tuple[Any, ...]


def _pair(
    function: str, x: TensorLike, y: TensorLike, names: tuple[str, str] = ("x", "y")
) -> tuple[Tensor, Tensor]:
    a, b = as_tensor(x, function, names[0]), as_tensor(y, function, names[1])
    if a.dtype is not b.dtype:
        dtype = result_dtype(function, (a, b))
        return to_dtype(a, dtype), to_dtype(b, dtype)
    return a, b


def contract(x: Tensor, of_x: Labels, y: Tensor, of_y: Labels, out: Labels) -> Tensor:
    """Sum of products over the labels that are not in ``out``.

    Every label names one dimension, of one length.
    """
    x, of_x = _summed(x, of_x, of_y, out)
    y, of_y = _summed(y, of_y, of_x, out)
    shared = [label for label in of_x if label in of_y]
    along = [label for label in out if label in shared]
    over = [label for label in shared if label not in out]
    result = ops.dot_general(
        x,
        y,
        contract=(_places(of_x, over), _places(of_y, over)),
        batch=(_places(of_x, along), _places(of_y, along)),
    )
    made = [
        *along,
        *(label for label in of_x if label not in shared),
        *(label for label in of_y if label not in shared),
    ]
    order = tuple(made.index(label) for label in out)
    return result if order == tuple(range(len(order))) else ops.permute(result, dims=order)


def _places(labels: Labels, wanted: Sequence[Any]) -> tuple[int, ...]:
    return tuple(labels.index(label) for label in wanted)


def _summed(x: Tensor, labels: Labels, other: Labels, out: Labels) -> tuple[Tensor, Labels]:
    """Without the dimensions that neither the other operand nor the result has."""
    alone = tuple(at for at, label in enumerate(labels) if label not in other and label not in out)
    if not alone:
        return x, labels
    return ops.sum_(x, dim=alone), tuple(
        label for at, label in enumerate(labels) if at not in alone
    )


@at_once
def matmul(x: TensorLike, y: TensorLike) -> Tensor:
    """The matrix product over the last dimension of ``x`` and the last but one of ``y``.

    Leading dimensions broadcast.

    A vector on the left is a row, on the right a column, and its extra dimension vanishes from the
    result.

    Raises:
        ShapeError: lengths that do not fit, or an operand of shape ().
    """
    a, b = _pair("matmul", x, y)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            f"matmul: takes tensors of at least 1 dimension, and got {a.type} and {b.type}; use * "
            "for a number."
        )
    inner_b = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner_b:
        raise ShapeError(
            f"matmul: {a.type} and {b.type} do not fit: the last dimension of x is {a.shape[-1]}, "
            f"dimension {-2 if b.ndim > 1 else 0} of y is {inner_b}; they must be equal."
        )
    of_a: Labels = ("n", "k") if a.ndim > 1 else ("k",)
    of_b: Labels = ("k", "m") if b.ndim > 1 else ("k",)
    lead_a, lead_b = a.shape[:-2], b.shape[:-2]
    a, batch_a = _batch_labels(a, lead_a, lead_b, len(of_a))
    b, batch_b = _batch_labels(b, lead_b, lead_a, len(of_b))
    for label in set(batch_a) & set(batch_b):
        first, second = a.shape[batch_a.index(label)], b.shape[batch_b.index(label)]
        if first != second:
            raise ShapeError(
                f"matmul: the leading dimensions of {a.type} and {b.type} do not broadcast: "
                f"{first} and {second}."
            )
    leads = sorted({*batch_a, *batch_b})
    out = (*leads, *(label for label in ("n", "m") if label in of_a or label in of_b))
    return contract(a, (*batch_a, *of_a), b, (*batch_b, *of_b), out)


def _batch_labels(
    x: Tensor, lead: Sequence[Any], other: Sequence[Any], matrix: int
) -> tuple[Tensor, Labels]:
    """Labels (negative places) of the leading dimensions.

    Those that are 1 here and not there are dropped.
    """
    places = range(-len(lead), 0)
    dropped = [
        place
        for place in places
        if is_one(lead[place]) and -place <= len(other) and not is_one(other[place])
    ]
    if dropped:
        kept = tuple(lead[place] for place in places if place not in dropped)
        x = ops.reshape(x, shape=(*kept, *x.shape[x.ndim - matrix :]))
    return x, tuple(place for place in places if place not in dropped)


def _of_rank(function: str, x: Tensor, ndim: int, argument: str) -> None:
    if x.ndim != ndim:
        raise ShapeError(
            f"{function}: {argument} must have {ndim} dimensions, but is {x.type}; matmul takes "
            "any."
        )


@at_once
def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """The inner product of two vectors."""
    return _ranked("dot", x, y, 1, 1)


@at_once
def mv(x: TensorLike, y: TensorLike) -> Tensor:
    """The product of a matrix and a vector."""
    return _ranked("mv", x, y, 2, 1)


@at_once
def mm(x: TensorLike, y: TensorLike) -> Tensor:
    """The product of two matrices."""
    return _ranked("mm", x, y, 2, 2)


@at_once
def bmm(x: TensorLike, y: TensorLike) -> Tensor:
    """Matrices times as many matrices: ``[b, n, k]`` and ``[b, k, m]`` give ``[b, n, m]``.

    Raises:
        ShapeError: unequal numbers of matrices.
    """
    a, b = _pair("bmm", x, y)
    if a.ndim == b.ndim == 3 and a.shape[0] != b.shape[0]:
        raise ShapeError(
            f"bmm: {a.type} and {b.type} hold different numbers of matrices; matmul broadcasts."
        )
    return _ranked("bmm", a, b, 3, 3)


def _ranked(function: str, x: TensorLike, y: TensorLike, of_x: int, of_y: int) -> Tensor:
    a, b = _pair(function, x, y)
    _of_rank(function, a, of_x, "x")
    _of_rank(function, b, of_y, "y")
    if a.shape[-1] != b.shape[-2 if of_y > 1 else 0]:
        raise ShapeError(
            f"{function}: {a.type} and {b.type} do not fit: the summed dimensions must be of "
            "equal length."
        )
    return matmul(a, b)


@at_once
def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """All products of the elements of two vectors."""
    a, b = _pair("outer", x, y)
    _of_rank("outer", a, 1, "x")
    _of_rank("outer", b, 1, "y")
    if a.dtype is dtypes.bool_:
        return mul(reshape(a, (-1, 1)), b)
    return contract(a, ("n",), b, ("m",), ("n", "m"))


@at_once
def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """``x @ weight.T + bias``.

    Args:
        x: ``[..., in]``.
        weight: ``[out, in]``.
        bias: ``[out]``.

    Returns:
        ``[..., out]``.

    Raises:
        ShapeError: lengths that do not fit.
    """
    a, b = _pair("linear", x, weight, ("x", "weight"))
    _of_rank("linear", b, 2, "weight")
    if a.ndim == 0 or a.shape[-1] != b.shape[1]:
        raise ShapeError(
            f"linear: x is {a.type}, and a weight {b.type} needs a last dimension of length "
            f"{b.shape[1]}."
        )
    out = ops.dot_general(a, b, contract=((a.ndim - 1,), (1,)), batch=((), ()))
    return out if bias is None else add(out, bias)


@at_once
def tensordot(x: TensorLike, y: TensorLike, dims: int | Sequence[Sequence[int]] = 2) -> Tensor:
    """Products summed over the last ``dims`` dimensions of ``x`` and the first of ``y``.

    ``dims`` may also be two lists, which pair dimensions of ``x`` and ``y``.

    Raises:
        ShapeError: dimensions that do not fit.
    """
    a, b = _pair("tensordot", x, y)
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: dims={dims} is more than {a.type} and {b.type} have.")
        of_a, of_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        if not isinstance(dims, (tuple, list)) or len(dims) != 2:
            raise ArgumentError(
                f"tensordot: dims={dims!r:.60} must be an int, or two sequences of dimensions."
            )
        of_a = [
            dim_of(dim, a.ndim, "tensordot", "dims[0]", shape=a.shape)
            for dim in wholes_of(dims[0], "tensordot", "dims[0]")
        ]
        of_b = [
            dim_of(dim, b.ndim, "tensordot", "dims[1]", shape=b.shape)
            for dim in wholes_of(dims[1], "tensordot", "dims[1]")
        ]
    if len(of_a) != len(of_b) or any(
        a.shape[p] != b.shape[q] for p, q in zip(of_a, of_b, strict=True)
    ):
        raise ShapeError(
            f"tensordot: dims={dims} pairs dimensions of different lengths of {a.type} and "
            f"{b.type}."
        )
    return ops.dot_general(a, b, contract=(tuple(of_a), tuple(of_b)), batch=((), ()))


# --- einsum


@at_once
def einsum(equation: str, *operands: TensorLike | Sequence[Tensor]) -> Tensor:
    """Sums of products in Einstein's notation, such as ``einsum("bik,bkj->bij", x, y)``.

    ``...`` stands for leading dimensions.

    Operands, which may also be given as one list of tensors, are taken from left to right, two
    at a time.

    Raises:
        ArgumentError: an equation that is not well formed.
        ShapeError: a letter with two lengths, or operands that do not fit.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    given = [as_tensor(x, "einsum", f"operands[{number}]") for number, x in enumerate(operands)]
    if not given:
        raise ArgumentError(f"einsum: {equation!r} has no operands.")
    dtype = result_dtype("einsum", given)
    terms, out = _parsed(equation, [x.ndim for x in given])
    pairs = [
        _traced(to_dtype(x, dtype), term, equation) for x, term in zip(given, terms, strict=True)
    ]
    _check_lengths(equation, pairs)
    x, labels = pairs[0]
    for number, (y, of_y) in enumerate(pairs[1:], 1):
        later = {label for _, term in pairs[number + 1 :] for label in term} | set(out)
        x, labels, y, of_y = _aligned(x, labels, y, of_y)
        union = (*labels, *(label for label in of_y if label not in labels))
        kept = (
            out if number == len(pairs) - 1 else tuple(label for label in union if label in later)
        )
        x, labels = contract(x, labels, y, of_y, kept), kept
    return _finished(x, labels, out)


def _finished(x: Tensor, labels: Labels, out: Labels) -> Tensor:
    x, labels = _summed(x, labels, (), out)
    order = tuple(labels.index(label) for label in out)
    return x if order == tuple(range(len(order))) else ops.permute(x, dims=order)


def _parsed(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    if not isinstance(equation, str):
        raise ArgumentError(f"einsum: equation must be a string, not {equation!r:.60}.")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(
            f"einsum: {equation!r} names {len(terms)} operands, and got {len(ranks)}."
        )
    found = [_labels(equation, term, ndim) for term, ndim in zip(terms, ranks, strict=True)]
    dots = sorted({label for term in found for label in term if isinstance(label, int)})
    if arrow:
        head, ellipsis, tail = right.partition("...")
        out: Labels = (*head, *(dots if ellipsis else ()), *tail)
    else:
        every = [label for term in found for label in term if isinstance(label, str)]
        out = (*dots, *sorted(label for label in set(every) if every.count(label) == 1))
    known = {label for term in found for label in term}
    if len(set(out)) != len(out) or any(label not in known for label in out):
        raise ArgumentError(
            f"einsum: the result of {equation!r} repeats a letter, or has one that no operand has."
        )
    return found, out


def _labels(equation: str, term: str, ndim: int) -> Labels:
    head, ellipsis, tail = term.partition("...")
    letters = head + tail
    if letters and not (letters.isascii() and letters.isalpha()):
        raise ArgumentError(f"einsum: {equation!r} may hold letters, commas, '...' and one '->'.")
    free = ndim - len(letters)
    if free < 0 or (free and not ellipsis):
        raise ShapeError(
            f"einsum: {term!r} in {equation!r} does not name the dimensions of an operand of "
            f"{ndim} dimensions."
        )
    return (*head, *range(-free, 0), *tail)


def _traced(x: Tensor, labels: Labels, equation: str) -> tuple[Tensor, Labels]:
    """An operand with its repeated letters reduced to the diagonal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"einsum: {label!r} in {equation!r} has the lengths {x.shape[first]} and "
                    f"{x.shape[second]}."
                )
            x = movedim(diagonal(x, 0, first, second), -1, first)
            labels = (*labels[:second], *labels[second + 1 :])
    return x, labels


def _check_lengths(equation: str, pairs: Sequence[tuple[Tensor, Labels]]) -> None:
    lengths: dict[Any, Any] = {}
    for x, labels in pairs:
        for label, length in zip(labels, x.shape, strict=True):
            known = lengths.get(label, 1)
            if is_one(known):
                lengths[label] = length
            elif not is_one(length) and known != length:
                name = "'...'" if isinstance(label, int) else repr(label)
                raise ShapeError(
                    f"einsum: {name} in {equation!r} has the lengths {known} and {length}."
                )


def _aligned(
    x: Tensor, of_x: Labels, y: Tensor, of_y: Labels
) -> tuple[Tensor, Labels, Tensor, Labels]:
    """Drop dimensions of length 1 that broadcast against the other operand."""
    x2, of_x2 = _without_ones(x, of_x, y, of_y)
    y2, of_y2 = _without_ones(y, of_y, x, of_x)
    return x2, of_x2, y2, of_y2


def _without_ones(
    x: Tensor, labels: Labels, other: Tensor, of_other: Labels
) -> tuple[Tensor, Labels]:
    kept = [
        at
        for at, label in enumerate(labels)
        if not (
            is_one(x.shape[at])
            and label in of_other
            and not is_one(other.shape[of_other.index(label)])
        )
    ]
    if len(kept) == x.ndim:
        return x, labels
    return ops.reshape(x, shape=tuple(x.shape[at] for at in kept)), tuple(labels[at] for at in kept)
