"""Exported files, loaded again: called with pytrees, without the function they were made of."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slope.api._exports.manifest import ports_of, read_manifest
from slope.api._exports.names import joined
from slope.api._exports.signature import GENERATOR, NEXT, Port
from slope.api._exports.values import read_values
from slope.api._leaves import as_int64
from slope.core.tensor import Tensor
from slope.core.types import TensorType, type_of_array
from slope.devices import Device
from slope.devices import device as device_named
from slope.dims import Dim, substitute, unify
from slope.errors import (
    ArgumentError,
    DTypeError,
    ExportError,
    ShapeError,
    SlopeError,
    TreeError,
    backend_failed,
    boundary,
)
from slope.functions.random import current_scope
from slope.plugins.backend import Executable
from slope.plugins.formats import checked_path, format_backend
from slope.tree import named_leaves, tree_flatten, tree_unflatten


class Exported:
    """A file that :func:`slope.export` wrote. Print it to see its inputs and outputs.

    Called with pytrees as the function was, it gives what the function gives, computed by the
    runtime of the file's format; a module may also be a dict of its fields. Where the result holds
    the next value of an argument, it is of the class that the argument was of; other modules come
    back as dicts. Arguments that are stored in the file, and static ones, are left out.

    Attributes:
        path: of the file.
        device: where it runs.
        inputs, outputs: each with ``name``, ``type``, ``weak`` (a Python number) and, of outputs,
            ``feeds``, the name of the input that it is the next value of.
        checked: whether it was compared with the program when it was written.
    """

    def __init__(self, path: Path, where: Device) -> None:
        self.path = path
        self.device = where
        self._manifest = manifest = read_manifest(path)
        try:
            self.inputs: tuple[Port, ...] = ports_of(manifest, "inputs")
            self.outputs: tuple[Port, ...] = ports_of(manifest, "outputs")
            self.checked: bool = manifest["checked"]
            self._name: str = manifest["function"]
        except (KeyError, TypeError, SlopeError) as error:
            raise ExportError(
                f"load_exported: the manifest of {str(path)!r} is damaged: {error!r}; export the "
                f"program again."
            ) from None
        self._backend = format_backend(path)
        self._lock = threading.Lock()
        self._executable: Executable | None = None

    # --- calls

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result for these arguments.

        Raises:
            ArgumentError: an argument is missing or unknown, or a static one differs.
            TreeError: an argument holds other leaves.
            ShapeError, DTypeError: a tensor is of another shape or dtype.
            ExportError: the runtime refuses the file.
        """
        given = self._arguments(args, kwargs)
        values = {name: self._leaves(name, tree) for name, tree in given.items()}
        self._require_statics(values)
        inputs = {
            port.name: values[port.argument][port.path] for port in self.inputs if port.argument
        }
        return self._built(self._manifest["result"], self._run(inputs), inputs, given)

    @boundary
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """Outputs by name from inputs by name: what a host that is not slope would do.

        Args:
            inputs: tensors, arrays or numbers. The generator's key may be left out.

        Raises:
            ArgumentError: an input is missing or unknown; ShapeError and DTypeError as for a call.
        """
        known = {port.name for port in self.inputs}
        needed = {port.name for port in self.inputs if port.argument}
        wrong = sorted(needed - inputs.keys()) or sorted(inputs.keys() - known)
        if wrong:
            how = "is missing" if wrong[0] in known else "is unknown"
            raise ArgumentError(
                f"{self.path.name}: the input {wrong[0]!r} {how}; the inputs are "
                f"{', '.join(sorted(known))}."
            )
        return self._run(inputs)

    def following(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """From the outputs of a call, the inputs of the next one that they are values of."""
        return {port.feeds: outputs[port.name] for port in self.outputs if port.feeds}

    def values(self) -> dict[str, np.ndarray[Any, Any]]:
        """The values of the inputs that were written besides, ``slope.export(..., values=...)``.

        Raises:
            ExportError: none were.
        """
        name = self._manifest.get("values")
        if name is None:
            raise ExportError(
                f"{self.path.name} was exported without the values of its inputs; export it with "
                f"values='safetensors'."
            )
        found = read_values(self.path.with_name(name))
        return {
            port.name: found[port.name].view(port.type.dtype.numpy)
            if port.type.dtype.name == "bfloat16"
            else found[port.name]
            for port in self.inputs
        }

    def _run(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """The outputs by name; what is drawn and not given comes from the default generator."""
        if all(port.name in inputs for port in self.inputs):
            return self._outputs(inputs)
        scope = current_scope()
        with scope.lock:
            outputs = self._outputs({**inputs, GENERATOR: scope.key})
            scope.key = outputs[f"{NEXT}{GENERATOR}"]
        return outputs

    def _outputs(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        executable, backend = self._opened(), self._backend
        sizes: dict[str, int] = {}
        handles = [self._handle(port, inputs[port.name], sizes) for port in self.inputs]
        try:
            outs = executable(handles)
        except (SlopeError, MemoryError):
            raise
        except Exception as error:
            raise backend_failed(backend, f"running {self.path.name!r}", error) from error
        made = {}
        for port, handle in zip(self.outputs, outs, strict=True):
            shape = tuple([substitute(length, sizes) for length in port.type.shape])
            made[port.name] = Tensor(port.type.with_shape(shape), self.device, backend, handle)
            made[port.name].weak = port.weak
        return made

    def _opened(self) -> Executable:
        with self._lock:
            if self._executable is None:
                types = [port.type for port in self.inputs], [port.type for port in self.outputs]
                self._executable = self._backend.open_export(self.path, *types, self.device)
            return self._executable

    # --- arguments

    def _arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name."""
        known = [entry["name"] for entry in self._manifest["arguments"]]
        positional = [each["name"] for each in self._manifest["arguments"] if not each["keyword"]]
        given = {**dict(zip(positional, args, strict=False)), **kwargs}
        twice = [name for name in positional[: len(args)] if name in kwargs]
        if len(args) > len(positional) or twice or sorted(given) != sorted(known):
            told = f"{len(args)} by position" + (f" and {', '.join(kwargs)}" if kwargs else "")
            raise ArgumentError(
                f"{self.path.name} takes the arguments {', '.join(known) or 'none'}, and got "
                f"{told}."
            )
        return given

    def _leaves(self, name: str, tree: Any) -> dict[tuple[str, ...], Any]:
        """The leaves of an argument by their paths, which are those of the function's."""
        found = dict(named_leaves(tree))
        wanted = {port.path for port in self.inputs if port.argument == name}
        wanted |= {tuple(each["path"]) for each in self._statics(name)}
        wrong = sorted(wanted - found.keys()) or sorted(found.keys() - wanted)
        if wrong:
            how = "has no leaf" if wrong[0] in wanted else "has a leaf too many,"
            raise TreeError(
                f"{self.path.name}: the argument {name!r} {how} {joined(name, *wrong[0])!r}; it "
                f"was exported with {', '.join(joined(name, *path) for path in sorted(wanted))}."
            )
        return found

    def _statics(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self._manifest["static"] if each["argument"] == name]

    def _require_statics(self, values: Mapping[str, Mapping[tuple[str, ...], Any]]) -> None:
        """Refuse another bool or string than the program was traced with."""
        for each in self._manifest["static"]:
            name, path = each["argument"], tuple(each["path"])
            found = values[name][path]
            if type(found) is not type(each["value"]) or found != each["value"]:
                raise ArgumentError(
                    f"{self.path.name}: {joined(name, *path)} is {found!r}, and the program was "
                    f"exported for {each['value']!r}: that is a part of it. Export it again."
                )

    def _handle(self, port: Port, value: Any, sizes: dict[str, int]) -> Any:
        """The runtime's handle of an input; ``sizes`` are those of dimensions so far."""
        backend, where = self._backend, self.device
        wanted = port.type
        number = isinstance(value, (int, float, np.generic)) and not isinstance(value, np.ndarray)
        if isinstance(value, Tensor) and value.weak and value.shape == ():
            value, number = value.item(), True
        if number and wanted.shape == ():
            if wanted.dtype.is_integer and isinstance(value, (int, np.integer)):
                value = as_int64(value)
            return backend.scalar(value, wanted.dtype, where)
        if not isinstance(value, (Tensor, np.ndarray)):
            raise ArgumentError(
                f"{self.path.name}: the input {port.name!r} is {wanted}, and got a "
                f"{type(value).__name__} ({value!r:.60})."
            )
        found = value.type if isinstance(value, Tensor) else type_of_array(value)
        if not fits(wanted, found, sizes):
            kind = ShapeError if found.dtype is wanted.dtype else DTypeError
            where_ = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise kind(
                f"{self.path.name}: the input {port.name!r} is {wanted}"
                f"{f' where {where_}' if where_ else ''}, and got {found}; the file was written "
                f"for that type alone."
            )
        if isinstance(value, np.ndarray):
            return backend.from_host(value, where)
        return (
            value.handle(backend)
            if value.device == where
            else backend.from_host(value.host(), where)
        )

    # --- results

    def _built(
        self,
        how: Mapping[str, Any],
        outputs: Mapping[str, Tensor],
        inputs: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> Any:
        """A result as the manifest describes it."""

        def build(how: Mapping[str, Any]) -> Any:
            ((kind, what), *rest) = how.items()
            if kind == "output":
                return outputs[what]
            if kind == "input":
                return inputs[what]
            if kind == "dict":
                return {name: build(each) for name, each in what.items()}
            if kind in ("list", "tuple"):
                return [*map(build, what)] if kind == "list" else (*map(build, what),)
            if kind == "argument":
                changed = {tuple(path): build(each) for path, each in rest[0][1]}
                return _replaced(given[what], changed)
            return what  # static

        return build(how)

    # --- to look at

    def __repr__(self) -> str:
        return f"<exported {self._name}: {self.path}>"

    def __str__(self) -> str:
        checked = "checked" if self.checked else "not checked"
        lines = [f"{self.path}: {self._name}, by {self._manifest['writer']}, {checked}"]
        for title, ports in (("inputs", self.inputs), ("outputs", self.outputs)):
            width = max((len(port.name) for port in ports), default=0)
            lines.append(f"{title}:")
            lines += [
                f"  {port.name:<{width}}  {port.type}{' (a number)' if port.weak else ''}"
                for port in ports
            ]
        return "\n".join(lines)


def fits(wanted: TensorType, found: TensorType, sizes: dict[str, int]) -> bool:
    """Whether a type is one that may have symbolic dimensions, whose sizes are noted."""
    if found == wanted or found.dtype is not wanted.dtype or found.ndim != wanted.ndim:
        return found == wanted
    try:
        own = unify(wanted.shape, found.shape)
    except ShapeError:
        return False
    bounded = [each for each in wanted.shape if isinstance(each, Dim)]
    inside = all(
        each.min <= own[each.name] and (each.max is None or own[each.name] <= each.max)
        for each in bounded
    )
    if not inside or any(sizes.get(name, size) != size for name, size in own.items()):
        return False
    sizes.update(own)
    return True


def _replaced(tree: Any, changed: Mapping[tuple[str, ...], Any]) -> Any:
    """A pytree with other leaves at some paths."""
    leaves = [changed.get(path, leaf) for path, leaf in named_leaves(tree)]
    return tree_unflatten(tree_flatten(tree)[1], leaves)


@boundary
def load_exported(path: str | os.PathLike[str], device: str | Device = "cpu") -> Exported:
    """Load a file that :func:`slope.export` wrote, without the function that it was made of.

    Args:
        path: of the file; the manifest must stand beside it.
        device: where it is to run.

    Raises:
        ExportError: there is no such file or manifest, or no installed backend reads the format.

    Example:
        >>> step = slope.load_exported("step.onnx")  # doctest: +SKIP
        >>> model, optimizer, loss = step(model, optimizer, x, y)  # doctest: +SKIP
    """
    target = Path(checked_path(path))
    if not target.is_file():
        raise ExportError(f"load_exported: there is no file {str(target)!r}.")
    return Exported(target, device_named(device))
