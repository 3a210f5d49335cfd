"""Modules made of other modules and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, overload

from slope.extend import ArgumentError, IndexingError
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
