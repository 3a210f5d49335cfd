"""Which result of a step is the next value of which of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from slope.api._exports.names import Argument, Path, Returned, named_results
from slope.core.types import TensorType
from slope.errors import ExportError
from slope.tree import (
    child_names,
    is_leaf,
    leaf_labels,
    one_level,
    tree_leaves,
    tree_structure,
)


class Leaf(NamedTuple):
    """A leaf of the arguments, or of the result.

    Attributes:
        type: a tensor's type; ``None`` of what is static.
        weak: whether it is a Python number, or made of such alone.
        value: of what is static.
        source: of a result that is an argument's leaf as it came: that leaf's number.
    """

    type: TensorType | None
    weak: bool = False
    value: Any = None
    source: int | None = None

    def fits(self, other: Leaf) -> bool:
        """Whether a result's leaf can stand where an argument's did."""
        if self.type is None or other.type is None:
            return self.type is other.type and self.value == other.value
        if self.weak and other.weak:  # numbers of either width
            return self.type.dtype.kind == other.type.dtype.kind
        return self.type == other.type and not (self.weak or other.weak)


class Part(NamedTuple):
    """A part of the result: with the argument that it is the next value of, if it is one.

    Attributes:
        path: where it stands in the result.
        name: what it is called.
        tree: leaf numbers, in the structure of the part.
        labels: what each of the leaves is called in the part, by number.
        feeds: that argument.
    """

    path: Path
    name: str
    tree: Any
    labels: dict[int, Path]
    feeds: Argument | None = None


class Matching:
    """Finds the parts of a result that are next values of arguments.

    Args:
        arguments: those that may be fed.
        given: the leaves of all arguments.
        made: the leaves of the result.
    """

    def __init__(
        self, arguments: Sequence[Argument], given: Sequence[Leaf], made: Sequence[Leaf]
    ) -> None:
        self._free = list(arguments)
        self._given = given
        self._made = made
        self._claims: dict[Path, Argument] = {}

    def parts(
        self,
        result: Any,
        names: Returned,
        state: Sequence[str] | None,
        donated: Collection[str],
        *,
        guess: bool,
    ) -> list[Part]:
        """The parts of a result, in order.

        Args:
            result: leaf numbers, in the structure of the result.
            names: of its items, see :func:`named_results`.
            state: the arguments that are fed, if the user says so; ``None``: found by name and
                structure.
            donated: the arguments that the caller gives away: structure alone tells of them.
            guess: whether it tells of the others, too, if they are containers.

        Raises:
            ExportError: an argument that ``state`` names is fed by nothing.
        """
        if state is not None:
            self._free = [each for each in self._free if each.name in state]
        whole = [((), names if isinstance(names, str) else "result", result)]
        fits = any(self._fits(result, argument) for argument in self._free)
        tops = whole if fits else named_results(result, names)
        self._claim(tops, lambda _, tree, argument: self._is_the(tree, argument))
        self._claim(tops, lambda name, _, argument: name == argument.name)
        if state is not None:
            self._claim(tops, lambda *_: True)
        else:
            self._claim(tops, lambda _, __, argument: argument.name in donated)
        if state is None and guess:
            self._claim(tops, lambda name, tree, _: not is_leaf(tree) and not _is_change(name))
        if state is not None and self._free:
            raise ExportError(
                f"export: state= names {self._free[0].name!r}, and no result has its structure, "
                f"shapes and dtypes; a step returns the next value of each argument that is state."
            )
        return [part for top in tops for part in self._split(*top)]

    def _claim(
        self,
        tops: Sequence[tuple[Path, str, Any]],
        allowed: Callable[[str, Any, Argument], bool],
    ) -> None:
        """Give each free argument the first unclaimed part that is allowed and fits it."""
        for top in tops:
            for path, name, part in self._subtrees(*top):
                for argument in self._free:
                    if allowed(name, part, argument) and self._fits(part, argument):
                        self._claims[path] = argument
                        self._free.remove(argument)
                        break

    def _subtrees(self, path: Path, name: str, tree: Any) -> Iterator[tuple[Path, str, Any]]:
        """A part and, unless it is claimed, those inside it that are in plain containers."""
        if path in self._claims:
            return
        yield path, name, tree
        if path not in self._claims and _is_plain(tree):
            for key, child in zip(child_names(tree), one_level(tree)[0], strict=True):
                yield from self._subtrees((*path, key), key, child)

    def _is_the(self, tree: Any, argument: Argument) -> bool:
        """Whether a part of the result is an argument, of several tensors, as it came."""
        sources = [self._made[number].source for number in tree_leaves(tree)]
        own = range(argument.start, argument.start + len(argument.paths))
        return not is_leaf(tree) and bool(sources) and sources == list(own)

    def _fits(self, tree: Any, argument: Argument) -> bool:
        if tree_structure(tree) != tree_structure(argument.tree):
            return False
        made = [self._made[number] for number in tree_leaves(tree)]
        given = self._given[argument.start : argument.start + len(made)]
        return any(leaf.type for leaf in made) and all(map(Leaf.fits, made, given))

    def _split(self, path: Path, name: str, tree: Any) -> Iterator[Part]:
        """A part, or the parts of it where an argument is fed by one of these."""
        claimed = self._claims.get(path)
        inside = any(other[: len(path)] == path for other in self._claims)
        if claimed is not None or not inside:
            labels = dict(zip(tree_leaves(tree), leaf_labels(tree), strict=True))
            yield Part(path, name, tree, labels, claimed)
            return
        for key, child in zip(child_names(tree), one_level(tree)[0], strict=True):
            yield from self._split((*path, key), f"{name}.{key}", child)


def _is_change(name: str) -> bool:
    """Whether a name tells of what has an argument's structure and is not its next value."""
    return any(word in name.lower() for word in ("grad", "update", "delta"))


def _is_plain(tree: Any) -> bool:
    """Whether it is a list, tuple or dict, whose items mean something on their own."""
    return not is_leaf(tree) and isinstance(tree, (list, tuple, dict))
