"""Whether an exported file computes what the program does: both run on the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from slope.api._compare import difference
from slope.api._exports.signature import Port
from slope.compile import Options, compile_program
from slope.core.program import Program
from slope.core.sizes import sized_program, sizes_of
from slope.core.types import TensorType, type_of_array
from slope.devices import CPU, Device
from slope.dims import Dim, substitute
from slope.errors import ExportError, SlopeError, backend_failed
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

    Symbolic dimensions are tried at the sizes of the arguments and at others.

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
    run = _runner(backend, device, path, *types)
    sizes = sizes_of(program, [type_of_array(array) for array in given])
    for tried in [sizes, _others(sizes, types[0])] if sizes else [sizes]:
        sized = [_resized(array, each, tried) for array, each in zip(given, types[0], strict=True)]
        got = run(sized)
        specific = sized_program(program, tried) if tried else program
        wrong = _compared(outputs, specific, (sized, constants), got, tolerance)
        if wrong:
            where = "".join(f", for {name} = {size}" for name, size in tried.items())
            raise ExportError(
                f"export: {path.name} does not compute what {program.name} does{where}: {wrong}. "
                f"No file was left. That is a fault of the backend {backend.name!r} or of its "
                f"runtime, unless the program is chaotic; check=False writes the file unchecked, "
                f"check=0.05 allows 5 %."
            )


def _runner(
    backend: Backend,
    device: Device,
    path: Path,
    inputs: Sequence[TensorType],
    outputs: Sequence[TensorType],
) -> Callable[[Sequence[Array]], list[Array]]:
    """The file as a function of arrays."""
    try:
        executable = backend.open_export(path, inputs, outputs, device)
    except ExportError as error:
        raise ExportError(
            f"export: {path.name} cannot be checked: {error}\nNo file was left. check=False writes "
            f"it unchecked, for another runtime or compiler."
        ) from None

    def run(arrays: Sequence[Array]) -> list[Array]:
        handles = [backend.from_host(array, device) for array in arrays]
        try:
            return [np.asarray(backend.to_host(handle)) for handle in executable(handles)]
        except (SlopeError, MemoryError):
            raise
        except Exception as error:
            raise backend_failed(backend, f"running {path.name!r}", error) from error

    return run


def _compared(
    outputs: Sequence[Port],
    program: Program,
    arrays: tuple[Sequence[Array], Sequence[Array]],
    got: Sequence[Array],
    tolerance: float | None,
) -> str:
    """What is wrong with results, in words; empty if nothing is."""
    given, constants = arrays
    want = _reference(program, [*given, *constants])
    moved: list[Array] | None = None
    for number, (port, right, found) in enumerate(zip(outputs, want, got, strict=True)):
        if found.shape != right.shape or found.dtype != right.dtype:
            return f"its output {port.name!r} is {found.dtype}{list(found.shape)}, not {port.type}"
        allowed = TOLERANCES.get(port.type.dtype.name, 0.0) if tolerance is None else tolerance
        reach = allowed * _scale(right)
        if difference(right, found, 0.0, reach) is None:
            continue
        if moved is None:
            moved = _reference(program, [*_disturbed(given), *constants])
        gap = difference(right, found, 0.0, reach + 4 * _gap(right, moved[number]))
        if gap is not None:
            return (
                f"in its output {port.name!r}, {port.type}, {gap.count} elements differ, the first "
                f"at {list(gap.index)}: {gap.found} instead of {gap.wanted}"
            )
    return ""


def _others(sizes: Mapping[str, int], types: Sequence[TensorType]) -> dict[str, int]:
    """Other sizes of symbolic dimensions, within their bounds."""
    limits = {
        length.name: length for each in types for length in each.shape if isinstance(length, Dim)
    }

    def other(name: str, size: int) -> int:
        most = limits[name].max if name in limits else size
        return size + 1 if most is None or size < most else max(size - 1, limits[name].min)

    return {name: other(name, size) for name, size in sizes.items()}


def _resized(array: Array, tensor_type: TensorType, sizes: Mapping[str, int]) -> Array:
    """An array with its symbolic dimensions at other sizes; rows are repeated, or left out."""
    for axis, length in enumerate(tensor_type.shape):
        wanted = int(substitute(length, sizes))
        if wanted != array.shape[axis]:
            array = np.take(array, np.arange(wanted) % max(array.shape[axis], 1), axis)
    return array


def _reference(program: Program, arrays: Sequence[Array]) -> list[Array]:
    """The program's results by the backend that defines what operators mean, where it is there."""
    compiled = compile_program(program, CPU, Options("numpy" if "numpy" in installed() else None))
    backend = compiled.backend
    outs = compiled.run([backend.from_host(array, CPU) for array in arrays])
    return [out.host() for out in outs]


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
