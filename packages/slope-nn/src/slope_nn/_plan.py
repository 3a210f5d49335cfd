"""How nodes are taken apart and put together: which of their fields are children, which static."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np

import slope
from slope.extend import Static, fetcher

Path = tuple[str, ...]

PARAMETER: Final = "parameter"  # a tensor, or a container of tensors
FROZEN: Final = "frozen"  # the same, without gradient
BUFFER: Final = "buffer"  # the same, never with gradient
CHILDREN: Final = "children"  # a node, or a container that holds nodes


class Record:
    """A node of nothing but static values: its structure compares them with their types."""

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values


slope.register_node(Record, lambda record: ((), record.values), lambda static, _: Record(static))


_plans: WeakValueDictionary[Any, Plan] = WeakValueDictionary()


class Plan(Static):
    """How nodes with certain fields are taken apart and put together.

    It is the static part of such nodes: equal plans make equal structures.

    Attributes:
        kinds: for each child field, in order of assignment, what it is.
        names: the child fields that are flattened (all but the tied ones).
        template: all fields in order; the static ones with their values.
        ties: pairs of paths (target, source): the target is not flattened, and is the source's
            value.
        volatile: a static field can change in place, so the plan must be made anew each time.
        pick: takes the fields of a node to those of ``names``.
        fetch: the same, where these are the children whatever they hold; ``None`` if ties must be
            looked at before.
        differentiable: for each of ``names``, whether its leaves take part in gradients.
        whole: the plan of the same node when nobody ties any of its fields.
    """

    __slots__ = (
        "__weakref__",
        "_without",
        "differentiable",
        "fetch",
        "kinds",
        "names",
        "pick",
        "template",
        "tie_tree",
        "ties",
        "volatile",
        "whole",
    )

    def __init__(
        self,
        kinds: dict[str, str],
        template: dict[str, Any],
        tied: Iterable[str] = (),
        whole: Plan | None = None,
    ) -> None:
        self.kinds = kinds
        self.template = template
        self.ties: tuple[tuple[Path, Path], ...] = template.get("_ties", ())
        self.tie_tree = _tree_of(target for target, _ in self.ties)
        excluded = {*tied, *(name for name, below in self.tie_tree.items() if below is None)}
        self.names = tuple(name for name in kinds if name not in excluded)
        self.pick = fetcher(self.names)
        self.fetch = None if self.ties else self.pick
        self.differentiable = tuple(kinds[name] in (PARAMETER, CHILDREN) for name in self.names)
        static = {name: value for name, value in template.items() if name not in kinds}
        self.volatile = any(map(_can_change, static.values()))
        self.whole = whole or self
        self._without: dict[frozenset[str], Plan] = {}
        key = (self.names, tuple(kinds.items()), tuple(static.items()))
        self._key = slope.tree_flatten(Record(key))[1]
        self._hash = hash(self._key)

    @property
    def value(self) -> Plan:
        """What :func:`slope.register_node` gives to the rules of nodes."""
        return self

    def interned(self) -> Plan:
        """The first plan that equals this one and is in use: equal plans then compare at once."""
        return self if self.volatile else _plans.setdefault(self._key, self)

    def without(self, tied: frozenset[str]) -> Plan:
        """The plan of the same node inside one that ties these fields."""
        if not tied:
            return self
        plan = self._without.get(tied)
        if plan is None:
            tied_before = self.kinds.keys() - self.names
            plan = Plan(self.kinds, self.template, tied | tied_before, self.whole)
            self._without[tied] = plan
        return plan

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Plan) and self._hash == other._hash and self._key == other._key

    def __repr__(self) -> str:
        static = [f"{k}={v!r}" for k, v in self.template.items() if k not in self.kinds]
        return f"({', '.join([*self.names, *static])})"


def _can_change(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_can_change, value))
    return isinstance(value, list | dict | set | np.ndarray)


def _tree_of(paths: Iterable[Path]) -> dict[str, Any]:
    """Nested dicts of the paths, None where one ends."""
    tree: dict[str, Any] = {}
    for path in paths:
        below = tree
        for name in path[:-1]:
            below = below.setdefault(name, {})
        below[path[-1]] = None
    return tree
