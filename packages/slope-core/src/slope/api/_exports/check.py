"""Whether an exported file computes what the program does: both run on the same arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from slope.api._compare import difference
from slope.api._exports.signature import Port
from slope.compile import Options, compile_program
from slope.core.program import Program
from slope.devices import CPU, Device
from slope.errors import ExportError
from slope.plugins.backend import Backend
from slope.plugins.selection import installed

Array = np.ndarray[Any, Any]

TOLERANCES: Final = {"float16": 1e-2, "bfloat16": 6e-2, "float32": 1e-3, "float64": 1e-6}
"""How far results may differ, as a part of the largest element of a result, by dtype."""

_NOISE: Final = 2.0**-22
"""How much the floats are disturbed to see what rounding alone can do, relatively."""
_SMALLEST: Final = 1e-6
"""Results whose largest element is less may be what rounding left of 0, or its square."""


def check_file(
    backend: Backend,
    device: Device,
    path: Path,
    ports: tuple[Sequence[Port], Sequence[Port]],
    program: Program,
    arrays: tuple[Sequence[Array], Sequence[Array]],
    tolerance: float | None,
) -> None:
    """Run a file and the program that it was made of, and compare.

    Args:
        backend: which wrote the file.
        device: where to run it.
        path: the file.
        ports: the inputs and outputs.
        program: in slope's own operators; behind the inputs come constants.
        arrays: the values of the inputs, and of the constants.
        tolerance: instead of that of each dtype.

    Raises:
        ExportError: they differ; names the result and where.
    """
    inputs, outputs = ports
    given, constants = arrays
    types = [port.type for port in inputs], [port.type for port in outputs]
    run = backend.open_export(path, *types, device)
    handles = run([backend.from_host(array, device) for array in given])
    got = [np.asarray(backend.to_host(handle)) for handle in handles]
    want = _reference(program, [*given, *constants])
    moved: list[Array] | None = None
    for number, (port, right, found) in enumerate(zip(outputs, want, got, strict=True)):
        allowed = TOLERANCES.get(port.type.dtype.name, 0.0) if tolerance is None else tolerance
        found = _as_typed(found, right, port)
        if difference(right, found, 0.0, allowed * _scale(right)) is None:
            continue
        if moved is None:
            disturbed = _disturbed(given)
            moved = _reference(program, [*disturbed, *constants])
        reach = allowed * _scale(right) + 4 * _gap(right, moved[number])
        gap = difference(right, found, 0.0, reach)
        if gap is not None:
            raise ExportError(
                f"export: {path.name} does not compute what {program.name} does: in its output "
                f"{port.name!r}, {port.type}, {gap.count} elements differ, the first at "
                f"{list(gap.index)}: {gap.found} instead of {gap.wanted}. No file was left. That "
                f"is a fault of the backend {backend.name!r} or of its runtime, unless the program "
                f"is chaotic; check=False writes the file unchecked, check=0.05 allows 5 %."
            )


def _reference(program: Program, arrays: Sequence[Array]) -> list[Array]:
    """The program's results by the backend that defines what operators mean, where it is there."""
    compiled = compile_program(program, CPU, Options("numpy" if "numpy" in installed() else None))
    backend = compiled.backend
    outs = compiled.run([backend.from_host(array, CPU) for array in arrays])
    return [out.host() for out in outs]


def _as_typed(found: Array, right: Array, port: Port) -> Array:
    """What the file gave, if its type is the one that was promised."""
    if found.shape != right.shape or found.dtype != right.dtype:
        raise ExportError(
            f"export: the output {port.name!r} is {port.type}, and the file gives {found.dtype} "
            f"of shape {list(found.shape)}. No file was left; that is a fault of the backend."
        )
    return found


def _scale(array: Array) -> float:
    """The largest finite magnitude, or what is to count as such."""
    wide = np.abs(array.astype(np.float64))
    return float(np.max(wide, initial=_SMALLEST, where=np.isfinite(wide)))


def _gap(one: Array, other: Array) -> float:
    """The largest finite difference."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.max(gap, initial=0.0, where=np.isfinite(gap)))


def _disturbed(arrays: Sequence[Array]) -> list[Array]:
    """The arrays with noise in the last places of their floats."""
    random = np.random.default_rng(0)

    def noisy(array: Array) -> Array:
        if array.dtype.kind in "biu":
            return array
        factor = 1 + _NOISE * random.uniform(-1, 1, array.shape)
        return np.asarray(array.astype(np.float64) * factor).astype(array.dtype)

    return [noisy(array) for array in arrays]
