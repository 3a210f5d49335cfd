"""Products whose tiles are chosen here, as IREE's own choice leaves half of the registers idle.

Measured with AVX-512 on one thread, in float32: 200 to 240 GFLOP/s, where IREE's own reach 60 to
180 with operands as they are, and 120 to 180 with the time to pack them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from slope.extend import TensorType, dtypes

from .context import Context, Value, listed, mlir_type

Dims = tuple[int, ...]

_LANES = 16  # float32 numbers in a register, of which there are 32
_WIDE = 2 * _LANES
_HIGHEST, _LOWEST = 13, 4  # rows of two registers: 26 for sums at most, and few loads for each
_LOW = 5
_NEAR = 1 << 18  # numbers that the second-level cache holds
_TASK = 1 << 17  # numbers that a task reads again and again
_LONGEST_TASK = 1 << 10  # columns
_LONG_ROW = 512  # numbers: such rows share too few lines of the first-level cache
_SMALL = 1 << 15  # multiplications: some microseconds, whatever the tiles
_FEW_ROWS = 64  # a matrix that meets fewer is not worth moving


def product_of_rows(ctx: Context, x: Value, y: Value) -> Value:
    """(batch, rows, m) and (batch, rows, n) to (batch, m, n): summed over the rows.

    For small m and n: one task computes each matrix of the batch.
    """
    batch, _, m = x.shape
    n = y.shape[2]
    tile = _exact_tile(m, n) if ctx.lanes == _LANES and x.dtype is dtypes.float32 else None
    if tile is None:
        dims = "batching_dims = [0] x [0], contracting_dims = [1] x [1]"
        return ctx.op("dot_general", [x, y], x.type.with_shape((batch, m, n)), dims)
    return _product(ctx, x, y, by_columns=True, task=(m, n), tile=tile)


def tiled_product(
    ctx: Context, x: Value, y: Value, contract: tuple[Dims, Dims], batch: tuple[Dims, Dims]
) -> Value | None:
    """A contraction in tiles that fill the registers; ``None`` where IREE's own way is better."""
    tiling = tiling_of(x.type, y.type, contract, batch, ctx.lanes)
    if tiling is None:
        return None
    left, right = tiling.left, tiling.right
    of_x, of_y = ctx.reshape(x, left.shape), ctx.reshape(y, right.shape)
    if tiling.panels:
        of_y = _panels(ctx, of_y, right)
    elif not right.by_columns:
        of_y = _moved(ctx, of_y, (0, 2, 1))
    most = min(256, _TASK // left.summed)
    task = (
        _part(left.length, tiling.tile[0], min(128, left.length // 4)),
        _part(right.length, tiling.tile[1], most),
    )
    made = _product(ctx, of_x, of_y, by_columns=left.by_columns, task=task, tile=tiling.tile)
    lead = tuple(x.shape[dim] for dim in batch[0])
    return ctx.reshape(made, (*lead, *left.kept, *right.kept))


@dataclass(frozen=True)
class _Matrices:
    """An operand of a contraction as matrices.

    Attributes:
        count: how many.
        kept: the dimensions that the result keeps.
        summed: how many numbers are summed.
        by_columns: whether what is summed comes before what is kept.
    """

    count: int
    kept: Dims
    summed: int
    by_columns: bool

    @property
    def length(self) -> int:
        return math.prod(self.kept)

    @property
    def shape(self) -> Dims:
        matrix = self.length, self.summed
        return (self.count, *(reversed(matrix) if self.by_columns else matrix))

    @classmethod
    def of(cls, x: TensorType, contract: Dims, batch: Dims) -> _Matrices | None:
        """``None`` where that would take a transpose."""
        first, count = len(batch), len(contract)
        before, behind = range(first, first + count), range(len(x.shape) - count, len(x.shape))
        if batch != tuple(range(first)) or contract not in (tuple(before), tuple(behind)):
            return None
        kept = [dim for dim in range(first, len(x.shape)) if dim not in contract]
        return cls(
            math.prod(x.shape[:first]),
            tuple(x.shape[dim] for dim in kept),
            math.prod(x.shape[dim] for dim in contract),
            contract == tuple(before),
        )


class Tiling(NamedTuple):
    """How a contraction is computed.

    Attributes:
        left: the first operand as matrices.
        right: the second.
        tile: rows and columns of the result that stay in registers while the sums run.
        panels: whether the second operand is moved to panels of as many columns.
    """

    left: _Matrices
    right: _Matrices
    tile: tuple[int, int]
    panels: bool


def tiling_of(
    x: TensorType,
    y: TensorType,
    contract: tuple[Dims, Dims],
    batch: tuple[Dims, Dims],
    lanes: int,
) -> Tiling | None:
    """The tiles of a contraction; ``None`` where IREE's own way is better.

    Args:
        x: the first operand.
        y: the second.
        contract: the dimensions to sum over, of both.
        batch: the dimensions to go along, of both.
        lanes: see :class:`Context`.
    """
    if lanes != _LANES or x.dtype is not dtypes.float32:
        return None
    left, right = _Matrices.of(x, contract[0], batch[0]), _Matrices.of(y, contract[1], batch[1])
    if left is None or right is None:
        return None
    m, n, rows = left.length, right.length, left.summed
    tile = _tile(m, n)
    if tile is None or rows * tile[1] > _NEAR or m * n * rows < _SMALL:
        return None
    near = n * rows <= _NEAR
    # A low tile reads what it loads few times, and so waits for it.
    read_as_it_is = near and not (tile[0] <= _LOW and n > _LONG_ROW)
    moved = not right.by_columns or not (read_as_it_is or m < _FEW_ROWS)
    panels = moved and n % _WIDE == 0 and (n >= _LONG_ROW or not near)
    if moved and (m < _FEW_ROWS or not (panels or near)):
        return None
    if (n % tile[1] and n > _LONGEST_TASK) or (left.by_columns and m * rows > _NEAR):
        return None
    return Tiling(left, right, tile, panels)


def _panels(ctx: Context, y: Value, matrices: _Matrices) -> Value:
    """(batch, panels, rows, columns of a panel): what a tile reads lies together.

    Else its rows may be so far apart that they all share a few lines of the first-level cache.
    """
    count, rows, parts = matrices.count, matrices.summed, matrices.length // _WIDE
    if matrices.by_columns:
        return _moved(ctx, ctx.reshape(y, (count, rows, parts, _WIDE)), (0, 2, 1, 3))
    return _moved(ctx, ctx.reshape(y, (count, parts, _WIDE, rows)), (0, 1, 3, 2))


def _moved(ctx: Context, x: Value, dims: Dims) -> Value:
    """A transpose of its own; else it is done anew for each number that a product loads."""
    shape = tuple(x.shape[dim] for dim in dims)
    return ctx.barrier(ctx.op("transpose", [x], x.type.with_shape(shape), f"dims = {listed(dims)}"))


def _product(
    ctx: Context, x: Value, y: Value, *, by_columns: bool, task: Dims, tile: Dims
) -> Value:
    """The products of matrices (batch, m, rows), or (batch, rows, m), and (batch, rows, n).

    Or of the first and panels of the second, (batch, panels, rows, columns).

    Args:
        ctx: where to write it.
        x: the first matrices.
        y: the second matrices, or their panels.
        by_columns: whether the first are (batch, rows, m).
        task: how many rows and columns of the result one task computes.
        tile: how many of them stay in registers while the sums run.
    """
    batch, *panels, _, n = y.shape
    m = x.shape[2 if by_columns else 1]
    # With a batch of one IREE drops the dimension, and the tiles with it.
    lead = (1,) if batch > 1 else ()
    if not lead:
        x, y = ctx.reshape(x, x.shape[1:]), ctx.reshape(y, y.shape[1:])
    result = x.type.with_shape((*y.shape[: len(lead)], m, *panels, n))
    (high, wide), (rows, columns) = tile, task
    task = (rows, columns // wide, wide) if panels else task
    tile = (high, 1, wide) if panels else tile
    config = (
        f"#iree_cpu.lowering_config<distribution = {listed((*lead, *task, 0))}, "
        f"vector_common_parallel = {listed((*lead, *tile, 0))}, "
        f"vector_reduction = {listed((*(0 for _ in (*lead, *task)), 1))}>"
    )
    b, p = "b, " if lead else "", "p, " if panels else ""
    maps = ", ".join(
        f"affine_map<({b}m, {p}n, r) -> ({b}{dims})>"
        for dims in ("r, m" if by_columns else "m, r", f"{p}r, n", f"m, {p}n")
    )
    parallel = '"parallel", ' * len((*lead, *task))
    head = (
        f'linalg.generic {{indexing_maps = [{maps}], iterator_types = [{parallel}"reduction"]}} '
        f"ins({x}, {y} : {x.mlir}, {y.mlir}) outs({ctx.constant(0, result)} : {mlir_type(result)}) "
        f"attrs = {{compilation_info = #iree_codegen.compilation_info<lowering_config = {config}, "
        "translation_info = #iree_codegen.translation_info<"
        "pipeline = #iree_cpu.pipeline<DoubleTilingExpert>>>} {"
    )
    made = ctx.emit(head, result)
    ctx.lines += [
        "^bb0(%x: f32, %y: f32, %sum: f32):",
        "  %product = arith.mulf %x, %y : f32",
        "  %next = arith.addf %product, %sum : f32",
        "  linalg.yield %next : f32",
        f"}} -> {mlir_type(result)}",
    ]
    return ctx.reshape(made, (batch, m, math.prod(panels) * n))


def _exact_tile(m: int, n: int) -> tuple[int, int] | None:
    """Rows and columns that fill half of the registers with sums; ``None`` where none fit."""
    wide = next((each for each in (_WIDE, _LANES) if n % each == 0), None)
    if wide is None:
        return None
    most = 16 * _LANES // wide
    high = next((each for each in (most, most // 2) if m % each == 0), m if m < most else None)
    return None if high is None else (high, wide)


def _tile(m: int, n: int) -> tuple[int, int] | None:
    """Rows and columns; ``None`` for few of either.

    Rows left over are slow. Columns are not, behind a whole tile: 31 in a tile of 32 take ten times
    as long as 32.
    """
    high = next((each for each in range(_HIGHEST, _LOWEST - 1, -1) if m % each == 0), None)
    if high is None or (n < _WIDE and n != _LANES):
        return None
    return high, _LANES if n < 2 * _WIDE and n % _WIDE == _LANES else _WIDE


def _part(length: int, tile: int, most: int) -> int:
    """How much of a dimension a task takes: as many whole tiles as make equal parts of it.

    All of it where some elements are left over: tasks of different sizes have slow loops.
    """
    if length % tile:
        return length
    parts = (each for each in range(max(most // tile, 1), 0, -1) if length % (each * tile) == 0)
    return next(parts) * tile
