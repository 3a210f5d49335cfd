"""Operators, functions and lowering rules of plugins, each imported when it is first used."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, NoReturn

from slope.core.locks import open_after_fork
from slope.core.operator import OPERATORS, Operator, register
from slope.core.program import result_types
from slope.core.types import TensorType
from slope.errors import PluginError, SlopeError
from slope.plugins.manager import MANAGER, Claim, clash, only, refuse_failed

if TYPE_CHECKING:
    from slope.core.tensor import Tensor
    from slope.plugins.loading import Plugin

Rule = Callable[..., Any]

_lock = open_after_fork(threading.RLock())
_resolved: dict[str, Any] = {}
_registered: dict[str, Operator] = {}


def _forget() -> None:
    """Forget what is offered no longer, or by two plugins now."""
    offers = MANAGER.snapshot().operators
    with _lock:
        for name in [name for name in _resolved if len(offers.get(name, ())) != 1]:
            del _resolved[name]
        for name in [name for name in _registered if name not in offers]:
            op = _registered.pop(name)
            if OPERATORS.get(name) is op:
                del OPERATORS[name]


MANAGER.on_change(_forget)


def resolve(target: str, plugin: Plugin) -> Any:
    """What ``"module:attribute"`` names.

    Raises:
        PluginError: The import failed; names the plugin and gives the cause.
    """
    import pkgutil

    try:
        return pkgutil.resolve_name(target)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin {plugin} offers {target!r}, which cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error


def _claim(name: str) -> Claim | None:
    claims = MANAGER.snapshot().operators.get(name)
    if claims is not None:
        return only(claims, f"the operator {name!r}")
    refuse_failed(name)
    return None


def find_operator(name: str) -> Operator | None:
    """The operator that a plugin offers under a name; None if there is none.

    It is registered with the core, so that programs and lowerings know it by name.

    Raises:
        PluginError: Two plugins offer it, it cannot be imported, or it is no operator of that name.
    """
    claim = _claim(name)
    if claim is None or claim.spec.operator is None:
        return None
    plugin, spec = claim
    op = spec.operator
    if isinstance(op, str):
        op = resolve(op, plugin)
    if not isinstance(op, Operator):
        raise PluginError(
            f"plugin {plugin} offers {spec.operator!r} as the operator {name!r}, and it is "
            f"{type(op).__name__}, not an instance of a class derived from slope.extend.Operator."
        )
    if op.name != name:
        raise PluginError(
            f"plugin {plugin} offers the operator {op.name!r} under the name {name!r}; "
            f"give both the same name."
        )
    if OPERATORS.get(name) is not op:
        _registered[name] = register(op, str(plugin))
    return op


def find_function(name: str) -> Any:
    """What a plugin offers as ``slope.NAME``; None if there is none.

    Raises:
        PluginError: Two plugins offer it, or it cannot be imported.
    """
    known = _resolved.get(name)
    if known is not None:
        return known
    with _lock:
        claim = _claim(name)
        if claim is None:
            return None
        op = find_operator(name)
        function = claim.spec.function
        if isinstance(function, str):
            function = resolve(function, claim.plugin)
        _resolved[name] = function if function is not None else op
        return _resolved[name]


def offered() -> list[str]:
    """The names under which plugins offer operators and functions; none is imported."""
    return list(MANAGER.snapshot().operators)


def tensor_names(self: Tensor) -> list[str]:
    """``Tensor.__dir__``: its own attributes, and the methods that plugins offer."""
    offers = MANAGER.snapshot().operators
    methods = [name for name, claims in offers.items() if claims[0].spec.method]
    return sorted({*object.__dir__(self), *methods})


def module_attribute(name: str) -> Any:
    """``slope.NAME`` for what plugins offer: the tail of ``slope.__getattr__``.

    Raises:
        AttributeError: No plugin offers it.
        PluginError: Two plugins offer it, or it cannot be imported.
    """
    # Tools ask modules and objects for __path__, __wrapped__, _repr_html_: no reason to load any.
    value = None if name.startswith("_") else find_function(name)
    if value is None:
        raise AttributeError(f"module 'slope' has no attribute {name!r}{_failures(name)}")
    return value


def tensor_attribute(tensor: Tensor, name: str) -> Any:
    """A method of tensors that a plugin offers: ``Tensor.__getattr__``, called on a miss alone.

    Raises:
        AttributeError: No plugin offers it.
        PluginError: Two plugins offer it, or it cannot be imported.
    """
    if not name.startswith("_"):
        claim = _claim(name)
        if claim is not None and claim.spec.method:
            return MethodType(find_function(name), tensor)
    kind = type(tensor).__name__
    raise AttributeError(f"{kind!r} object has no attribute {name!r}{_failures(name)}")


def _failures(name: str) -> str:
    if name.startswith("_"):
        return ""
    failed = [str(p) for p in MANAGER.snapshot().plugins if p.hooks is None and p.state == "failed"]
    if not failed:
        return ""
    return f" (plugins that failed to load: {', '.join(failed)}; see python -m slope info)"


# --- lowerings


def extra_lowerings(backend: str, kinds: tuple[type, ...] = ()) -> dict[str, Rule]:
    """The rules that plugins add to a backend's own, or put in place of them.

    Where two plugins claim one operator, the rule here raises the error that names both: only
    programs with that operator are stopped.

    Args:
        backend: The name that plugins are asked for.
        kinds: The backend's :attr:`Backend.lowered`.
    """
    rules: dict[str, Rule] = {}
    origin: dict[str, Plugin] = {}
    for plugin, answer in MANAGER.answers("slope_lowerings", backend=backend):
        try:
            offered = _checked(answer, backend)
        except PluginError as error:
            MANAGER.note_failure(plugin, error, "in slope_lowerings: ")
            continue
        for name, rule in offered.items():
            if name in origin:
                what = f"the lowering of operator {name!r} for the backend {backend!r}"
                rules[name] = functools.partial(_refuse, clash(what, origin[name], plugin))
                continue
            origin[name] = plugin
            rules[name] = _Foreign(rule, plugin, name, backend, kinds)
    return rules


def _checked(answer: object, backend: str) -> Mapping[str, Rule | str]:
    from slope.plugins.hookspecs import check_target

    if not isinstance(answer, Mapping):
        raise PluginError(f"it returned {answer!r:.80}; return a dict of operator name to rule.")
    for name, rule in answer.items():
        if not callable(rule):
            check_target(rule, f"the rule of operator {name!r} for the backend {backend!r}")
    return answer


def _refuse(message: str, /, *args: object, **params: object) -> NoReturn:
    raise PluginError(message)


class _Foreign:
    """A plugin's lowering rule: imported when it is first used, and named where it fails."""

    def __init__(
        self, rule: Rule | str, plugin: Plugin, name: str, backend: str, kinds: tuple[type, ...]
    ) -> None:
        self._rule = rule
        self._plugin = plugin
        self._name = name
        self._backend = backend
        self._kinds = kinds

    def __str__(self) -> str:
        return (
            f"the lowering of {self._name!r} for {self._backend!r}, which comes from the plugin "
            f"{self._plugin}"
        )

    def __call__(self, *args: Any, **params: Any) -> Any:
        if isinstance(self._rule, str):
            self._rule = resolve(self._rule, self._plugin)
        try:
            given = self._rule(*args, **params)
        except SlopeError as error:
            error.add_note(f"in {self}")
            raise
        except Exception as error:
            raise PluginError(f"{self}, failed: {type(error).__name__}: {error}") from error
        if self._kinds:
            self._check(given, args, params)
        return given

    def _check(self, given: Any, args: tuple[Any, ...], params: dict[str, Any]) -> None:
        """Refuse what cannot be the operator's results.

        Args:
            given: what the rule returned.
            args: what it was called with: among other things the operands, whose kinds are those of
                results, and which may tell their types.
            params: the operator's.

        Raises:
            PluginError: it is of another kind or number, or of other types.
        """
        op = OPERATORS.get(self._name) or find_operator(self._name)
        if op is None:  # nobody offers it: it was made in the user's own code
            return
        many = op.multiple and isinstance(given, (tuple, list))
        results = tuple(given) if many else (given,)
        operands = [_type_of(arg) for arg in args if isinstance(arg, self._kinds)]
        types: Sequence[TensorType | None] = [None] * len(results)
        if operands and None not in operands:
            types = result_types(op, operands, params)  # pyright: ignore[reportArgumentType]  # just asked
        kinds = " or ".join(kind.__name__ for kind in self._kinds)
        number = len(types) if types and types[0] else "all"
        due = f"a tuple of {number} results, each a {kinds}" if op.multiple else f"a {kinds}"
        if len(results) != len(types) or many != op.multiple:
            raise PluginError(f"{self}, returned {given!r:.80}; return {due}.")
        for result, wanted in zip(results, types, strict=True):
            if not isinstance(result, self._kinds):
                raise PluginError(f"{self}, returned {given!r:.80}; return {due}.")
            found = _type_of(result)
            if None not in (found, wanted) and found != wanted:
                raise PluginError(f"{self}, returned a result {found}; the operator's is {wanted}.")


def _type_of(value: Any) -> TensorType | None:
    """The type that a backend's value tells, if it does."""
    found = getattr(value, "type", None)
    return found if isinstance(found, TensorType) else None
