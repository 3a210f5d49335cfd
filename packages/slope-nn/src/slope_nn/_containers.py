"""Modules made of other modules and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from slope.extend import ArgumentError, IndexingError
from slope_nn._checks import iterable, mapping
from slope_nn._module import Module


class Fn(Module):
    """A function as a module; it is static, and tensors that it holds are constants.

    Args:
        function: what to call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise ArgumentError(f"Fn takes a function, not {function!r}.")
        self.function = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function."""
        return self.function(*args, **options)


class _Row(Module):
    """What holds fields named "0", "1", ..., as PyTorch names them."""

    _holds: str = "module"

    def append(self, item: Any) -> Self:
        """Add one at the end, in place."""
        name = str(len(self))
        setattr(self, name, self._taken(name, item))
        return self

    def insert(self, place: int, item: Any) -> Self:
        """Put one before the one at a place, in place; those behind it move on."""
        items = list(self)
        items.insert(place, item)
        return self._refilled(items)

    def pop(self, place: int = -1) -> Any:
        """Take one out, in place; those behind it move up."""
        item = self[place]
        del self[place]
        return item

    def extend(self, items: Iterable[Any]) -> Self:
        """Add several at the end, in place."""
        for item in iterable(type(self).__name__, f"{self._holds}s", items):
            self.append(item)
        return self

    def _taken(self, name: str, item: Any) -> Any:
        """What is kept of an item, checked."""
        return item

    def _of(self, items: list[Any]) -> Any:
        """A row of some of the items."""
        raise NotImplementedError  # every row defines it

    def _refilled(self, items: list[Any]) -> Self:
        """This row with other items, in place."""
        for name in self._names():
            delattr(self, name)
        return self.extend(items)

    def _names(self) -> list[str]:
        return [name for name in self.__dict__ if name.isdigit()]

    def _name(self, place: int) -> str:
        names = self._names()
        try:
            return names[place]
        except IndexError:
            raise IndexingError(
                f"{type(self).__name__} of {len(names)} has no {self._holds} {place}."
            ) from None

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        return (self.__dict__[name] for name in self._names())

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return self._of(list(self)[place])
        return self.__dict__[self._name(place)]

    def __setitem__(self, place: int, item: Any) -> None:
        name = self._name(place)
        setattr(self, name, self._taken(name, item))

    def __delitem__(self, place: int | slice) -> None:
        items = list(self)
        if isinstance(place, int):
            self._name(place)  # refuses a place that is not there
        del items[place]
        self._refilled(items)

    def __add__(self, other: Iterable[Any]) -> Self:
        return self._of([*self, *other])

    def __contains__(self, item: object) -> bool:
        return any(item is each for each in self)


class Sequential(_Row):
    """Layers one after the other, named "0", "1", ... as in PyTorch, or by the names of a dict.

    Args:
        layers: modules or functions of one argument; or one dict of them.

    Example:
        >>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
        >>> model[0].weight.shape
        (100, 784)
        >>> named = nn.Sequential({"hidden": nn.Linear(784, 100), "out": nn.Linear(100, 10)})
        >>> named.out.weight.shape
        (10, 100)
    """

    _holds = "layer"

    def __init__(self, *layers: Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]]) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, layer in layers[0].items():
                _check_field(self, name, self._holds)
                setattr(self, name, self._taken(name, layer))
        else:
            self.extend(layers)

    def _names(self) -> list[str]:
        return [name for name, value in self.__dict__.items() if isinstance(value, Module)]

    def __call__(self, x: Any) -> Any:
        """Pass ``x`` through all layers."""
        for layer in self:
            x = layer(x)
        return x

    def __getitem__(self, place: int | slice) -> Any:
        names = self._names()
        if isinstance(place, slice) and not all(name.isdigit() for name in names):
            return Sequential({name: self.__dict__[name] for name in names[place]})
        return super().__getitem__(place)

    def _of(self, items: list[Any]) -> Sequential:
        return Sequential(*items)

    def _taken(self, name: str, item: Any) -> Module:
        if not callable(item):
            raise ArgumentError(
                f"Sequential: layer {name} is of type {type(item).__name__}, not callable. "
                f"Pass modules or functions, each an argument of its own."
            )
        return item if isinstance(item, Module) else Fn(item)


class ModuleList(_Row):
    """Modules in a row, to be called by hand; named "0", "1", ... as in PyTorch.

    Args:
        modules: the modules.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _of(self, items: list[Any]) -> ModuleList:
        return ModuleList(items)

    def _taken(self, name: str, item: Any) -> Module:
        return _checked_module("ModuleList", name, item)


class ParameterList(_Row):
    """Tensors in a row; named "0", "1", ... as in PyTorch.

    Args:
        values: the tensors.
    """

    _holds = "tensor"

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.extend(values)

    def _of(self, items: list[Any]) -> ParameterList:
        return ParameterList(items)


class _Names(Module):
    """What holds fields by names that the user gives."""

    _holds: str = "module"

    def update(self, items: Mapping[str, Any]) -> None:
        """Take in what another mapping holds, in place."""
        for name, item in mapping(type(self).__name__, f"{self._holds}s", items).items():
            self[name] = item

    def __setitem__(self, name: str, item: Any) -> None:
        _check_field(self, name, self._holds)
        setattr(self, name, item)

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise IndexingError(
                f"{type(self).__name__} has no {self._holds} {name!r}; it has "
                f"{', '.join(self) or 'none'}."
            )
        return self.__dict__[name]

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def pop(self, name: str) -> Any:
        """Take one out, in place."""
        item = self[name]
        delattr(self, name)
        return item

    def clear(self) -> None:
        """Take all out, in place."""
        for name in self.keys():
            self.pop(name)

    def get(self, name: str, default: Any = None) -> Any:
        """What has the name, or the default."""
        return self.__dict__[name] if name in self.keys() else default

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [name for name in self.__dict__ if name != "training" and name[0] != "_"]

    def values(self) -> list[Any]:
        """What is held, in order."""
        return [self.__dict__[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """The names with what they name."""
        return [(name, self.__dict__[name]) for name in self.keys()]


class ModuleDict(_Names):
    """Modules by name, to be called by hand.

    Args:
        modules: names and modules.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def __setitem__(self, name: str, item: Module) -> None:
        super().__setitem__(name, _checked_module("ModuleDict", name, item))


class ParameterDict(_Names):
    """Tensors by name.

    Args:
        parameters: names and tensors.
    """

    _holds = "tensor"

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        self.update(parameters or {})


def _check_field(owner: Module, name: Any, holds: str) -> None:
    """Refuse names that are no fields: the methods', dotted and private ones."""
    kind = type(owner)
    if not isinstance(name, str) or hasattr(kind, name) or name[:1] in ("", "_") or "." in name:
        raise ArgumentError(f"{kind.__name__}: {name!r} cannot name a {holds}; take another name.")


def _checked_module(who: str, name: str, module: Any) -> Module:
    if not isinstance(module, Module):
        raise ArgumentError(
            f"{who}: {name!r} is of type {type(module).__name__}, not a module; nn.Fn makes one of "
            "a function."
        )
    return module
