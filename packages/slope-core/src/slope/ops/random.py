"""Random bits: the threefry counter-based generator, the same on every backend.

Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC
2011), Threefry-2x32 with 20 rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from slope.core.operator import Operator, Sample, register
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dtypes import uint32
from slope.errors import DTypeError, ShapeError
from slope.ops.elementwise import add
from slope.ops.linear import batched_at
from slope.ops.logic import bitwise_or, bitwise_xor, shift_left, shift_right_logical

ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY: Final = 0x1BD11BDA


class Threefry2x32(Operator):
    """Two words of a counter, encrypted with two words of a key, element by element.

    All are uint32 and of one shape.

    Operands: ``key0, key1, counter0, counter1``. Results: the two encrypted words.
    """

    name = "threefry2x32"
    multiple = True
    differentiable = False
    elementwise = True

    def infer(self, *xs: TensorType) -> tuple[TensorType, TensorType]:
        if len(xs) != 4 or any(x.dtype is not uint32 for x in xs):
            raise DTypeError(
                f"threefry2x32 takes four uint32 operands, and got {', '.join(map(str, xs))}."
            )
        if any(x.shape != xs[0].shape for x in xs):
            raise ShapeError(
                f"threefry2x32 takes operands of one shape, and got {', '.join(map(str, xs))}."
            )
        return xs[0], xs[0]

    def expand(self, key0: Any, key1: Any, x0: Any, x1: Any) -> Any:
        def word(value: int) -> Splat:
            return Splat(value, x0.type)

        keys = (key0, key1, bitwise_xor(bitwise_xor(key0, key1), word(PARITY)))
        x0, x1 = add(x0, key0), add(x1, key1)
        for group in range(5):
            for bits in ROTATIONS[group % 2]:
                x0 = add(x0, x1)
                turned = bitwise_or(
                    shift_left(x1, word(bits)), shift_right_logical(x1, word(32 - bits))
                )
                x1 = bitwise_xor(turned, x0)
            x0 = add(x0, keys[(group + 1) % 3])
            x1 = add(add(x1, keys[(group + 2) % 3]), word(group + 1))
        return x0, x1

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        moved = [batched_at(x, dim, size, 0) for x, dim in zip(args, in_dims, strict=True)]
        return threefry2x32(*moved), (0, 0)

    def samples(self) -> Iterator[Sample]:
        words = np.random.default_rng(0).integers(0, 2**32, size=(4, 5), dtype=np.uint32)
        yield Sample(tuple(words), {}, False)
        yield Sample(tuple(np.zeros((4, 1), np.uint32)), {}, False)


threefry2x32 = register(Threefry2x32())
