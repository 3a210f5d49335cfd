"""Products whose tiles are chosen here, as IREE's own choice leaves half of the registers idle."""

from __future__ import annotations

from slope.extend import dtypes

from .context import Context, Value, mlir_type

_LANES = 16  # float32 numbers in a register, of which there are 32


def product_of_rows(ctx: Context, x: Value, y: Value) -> Value:
    """(batch, rows, m) and (batch, rows, n) to (batch, m, n): summed over the rows.

    For small m and n: one task computes each matrix of the batch.
    """
    batch, _, m = x.shape
    n = y.shape[2]
    result = x.type.with_shape((batch, m, n))
    tile = _tile(m, n) if ctx.lanes == _LANES and x.dtype is dtypes.float32 else None
    if tile is None:
        dims = "batching_dims = [0] x [0], contracting_dims = [1] x [1]"
        return ctx.op("dot_general", [x, y], result, dims)
    high, wide = tile
    config = (
        f"#iree_cpu.lowering_config<distribution = [1, {m}, {n}, 0], "
        f"vector_common_parallel = [1, {high}, {wide}, 0], vector_reduction = [0, 0, 0, 1]>"
    )
    maps = ", ".join(
        f"affine_map<(b, m, n, r) -> ({dims})>" for dims in ("b, r, m", "b, r, n", "b, m, n")
    )
    head = (
        f"linalg.generic {{indexing_maps = [{maps}], "
        f'iterator_types = ["parallel", "parallel", "parallel", "reduction"]}} '
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
    return made


def _tile(m: int, n: int) -> tuple[int, int] | None:
    """Rows and columns that fill half of the registers with sums; ``None`` where none fit."""
    wide = next((each for each in (2 * _LANES, _LANES) if n % each == 0), None)
    if wide is None:
        return None
    most = 16 * _LANES // wide
    high = next((each for each in (most, most // 2) if m % each == 0), m if m < most else None)
    return None if high is None else (high, wide)
