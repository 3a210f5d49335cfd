"""Pytrees in safetensors files: tensors by name, and the structure as JSON in the header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

import slope
from slope.extend import ArgumentError, TreeError
from slope_nn import _checks
from slope_nn._node import Node, entries
from slope_nn._saving._files import CheckpointError, read_file, write_safetensors

KEY: Final = "slope.tree"
VERSION: Final = 1
_DEEPEST: Final = 200


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Save a pytree in one safetensors file, atomically.

    A tree may hold dicts with text keys, lists, tuples, ``None``, modules, optimizers and
    schedules, and as leaves tensors, NumPy arrays, numbers, bools and text. All come back exactly.
    A model, its optimizer, the default generator and the place in the data make a checkpoint::

        nn.save(
            path,
            {
                "model": model,
                "optimizer": optimizer,
                "position": 1200,
                "key": slope.default_generator.key,
            },
        )

    Args:
        path: where to; the folder must exist.
        tree: what.

    Raises:
        ArgumentError: a leaf of another kind, or a key that is no text.
    """
    path = _checks.path("save", path, "the path, which comes first,")
    tensors: dict[str, slope.Tensor | np.ndarray[Any, Any]] = {}
    structure = _encoded(tree, (), tensors)
    told = json.dumps({"version": VERSION, "tree": structure})
    write_safetensors(path, tensors, {KEY: told})


def load(path: str | os.PathLike[str], like: Any = None) -> Any:
    """Load a pytree that :func:`save` wrote.

    Args:
        path: where from.
        like: a tree of the same structure, which gives modules, optimizers and their static fields;
            its values are ignored. Without it, modules and optimizers come back as dicts of their
            fields.

    Returns:
        The tree. What was a number is one again, and what ``like`` holds of other numbers is
        replaced.

    Raises:
        CheckpointError: the file is truncated or malformed, or it was not written by :func:`save`.
        TreeError: it holds another tree than ``like``; all differences are listed.

    Example:
        >>> state = nn.load(path, like={"model": model, "optimizer": optimizer})
    """
    path = _checks.path("load", path, "the path, which comes first,")
    tensors, metadata = read_file(path)
    if KEY not in metadata:
        raise CheckpointError(
            f"{path} holds tensors and no tree: nn.save did not write it. Read it with "
            f"nn.read_safetensors, and load_state_dict of a model."
        )
    try:
        told = json.loads(metadata[KEY])
        version, structure = told["version"], told["tree"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(f"{path}: the structure of the tree cannot be read.") from None
    if version != VERSION:
        raise CheckpointError(
            f"{path} is of version {version!r}, and this slope-nn reads {VERSION}: upgrade it."
        )
    decoded = _Decoder(path, tensors).decode(structure, 0)
    return decoded if like is None else _poured(path, decoded, like)


def _encoded(value: Any, path: tuple[str, ...], tensors: dict[str, Any]) -> Any:
    """JSON for a value; tensors go into ``tensors``."""
    name = ".".join(path)
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, slope.Tensor) and value.weak and value.shape == ():
        value = value.item()  # a number still: as a tensor it would widen others after loading
    if isinstance(value, slope.Tensor | np.ndarray):
        name = name or "tensor"
        while name in tensors:  # keys may hold dots
            name += "_"
        tensors[name] = value
        return {"tensor": name}
    if value is None or isinstance(value, bool | str):
        return {"value": value}
    if isinstance(value, int | float):
        # hex is exact, and holds what JSON does not: infinities and NaN
        return {"int": str(value)} if isinstance(value, int) else {"float": value.hex()}
    if isinstance(value, Node):
        inner = {field: _encoded(item, (*path, field), tensors) for field, item in _fields(value)}
        return {"node": type(value).__qualname__, "fields": inner}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentError(
                    f"cannot save the dict at {name or 'the top'!r}: its key {key!r} is no text."
                )
        return {"dict": {key: _encoded(item, (*path, key), tensors) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encoded(v, (*path, str(n)), tensors) for n, v in enumerate(value)]}
    raise ArgumentError(
        f"cannot save {name or 'the tree'!r}: it is a {type(value).__name__}. Save tensors, "
        f"numbers, text, containers of them, modules and optimizers."
    )


def _fields(node: Node) -> list[tuple[str, Any]]:
    return entries(node) or []


class _Decoder:
    def __init__(self, path: Path, tensors: dict[str, slope.Tensor]) -> None:
        self.path, self.tensors = path, tensors

    def decode(self, told: Any, depth: int) -> Any:
        """The value that JSON stands for; of nodes, a dict of their fields."""
        if depth > _DEEPEST or not isinstance(told, dict) or not told:
            raise self.malformed(told)
        kind, content = next(iter(told.items()))
        try:
            match kind:
                case "tensor":
                    return self.tensors[content]
                case "value" if content is None or isinstance(content, bool | str):
                    return content
                case "int":
                    return int(content)
                case "float":
                    return float.fromhex(content)
                case "node":
                    return _Fields(self.decode_all(told["fields"], depth), content)
                case "dict":
                    return self.decode_all(content, depth)
                case "list":
                    return [self.decode(item, depth + 1) for item in content]
                case "tuple":
                    return tuple(self.decode(item, depth + 1) for item in content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise self.malformed(told) from None
        raise self.malformed(told)

    def decode_all(self, content: dict[str, Any], depth: int) -> dict[str, Any]:
        return {key: self.decode(item, depth + 1) for key, item in content.items()}

    def malformed(self, told: Any) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: the structure of the tree is malformed at {told!s:.80}."
        )


class _Fields(dict[str, Any]):
    """The fields of a node, which remember what class it was of."""

    def __init__(self, fields: dict[str, Any], name: str) -> None:
        super().__init__(fields)
        self.name = name


def _poured(path: Path, saved: Any, like: Any) -> Any:
    """The saved leaves in the structure of ``like``."""
    differences: list[str] = []
    leaves: list[Any] = []
    _pair(saved, like, "", leaves, differences)
    if differences:
        shown = "; ".join(differences[:8]) + ("; ..." if len(differences) > 8 else "")
        raise TreeError(f"{path} holds another tree than `like`: {shown}.")
    return slope.tree_unflatten(slope.tree_structure(like), leaves)


def _pair(saved: Any, like: Any, name: str, leaves: list[Any], differences: list[str]) -> None:
    """Collect the saved leaves in the order of ``like``, and what differs."""
    told = name or "the tree"
    if like is None or isinstance(like, slope.Tensor | np.ndarray | bool | int | float | str):
        if (like is None) != (saved is None) or isinstance(saved, dict | list | tuple):
            differences.append(f"{told} is {_what(saved)} instead of {_what(like)}")
        elif like is not None:
            if isinstance(like, slope.Tensor | np.ndarray) and not _alike(saved, like):
                differences.append(f"{told} is {_what(saved)} instead of {_what(like)}")
            leaves.append(saved)
        return
    if isinstance(like, Node) and isinstance(saved, _Fields):
        if saved.name != type(like).__qualname__:
            differences.append(f"{told} is a {saved.name} instead of {_what(like)}")
            return
    elif isinstance(like, Node) or type(saved) is not _plain(like):
        differences.append(f"{told} is {_what(saved)} instead of {_what(like)}")
        return
    here = dict(entries(like) or [])
    if isinstance(saved, dict):
        there = dict(saved)
    else:
        there = {str(place): item for place, item in enumerate(saved)}
    differences.extend(f"{_join(name, key)} is missing" for key in here if key not in there)
    differences.extend(f"{_join(name, key)} is unexpected" for key in there if key not in here)
    for key, item in here.items():
        if key in there:
            _pair(there[key], item, _join(name, key), leaves, differences)


def _plain(value: Any) -> type:
    return next((kind for kind in (dict, list, tuple) if isinstance(value, kind)), type(value))


def _alike(saved: Any, like: Any) -> bool:
    if isinstance(like, slope.Tensor) and like.weak and like.shape == ():
        return isinstance(saved, int | float)
    return isinstance(saved, slope.Tensor) and (saved.shape, saved.dtype.name) == (
        tuple(like.shape),
        like.dtype.name,
    )


def _what(value: Any) -> str:
    if isinstance(value, _Fields):
        return f"a {value.name}"
    if isinstance(value, slope.Tensor):
        return str(value.type)
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{list(value.shape)}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return f"a {type(value).__qualname__}"


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
