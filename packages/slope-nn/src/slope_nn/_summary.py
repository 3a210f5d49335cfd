"""A table of a model's modules."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import slope
from slope_nn._node import walk
from slope_nn._plan import PARAMETER

_HEAD: Final = ("module", "class", "output", "parameters", "FLOPs")
_patching: Final = threading.Lock()


@dataclass(frozen=True)
class Row:
    """One module.

    Attributes:
        name: dotted, ``""`` for the model itself.
        kind: its class.
        output: shapes of what its first call gave; empty if it was not called.
        parameters: how many numbers it and the modules below hold as parameters.
        flops: floating-point operations of its first call, those of modules below included.
    """

    name: str
    kind: str
    output: tuple[tuple[Any, ...], ...]
    parameters: int
    flops: Any


@dataclass(frozen=True)
class Summary:
    """What :meth:`Module.summary` gives: ``print`` shows text, ``rich.print`` a table.

    Attributes:
        rows: one for each module, the model first.
        parameters: numbers in parameters, tied ones once.
        trainable: those of them that are not frozen.
    """

    rows: tuple[Row, ...]
    parameters: int
    trainable: int

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text."""
        return [
            (
                "  " * row.name.count(".") + (row.name or "(model)"),
                row.kind,
                " ".join(map(str, row.output)) or "-",
                f"{row.parameters:,}",
                f"{row.flops:,}" if isinstance(row.flops, int) else str(row.flops),
            )
            for row in self.rows
        ]

    def _total(self) -> str:
        return f"{self.parameters:,} parameters, {self.trainable:,} of them trainable"

    def __str__(self) -> str:
        table = [_HEAD, *self.cells()]
        widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
        lines = []
        for row in table:
            left = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
            lines.append("  ".join(left + right))
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join([*lines, self._total()])

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(*_HEAD[:3], caption=self._total())
        for name in _HEAD[3:]:
            table.add_column(name, justify="right")
        for row in self.cells():
            table.add_row(*row)
        return table


def summarize(model: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Summary:
    """Trace a model's call and look at the call of each module."""
    calls: dict[int, tuple[tuple[Any, ...], dict[str, Any], Any]] = {}
    named = list(model.named_modules())
    # Layers may assign their fields, so the call is made on a copy, which shares the tensors.
    tensors = {id(leaf): leaf for leaf in slope.tree_leaves(model)}
    scratch = copy.deepcopy(model, dict(tensors))
    with _recorded({type(module) for _, module in named}, calls):
        slope.jit(lambda args, kwargs: scratch(*args, **kwargs)).trace(inputs, options)
    rows = []
    for (name, module), copied in zip(named, scratch.modules(), strict=True):
        output, flops = (), 0
        if id(copied) in calls:
            args, kwargs, output = calls[id(copied)]
            traced = slope.jit(lambda m, a, k: (m(*a, **k), m)).trace(module, args, kwargs)
            flops = traced.cost().flops
        rows.append(Row(name, type(module).__name__, output, _count(module.parameters()), flops))
    trained = [t for t in slope.tree_leaves(_trainable(model)) if isinstance(t, slope.Tensor)]
    return Summary(tuple(rows), _count(model.parameters()), _count(trained))


def _trainable(model: Any) -> list[Any]:
    return [leaf for _, kind, leaf in walk(model) if kind is PARAMETER]


def _count(tensors: list[Any]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors)


@contextmanager
def _recorded(classes: set[type], calls: dict[int, Any]) -> Iterator[None]:
    """Note types of arguments and results of each module's first call, while the block runs."""
    with _patching:
        # Only classes' own definitions are replaced: what is inherited is noted by its owner.
        owners = {
            next(base for base in each.__mro__ if "__call__" in base.__dict__)
            for each in classes
            if callable(getattr(each, "__call__", None))  # noqa: B004  # asks for the method
        }
        originals: dict[Any, Any] = {owner: owner.__dict__["__call__"] for owner in owners}
        for owner, original in originals.items():
            owner.__call__ = _noting(original, calls)
        try:
            yield
        finally:
            for owner, original in originals.items():
                owner.__call__ = original


def _noting(original: Any, calls: dict[int, Any]) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if id(self) not in calls:
            leaves = slope.tree_leaves(result)
            shapes = tuple(leaf.shape for leaf in leaves if isinstance(leaf, slope.Tensor))
            calls[id(self)] = (_blank(args), _blank(kwargs), shapes)
        return result

    return call


def _blank(tree: Any) -> Any:
    """Zeros in place of tensors, which cost no memory: only their types are looked at."""
    return slope.tree_map(
        lambda leaf: (
            slope.zeros(*leaf.shape, dtype=leaf.dtype) if isinstance(leaf, slope.Tensor) else leaf
        ),
        tree,
    )
