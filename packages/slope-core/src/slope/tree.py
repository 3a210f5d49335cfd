"""Pytrees: nested containers of leaves, flattened and rebuilt by optree.

Tuples, lists, dicts, named tuples, ``None`` (no leaf) and every class given to
:func:`register_node` are nodes; all else is a leaf. What a node keeps besides its children (its
*static* part) is compared with its types: ``1``, ``1.0`` and ``True`` differ, so two modules that
differ in one number never share a program.
"""

# Values of any type are taken apart here; what isinstance finds in them, strict mode calls unknown.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from slope.errors import ArgumentError, RenamedError, TreeError

if TYPE_CHECKING:
    import optree
    from optree import PyTreeSpec
else:

    class _Unloaded:
        """Stands in for optree until it is needed: importing it takes half as long as slope."""

        def __getattr__(self, name: str) -> Any:
            import optree

            globals()["optree"] = optree  # from here on nobody passes through this class
            return getattr(optree, name)

    optree = _Unloaded()

T = TypeVar("T")
NAMESPACE: Final = "slope"

_differentiable_rules: dict[type, Callable[[Any, int], Sequence[bool]]] = {}
_name_rules: dict[type, Callable[[Any, int], Sequence[str]]] = {}
_label_rules: dict[type, Callable[[Any, tuple[str, ...]], tuple[str, ...]]] = {}
_node_rules: dict[type, tuple[Callable[[Any], tuple[Sequence[Any], Any]], str | None]] = {}
_LEAVES: Final = frozenset((bool, int, float, complex, str, bytes, np.ndarray))
_mask_cache: dict[PyTreeSpec, tuple[bool, ...]] = {}


def typed_key(value: Any) -> Any:
    """A hashable stand-in for a static value, equal only for values of the same types.

    Raises:
        ArgumentError: the value can be neither hashed nor taken apart.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is int:
        return (kind, value)
    if kind is float:
        return (kind, value.hex())
    if isinstance(value, (tuple, list)):
        return (kind, tuple(map(typed_key, value)))
    if isinstance(value, dict):
        return (kind, tuple((typed_key(key), typed_key(item)) for key, item in value.items()))
    if isinstance(value, (set, frozenset)):
        return (kind, frozenset(map(typed_key, value)))
    if isinstance(value, (np.ndarray, np.generic)):
        return (kind, value.dtype.str, value.shape, value.tobytes())
    try:
        hash(value)
    except TypeError:
        raise ArgumentError(
            f"a static value must be hashable, and this {kind.__name__} is not: {value!r}. Define "
            f"__hash__ and __eq__, or make it a pytree with slope.register_node so that its "
            f"tensors become leaves."
        ) from None
    import dataclasses  # loaded already where anything is one

    # Dataclasses are equal for 1 and True, 0.0 and -0.0.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (
            kind,
            value,
            *(
                typed_key(getattr(value, each.name))
                for each in dataclasses.fields(value)
                if each.compare
            ),
        )
    return (kind, value)


Fetch = Callable[[Mapping[Any, Any]], tuple[Any, ...]]


def fetcher(keys: Iterable[Any]) -> Fetch:
    """A function from a mapping to its values at some keys, as fast as it can be."""
    keys = tuple(keys)
    if not keys:
        return lambda fields: ()
    if len(keys) == 1:
        (key,) = keys
        return lambda fields: (fields[key],)
    return itemgetter(*keys)


class Static:
    """The static part of a node; equal when the values are equal and of the same types."""

    __slots__ = ("_hash", "_key", "value")
    fetch: Fetch | None = None  # see register_node: kept

    def __init__(self, value: Any) -> None:
        self.value = value
        self._key = typed_key(value)
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Static) and self._hash == other._hash and self._key == other._key
        )

    def __repr__(self) -> str:
        return repr(self.value)


def _callable(value: Any, user: str, name: str, takes: str) -> None:
    if not callable(value):
        raise ArgumentError(
            f"{user}: {name} must be a function that takes {takes}, not {value!r:.80}."
        )


def _checked_is_leaf(value: Callable[[Any], Any], user: str) -> Callable[[Any], bool]:
    _callable(value, user, "is_leaf", "a subtree to True or False")

    def checked(subtree: Any) -> bool:
        answer = value(subtree)
        if not isinstance(answer, (bool, np.bool_)):
            raise ArgumentError(
                f"{user}: is_leaf must return True or False, and returned {answer!r:.80}."
            )
        return bool(answer)

    return checked


def _checked_structure(value: Any, user: str) -> None:
    if not isinstance(value, optree.PyTreeSpec):
        raise ArgumentError(
            f"{user}: the structure must be one that slope.tree_structure or slope.tree_flatten "
            f"gave, and is a {type(value).__name__} ({value!r:.80})."
        )


def register_node(
    cls: type[T],
    flatten: Callable[[T], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, tuple[Any, ...]], T],
    *,
    differentiable: Callable[[Any, int], Sequence[bool]] | None = None,
    kept: str | None = None,
    names: Callable[[Any, int], Sequence[str]] | None = None,
    labels: Callable[[T, tuple[str, ...]], tuple[str, ...]] | None = None,
) -> type[T]:
    """Make instances of ``cls`` nodes of pytrees.

    Args:
        cls: the class; its subclasses are not included.
        flatten: takes an instance to ``(children, static)``; ``static`` must be hashable or made of
            containers of hashable values.
        unflatten: takes ``(static, children)`` back to an instance; children may be any objects,
            not only tensors.
        differentiable: takes ``(static, number of children)`` to one bool for each child: whether
            its leaves take part in ``grad``. Leaves that do not get ``None`` as their gradient.
            Default: all do.
        kept: an attribute in which instances keep the static part that ``flatten`` gave, a
            :class:`slope.extend.Static`, and which they clear when it changes. While the very
            object is there and its ``fetch`` is not ``None``, ``fetch(vars(instance))`` are the
            children, and calls of compiled functions take them without calling ``flatten``.
        names: takes ``(static, number of children)`` to a name for each child, by which
            :func:`slope.export` calls the inputs and outputs of a file. Default: their numbers.
        labels: takes an instance and the names on the way to one of its leaves to those that
            :func:`slope.export` shall show instead, such as an optimizer's state by the names of
            the parameters that it is for.

    Returns:
        ``cls``.

    Raises:
        TreeError: the class is a node already, or one of numbers, strings or arrays, which are
            leaves.
        ArgumentError: ``cls`` is no class, or a rule no function.

    Example:
        >>> slope.register_node(Point, lambda p: ((p.x, p.y), None), lambda _, xy: Point(*xy))
    """
    if not isinstance(cls, type):  # pyright: ignore[reportUnnecessaryIsInstance]  # who runs no checker
        raise ArgumentError(f"register_node: cls must be a class, not {cls!r:.80}.")
    _callable(flatten, "register_node", "flatten", "an instance to (children, static)")
    _callable(unflatten, "register_node", "unflatten", "(static, children) to an instance")
    if cls in _LEAVES:
        raise TreeError(f"register_node: a {cls.__qualname__} is a leaf, and cannot be a node.")
    if differentiable is not None:
        what = "(static, number of children) to bools"
        _callable(differentiable, "register_node", "differentiable", what)
    if names is not None:
        _callable(names, "register_node", "names", "(static, number of children) to strings")
    if labels is not None:
        _callable(labels, "register_node", "labels", "(an instance, names) to names")

    def flatten_node(node: T) -> tuple[tuple[Any, ...], Static]:
        children, static = flatten(node)
        return tuple(children), static if isinstance(static, Static) else Static(static)

    def unflatten_node(static: Static, children: tuple[Any, ...]) -> T:
        return unflatten(static.value, children)

    try:
        optree.register_pytree_node(cls, flatten_node, unflatten_node, namespace=NAMESPACE)  # pyright: ignore[reportArgumentType]  # optree asks for a Collection type variable
    except ValueError as error:
        raise TreeError(
            f"register_node: {cls.__qualname__} is registered as a pytree node already."
        ) from error
    _node_rules[cls] = flatten_node, kept
    if differentiable is not None:
        _differentiable_rules[cls] = differentiable
    if names is not None:
        _name_rules[cls] = names
    if labels is not None:
        _label_rules[cls] = labels
    return cls


def node_rule(kind: type) -> tuple[Callable[[Any], tuple[Sequence[Any], Any]] | None, str | None]:
    """How :func:`register_node` was told to take apart instances of a class.

    Returns:
        A function from an instance to its children and its :class:`Static`, and where instances
        keep that; two ``None`` for other classes.
    """
    return _node_rules.get(kind, (None, None))


def one_level(tree: Any) -> tuple[list[Any], tuple[Any, ...]]:
    """The children of a node and their keys, in the order of the leaves."""
    children, _, entries, _ = optree.tree_flatten_one_level(tree, namespace=NAMESPACE)
    return children, entries


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], PyTreeSpec]:
    """The leaves of a pytree, from left to right (dicts by sorted key), and its structure.

    Args:
        tree: any value; one that is no node is a leaf.
        is_leaf: says which nodes to take as leaves.

    Raises:
        ArgumentError: ``is_leaf`` is no function.
    """
    if is_leaf is not None:
        is_leaf = _checked_is_leaf(is_leaf, "tree_flatten")
    return optree.tree_flatten(tree, is_leaf, namespace=NAMESPACE)


def tree_unflatten(structure: PyTreeSpec, leaves: Iterable[Any]) -> Any:
    """The pytree of this structure with these leaves.

    Raises:
        TreeError: the number of leaves is not the structure's.
        ArgumentError: ``structure`` is no structure, or ``leaves`` cannot be gone through.
    """
    try:
        return optree.tree_unflatten(structure, leaves)
    except ValueError as error:
        raise TreeError(
            f"tree_unflatten: cannot rebuild a pytree of {structure.num_leaves} leaves: {error}."
        ) from error
    except (TypeError, AttributeError):
        _checked_structure(structure, "tree_unflatten")
        if not isinstance(leaves, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # who runs no checker
            raise ArgumentError(
                f"tree_unflatten: leaves must be a list of leaves, not {leaves!r:.80}."
            ) from None
        raise


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a pytree, from left to right (dicts by sorted key)."""
    if is_leaf is not None:
        is_leaf = _checked_is_leaf(is_leaf, "tree_leaves")
    return optree.tree_leaves(tree, is_leaf, namespace=NAMESPACE)


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> PyTreeSpec:
    """The structure of a pytree: all but its leaves."""
    if is_leaf is not None:
        is_leaf = _checked_is_leaf(is_leaf, "tree_structure")
    return optree.tree_structure(tree, is_leaf, namespace=NAMESPACE)


def tree_map(
    function: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Apply a function to the leaves of pytrees that stand at the same places.

    Args:
        function: takes one leaf of each tree.
        tree: decides the structure.
        rest: trees of which ``tree``'s structure is a prefix.
        is_leaf: says which nodes of ``tree`` to take as leaves.

    Returns:
        A pytree of the structure of ``tree`` that holds the function's results.

    Raises:
        TreeError: a tree of another structure.
        ArgumentError: ``function`` or ``is_leaf`` is no function.
    """
    if not callable(function):
        _callable(function, "tree_map", "function", "one leaf of each tree")
    if is_leaf is not None:
        is_leaf = _checked_is_leaf(is_leaf, "tree_map")
    leaves, structure = tree_flatten(tree, is_leaf)
    columns = [
        leaves,
        *(flatten_up_to(structure, other, "tree_map: a tree of rest") for other in rest),
    ]
    return optree.tree_unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])


def flatten_up_to(structure: PyTreeSpec, tree: Any, what: str = "a pytree") -> list[Any]:
    """The subtrees of ``tree`` that stand where ``structure`` has leaves.

    Raises:
        TreeError: ``structure`` is no prefix of the tree.
    """
    try:
        return structure.flatten_up_to(tree)
    except (ValueError, TypeError) as error:
        raise TreeError(f"{what} does not match the structure {structure}: {error}") from error


def is_leaf(value: Any) -> bool:
    """Whether a value is a leaf: of no registered class and no container. ``None`` is none."""
    return optree.tree_is_leaf(value, namespace=NAMESPACE)


def leaf_paths(tree: Any) -> list[str]:
    """A name for each leaf, such as ``[0]['weight']``, for messages."""
    paths, _, _ = optree.tree_flatten_with_path(tree, namespace=NAMESPACE)
    return ["".join(f"[{entry!r}]" for entry in path) for path in paths]


def child_names(tree: Any) -> tuple[str, ...]:
    """The names of a node's children, in the order of the leaves.

    They are fields, keys or numbers.
    """
    children, static, entries, _ = optree.tree_flatten_one_level(tree, namespace=NAMESPACE)
    rule = _name_rules.get(type(tree))
    if rule is not None and isinstance(static, Static):
        return tuple(rule(static.value, len(children)))
    fields = getattr(tree, "_fields", ()) if isinstance(tree, tuple) else ()
    return tuple(map(str, fields or entries))


def named_leaves(tree: Any) -> list[tuple[tuple[str, ...], Any]]:
    """Each leaf with the names on the way to it, from left to right."""
    if is_leaf(tree):
        return [((), tree)]
    return [
        ((name, *path), leaf)
        for name, child in zip(child_names(tree), one_level(tree)[0], strict=True)
        for path, leaf in named_leaves(child)
    ]


def leaf_labels(tree: Any) -> list[tuple[str, ...]]:
    """What each leaf is called where people read it: its names on the way, as nodes show them."""
    if is_leaf(tree):
        return [()]
    rule = _label_rules.get(type(tree))
    paths = [
        (name, *path)
        for name, child in zip(child_names(tree), one_level(tree)[0], strict=True)
        for path in leaf_labels(child)
    ]
    return paths if rule is None else [rule(tree, path) for path in paths]


def differentiable_mask(tree: Any, structure: PyTreeSpec) -> tuple[bool, ...]:
    """Which leaves of ``tree``, whose structure is ``structure``, take part in differentiation.

    Only nodes whose ``register_node`` says otherwise (buffers, frozen parameters) hold leaves that
    do not.
    """
    if not _differentiable_rules:
        return (True,) * structure.num_leaves
    mask = _mask_cache.get(structure)
    if mask is None:
        mask = tuple(_mask(tree))
        if len(_mask_cache) > 4096:
            _mask_cache.clear()
        _mask_cache[structure] = mask
    return mask


def _mask(tree: Any) -> list[bool]:
    structure = tree_structure(tree)
    if structure.num_leaves == 0:
        return []
    if is_leaf(tree):
        return [True]
    children, static, _, _ = optree.tree_flatten_one_level(tree, namespace=NAMESPACE)
    rule = _differentiable_rules.get(type(tree))
    flags: Sequence[bool] = [True] * len(children)
    if rule is not None and isinstance(static, Static):
        flags = rule(static.value, len(children))
    mask: list[bool] = []
    for child, flag in zip(children, flags, strict=True):
        inner = _mask(child)
        mask.extend(inner if flag else [False] * len(inner))
    return mask


_FUNCTIONS: Final = ("flatten", "leaves", "map", "structure", "unflatten")


_NOT_HERE: Final = {
    "all": "use all(slope.tree_leaves(tree))",
    "flatten_with_path": "use slope.tree.named_leaves",
    "leaves_with_path": "use slope.tree.named_leaves",
    "map_with_path": "use slope.tree.named_leaves, and slope.tree_unflatten",
    "reduce": "use functools.reduce(f, slope.tree_leaves(tree))",
    "register_dataclass": "use slope.register_node",
    "register_pytree_node": "use slope.register_node",
    "register_pytree_node_class": "use slope.register_node",
    "transpose": "use slope.tree_map(lambda *leaves: ..., *trees)",
}


def __getattr__(name: str) -> Any:
    short = name.removeprefix("tree_")
    if name in _FUNCTIONS:
        raise RenamedError(f"slope.tree has no {name!r}: it is slope.tree_{name}.")
    if short in _NOT_HERE:
        raise RenamedError(f"slope.tree has no {name!r}: {_NOT_HERE[short]}.")
    raise AttributeError(f"module 'slope.tree' has no attribute {name!r}")
