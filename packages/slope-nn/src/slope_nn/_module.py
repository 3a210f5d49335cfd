"""Modules: models and their parts, as pytrees of their tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

import slope
from slope.extend import ArgumentError, ShapeError, TreeError
from slope_nn._checks import mapping
from slope_nn._filters import Filter, selected
from slope_nn._missing import MODULE_METHODS, missing
from slope_nn._node import (
    Buffer,
    Node,
    entries,
    plan_of,
    set_kinds,
    set_kinds_of,
    step_along,
    walk,
    with_item,
)
from slope_nn._placing import moved
from slope_nn._plan import BUFFER, CHILDREN, FROZEN, PARAMETER, Path
from slope_nn._saving._files import read_safetensors, write_safetensors
from slope_nn._summary import Summary, summarize


class Module(Node):
    """The base of models and layers: subclasses assign fields and define ``__call__``.

    (``forward``, as in PyTorch, will do as well: the two are names of one method, also in
    subclasses of layers, which reach the layer's own as ``super().forward``.)

    Fields that are tensors, modules, or containers of them (lists, tuples, dicts, nested) are its
    children, in order of assignment: transforms see them. A tensor is a parameter unless assigned
    as :class:`Buffer`. Every other field is static: part of the program, compared with its type, so
    a changed number compiles anew.

    One tensor or module that stands at two places is two parts of the pytree, which are trained
    apart (PyTorch shares them); :meth:`tie` makes them one.

    ``grad`` with respect to a module gives a module of the same structure, with ``None`` at
    buffers, integer tensors and frozen parameters.

    A module equals itself alone. The structures of two (``slope.tree_structure``) are equal, and
    hash equally, only if their classes, fields and static values are, with their types.

    Example:
        >>> class Scale(nn.Module):
        ...     def __init__(self, features):
        ...         self.factor = slope.ones(features)
        ...
        ...     def __call__(self, x):
        ...         return x * self.factor
    """

    training: bool = True  # an instance holds the field only while it differs
    _ties: tuple[tuple[Path, Path], ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        parent = next(base for base in cls.__mro__[1:] if issubclass(base, Module))
        ahead = cls.__mro__[: cls.__mro__.index(parent)]  # the class and mixins in front of it
        defined = {name for base in ahead for name in vars(base)} & {"__call__", "forward"}
        if len(defined) != 1 or parent.__call__ is not getattr(parent, "forward", parent.__call__):
            return  # both, neither, or a __call__ around a forward that is another method
        if defined == {"__call__"}:
            cls.forward = cls.__call__
        else:
            cls.__call__ = Module.__call__  # else that of the layer would hide the new forward

    if TYPE_CHECKING:

        def forward(self, *args: Any, **options: Any) -> Any:
            """The same as calling the module."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call ``forward``, where a class has that in place of ``__call__``."""
        forward = getattr(self, "forward", None)
        if forward is None:
            raise ArgumentError(
                f"{type(self).__name__} defines neither __call__ nor forward; a module is called "
                f"with its inputs."
            )
        return forward(*args, **options)

    if not TYPE_CHECKING:  # checkers refuse unknown names by themselves

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, MODULE_METHODS)

    # --- PyTorch's ways of assigning fields

    def register_buffer(
        self, name: str, tensor: slope.Tensor | None, persistent: bool = True
    ) -> None:
        """As ``self.NAME = nn.Buffer(tensor)``.

        Raises:
            ArgumentError: it shall not be saved; here all buffers are.
        """
        if not persistent:
            raise ArgumentError(
                f"register_buffer: state dicts hold all buffers; work {name!r} out where it is "
                f"used, or register it and load state dicts without it by strict=False."
            )
        setattr(self, name, tensor if tensor is None else Buffer(tensor))

    def register_parameter(self, name: str, param: slope.Tensor | None) -> None:
        """As ``self.NAME = param``."""
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """As ``self.NAME = module``."""
        setattr(self, name, module)

    # --- looking inside

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, slope.Tensor]]:
        """Dotted names and tensors of all parameters, also of frozen ones; tied ones count once.

        Args:
            prefix: stands before the names, with a dot.
            recurse: also those of modules below.
        """
        return self._named(lambda kind: kind is not BUFFER, prefix, recurse)

    def parameters(self, recurse: bool = True) -> list[slope.Tensor]:
        """All parameters, frozen ones included; a tied one counts once."""
        return [tensor for _, tensor in self.named_parameters(recurse=recurse)]

    def named_buffers(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, slope.Tensor]]:
        """Dotted names and tensors of all buffers; see :meth:`named_parameters`."""
        return self._named(lambda kind: kind is BUFFER, prefix, recurse)

    def buffers(self, recurse: bool = True) -> list[slope.Tensor]:
        """All buffers."""
        return [tensor for _, tensor in self.named_buffers(recurse=recurse)]

    def _named(
        self, wanted: Callable[[str], bool], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, slope.Tensor]]:
        before = (prefix,) if prefix else ()
        own = plan_of(self).kinds
        for path, kind, leaf in walk(self):
            if wanted(kind) and (recurse or own[path[0]] is not CHILDREN):
                yield ".".join((*before, *path)), leaf

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Dotted names of this module (``""``) and all below it, each object once."""
        seen: set[int] = set()
        for path, module in modules_of(self, (prefix,) if prefix else ()):
            if id(module) not in seen:
                seen.add(id(module))
                yield ".".join(path), module

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted name, this one at ``""``.

        Raises:
            TreeError: nothing is there, or no module.
        """
        return self._at(target, Module)

    def get_parameter(self, target: str) -> slope.Tensor:
        """The tensor at a dotted name, such as ``"layers.0.weight"``.

        Raises:
            TreeError: nothing is there, or no tensor.
        """
        return self._at(target, slope.Tensor)

    get_buffer = get_parameter

    def _at(self, target: str, kind: type) -> Any:
        found = step_along(self, tuple(target.split("."))) if target else self
        if not isinstance(found, kind):
            raise TreeError(
                f"{type(self).__qualname__} holds a {type(found).__qualname__} at {target!r}, no "
                f"{kind.__name__}."
            )
        return found

    def modules(self) -> list[Module]:
        """This module and all below it, each object once."""
        return [module for _, module in self.named_modules()]

    def children(self) -> list[Module]:
        """The modules directly below."""
        return [module for _, module in self.named_children()]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below with their names; in containers these are ``field.place``."""
        below: dict[str, Module] = {}
        for name, kind in plan_of(self).kinds.items():
            if kind is CHILDREN:
                below.update(_nearest(self.__dict__[name], (name,)))
        yield from below.items()

    # --- modes

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it into training mode, in place; dropout looks at it."""
        for module in self.modules():
            if mode != module.training:
                if "training" in module.__dict__:
                    del module.training
                if mode != module.training:
                    module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all below it into evaluation mode, in place."""
        return self.train(False)

    def freeze(self, which: Filter | None = None) -> Self:
        """Take parameters of this module and below out of training, in place.

        ``grad`` gives ``None`` for them, programs hold no work for their gradients, and optimizers
        keep them.

        Args:
            which: a predicate on the dotted name and the tensor, or a pytree of bools; all
                parameters by default.

        Raises:
            ArgumentError: the filter selects only a part of a container of tensors.
        """
        return self._turn("freeze", which, PARAMETER, FROZEN)

    def unfreeze(self, which: Filter | None = None) -> Self:
        """Undo :meth:`freeze` for this module and below, in place."""
        return self._turn("unfreeze", which, FROZEN, PARAMETER)

    def _turn(self, method: str, which: Filter | None, old: str, new: str) -> Self:
        if which is None:
            for module in self.modules():
                set_kinds(module, {old: new})
            return self
        flags = selected(f"{method}: the filter", self, which)
        chosen = {path: on for (path, _, _), on in zip(walk(self), flags, strict=True)}
        for path, module in modules_of(self):
            fields = {}
            for name, kind in plan_of(module).kinds.items():
                place = (*path, name)
                inside = [on for at, on in chosen.items() if at[: len(place)] == place]
                if kind == old and any(inside):
                    if not all(inside):
                        raise ArgumentError(
                            f"{method}: the filter selects only a part of {'.'.join(place)!r}; a "
                            f"container of tensors is frozen as a whole."
                        )
                    fields[name] = new
            set_kinds_of(module, fields)
        return self

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Call a function with each module below and then this one; it may change them in place."""
        for module in reversed(self.modules()):
            function(module)
        return self

    def astype(self, dtype: slope.DType) -> Self:
        """A copy with all floating-point tensors, buffers too, in another dtype.

        Raises:
            ArgumentError: it is no floating-point one.
        """
        return moved(self, dtype, None)

    def to(
        self,
        device: slope.Device | str | slope.DType | slope.Tensor | None = None,
        dtype: slope.DType | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """A copy on a device, in a dtype, or both; this module stays as it is.

        Args:
            device: for all tensors; or a dtype; or a tensor, for its device and dtype.
            dtype: for all floating-point tensors, buffers too.
            non_blocking: PyTorch's, and changes nothing.

        Raises:
            ArgumentError: the dtype is no floating-point one.

        Example:
            >>> model = model.to("cuda:0", slope.bfloat16)
        """
        del non_blocking
        if isinstance(device, slope.Tensor):
            device, dtype = device.device, device.dtype
        if isinstance(device, slope.DType):
            device, dtype = None, device
        return moved(self, dtype, device)

    def summary(self, *inputs: Any, **options: Any) -> Summary:
        """What each module takes and gives, holds and costs, when called with these inputs.

        ``print`` shows it as plain text, ``rich.print`` as a table. Nothing is run.

        Args:
            inputs: tensors or arrays, as for calling the module.
            options: likewise.
        """
        return summarize(self, inputs, options)

    # --- tied tensors

    def tie(self, target: str, source: str) -> None:
        """Make one tensor stand at two places: from now on ``target`` is what ``source`` is.

        Of two modules all parameters are tied, each to its namesake, and buffers stay apart. A tied
        tensor is kept in this module's structure once, at ``source``: gradients of both uses
        add up there, optimizers update it once, and state dicts name it once. A part that holds
        ``target`` has a tensor of its own again where it is used without this module.

        Args:
            target: dotted name of a tensor or module in this one, such as ``"head.weight"``.
            source: dotted name of another of the same shape and dtype (or of a module with the same
                parameters), such as ``"embed.weight"``.

        Raises:
            TreeError: there is no such tensor or module, or the modules' parameters differ.
            ShapeError: the two differ in shape or dtype.
        """
        goal, origin = tuple(target.split(".")), tuple(source.split("."))
        known = dict(self._ties)
        origin = known.get(origin, origin)
        old, new = step_along(self, goal), step_along(self, origin)
        if goal == origin:
            raise TreeError(f"tie(): {target!r} and {source!r} are the same place.")
        if all(isinstance(each, Module) for each in (old, new)):
            for name in _same_names(target, old, source, new):
                self.tie(f"{target}.{name}", f"{source}.{name}")
            return
        for name, value in ((target, old), (source, new)):
            if not isinstance(value, slope.Tensor):
                raise TreeError(
                    f"tie() takes names of two tensors or of two modules, and {name!r} is a "
                    f"{type(value).__name__}."
                )
        if old.type != new.type:
            raise ShapeError(
                f"tie(): {target!r} is {old.type} and {source!r} is {new.type}; they must be one."
            )
        retied = {to: origin if via == goal else via for to, via in known.items()}
        self._ties = tuple({**retied, goal: origin}.items())
        for place, origin in self._ties:
            _assign(self, place, step_along(self, origin))

    # --- state

    def state_dict(self, *, prefix: str = "") -> dict[str, slope.Tensor]:
        """Dotted names and tensors of all parameters and buffers; tied ones by their source.

        Args:
            prefix: stands before the names, as it is.
        """
        return {prefix + ".".join(path): leaf for path, _, leaf in walk(self)}

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Self:
        """Take tensors from a state dict, in place.

        Args:
            state: tensors, NumPy arrays or PyTorch's tensors by dotted name. The names of tied
                tensors may be there, too, or in place of those that they are tied to.
            strict: whether names that are missing or not known are errors. Shapes and dtypes always
                must match.
            assign: PyTorch's, and changes nothing: tensors are taken as they are.

        Raises:
            TreeError: listing all that is missing, unexpected, of another shape or dtype, or tied
                in the module and different in ``state``. Nothing was changed.
        """
        del assign
        state = mapping(f"load_state_dict of {type(self).__qualname__}", "the state", state)
        leaves, structure = slope.tree_flatten(self)
        own = self.state_dict()
        tied = {".".join(target): ".".join(source) for target, source in _all_ties(self)}
        apart = _reconcile(state := dict(state), tied)
        missing = [name for name in own if name not in state] if strict else []
        unexpected = (
            [name for name in state if name not in own and name not in tied] if strict else []
        )
        given = {name: _as_tensor(state[name]) for name in own if name in state}
        wrong = [
            f"{name} is {tensor.type} instead of {own[name].type}"
            for name, tensor in given.items()
            if tensor.type != own[name].type
        ]
        found = {
            "missing": missing,
            "unexpected": unexpected,
            "of another shape or dtype": wrong,
            "tied here and different there": apart,
        }
        if any(found.values()):
            told = "; ".join(
                f"{what}: {', '.join(names)}" for what, names in found.items() if names
            )
            way_out = " Pass strict=False to load only the names that match." * bool(
                missing or unexpected
            )
            if any(tensor.dtype != own[name].dtype for name, tensor in given.items()):
                way_out += " Tensors of another dtype go into model.to(dtype)."
            raise TreeError(f"load_state_dict of {type(self).__qualname__}: {told}.{way_out}")
        values = [given.get(name, leaf) for name, leaf in zip(own, leaves, strict=True)]
        _adopt(self, slope.tree_unflatten(structure, values))
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state dict into a safetensors file, atomically; other libraries read it, too.

        Args:
            path: where to; the folder must exist.
        """
        write_safetensors(path, self.state_dict())

    def load(self, path: str | os.PathLike[str], strict: bool = True) -> Self:
        """Take over the tensors of a safetensors file or a folder of shards, in place.

        Args:
            path: a file, or a folder with ``model.safetensors`` or an index of shards.
            strict: also refuse missing and unexpected names.

        Raises:
            CheckpointError: the file is truncated or malformed.
            TreeError: as :meth:`load_state_dict`; nothing was changed.
        """
        return self.load_state_dict(read_safetensors(path), strict=strict)

    # --- showing

    def describe(self) -> str:
        """What ``repr`` shows before the modules below: static fields and own tensors.

        (``extra_repr``, as in PyTorch, will do as well.)
        """
        extra = getattr(self, "extra_repr", None)
        if extra is not None:
            return extra()
        plan = plan_of(self)
        static = [
            f"{name}={_short(value)}"
            for name, value in self.__dict__.items()
            if name not in plan.kinds and not name.startswith("_")
        ]
        own = [
            f"{name}={_shown(self.__dict__[name])}{'' if kind is PARAMETER else f' ({kind})'}"
            for name, kind in plan.kinds.items()
            if kind is not CHILDREN
        ]
        ties = [f"{'.'.join(target)} is {'.'.join(source)}" for target, source in self._ties]
        return ", ".join(static + own + ties)

    def __repr__(self) -> str:
        lines = [
            f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self.named_children()
        ]
        head = f"{type(self).__name__}({self.describe()}"
        return head + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")


def modules_of(value: Any, path: Path = ()) -> Iterator[tuple[Path, Module]]:
    """Paths and modules of all modules in a value, also of one object at several places."""
    if isinstance(value, Module):
        yield path, value
    for name, below in _nearest(value, path, enter=True).items():
        yield from modules_of(below, tuple(name.split(".")))


def _nearest(value: Any, path: Path, enter: bool = False) -> dict[str, Module]:
    """The modules in a value by dotted name; with ``enter``, those in the module itself."""
    if isinstance(value, Node):
        if not enter:
            return {".".join(path): value} if isinstance(value, Module) else {}
        kinds = plan_of(value).kinds
        inner = [(name, value.__dict__[name]) for name, kind in kinds.items() if kind is CHILDREN]
    else:
        inner = entries(value) or []
    found: dict[str, Module] = {}
    for name, item in inner:
        found.update(_nearest(item, (*path, name)))
    return found


def _same_names(target: str, old: Module, source: str, new: Module) -> list[str]:
    """The names of the parameters of two modules, which must be the same."""
    names, others = ([name for name, _ in each.named_parameters()] for each in (new, old))
    if names != others:
        raise TreeError(
            f"tie(): {target!r} has the parameters {', '.join(others) or 'none'} and {source!r} "
            f"has {', '.join(names) or 'none'}; they must be the same."
        )
    return names


def _all_ties(module: Module) -> Iterator[tuple[Path, Path]]:
    """The paths of tied tensors, each with that of the tensor that it is."""
    for path, each in modules_of(module):
        for target, source in each._ties:  # noqa: SLF001  # another module
            yield (*path, *target), (*path, *source)


def _reconcile(state: dict[str, Any], tied: dict[str, str]) -> list[str]:
    """Give tensors that only their ties' names have their own; which ties differ, for a message."""
    apart = []
    for target, source in tied.items():
        if target not in state:
            continue
        one, other = state[target], state.setdefault(source, state[target])
        if one is not other and not _equal(one, other):
            apart.append(f"{target} and {source}")
    return apart


def _equal(one: Any, other: Any) -> bool:
    first, second = (_as_tensor(each) for each in (one, other))
    return first.type == second.type and first.numpy().tobytes() == second.numpy().tobytes()


def _assign(value: Any, path: Path, leaf: Any) -> Any:
    """Put a leaf at a path, in place where there are modules; gives back the changed container."""
    if not path:
        return leaf
    old = step_along(value, path[:1])
    new = _assign(old, path[1:], leaf)
    if isinstance(value, Node):
        if new is not old:
            value.__dict__[path[0]] = new  # the same kind of value as before: no new plan
        return value
    return with_item(value, path[0], new)


def _adopt(old: Any, new: Any) -> Any:
    """Put the tensors of ``new`` into ``old``, keeping the identity of its modules."""
    if isinstance(old, Node):
        for name in plan_of(old).kinds:
            old.__dict__[name] = _adopt(old.__dict__[name], new.__dict__[name])
        return old
    inner = entries(old)
    if inner is None or not any(isinstance(item, Node) for _, item in inner):
        return new
    for name, item in inner:
        new = with_item(new, name, _adopt(item, step_along(new, (name,))))
    return new


def _as_tensor(value: Any) -> slope.Tensor:
    if isinstance(value, slope.Tensor):
        return value
    return slope.tensor(value if hasattr(value, "__dlpack__") else np.asarray(value))


def _short(value: Any) -> str:
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown(value: Any) -> str:
    if isinstance(value, slope.Tensor):
        return repr(value.type)
    inner = entries(value)
    if inner is None:
        return _short(value)
    return f"{type(value).__name__}({', '.join(_shown(item) for _, item in inner)})"
