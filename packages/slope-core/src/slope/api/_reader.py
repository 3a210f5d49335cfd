"""Readers: code written for one structure of pytrees, which takes such trees apart.

A general walk asks of every value what it is. A compiled function is called with the same structure
again and again, so a reader only checks that each node still is what it was, and fetches its
children. It remembers nothing of the trees themselves: where a list has grown, a field was
assigned, a dict has another key or a tensor stands in a module's place, it gives the tree back to
the general walk.
"""

# Values of any type are taken apart here; what isinstance finds in them, strict mode calls unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from slope.tree import fetcher, is_leaf, node_rule, one_level

Reader = Callable[[Any], "list[Any] | None"]

_WALKS: Final = 8  # after so many, writing a reader (30 us for a node) pays


class Known:
    """A structure of arguments, and how to read them once they have come often.

    Attributes:
        entries: the programs for trees of the structure, by what else decides them.
        read: a function from a tree to its leaves, or to ``None``; see :func:`reader`.
    """

    __slots__ = ("_walks", "entries", "read")

    def __init__(self) -> None:
        self.entries: dict[Any, Any] = {}
        self.read: Reader = _reads_nothing
        self._walks = 0

    def is_due(self, tree: Any) -> bool:
        """Note one more walk through such a tree, and say if it is time to read instead."""
        self._walks += 1
        if self._walks % _WALKS:
            return False
        if self._walks == _WALKS:
            self.read = reader(tree)
        return self.read is not _reads_nothing


def reader(tree: Any) -> Reader:
    """A function that takes apart trees of the structure of ``tree``.

    Returns:
        A function from a tree to its leaves, in the order of ``tree_flatten``, or to ``None`` if it
        cannot tell that the tree has the structure. It looks at nodes alone: whether what stands at
        a leaf's place is one is the caller's to check.
    """
    writer = _Writer()
    try:
        leaves = writer.take("v0", tree)
    except _RareError:
        return _reads_nothing
    body = (*writer.lines, f"return [{', '.join(leaves)}]")
    source = "\n    ".join(("def read(v0):", *body))
    exec(
        compile(source, "<reader of a pytree>", "exec"), writer.values
    )  # it holds no text of the user's
    read = writer.values["read"]

    def checked(value: Any) -> list[Any] | None:
        try:
            return read(value)
        except KeyError:  # a dict of as many other keys
            return None

    return checked


def _reads_nothing(tree: Any) -> None:
    """For trees that hold a container of a rare kind."""


class _RareError(Exception):
    """The tree holds a container for which no code is written."""


class _Writer:
    """Writes the body of a reader.

    Attributes:
        lines: its statements.
        values: the objects that they refer to, by name.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._count = 0

    def take(self, name: str, tree: Any) -> list[str]:
        """Write what takes apart a tree that a variable holds.

        Returns:
            The expressions of its leaves.
        """
        if is_leaf(tree):
            return [name]
        if tree is None:
            self._unless(f"{name} is None")
            return []
        children, source = self._open(name, tree)
        if not children:
            return []
        if all(map(is_leaf, children)):
            every = self._variable()
            self.lines.append(f"{every} = {source}")
            return [f"*{every}"]
        names = [self._variable() for _ in children]
        self.lines.append(f"{', '.join(names)}, = {source}")
        return [leaf for each in zip(names, children, strict=True) for leaf in self.take(*each)]

    def _open(self, name: str, tree: Any) -> tuple[Sequence[Any], str]:
        """Write the checks of a node.

        Returns:
            Its children, and the expression that fetches them.
        """
        from optree import is_namedtuple_class

        kind = type(tree)
        same_type = f"type({name}) is {self._value(kind)}"
        flatten, kept_at = node_rule(kind)
        if flatten is not None:
            children, static = flatten(tree)
            if kept_at is not None and getattr(tree, kept_at) is static and static.fetch:
                self._unless(same_type, f"{name}.{kept_at} is {self._value(static)}")
                return children, f"{self._value(static.fetch)}({name}.__dict__)"
            self._unless(same_type)
            self.lines.append(f"c{name}, s{name} = {self._value(flatten)}({name})")
            self._unless(f"s{name} == {self._value(static)}", f"len(c{name}) == {len(children)}")
            return children, f"c{name}"
        if kind not in (tuple, list, dict) and not is_namedtuple_class(kind):
            raise _RareError
        children, keys = one_level(tree)
        self._unless(same_type, f"len({name}) == {len(children)}")
        if kind is dict:
            return children, f"{self._value(fetcher(keys))}({name})"
        return children, name if kind in (tuple, list) else f"tuple.__iter__({name})"

    def _unless(self, *conditions: str) -> None:
        self.lines.append(f"if not ({' and '.join(conditions)}): return None")

    def _variable(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _value(self, value: Any) -> str:
        """The name of an object, which stays alive with the code."""
        name = self._names.setdefault(id(value), f"o{len(self._names)}")
        self.values[name] = value
        return name
