"""Which backend computes: chosen by name, made once, asked for at every call.

The first of these decides: ``use_backend`` around the call, ``set_backend``, the environment
variable ``SLOPE_BACKEND``, and else the default, which is the installed backend of highest
priority: iree, then onnxruntime, then numpy.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slope.core.locks import open_after_fork
from slope.errors import BackendError, PluginError, boundary
from slope.plugins.backend import Backend
from slope.plugins.contributions import extra_lowerings
from slope.plugins.manager import MANAGER, Claim, log, only, refuse_failed

if TYPE_CHECKING:
    from slope.plugins.loading import Plugin

KNOWN: Final = {
    "iree": "pip install slope-backend-iree",
    "onnxruntime": 'pip install "slope-backend-onnx[cpu]"',
    "numpy": "pip install slope-backend-numpy",
}
"""The backends that slope's own distributions offer, and the commands that install them."""

KNOWN_ALIASES: Final = {"onnx": "onnxruntime"}


class _Origin(NamedTuple):
    """Whose a backend is, and the lowering rules that it came with."""

    claim: Claim
    rules: dict[str, Callable[..., Any]]


_lock = open_after_fork(threading.RLock())
_made: dict[str, Backend] = {}
_origins: dict[str, _Origin] = {}
_override: ContextVar[Backend | None] = ContextVar("slope_backend", default=None)
_selected: Backend | None = None
_selected_by = ""


def current_backend() -> Backend:
    """The backend that computes here and now.

    Raises:
        BackendError: None is installed, or the one that ``SLOPE_BACKEND`` names cannot be used.
        PluginError: Two distributions offer the one that ``SLOPE_BACKEND`` names.
    """
    chosen = _override.get()
    if chosen is not None:
        return chosen
    return _selected if _selected is not None else _choose()


@boundary
def backend(name: str | None = None) -> Backend:
    """The backend of that name, made once in a process; without a name, the current one.

    Args:
        name: A name or an alias, in any case: ``"iree"``, ``"onnxruntime"`` or ``"onnx"``,
            ``"numpy"``.

    Raises:
        BackendError: It is not installed (lists those that are), or it cannot be used.
        PluginError: Two distributions offer it.
    """
    if name is None:
        return current_backend()
    if not isinstance(name, str):
        raise BackendError(
            f"a backend is chosen by its name, such as 'numpy', and {name!r:.80} is no string."
        )
    made = _made.get(name)
    return made if made is not None else _make(_find(name))


@boundary
def set_backend(name: str | None) -> None:
    """Have a backend compute everything from here on, in all threads.

    Inside ``with slope.use_backend(...)``, that one still goes first.

    Args:
        name: As for :func:`backend`. None goes back to ``SLOPE_BACKEND``, or else to the default.

    Raises:
        BackendError: It is not installed, or cannot be used; what was selected stays.
        PluginError: Two distributions offer it.
    """
    if name is None:
        _select(None, "")
    else:
        _select(backend(name), "slope.set_backend")


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Have a backend compute inside a ``with`` block, in this thread or task.

    As a decorator, it does so inside a function.

    Args:
        name: As for :func:`backend`.

    Raises:
        BackendError: It is not installed, or cannot be used.
        PluginError: Two distributions offer it.

    Example:
        >>> with slope.use_backend("numpy"):  # doctest: +SKIP
        ...     y = f(x)
    """
    token = _override.set(backend(name))
    try:
        yield current_backend()
    finally:
        _override.reset(token)


def selected_by() -> str:
    """What chose the current backend: a function's name, ``SLOPE_BACKEND`` or ``"default"``."""
    return "slope.use_backend" if _override.get() is not None else _selected_by


def _select(chosen: Backend | None, by: str) -> None:
    global _selected, _selected_by
    with _lock:
        _selected, _selected_by = chosen, by


def _choose() -> Backend:
    with _lock:
        if _selected is not None:
            return _selected
        named = os.environ.get("SLOPE_BACKEND", "").strip()
        if named:
            try:
                chosen = backend(named)
            except BackendError as error:
                raise BackendError(f"SLOPE_BACKEND={named}: {error}") from error.__cause__
            _select(chosen, "SLOPE_BACKEND")
            return chosen
        chosen = _default()
        _select(chosen, "default")
        return chosen


def installed() -> tuple[str, ...]:
    """The names of the installed backends, the preferred one first."""
    return MANAGER.snapshot().preferred


def _default() -> Backend:
    names = installed()
    if not names:
        raise BackendError(_nothing_installed())
    failures: list[str] = []
    for name, following in zip(names, [*names[1:], None], strict=True):
        try:
            return backend(name)
        except (BackendError, PluginError) as error:
            failures.append(f"{name}: {error}")
            if following is not None:
                log("the default backend %s cannot be used, trying %s: %s", name, following, error)
    raise BackendError("none of the installed backends can be used.\n  " + "\n  ".join(failures))


def _nothing_installed() -> str:
    return (
        "slope has no backend to compute with. Install one: "
        + ", or ".join(f"{command}" for command in reversed(KNOWN.values()))
        + _idle_plugins()
    )


def _find(name: str) -> Claim:
    key = name.strip().lower()
    claims = MANAGER.snapshot().backends.get(key)
    if claims is not None:
        return only(claims, f"the backend {key!r}")
    canonical = KNOWN_ALIASES.get(key, key)
    refuse_failed(canonical)
    raise BackendError(_unknown(name, canonical))


def _unknown(name: str, canonical: str) -> str:
    """The text of the error for a backend that nobody offers."""
    names = installed()
    have = f"{', '.join(names) or 'no backend'} {'are' if len(names) > 1 else 'is'} installed"
    for plugin in MANAGER.snapshot().plugins:
        if plugin.state == "disabled" and plugin.name.lower() == canonical:
            setting = os.environ.get("SLOPE_DISABLE_PLUGINS")
            return (
                f"the backend {name!r} is kept out: SLOPE_DISABLE_PLUGINS={setting} disables the "
                f"plugin {plugin}; {have} and enabled."
            )
    if canonical in KNOWN:
        return (
            f"the backend {name!r} is not installed; {have}. To install it: {KNOWN[canonical]}"
            f"{_idle_plugins()}"
        )
    others = "; ".join(f"{known}: {KNOWN[known]}" for known in KNOWN if known not in names)
    more = f" To install another: {others}" if others else ""
    return f"there is no backend {name!r}; {have}.{more}{_idle_plugins()}"


def _idle_plugins() -> str:
    """A sentence on the plugins that might have offered more."""
    idle = [p for p in MANAGER.snapshot().plugins if p.hooks is None]
    told = [f"{p}: {p.state}, {p.reason}" for p in idle]
    return f" (plugins that are not loaded: {'; '.join(told)})" if told else ""


# --- making


def _make(claim: Claim) -> Backend:
    plugin, spec = claim
    made = _made.get(spec.name)
    if made is not None:
        return made
    with _lock:
        if spec.name not in _made:
            made = _instantiate(plugin, spec)
            _origins[spec.name] = _Origin(claim, dict(made.lowerings))
            _add_lowerings(made)
            _made[spec.name] = made
        return _made[spec.name]


def _instantiate(plugin: Plugin, spec: Any) -> Backend:
    import pkgutil

    try:
        made = pkgutil.resolve_name(spec.target)()
    except (Exception, SystemExit) as error:
        cause = (
            str(error) if isinstance(error, BackendError) else f"{type(error).__name__}: {error}"
        )
        missing = isinstance(error, ImportError) and spec.requirement
        remedy = f" To install what it needs: {spec.requirement}" if missing else ""
        raise BackendError(
            f"the backend {spec.name!r} of the plugin {plugin} cannot be used: {cause}.{remedy}"
        ) from error
    if not isinstance(made, Backend) or made.name != spec.name:
        called = f"called {made.name!r}" if isinstance(made, Backend) else "no backend"
        raise PluginError(
            f"plugin {plugin} offers {spec.target!r} as the backend {spec.name!r}, and it made "
            f"{type(made).__name__}, which is {called}; derive it from slope.extend.Backend and "
            f"give it name = {spec.name!r}."
        )
    if not hasattr(made, "lowerings"):
        raise PluginError(
            f"plugin {plugin}: {type(made).__name__}.__init__, of the backend {spec.name!r}, does "
            f"not call super().__init__()."
        )
    for attribute, allowed in _ALLOWED.items():
        if (value := getattr(made, attribute)) not in allowed:
            raise PluginError(
                f"plugin {plugin}: {type(made).__name__}.{attribute} is {value!r}, and must be one "
                f"of {', '.join(map(repr, allowed))}."
            )
    made.origin = str(plugin)
    return made


_ALLOWED: Final = {"eager": ("compile", "numpy"), "layout": (None, "NCHW", "NHWC")}


def _add_lowerings(made: Backend) -> None:
    made.lowerings = dict(_origins[made.name].rules)  # anew: rules of plugins that went must go
    for name in (*reversed(made.rules_of), made.name):
        made.add_lowerings(extra_lowerings(name, made.lowered))


def _plugins_changed() -> None:
    """Have the backends that were made follow suit when a plugin came or went in process."""
    claims = MANAGER.snapshot().backends
    with _lock:
        for name, made in list(_made.items()):
            if any(claim.spec is _origins[name].claim.spec for claim in claims.get(name, ())):
                _add_lowerings(made)
                continue
            del _made[name], _origins[name]
            if _selected is made:
                _select(None, "")


MANAGER.on_change(_plugins_changed)
