"""Modules made of other modules and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, overload

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


class Sequential(Module):
    """Layers one after the other, named "0", "1", ... as in PyTorch.

    Args:
        layers: modules or functions of one argument.

    Example:
        >>> model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
        >>> model[0].weight.shape
        (100, 784)
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for place, layer in enumerate(layers):
            if not callable(layer):
                raise ArgumentError(
                    f"Sequential: layer {place} is of type {type(layer).__name__}, not callable. "
                    f"Pass modules or functions, each an argument of its own."
                )
            setattr(self, str(place), layer if isinstance(layer, Module) else Fn(layer))

    def __call__(self, x: Any) -> Any:
        """Pass ``x`` through all layers."""
        for layer in self:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self.__dict__)

    def __iter__(self) -> Iterator[Any]:
        return (layer for name, layer in self.__dict__.items() if name.isdigit())

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequential: ...
    def __getitem__(self, place: int | slice) -> Any:
        layers = list(self)
        if isinstance(place, slice):
            return Sequential(*layers[place])
        try:
            return layers[place]
        except IndexError:
            raise IndexingError(
                f"Sequential of {len(layers)} layers has no layer {place}."
            ) from None


class ModuleList(Module):
    """Modules in a row, to be called by hand; named "0", "1", ... as in PyTorch.

    Args:
        modules: the modules.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in iterable("ModuleList", "modules", modules):
            self.append(module)

    def append(self, module: Module) -> None:
        """Add a module at the end, in place."""
        _check_module("ModuleList", str(len(self)), module)
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self.__dict__)

    def __iter__(self) -> Iterator[Any]:
        return (module for name, module in self.__dict__.items() if name.isdigit())

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> ModuleList: ...
    def __getitem__(self, place: int | slice) -> Any:
        modules = list(self)
        if isinstance(place, slice):
            return ModuleList(modules[place])
        try:
            return modules[place]
        except IndexError:
            raise IndexingError(f"ModuleList of {len(modules)} has no module {place}.") from None


class ModuleDict(Module):
    """Modules by name, to be called by hand.

    Args:
        modules: names and modules.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        for name, module in mapping("ModuleDict", "modules", modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        _check_module("ModuleDict", name, module)
        if hasattr(type(self), name) or not name or "." in name or name.startswith("_"):
            raise ArgumentError(f"ModuleDict: {name!r} cannot name a module; take another name.")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Any:
        if name not in self.children:
            raise IndexingError(
                f"ModuleDict has no module {name!r}; it has {', '.join(self) or 'none'}."
            )
        return self.__dict__[name]

    def __len__(self) -> int:
        return len(self.children)

    def __iter__(self) -> Iterator[str]:
        return iter(self.children)

    def __contains__(self, name: object) -> bool:
        return name in self.children

    def keys(self) -> list[str]:
        """The names."""
        return list(self.children)

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children.values())

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.children.items())


class ParameterList(Module):
    """Tensors in a row; named "0", "1", ... as in PyTorch.

    Args:
        values: the tensors.
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        for value in values:
            self.append(value)

    def append(self, value: Any) -> None:
        """Add a tensor at the end, in place."""
        setattr(self, str(len(self)), value)

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self.__dict__)

    def __iter__(self) -> Iterator[Any]:
        return (value for name, value in self.__dict__.items() if name.isdigit())

    def __getitem__(self, place: int) -> Any:
        try:
            return list(self)[place]
        except IndexError:
            raise IndexingError(f"ParameterList of {len(self)} has no tensor {place}.") from None


class ParameterDict(Module):
    """Tensors by name.

    Args:
        parameters: names and tensors.
    """

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        for name, value in (parameters or {}).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name) or not name or "." in name or name.startswith("_"):
            raise ArgumentError(f"ParameterDict: {name!r} cannot name a tensor; take another name.")
        setattr(self, name, value)

    def __getitem__(self, name: str) -> Any:
        if name not in self.__dict__:
            raise IndexingError(
                f"ParameterDict has no tensor {name!r}; it has {', '.join(self) or 'none'}."
            )
        return self.__dict__[name]

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [name for name in self.__dict__ if name != "training"]

    def values(self) -> list[Any]:
        """The tensors."""
        return [self.__dict__[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Names and tensors."""
        return [(name, self.__dict__[name]) for name in self.keys()]


def _check_module(who: str, name: str, module: Any) -> None:
    if not isinstance(module, Module):
        raise ArgumentError(
            f"{who}: {name!r} is of type {type(module).__name__}, not a module; nn.Fn makes one of "
            "a function."
        )
