"""What to write instead of a name that slope does not have: of PyTorch's, JAX's, or its own old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from slope.core.tensor import Tensor
from slope.errors import RenamedError
from slope.plugins.contributions import find_function, tensor_attribute

_INPLACE: Final = "tensors are immutable, and methods return new ones"


def no_compile(*_args: object, **_options: object) -> NoReturn:
    """What ``slope.compile`` is, as long as somebody might take it for PyTorch's.

    Raises:
        RenamedError: always.
    """
    raise RenamedError("slope has no 'compile': use slope.jit(f).")


def check_name(name: str, has: Callable[[str], bool]) -> None:
    """Refuse an old name, or one of PyTorch's or JAX's, that no plugin has taken.

    Args:
        name: what was asked of ``slope``.
        has: whether slope has a function of a name.

    Raises:
        RenamedError: it says what to write instead.
    """
    if name.startswith("_") or find_function(name) is not None:
        return
    from slope.names_elsewhere import NOT_HERE, RENAMED

    if name in RENAMED:
        raise RenamedError(f"slope.{name} is now slope.{RENAMED[name]}.")
    way = NOT_HERE.get(name)
    if way is None and name.endswith("_"):
        plain = RENAMED.get(name[:-1], name[:-1])
        way = f"{_INPLACE}; use x = slope.{plain}(x)" if has(plain) else None
    if way is not None:
        raise RenamedError(f"slope has no {name!r}: {way}.")


def _refused(name: str) -> property:
    """A field that PyTorch's tensors have: reading and assigning it say what to write instead."""

    def read(tensor: Tensor) -> Any:
        return method(tensor, name)

    def assign(tensor: Tensor, _value: object) -> None:
        method(tensor, name)

    return property(read, assign)


def refuse_fields() -> None:
    """Have tensors explain what to write instead of assigning fields that they lack."""
    for name in ("data", "grad", "requires_grad"):
        setattr(Tensor, name, _refused(name))


def method(tensor: Tensor, name: str) -> Any:
    """``Tensor.__getattr__``: a plugin's method, or what to write instead.

    Raises:
        AttributeError: there is no such method.
    """
    if name.startswith("_") or find_function(name) is not None:
        return tensor_attribute(tensor, name)
    from slope.names_elsewhere import METHODS_NOT_HERE, RENAMED

    new = RENAMED.get(name)
    if new is not None and hasattr(Tensor, new):
        raise RenamedError(f"the method {name!r} of tensors is now {new!r}: x.{new}(...).")
    way = METHODS_NOT_HERE.get(name)
    if way is None and name.endswith("_"):
        plain = RENAMED.get(name[:-1], name[:-1])
        if hasattr(Tensor, plain):
            way = f"{_INPLACE}; write x = x.{plain}(...), or x.at[index].set(value) for a part"
    if way is not None:
        raise RenamedError(f"tensors have no {name!r}: {way}.")
    return tensor_attribute(tensor, name)
