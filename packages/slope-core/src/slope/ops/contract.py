"""Contraction: sums of products over shared dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slope.core.operator import Linear, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.dims import size
from slope.errors import DTypeError, ShapeError
from slope.ops._bilinear import Bilinear
from slope.ops._family import draws, ints, require_dim, require_kind, shifted, without
from slope.ops.linear import permute

Dims = tuple[int, ...]


class DotGeneral(Bilinear):
    """Products of two operands, summed over contracted dimensions.

    The result's dimensions are the batch dimensions, then ``x``'s free ones, then ``y``'s free
    ones, each in order. Half-precision products accumulate in float32.

    Params:
        contract: ``(dims of x, dims of y)`` that are summed over, pairwise of equal length.
        batch: ``(dims of x, dims of y)`` that run along together.
    """

    name = "dot_general"

    def infer(
        self,
        x: TensorType,
        y: TensorType,
        *,
        contract: tuple[Dims, Dims],
        batch: tuple[Dims, Dims] = ((), ()),
    ) -> TensorType:
        if x.dtype is not y.dtype:
            raise DTypeError(f"dot_general takes operands of one dtype, and got {x} and {y}.")
        require_kind(self, x, "iuf")
        for name, (of_x, of_y) in (("contract", contract), ("batch", batch)):
            for dims, operand in ((of_x, x), (of_y, y)):
                for dim in dims:
                    require_dim(self, operand, dim, name)
            if len(of_x) != len(of_y) or any(
                x.shape[a] != y.shape[b] for a, b in zip(of_x, of_y, strict=False)
            ):
                raise ShapeError(
                    f"dot_general: {name}={(of_x, of_y)} pairs dimensions of different lengths of "
                    f"{x} and {y}."
                )
        free_x = free_dims(x.ndim, contract[0], batch[0])
        free_y = free_dims(y.ndim, contract[1], batch[1])
        if (
            len(free_x) + len(contract[0]) + len(batch[0]) != x.ndim
            or len(free_y) + len(contract[1]) + len(batch[1]) != y.ndim
        ):
            raise ShapeError(
                f"dot_general: contract={contract} and batch={batch} name a dimension twice."
            )
        shape = [x.shape[d] for d in (*batch[0], *free_x)] + [y.shape[d] for d in free_y]
        return x.with_shape(tuple(shape))

    def flops(
        self,
        x: TensorType,
        y: TensorType,
        *,
        contract: tuple[Dims, Dims],
        batch: tuple[Dims, Dims] = ((), ()),
    ) -> Any:
        """A multiplication and an addition for each product: ``2 * batch * m * n * k``."""
        return 2 * x.size * size(y.shape[dim] for dim in free_dims(y.ndim, contract[1], batch[1]))

    def transpose(
        self,
        cotangent: Any,
        x: Any,
        y: Any,
        *,
        contract: tuple[Dims, Dims],
        batch: tuple[Dims, Dims] = ((), ()),
    ) -> Sequence[Tangent]:
        nb = len(batch[0])
        free_x = free_dims(x.ndim, contract[0], batch[0])
        free_y = free_dims(y.ndim, contract[1], batch[1])
        places_x = tuple(range(nb, nb + len(free_x)))
        places_y = tuple(range(nb + len(free_x), nb + len(free_x) + len(free_y)))
        if isinstance(x, Linear):
            return _cotangent(
                cotangent,
                y,
                x,
                (batch[1], contract[1], free_y),
                (batch[0], contract[0], free_x),
                places_y,
            ), None
        return None, _cotangent(
            cotangent,
            x,
            y,
            (batch[0], contract[0], free_x),
            (batch[1], contract[1], free_y),
            places_x,
        )

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        (x, y), (at_x, at_y) = args, in_dims
        (cx, cy), (bx, by) = params["contract"], params.get("batch", ((), ()))
        if at_x is not None and at_y is not None:
            shift_x, shift_y = _shifter(at_x), _shifter(at_y)
            contract = shift_x(cx), shift_y(cy)
            batch = (at_x, *shift_x(bx)), (at_y, *shift_y(by))
            return dot_general(x, y, contract=contract, batch=batch), 0
        if at_x is not None:  # the batch dimension is one more free dimension of x
            shift = _shifter(at_x)
            contract, batch = (shift(cx), cy), (shift(bx), by)
            place = len(bx) + free_dims(x.ndim, contract[0], batch[0]).index(at_x)
        else:
            assert at_y is not None
            shift = _shifter(at_y)
            contract, batch = (cx, shift(cy)), (bx, shift(by))
            place = x.ndim - len(cx) + free_dims(y.ndim, contract[1], batch[1]).index(at_y)
        return dot_general(x, y, contract=contract, batch=batch), place

    def samples(self) -> Iterator[Sample]:
        none: tuple[Dims, Dims] = ((), ())
        yield Sample((draws(2, 3), draws(3, 4, seed=1)), {"contract": ((1,), (0,)), "batch": none})
        yield Sample((draws(3, 2), draws(4, 3, seed=1)), {"contract": ((0,), (1,)), "batch": none})
        yield Sample(
            (draws(5, 2, 3), draws(3, 5, 4, seed=1)),
            {"contract": ((2,), (0,)), "batch": ((0,), (1,))},
        )
        yield Sample(
            (draws(2, 3, 4), draws(4, 3, 2, seed=1)), {"contract": ((1, 2), (1, 0)), "batch": none}
        )
        yield Sample((draws(3), draws(3, seed=1)), {"contract": ((0,), (0,)), "batch": none})
        yield Sample((draws(2), draws(3, seed=1)), {"contract": none, "batch": none})
        yield Sample((draws(2, 0), draws(0, 3)), {"contract": ((1,), (0,)), "batch": none})
        yield Sample(
            (ints(2, 3), ints(3, 2, seed=1)), {"contract": ((1,), (0,)), "batch": none}, False
        )
        yield Sample(
            (draws(2, 3, 2, 4), draws(2, 3, 4, 5, seed=1)),
            {"contract": ((3,), (2,)), "batch": ((0, 1), (0, 1))},
        )


def free_dims(ndim: int, contract: Dims, batch: Dims) -> Dims:
    """The dimensions that are neither contracted nor batch dimensions."""
    return without(range(ndim), (*contract, *batch))


def _shifter(at: int) -> Any:
    return lambda dims: tuple(shifted(dim, at) for dim in dims)


def _cotangent(
    cotangent: Tensor,
    other: Tensor,
    target: Linear,
    of_other: tuple[Dims, Dims, Dims],
    of_target: tuple[Dims, Dims, Dims],
    places_other: Dims,
) -> Tensor:
    """The cotangent of one operand.

    It is the result's, contracted with the other operand over the latter's free dimensions, in the
    order of the two that leaves the dimensions where the operand has them, if one does: that needs
    no permute.
    """
    batch_o, contract_o, free_o = of_other
    batch_t, contract_t, free_t = of_target
    nb = len(batch_t)
    along: Dims = tuple(range(nb))
    # The other operand's contracted dimensions come out in its own order; these are their partners
    # in the target.
    by_place = sorted(range(len(contract_o)), key=lambda k: contract_o[k])
    contracted = tuple(contract_t[k] for k in by_place)
    first = (*batch_t, *free_t, *contracted)
    if first == tuple(range(target.ndim)) or (*batch_t, *contracted, *free_t) != tuple(
        range(target.ndim)
    ):
        out = dot_general(cotangent, other, contract=(places_other, free_o), batch=(along, batch_o))
        order = first
    else:
        out = dot_general(other, cotangent, contract=(free_o, places_other), batch=(batch_o, along))
        order = (*batch_t, *contracted, *free_t)
    if order == tuple(range(target.ndim)):
        return out
    return permute(out, dims=tuple(int(d) for d in np.argsort(np.asarray(order, int))))


dot_general = register(DotGeneral())
