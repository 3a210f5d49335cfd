"""What a plugin can tell slope: the hooks, and the specs that they answer with.

A plugin is a module that a distribution names in its entry-point group ``slope``:

.. code-block:: toml

    [project.entry-points.slope]
    rotary = "slope_rotary.plugin"

The module says which version of this page it was written for, and implements some of the hooks::

    from slope.extend import OperatorSpec, hookimpl

    slope_api_version = 1


    @hookimpl
    def slope_operators():
        return [OperatorSpec(name="rotary", operator="slope_rotary.ops:rotary")]

It is imported as soon as slope needs any plugin, so it imports nothing heavy: specs name what they
offer as ``"module:attribute"``, and that module is imported when somebody uses it.

Every hook collects: each plugin is asked, each answers for itself, and none can hide another's
answer. Two plugins that offer one name make an error for whoever asks for that name, and for
nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pluggy

from slope.core.operator import Operator
from slope.errors import PluginError

API_VERSION: Final = 1
"""The version of the hooks and of ``slope.extend``. It grows when a plugin would have to change."""

GROUP: Final = "slope"
"""The entry-point group of plugins."""

hookimpl = pluggy.HookimplMarker(GROUP)
"""Marks a plugin's function as the implementation of the hook of the same name."""

_hookspec = pluggy.HookspecMarker(GROUP)
_TARGET = re.compile(r"[\w.]+:[\w.]+")
_SUFFIX = re.compile(r"\.[a-z0-9_]+")


def check_target(target: object, owner: str) -> None:
    """Refuse what is no ``"module:attribute"``.

    Raises:
        PluginError: names the owner and the target.
    """
    if not isinstance(target, str) or _TARGET.fullmatch(target) is None:
        raise PluginError(f"{owner} has the target {target!r}; write it as 'module:attribute'.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """A backend that a plugin offers.

    Attributes:
        name: What ``SLOPE_BACKEND`` and ``slope.set_backend`` select it by, in any case.
        target: ``"module:Class"`` of a class derived from :class:`slope.extend.Backend` with the
            same name; imported when the backend is selected.
        description: A few words for ``python -m slope info``.
        aliases: Other names that select it.
        priority: The backend of highest priority is the default. iree has 30, onnxruntime 20, numpy
            10; one with 0 is tried after these.
        requirement: The command that installs what it runs on, shown when its import fails.
        formats: The suffixes of the files, such as ``".onnx"``, that its ``export`` writes for
            :func:`slope.export`.
    """

    name: str
    target: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    priority: int = 0
    requirement: str = ""
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip().lower():
            raise PluginError(f"a backend is called {self.name!r}; use lower case and no spaces.")
        if isinstance(self.aliases, str):
            raise PluginError(f"the aliases of backend {self.name!r} are a string; write a tuple.")
        if isinstance(self.formats, str) or not all(map(_SUFFIX.fullmatch, self.formats)):
            raise PluginError(
                f"the formats of backend {self.name!r} are {self.formats!r}; write a tuple of "
                f"suffixes in lower case, such as ('.onnx',)."
            )
        check_target(self.target, f"the backend {self.name!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases, in lower case, each once."""
        return tuple(dict.fromkeys([self.name, *(alias.lower() for alias in self.aliases)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSpec:
    """An operator, or a function of tensors, that a plugin offers as ``slope.NAME``.

    Attributes:
        name: The operator's name, and what ``slope.NAME`` is called.
        operator: The operator, or ``"module:attribute"`` of it; None for a function that is made of
            existing operators.
        function: What ``slope.NAME`` is: a function which broadcasts and promotes its arguments and
            then calls the operator, or ``"module:attribute"`` of it. Default: the operator, which
            takes tensors of the right types only.
        method: Whether tensors have it as a method; the tensor is the first argument.
    """

    name: str
    operator: Operator | str | None = None
    function: Callable[..., Any] | str | None = None
    method: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name.startswith("_"):
            raise PluginError(f"an operator is called {self.name!r}, which slope.NAME cannot be.")
        if self.operator is None and self.function is None:
            raise PluginError(
                f"the spec of {self.name!r} holds neither an operator nor a function."
            )
        for target in (self.operator, self.function):
            if isinstance(target, str):
                check_target(target, f"the operator {self.name!r}")

    @classmethod
    def of(cls, offer: object) -> OperatorSpec:
        """The spec that an entry of ``slope_operators`` stands for.

        Args:
            offer: A spec, an operator, or ``"module:attribute"`` of an operator of that name.

        Raises:
            PluginError: It is none of these.
        """
        if isinstance(offer, OperatorSpec):
            return offer
        if isinstance(offer, Operator):
            return cls(name=offer.name, operator=offer)
        check_target(offer, "an entry of slope_operators() that is no operator and no OperatorSpec")
        assert isinstance(offer, str)
        return cls(name=offer.partition(":")[2], operator=offer)


@_hookspec
def slope_backends() -> Sequence[BackendSpec]:  # pyright: ignore[reportReturnType]  # plugins answer
    """The backends that this plugin offers.

    Parameters: none.

    Returns:
        One :class:`BackendSpec` for each. Its class is imported when the backend is selected.

    .. versionadded:: 0.1 (API version 1)
    """


@_hookspec
def slope_operators() -> Sequence[OperatorSpec | Operator | str]:  # pyright: ignore[reportReturnType]  # plugins answer
    """The operators and functions that this plugin offers as ``slope.NAME`` and as tensor methods.

    Parameters: none.

    Returns:
        One :class:`OperatorSpec` for each. An operator ``op`` alone stands for
        ``OperatorSpec(name=op.name, operator=op)``, and a string ``"module:attribute"`` for
        ``OperatorSpec(name="attribute", operator="module:attribute")``.

    .. versionadded:: 0.1 (API version 1)
    """


@_hookspec
def slope_lowerings(backend: str) -> Mapping[str, Callable[..., Any] | str]:  # pyright: ignore[reportReturnType]  # plugins answer
    """Lowering rules that this plugin adds to a backend, its own or another's.

    Asked once for each backend, when the backend is made.

    Parameters:
        backend: The backend's name, for instance ``"numpy"``. Answer ``{}`` for those you do not
            know. (An argument with a default is never passed: write it without.)

    Returns:
        Operator name to rule. What arguments a rule takes, the backend's own documentation says. A
        string ``"module:attribute"`` is imported when the rule is first used. It goes before the
        backend's own rule for that operator; two plugins' rules for one operator are an error when
        they are used.

    .. versionadded:: 0.1 (API version 1)
    """
