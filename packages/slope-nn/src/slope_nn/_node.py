"""Nodes: objects whose fields are either children, which transforms see, or static.

Which field is what is worked out once and kept as a :class:`Plan`, so that flattening, which every
call of a jitted function does, is one look-up of the plan and one of the fields. Rebuilding calls
no ``__init__`` and takes any objects as leaves, so nothing may be decided by their values: the plan
travels with the copies.
"""

# ruff: noqa: SLF001  # these functions and the class Node are friends

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Self, TypeVar, cast

import slope
from slope.extend import ArgumentError, SlopeError, TreeError, is_tracing
from slope_nn._lost import Pending
from slope_nn._plan import BUFFER, CHILDREN, FROZEN, PARAMETER, Path, Plan, Record

T = TypeVar("T")


class Buffer:
    """Mark a tensor (or a container of them), when it is assigned to a field, as a buffer.

    ``grad`` gives ``None`` for buffers and optimizers leave them alone; all else sees them as it
    sees parameters. The field holds the tensor itself, and stays a buffer when another tensor is
    assigned to it.

    Example:
        >>> self.running_mean = nn.Buffer(slope.zeros(features))
    """

    __slots__ = ("kind", "value")

    def __new__(cls, value: T) -> T:  # so that type checkers see the field as what it will hold
        """Wrap a value."""
        return cast("T", _marked(value, BUFFER))


def _marked(value: Any, kind: str) -> Buffer:
    """A value that says what kind of field it makes."""
    mark = object.__new__(Buffer)
    mark.value, mark.kind = value, kind
    return mark


def Parameter(data: T, requires_grad: bool = True) -> T:  # noqa: N802  # PyTorch's name
    """What PyTorch wraps parameters in: here every tensor of a module is one, unless a buffer.

    Args:
        data: a tensor, to be assigned to a field of a module.
        requires_grad: without, the field is frozen, as by :meth:`Module.freeze`.

    Returns:
        The tensor itself.

    Example:
        >>> self.scale = nn.Parameter(slope.ones(features))  # or self.scale = slope.ones(features)
    """
    if not isinstance(data, slope.Tensor):
        raise ArgumentError(f"Parameter takes a tensor, not {data!r:.60}.")
    return data if requires_grad else cast("T", _marked(data, FROZEN))


class Node:
    """The base of objects whose fields transforms look into; each subclass is a node of pytrees."""

    __slots__ = ("_kinds", "_pending", "_plan")
    _kinds: dict[str, str]  # of the child fields known so far; shared between copies, never changed
    _plan: Plan | None
    _pending: Pending | bool | None  # True: a copy made of a pytree; None: made by its class
    _number_leaves: ClassVar[bool] = False  # whether ints and floats are children
    _static: ClassVar[frozenset[str]] = frozenset()  # fields whose numbers are not, even so

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        slope.register_node(
            cls,
            _flatten_and_keep,
            partial(_unflatten, cls),
            differentiable=lambda plan, _: plan.differentiable,
            names=lambda plan, _: plan.names,
            labels=lambda node, path: node._label(path),
            kept="_plan",
        )

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        """Make it without fields, so that a subclass need not call ``super().__init__()``."""
        self = object.__new__(cls)
        _set_kinds(self, {})
        _set_plan(self, None)
        _set_pending(self, None)
        return self

    def _label(self, path: Path) -> Path:
        """What exports call the leaf at a path."""
        return path

    def __setattr__(self, name: str, value: Any) -> None:
        kind = None
        if type(value) is Buffer:
            value, kind = value.value, value.kind
        object.__setattr__(self, name, value)
        if self._pending is not None and isinstance(value, slope.Tensor) and is_tracing():
            _note(self, name)
        known = self._kinds.get(name)
        if kind is None and known is not None:
            if value is None or isinstance(value, Node if known is CHILDREN else slope.Tensor):
                return  # another value of the same kind: the plan holds
            if self._number_leaves and type(value) in (int, float):
                return
            if known is BUFFER and _classify(self, name, value) == PARAMETER:
                kind = BUFFER
        self._forget(name)
        if kind is not None:
            _set_kinds(self, {**self._kinds, name: kind})

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        _set_plan(self, None)
        if name in self._kinds:
            _set_kinds(self, {field: kind for field, kind in self._kinds.items() if field != name})

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, str]]:
        if type(self._pending) is Pending:
            self._pending.keep()  # whoever copies it has it
        return dict(self.__dict__), self._kinds

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, str]]) -> None:
        fields, kinds = state
        self.__dict__.update(fields)
        _set_kinds(self, kinds)
        _set_plan(self, None)


_set_kinds: Final[Callable[[Node, dict[str, str]], None]] = Node.__dict__["_kinds"].__set__
_set_plan: Final[Callable[[Node, Plan | None], None]] = Node.__dict__["_plan"].__set__
_set_pending: Final[Callable[[Node, Any], None]] = Node.__dict__["_pending"].__set__


def _note(node: Node, name: str) -> None:
    """Remember an assignment to a copy, to report it should the copy be dropped."""
    pending = node._pending
    if not isinstance(pending, Pending):
        pending = Pending()
        _set_pending(node, pending)
    pending.add(type(node).__qualname__, name)
    _set_plan(node, None)  # flattening has to see that the copy is kept


def _flatten_and_keep(node: Node) -> tuple[tuple[Any, ...], Plan]:
    if type(node._pending) is Pending:
        node._pending.keep()
        _set_pending(node, True)
    return flatten(node)


def plan_of(node: Node) -> Plan:
    """The plan of a node, made now if its fields have changed."""
    plan = node._plan
    if plan is None:
        kinds: dict[str, str] = {}
        template: dict[str, Any] = {}
        for name, value in node.__dict__.items():
            kind = node._kinds.get(name) or _classify(node, name, value)
            template[name] = value if kind is None else None
            if kind is not None:
                kinds[name] = kind
        try:
            plan = Plan(kinds, template).interned()
        except ArgumentError:
            _refuse_static(node, {name: template[name] for name in template if name not in kinds})
            raise
        _set_kinds(node, kinds)
        if not plan.volatile and type(node._pending) is not Pending:
            _set_plan(node, plan)
    return plan


def _refuse_static(node: Node, fields: Mapping[str, Any]) -> None:
    """Say which static field cannot be compared."""
    for name, value in fields.items():
        try:
            slope.tree_flatten(Record(value))
        except ArgumentError as error:
            field = f"{type(node).__qualname__}.{name}"
            raise ArgumentError(f"the field {field} is static: {error}") from None


def set_kinds(node: Node, change: Mapping[str, str]) -> None:
    """Turn child fields of one kind into another, for example parameters into frozen ones."""
    kinds = {name: change.get(kind, kind) for name, kind in plan_of(node).kinds.items()}
    if kinds != node._kinds:
        _set_kinds(node, kinds)
        _set_plan(node, None)


def set_kinds_of(node: Node, fields: Mapping[str, str]) -> None:
    """Give child fields other kinds, by name."""
    if fields:
        _set_kinds(node, {**plan_of(node).kinds, **fields})
        _set_plan(node, None)


def flatten(node: Node) -> tuple[tuple[Any, ...], Plan]:
    """The children of a node and its plan; those that hold tied fields are copies without them."""
    plan = node._plan or plan_of(node)
    if plan.ties:
        for target, source in plan.ties:
            _check_tie(node, target, source)
        fields = dict(node.__dict__)
        for name, below in plan.tie_tree.items():
            if below is not None:
                fields[name] = _without_tied(fields[name], below)
        return plan.pick(fields), plan
    return plan.pick(node.__dict__), plan


def _unflatten(cls: type[Node], plan: Plan, children: tuple[Any, ...]) -> Node:
    node = object.__new__(cls)
    fields = node.__dict__
    fields.update(plan.template)
    fields.update(zip(plan.names, children, strict=True))
    _set_kinds(node, plan.whole.kinds)
    _set_plan(node, None if plan.volatile else plan)
    _set_pending(node, True)
    for target, source in plan.ties:
        _put(node, target, step_along(node, source))
    return node


def _classify(node: Node, name: str, value: Any) -> str | None:
    """PARAMETER, CHILDREN, or None for a static value."""
    if isinstance(value, slope.Tensor):
        return PARAMETER
    if isinstance(value, Node):
        return CHILDREN
    if value is None or isinstance(value, str | bool):
        return None
    leaves = slope.tree_flatten(value, is_leaf=lambda item: isinstance(item, Node))[0]
    children = [leaf for leaf in leaves if isinstance(leaf, slope.Tensor | Node)]
    if node._number_leaves and name not in node._static:
        children += [leaf for leaf in leaves if type(leaf) in (int, float)]
    if any(isinstance(leaf, Buffer) for leaf in leaves) or 0 < len(children) < len(leaves):
        strange = next(leaf for leaf in leaves if all(leaf is not child for child in children))
        what = (
            "a Buffer" if isinstance(strange, Buffer) else f"{strange!r} ({type(strange).__name__})"
        )
        raise ArgumentError(
            f"{type(node).__qualname__}.{name} holds tensors or modules together with {what}. "
            f"A container is either all tensors and modules or all static: keep other values in a "
            f"field of their own, and declare a whole container as nn.Buffer(...)."
        )
    if not children:
        return None
    return CHILDREN if any(isinstance(leaf, Node) for leaf in children) else PARAMETER


# --- walking


def entries(value: Any) -> list[tuple[str, Any]] | None:
    """The names and values of what stands directly in a node or container, in flattening order.

    Returns:
        None for a leaf.
    """
    if isinstance(value, Node):
        children, plan = flatten(value)
        return list(zip(plan.names, children, strict=True))
    items, structure = slope.tree_flatten(value, is_leaf=lambda item: item is not value)
    if structure.is_leaf():
        return None
    return list(zip(map(str, structure.entries()), items, strict=True))


def walk(tree: Any, path: Path = (), kind: str = PARAMETER) -> Iterable[tuple[Path, str, Any]]:
    """Path, kind and value of every leaf of a pytree, in flattening order."""
    inner = entries(tree)
    if inner is None:
        yield path, kind, tree
        return
    kinds = plan_of(tree).kinds if isinstance(tree, Node) else {}
    for name, value in inner:
        below = kinds.get(name, kind)
        yield from walk(value, (*path, name), PARAMETER if below is CHILDREN else below)


def step_along(value: Any, path: Path) -> Any:
    """What stands at a path.

    Raises:
        TreeError: nothing does.
    """
    for done, name in enumerate(path):
        inside = _inside(value)
        if name not in inside:
            raise TreeError(
                f"nothing is at {'.'.join(path)!r}: {'.'.join(path[:done]) or 'the module'} "
                f"({type(value).__qualname__}) holds {', '.join(inside) or 'nothing'}."
            )
        value = inside[name]
    return value


def _inside(value: Any) -> dict[str, Any]:
    if isinstance(value, Node):
        return value.__dict__
    if isinstance(value, dict):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return {str(place): item for place, item in enumerate(value)}
    return {}


# --- tied fields


def _check_tie(node: Node, target: Path, source: Path) -> None:
    try:
        tied = step_along(node, target) is step_along(node, source)
    except SlopeError as error:
        raise TreeError(f"{type(node).__qualname__} ties a field that has gone: {error}") from None
    if not tied:
        here, there = ".".join(target), ".".join(source)
        raise TreeError(
            f"{type(node).__qualname__} ties {here!r} to {there!r}, but another value was assigned "
            f"to one of them since. Tie them again with tie({here!r}, {there!r}), which takes the "
            f"value at {there!r}."
        )


def _without_tied(value: Any, tree: Mapping[str, Any]) -> Any:
    """A copy without the fields where ``tree`` ends; what is not on the way there is shared."""
    below = {name: inner for name, inner in tree.items() if inner is not None}
    if isinstance(value, Node):
        copy = object.__new__(type(value))
        _set_pending(copy, value._pending)  # who keeps the copy keeps what was assigned
        copy.__dict__.update(value.__dict__)
        for name, inner in below.items():
            copy.__dict__[name] = _without_tied(copy.__dict__[name], inner)
        plan = plan_of(value)
        _set_kinds(copy, plan.kinds)
        _set_plan(copy, plan.without(frozenset(tree.keys() - below.keys())))
        return copy
    for name, inner in tree.items():
        item = None if inner is None else _without_tied(_inside(value)[name], inner)
        value = with_item(value, name, item)
    return value


def _put(value: Any, path: Path, leaf: Any) -> Any:
    """Restore a tied field in what was just rebuilt; gives back the rebuilt container."""
    if not path:
        return leaf
    name, rest = path[0], path[1:]
    if isinstance(value, Node):
        value.__dict__[name] = _put(value.__dict__[name], rest, leaf)
        if not rest and value._plan is not None:
            _set_plan(value, value._plan.whole)
        return value
    return with_item(value, name, _put(_inside(value)[name], rest, leaf))


def with_item(container: Any, name: str, item: Any) -> Any:
    """A copy of a list, tuple or dict with one item replaced."""
    if isinstance(container, dict):
        return {key: item if str(key) == name else old for key, old in container.items()}
    items = [item if str(place) == name else old for place, old in enumerate(container)]
    if isinstance(container, tuple):
        make = getattr(container, "_make", None)  # of a named tuple
        return make(items) if make else tuple(items)
    return items
