"""The barrier that keeps what is computed behind it apart from what is computed before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slope.core.operator import Operator, Sample, Tangent, register
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.ops._family import draws, ints


class OptimizationBarrier(Operator):
    """Its operands, unchanged, as values of their own.

    No pass and no backend merges a computation on the results with the same computation on the
    operands, or moves one through it, and none of the results is there before all operands are.
    What recomputes instead of remembering (:class:`slope.control.checkpoint.Rematerialize`) relies
    on it.
    """

    name = "optimization_barrier"
    multiple = True

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        return types

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent]) -> Any:
        moved = [tangent for tangent in tangents if tangent is not None]
        behind = iter(optimization_barrier(*moved) if moved else ())
        return (
            optimization_barrier(*primals),
            tuple(None if tangent is None else next(behind) for tangent in tangents),
        )

    def transpose(self, cotangent: Any, *operands: Any) -> Sequence[Tangent]:
        given = [each for each in cotangent if each is not None]
        behind = iter(optimization_barrier(*given) if given else ())
        return [None if each is None else next(behind) for each in cotangent]

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None]
    ) -> tuple[Any, Any]:
        return optimization_barrier(*args), tuple(in_dims)

    def samples(self) -> Iterator[Sample]:
        yield Sample((draws(2, 3),))
        yield Sample((draws(2, 3), draws(), ints(4)))


optimization_barrier: Operator = register(OptimizationBarrier())
