"""export: a function as a file that runs without slope, and without Python."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from slope.api._arguments import require_callable, words
from slope.api._entries import Entry
from slope.api._exports.check import check_file
from slope.api._exports.manifest import VERSION, bounds_json, port_json, write_manifest
from slope.api._exports.names import Returned, arguments_of, returned_names
from slope.api._exports.signature import Signature
from slope.api._exports.values import WRITERS
from slope.api._jit import Jit, jit
from slope.api._leaves import WEAK, WEAK_FLOAT, WEAK_INT, as_int64
from slope.core.printer import programs_in
from slope.core.program import Instr, Program
from slope.core.tensor import Tensor
from slope.core.trace import EVAL, current_trace
from slope.devices import Device
from slope.dims import names
from slope.errors import (
    ArgumentError,
    ExportError,
    ShapeError,
    SlopeError,
    UnsupportedOperatorError,
    backend_failed,
    boundary,
)
from slope.functions.random import current_scope
from slope.lowering import close, lower_program
from slope.plugins.backend import Backend, ExportedProgram
from slope.plugins.formats import checked_path, format_backend

if TYPE_CHECKING:
    from slope.api._exports.loaded import Exported

Array = np.ndarray[Any, Any]


class Settings(NamedTuple):
    """How to export; see :func:`export`."""

    results: Returned
    state: tuple[str, ...] | None
    constants: tuple[str, ...] | None
    values: str | None
    check: bool | float
    options: Mapping[str, Any]


@boundary
def export(
    function: Callable[..., Any],
    *args: Any,
    path: str | os.PathLike[str],
    results: str | Sequence[str] | None = None,
    state: str | Sequence[str] | None = None,
    constants: str | Sequence[str] | None = None,
    values: str | None = None,
    check: bool | float = True,
    options: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Exported:
    """Write a function, as it is for these arguments, to a file that runs without slope.

    The suffix says in which format: ``.onnx`` (the operators of the ONNX standard alone), ``.mlir``
    (StableHLO) or ``.vmfb`` (a module that IREE compiled for a target), and what installed backends
    offer besides. The program is what ``jit`` compiles: a whole training step, gradients and the
    optimizer's update included, is one file.

    Inputs are called as the arguments, and the way to each tensor in them:
    ``model.layers.0.weight``. An output that is the next value of an input is called so with
    ``next.`` before it; a host that trains gives those back as the inputs of the next call. Other
    outputs are called as the function's ``return`` statement calls them, or ``result.0``. Python
    numbers are inputs of shape (), and the key of the default generator is the input ``generator``
    of a function that draws from it. Beside the file stands a manifest, ``path`` with ``.json``
    behind it, which says all that for other programs, and for :func:`load_exported`.

    Args:
        function: what to export; a jitted function is taken as it is, with its static arguments.
        args: its arguments: tensors that tell shapes and dtypes, and what the file is checked with.
        path: of the file.
        results: names for the items that the function returns. One that is called as an argument,
            and has its structure and types, is that argument's next value.
        state: the arguments whose next values the function returns. By default those are found by
            name, and where names do not tell, by structure; ``()`` is none.
        constants: arguments that are stored in the file instead of being inputs. By default that is
            the module, where ``function`` is a module or a method of one. Tensors that the function
            closes over are always stored.
        values: how to write the given values of the inputs besides, for programs to begin with:
            ``"safetensors"`` or ``"npz"`` (one file), or ``"npy"`` (a folder).
        check: run the file on the arguments, by its format's runtime, and compare with the program;
            a number is the tolerance instead of 1e-3 of each result's largest element (float32).
        options: the format's own; see docs/export.md.
        kwargs: the function's arguments by name.

    Returns:
        The file, as :func:`load_exported` gives it: call it, or print it to see inputs and outputs.

    Raises:
        ExportError: the format is unknown or its package missing, something has no form in it, the
            file cannot be written, or it computes something else. Then no file is left.
        UnsupportedOperatorError: the backend of the format has no rule for an operator.
        ArgumentError: a setting is wrong.

    Example:
        >>> slope.export(train, model, optimizer, x, y, path="step.onnx")  # doctest: +SKIP
    """
    require_callable(function, "export")
    settings = _settings(results, state, constants, values, check, options)
    target = Path(checked_path(path))
    backend = format_backend(target)
    if current_trace() is not EVAL:
        raise ArgumentError("export was called inside a function that is traced; call it outside.")
    jitted = function if isinstance(function, Jit) else jit(function)
    with _folder_beside(target) as folder:
        _write(jitted, args, kwargs, folder / target.name, backend, settings)
        _move(folder, target)
    from slope.api._exports.loaded import load_exported

    return load_exported(target)


def _settings(
    results: Any, state: Any, constants: Any, values: Any, check: Any, options: Any
) -> Settings:
    def named(value: Any, name: str) -> tuple[str, ...]:
        return words(value, "export", name)

    if values is not None and values not in WRITERS:
        raise ArgumentError(
            f"export: values must be one of {', '.join(map(repr, WRITERS))}, or None, and is "
            f"{values!r:.80}."
        )
    if not isinstance(check, (bool, int, float)) or check < 0:
        raise ArgumentError(f"export: check must be a bool or a tolerance, and is {check!r:.80}.")
    return Settings(
        results if results is None or isinstance(results, str) else named(results, "results"),
        None if state is None else named(state, "state"),
        None if constants is None else named(constants, "constants"),
        values,
        check,
        dict(options or {}),
    )


# --- the program


def _write(
    function: Jit,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    path: Path,
    backend: Backend,
    settings: Settings,
) -> None:
    """Write the file, its manifest and the values; check the file."""
    entry, leaves = function._entry(args, kwargs)
    signature = _signature(function, entry, leaves, args, kwargs, settings)
    program = signature.program()
    _require_portable(program, backend, path.suffix)
    stored = [(name, _host(leaves[number])) for name, number in signature.constants]
    stored += [(f"constant.{at}", each.host()) for at, each in enumerate(entry.constants)]
    given = [_host(leaves[number]) for number in signature.numbers]
    if entry.draws:
        given.append(current_scope().key.host())
    device = _written(backend, program, signature, stored, settings.options, path)
    if device is not None and settings.check is not False:
        tolerance = None if settings.check is True else float(settings.check)
        arrays = given, [array for _, array in stored]
        ports = signature.inputs, signature.outputs
        check_file(backend, device, path, ports, program, arrays, tolerance)
    manifest = _manifest(signature, leaves, backend, program.name)
    manifest["checked"] = device is not None and settings.check is not False
    if settings.values is not None:
        suffix, write = WRITERS[settings.values]
        manifest["values"] = f"{path.name}{suffix}"
        called = [port.name for port in signature.inputs]
        write(path.with_name(manifest["values"]), dict(zip(called, given, strict=True)))
    write_manifest(path, manifest)


def _signature(
    function: Jit,
    entry: Entry,
    leaves: Sequence[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    settings: Settings,
) -> Signature:
    """The inputs and outputs, named."""
    inner = function.function
    given = function._bound + args
    static = [number for number in function._static_numbers if number < len(given)]
    args = tuple(arg for number, arg in enumerate(given) if number not in static)
    kwargs = {name: arg for name, arg in kwargs.items() if name not in function._static_names}
    arguments = arguments_of(inner, static, args, kwargs)
    known = [each.name for each in arguments]
    constants = settings.constants
    if constants is None:
        constants = tuple(known[:1]) if function._bound else ()
    state = settings.state
    for what, named in (("constants", constants), ("state", state or ())):
        for name in named:
            if name not in known or (what == "state" and name in constants):
                free = [each for each in known if what == "constants" or each not in constants]
                raise ArgumentError(
                    f"export: {what}= names {name!r}, and the arguments are {', '.join(free)}."
                )
    signature = Signature(entry, leaves, arguments, constants)
    results = settings.results
    returned = 1 if entry.out_structure.is_leaf() else entry.out_structure.num_children
    if isinstance(results, tuple) and len(results) != returned:
        raise ArgumentError(
            f"export: results= names {len(results)} results, and {function.__name__} returns "
            f"{returned}."
        )
    plain = not hasattr(inner, "__wrapped__")  # not a gradient of something
    signature.add_outputs(results or returned_names(inner), state, guess=plain)
    return signature


def _host(leaf: Any) -> Array:
    """The elements of an argument's leaf."""
    if isinstance(leaf, Tensor):
        wide = WEAK[WEAK_FLOAT if leaf.dtype.kind == "f" else WEAK_INT]
        weak = leaf.weak and leaf.shape == ()
        return leaf.host().astype(wide.numpy) if weak else leaf.host()
    if isinstance(leaf, np.ndarray):
        return np.asarray(leaf)
    if isinstance(leaf, (int, np.integer)):
        return np.asarray(as_int64(leaf), np.int64)
    return np.asarray(float(leaf), np.float64)


def _instructions(program: Program) -> Iterator[Instr]:
    """The instructions of a program and of those inside it."""
    for instr in program.instrs:
        yield instr
        for nested in programs_in(list(instr.params.values())):
            yield from _instructions(nested)


def _require_portable(program: Program, backend: Backend, suffix: str) -> None:
    """Refuse what a file cannot hold: effects in Python, and dimensions without a number."""
    symbolic = names([length for each in program.input_types for length in each.shape])
    if symbolic and not backend.dynamic:
        raise ShapeError(
            f"export of {program.name}: {suffix} files are written for shapes of numbers, and "
            f"{', '.join(symbolic)} (dynamic=) has none; export without it, once for each size, or "
            f"to .onnx."
        )
    for instr in _instructions(program):
        if instr.op.effect:
            place = f", at {instr.source}" if instr.source else ""
            raise ExportError(
                f"export of {program.name}: the operator {instr.op.name!r}{place} has an effect in "
                f"this Python process, which no {suffix} file can have. Export the function "
                f"without it, and return what it was to see."
            )


def _require_lowered(program: Program, backend: Backend, suffix: str) -> None:
    """Refuse operators that Python computes in the middle of a program."""
    for instr in _instructions(program):
        if not backend.lowers(instr.op):
            place = f", at {instr.source}" if instr.source else ""
            raise ExportError(
                f"export of {program.name}: the operator {instr.op.name!r}{place} is computed by "
                f"Python, for which no {suffix} file has a form. Compute that before or behind "
                f"what you export, or add a lowering rule for {backend.name!r} through the hook "
                f"slope_lowerings."
            )


def _written(
    backend: Backend,
    program: Program,
    signature: Signature,
    stored: Sequence[tuple[str, Array]],
    options: Mapping[str, Any],
    path: Path,
) -> Device | None:
    """Have the backend write a program; where its file can be run."""
    try:
        lowered, more = close(lower_program(program, backend))
    except UnsupportedOperatorError as error:
        raise UnsupportedOperatorError(f"export to {path.suffix}: {error}") from error
    _require_lowered(lowered, backend, path.suffix)
    start = len(stored)
    constants = [*stored, *((f"constant.{start + at}", x.host()) for at, x in enumerate(more))]
    exported = ExportedProgram(
        lowered,
        tuple([port.name for port in signature.inputs]),
        tuple([port.name for port in signature.outputs]),
        tuple(constants),
        options,
    )
    try:
        return backend.export(exported, path)
    except (SlopeError, MemoryError, OSError):
        raise
    except Exception as error:
        raise backend_failed(backend, f"export, of {program.name!r}", error) from error


def _manifest(
    signature: Signature, leaves: Sequence[Any], backend: Backend, name: str
) -> dict[str, Any]:
    """What the manifest says."""
    statics = [
        {"argument": each.name, "path": path, "value": leaves[number]}
        for each in signature.arguments
        for number, path in enumerate(each.paths, each.start)
        if signature.leaves[number].type is None
    ]
    return {
        "slope_export": VERSION,
        "function": name,
        "backend": backend.name,
        "writer": f"slope {version('slope-core')}, {backend.version()}",
        "dimensions": bounds_json(signature.inputs),
        "inputs": [port_json(port) for port in signature.inputs],
        "outputs": [port_json(port) for port in signature.outputs],
        "arguments": [{"name": each.name, "keyword": each.keyword} for each in signature.arguments],
        "static": statics,
        "result": signature.result,
    }


# --- files


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A folder on the same file system, gone at the end: nothing half written is ever seen."""
    try:
        folder = tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ExportError(
            f"export: {str(path)!r} cannot be written: {error.strerror} ({str(path.parent)!r}). "
            f"Make the folder, or choose another."
        ) from None
    try:
        yield Path(folder)
    except OSError as error:
        raise ExportError(f"export: {str(path)!r} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, path: Path) -> None:
    """Put the files in their places, the one that was asked for last."""
    made = sorted(folder.iterdir(), key=lambda each: each.name == path.name)
    for each in made:
        place = path.with_name(each.name)
        if place.is_dir() and each.is_dir():
            shutil.rmtree(place)
        each.replace(place)
