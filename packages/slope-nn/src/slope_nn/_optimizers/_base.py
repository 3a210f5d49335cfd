"""What all optimizers share: gradients matched with parameters, and a state for each."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

import slope
from slope.extend import ArgumentError, ShapeError, TreeError
from slope_nn._checks import flag, iterable
from slope_nn._filters import Filter, selected
from slope_nn._lost import user_frame
from slope_nn._missing import missing
from slope_nn._module import modules_of
from slope_nn._node import Node, walk
from slope_nn._optimizers._schedules import Schedule
from slope_nn._plan import PARAMETER, Path

Model = TypeVar("Model")
Number = float | slope.Tensor | Schedule
Groups = Iterable[tuple[Filter, dict[str, Any]]]

_ALONE: Final = "the parameter"  # that is the whole model
_STEP: Final = "model, optimizer = optimizer(model, gradients) makes a step"
_NOT_HERE: Final = {
    "add_param_group": "an optimizer is made with all its groups=",
    "load_state_dict": "an optimizer is a pytree: slope.load gives it back whole",
    "defaults": "settings are fields, such as optimizer.lr",
    "param_groups": "settings are fields (optimizer.lr), those of groups in optimizer.groups",
    "state_dict": "an optimizer is a pytree: slope.save writes it as it is",
    "register_step_post_hook": f"do it after the step; {_STEP}",
    "register_step_pre_hook": f"change the gradients before the step; {_STEP}",
    "state": "what it keeps is in its leaves: slope.tree.named_leaves(optimizer)",
    "step": _STEP,
    "zero_grad": f"gradients are values, and nothing gathers them; {_STEP}",
}


class Group(Node):
    """The settings of a part of the parameters, where they differ from the optimizer's own."""

    _number_leaves: ClassVar[bool] = True

    def __init__(self, settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"Group({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


class Optimizer(Node):
    """The base of optimizers; a pytree, so it goes into and out of jitted functions like a model.

    ``new_model, new_optimizer = optimizer(model, gradients)`` is pure. Numbers among the fields
    (learning rate, momentum, counters) are leaves: a new value compiles nothing. A number that is
    ``None`` is switched off, and the program holds no work for it. A number may also be a
    :class:`Schedule`: then each step takes its value at the number of steps done before.

    Subclasses pass their settings to ``super().__init__(model, groups, lr=lr, ...)``, and define
    :meth:`update` and, if they keep state, :meth:`initial`.

    Args:
        model: a module or any pytree of tensors. Floating-point parameters that are neither frozen
            nor buffers are trained; the rest passes through.
        groups: pairs of a filter and a dict of settings for the parameters that it selects, such
            as ``(lambda name, tensor: tensor.ndim < 2, {"weight_decay": 0.0})``; the first filter
            that selects a parameter counts. A filter is a predicate on the dotted name and the
            tensor, or a pytree of bools of the model's structure (or a prefix of it).
        maximize: go up the gradients and not down; every optimizer takes it.
        settings: numbers, by name.

    Attributes:
        steps: how many steps were done, where the optimizer needs to know; else ``None``.
        groups: the settings of each group, which may be changed like the optimizer's own:
            ``optimizer.groups[0].lr = 0.01``.
    """

    _number_leaves: ClassVar[bool] = True
    _static: ClassVar[frozenset[str]] = frozenset({"_group_of"})
    _required: ClassVar[frozenset[str]] = frozenset({"lr"})  # numbers that zero does not switch off
    _parts: ClassVar[tuple[str, ...]] = ()  # what exports call the items of a parameter's state
    _counts: bool = False  # whether the formulas ask for the number of steps
    maximize: bool = False  # an instance holds the field only while it differs
    decoupled_weight_decay: bool = True  # else it is a penalty, whose gradient is added
    _double: bool = False  # all parameters are float64; held as maximize is

    lr: Any
    weight_decay: Any
    steps: Any

    def __init__(
        self, model: Any, groups: Groups = (), *, maximize: bool = False, **settings: Any
    ) -> None:
        if flag(type(self).__name__, "maximize", maximize):
            self.maximize = True
        for name, value in settings.items():
            for field, number in self.setting(name, value).items():
                setattr(self, field, number)
        found = list(walk(model))
        _warn_of_shared(model, found)
        self._names = tuple(_name(path) for path, _, _ in found)
        groups = _pairs(type(self).__name__, groups)
        self.groups = tuple(Group(self._group_settings(more, settings)) for _, more in groups)
        self._group_of = _group_of(type(self).__name__, model, [which for which, _ in groups])
        holds_schedules = any(
            isinstance(value, Schedule)
            for holder in (self, *self.groups)
            for value in holder.__dict__.values()
        )
        self.steps = 0 if self._counts or holds_schedules else None
        views = self._views(start=True)
        trained = [leaf.dtype for _, kind, leaf in found if is_trained(kind, leaf)]
        if trained and all(dtype is slope.float64 for dtype in trained):
            self._double = True
        self._state = tuple(
            views[group].initial(leaf) if is_trained(kind, leaf) else None
            for (_, kind, leaf), group in zip(found, self._group_of, strict=True)
        )
        if all(state is None for state in self._state):
            raise ArgumentError(
                f"{type(self).__name__}: there is nothing to train in a {type(model).__name__} of "
                f"{len(found)} tensors: it holds no floating-point parameter that is not frozen."
            )

    if not TYPE_CHECKING:  # checkers refuse unknown names by themselves

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, _NOT_HERE)

    def setting(self, name: str, value: Any) -> dict[str, Any]:
        """The fields in which a setting is kept, checked."""
        optional = name not in self._required
        return {name: hyperparameter(type(self).__name__, name, value, optional=optional)}

    def _group_settings(self, more: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
        strange = [name for name in more if name not in known]
        if strange:
            raise ArgumentError(
                f"{type(self).__name__}: a group sets {', '.join(strange)}; the settings of this "
                f"optimizer are {', '.join(known)}."
            )
        return {f: n for name, value in more.items() for f, n in self.setting(name, value).items()}

    def _views(self, start: bool = False) -> list[Self]:
        """Copies of this optimizer, for one step: each group's settings, schedules worked out.

        The last one is for parameters that are in no group.
        """
        views = []
        for group in (*self.groups, None):
            view = copy.copy(self)
            fields = {**self.__dict__, **(group.__dict__ if group else {})}
            for name, value in fields.items():
                if isinstance(value, Schedule):
                    fields[name] = value(self.wide(self._counter()))
                elif name == "steps" or _is_float(value):
                    fields[name] = self.wide(value)
            view.__dict__.update(fields)  # thrown away after the step, so it needs no plan
            if not start:
                view.prepare()
            views.append(view)
        return views

    def wide(self, number: Any) -> Any:
        """A number that others are computed from: in float64 if all parameters are.

        Computing with numbers alone gives float32, of which float64 parameters would lose digits.
        """
        if number is None or not self._double:
            return number
        return slope.as_tensor(number, dtype=slope.float64)

    def _counter(self) -> Any:
        if self.steps is None:
            raise ArgumentError(
                f"{type(self).__name__}: a schedule was assigned after the optimizer was made "
                f"without one, so the steps were not counted. Set optimizer.steps to the number "
                f"of steps done so far."
            )
        return self.steps

    def initial(self, parameter: slope.Tensor) -> Any:
        """The state that a parameter starts with: a pytree, ``()`` for none."""
        return ()

    def _label(self, path: Path) -> Path:
        """A state by what it is and by its parameter, as in ``("m", "layer", "weight")``."""
        if path[0] != "_state":
            return path
        _, number, *inside = path
        item = inside[0] if inside else "0"
        if item.isdigit():  # of a tuple; of a dict it has a name
            known = self._parts[int(item) : int(item) + 1]
            inside = [*known, *inside[1:]] if known else ["state", *inside]
        return *inside, *parameter_label(self._names[int(number)])

    def prepare(self) -> None:
        """Work out what all parameters share; on a copy that lives for one step."""

    def downhill(self, parameter: slope.Tensor, gradient: slope.Tensor) -> Any:
        """What :meth:`update` follows down: the gradient, and its penalty's in some optimizers."""
        if self.maximize:
            gradient = -gradient
        if self.decoupled_weight_decay or self.weight_decay is None:
            return gradient
        return gradient + self.weight_decay * parameter

    def decayed(self, parameter: slope.Tensor) -> Any:
        """A parameter after weight decay that is apart from the gradient."""
        if self.decoupled_weight_decay and self.weight_decay is not None:
            return parameter * (1.0 - self.lr * self.weight_decay)
        return parameter

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        """The new value and the new state of one parameter."""
        raise NotImplementedError  # every optimizer defines it

    def advance(self) -> None:
        """Move counters on, once for each call; on the new optimizer."""
        if self.steps is not None:
            self.steps = self.steps + 1

    def __call__(self, model: Model, gradients: Any) -> tuple[Model, Self]:
        """One step.

        Args:
            model: what the optimizer was made for, at any later stage.
            gradients: of the model's structure, as ``slope.grad`` gives them. ``None`` leaves a
                parameter as it is.

        Returns:
            The new model and the new optimizer; the old ones stay as they are.

        Raises:
            TreeError: the model is not the one that the optimizer was made for, or the gradients
                are not its own.
            ShapeError: a gradient is of another shape or dtype than its parameter.
        """
        matched = self.match(model, gradients)
        leaves, structure = slope.tree_flatten(model)
        views = self._views()
        values, states = [], []
        for leaf, gradient, state, group in zip(
            leaves, matched, self._state, self._group_of, strict=True
        ):
            if gradient is not None:
                view = views[group]
                value, state = view.update(leaf, view.downhill(leaf, gradient), state)
                leaf = value.astype(leaf.dtype)  # rates are wider than a half-precision scalar
            values.append(leaf)
            states.append(state)
        new = copy.copy(self)
        new._state = tuple(states)  # noqa: SLF001  # a copy of itself
        new.advance()
        return slope.tree_unflatten(structure, values), new

    def match(self, model: Any, gradients: Any) -> list[slope.Tensor | None]:
        """The gradient of each leaf of the model, checked.

        Raises:
            TreeError, ShapeError: as calling the optimizer does.
        """
        leaves, structure = slope.tree_flatten(model)
        names = _leaf_names(structure)
        if names != self._names:
            listed = self._names == tuple(map(str, range(len(self._names))))
            way = (
                "Give it the model itself, not model.parameters()."
                if listed and isinstance(model, Node)
                else "Make a new optimizer for this model."
            )
            raise TreeError(
                f"{type(self).__name__} was made for another model: "
                f"{_difference(*_apart(self._names, names))}. {way}"
            )
        matched = _match(type(self).__name__, structure, names, gradients)
        for name, leaf, gradient, state in zip(names, leaves, matched, self._state, strict=True):
            if gradient is not None:
                self._check(name, leaf, gradient, state)
        return matched

    def _trained(self) -> list[bool]:
        """Which leaves of the model have a state."""
        return [state is not None for state in self._state]

    def _check(self, name: str, leaf: slope.Tensor, gradient: Any, state: Any) -> None:
        me = type(self).__name__
        if not isinstance(gradient, slope.Tensor) or gradient.type != leaf.type:
            got = gradient.type if isinstance(gradient, slope.Tensor) else repr(gradient)
            raise ShapeError(
                f"{me}: the gradient of {name!r} is {got}, and the parameter is {leaf.type}. "
                f"Differentiate with respect to the model that the optimizer updates."
            )
        if state is None:
            raise TreeError(
                f"{me}: {name!r} has a gradient, but it was frozen, a buffer or of integers when "
                f"the optimizer was made. Make a new optimizer after unfreeze()."
            )

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.__dict__.items() if name[0] != "_"}
        if not self.groups:
            del shown["groups"]
        fields = (f"{name}={value!r}" for name, value in shown.items() if value is not None)
        trained = sum(state is not None for state in self._state)
        return (
            f"{type(self).__name__}({', '.join(fields)}; {trained} of {len(self._state)} tensors)"
        )


def hyperparameter(who: str, name: str, value: Any, *, optional: bool = True) -> Any:
    """A number of an optimizer, checked; ``None`` for zero if it is optional: switched off.

    Raises:
        ArgumentError: it is no number, or negative.
    """
    if isinstance(value, slope.Tensor | Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ArgumentError(f"{who}: {name} must be a number of at least 0, not {value!r}.")
    return None if optional and value == 0 else float(value)


def _is_float(value: Any) -> bool:
    if isinstance(value, slope.Tensor):
        return value.ndim == 0 and value.dtype.is_floating_point
    return isinstance(value, float)


def is_trained(kind: str, leaf: Any) -> bool:
    return kind is PARAMETER and isinstance(leaf, slope.Tensor) and leaf.dtype.is_floating_point


def switched_on(value: Any) -> bool:
    """Whether a setting is anything but the number zero."""
    return not isinstance(value, int | float) or value != 0


def _group_of(who: str, model: Any, filters: Sequence[Filter]) -> tuple[int, ...]:
    """For each leaf of the model, the number of its group; -1 for none."""
    masks = [selected(f"{who}: the filter of group {k}", model, f) for k, f in enumerate(filters)]
    count = len(slope.tree_leaves(model))
    return tuple(next((k for k, mask in enumerate(masks) if mask[n]), -1) for n in range(count))


@lru_cache(maxsize=256)
def _leaf_names(structure: Any) -> tuple[str, ...]:
    tree = slope.tree_unflatten(structure, range(structure.num_leaves))
    return tuple(_name(path) for path, _, _ in walk(tree))


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path) or _ALONE


def parameter_label(name: str) -> Path:
    """How exports show what belongs to a parameter: by its name, where there are several."""
    return () if name == _ALONE else (name,)


def _match(who: str, structure: Any, names: tuple[str, ...], gradients: Any) -> list[Any]:
    """The gradient of each leaf of the model, None where there is none."""
    try:
        return structure.flatten_up_to(gradients)
    except (ValueError, TypeError) as error:
        leaves, found = slope.tree_flatten(gradients, is_leaf=lambda leaf: leaf is None)
        places = zip(_leaf_names(found), leaves, strict=True)
        given = {name: leaf is not None for name, leaf in places}
        lacking = [name for name in names if name not in given]
        strange = [name for name, there in given.items() if there and name not in names]
        if lacking or strange:
            told = _difference(lacking, strange)
        else:
            why = str(error).splitlines()[0]
            told = f"a static field differs, such as a mode or a size ({why:.300})"
        raise TreeError(
            f"{who}: the gradients ({type(gradients).__name__}) do not have the model's structure: "
            f"{told}. Pass what slope.grad gives for the model itself."
        ) from None


def _apart(expected: Sequence[str], found: Sequence[str]) -> tuple[list[str], list[str]]:
    return [one for one in expected if one not in found], [o for o in found if o not in expected]


def _difference(lacking: Sequence[str], strange: Sequence[str]) -> str:
    """In words: the first names that are missing and the first that are too many."""
    if not lacking and not strange:
        return "the order is another"
    return (
        f"expected {', '.join(lacking[:3]) or 'nothing more'}; found "
        f"{', '.join(strange[:3]) or 'nothing'} instead"
    )


def _warn_of_shared(model: Any, found: list[tuple[Path, str, Any]]) -> None:
    seen: dict[int, Path] = {}
    shared: dict[tuple[Path, Path], None] = {}
    for path, kind, leaf in found:
        if not isinstance(leaf, slope.Tensor):
            raise ArgumentError(
                f"an optimizer takes a module or a pytree of tensors; {_name(path)!r} is {leaf!r}."
            )
        if kind is PARAMETER and (first := seen.setdefault(id(leaf), path)) != path:
            shared[first, path] = None
    if shared:
        modules = dict(modules_of(model))
        for places in dict.fromkeys(_outermost(modules, *pair) for pair in shared):
            first, second = map(_name, places)
            warnings.warn(
                f"{first!r} and {second!r} are one {'module' if places[0] in modules else 'tensor'}"
                f", and will be updated apart. To keep them one, declare it in the module that "
                f"holds both: self.tie({second!r}, {first!r}).",
                stacklevel=user_frame()[1],
            )


def _outermost(modules: dict[Path, Any], first: Path, second: Path) -> tuple[Path, Path]:
    """The paths of the largest module that stands at both places and holds the tensor there."""
    best = first, second
    while first and second and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
        if modules.get(first, first) is modules.get(second):
            best = first, second
    return best


def _pairs(who: str, groups: Any) -> list[tuple[Filter, dict[str, Any]]]:
    """Groups as pairs of a filter and its settings, checked."""
    given = iterable(who, "groups", groups)
    for each in given:
        if not isinstance(each, tuple | list) or len(each) != 2 or not isinstance(each[1], dict):
            raise ArgumentError(
                f"{who}: groups must be pairs of a filter and a dict of settings, not {each!r:.60}."
            )
    return [(which, settings) for which, settings in given]
