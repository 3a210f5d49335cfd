"""Holds the plugins of the process: found on first need, and what they offer by name.

Importing this module loads neither pluggy, nor ``importlib.metadata``, nor what finds plugins:
``import slope`` pays for no plugin.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slope.core.locks import open_after_fork
from slope.errors import PluginError, boundary

if TYPE_CHECKING:
    from slope.plugins.loading import Plugin


class Claim(NamedTuple):
    """A plugin's offer of something under a name."""

    plugin: Plugin
    spec: Any


Claims = Mapping[str, tuple[Claim, ...]]


class Snapshot(NamedTuple):
    """What all plugins offer; made once, replaced whole when one is registered in process."""

    plugins: tuple[Plugin, ...]
    backends: Claims
    operators: Claims
    preferred: tuple[str, ...]  # the backends' names, by priority


class PluginManager:
    """Holds the plugins of a process. Threads may use it at once."""

    def __init__(self) -> None:
        self._lock = open_after_fork(threading.RLock())
        self._loading = False
        self._plugins: tuple[Plugin, ...] | None = None
        self._snapshot: Snapshot | None = None
        self._on_change: list[Callable[[], None]] = []

    def snapshot(self) -> Snapshot:
        """What all plugins offer. The first call finds and loads them.

        Raises:
            PluginError: A plugin's module asked for plugins while it was being loaded.
        """
        return self._snapshot or self._load()

    def _load(self) -> Snapshot:
        from slope.plugins.loading import discover

        with self._lock:
            if self._snapshot is None:
                if self._loading:
                    raise PluginError(
                        "a plugin's module computes with slope, or asks for its plugins, while it "
                        "is being imported; move that into a function, or into the modules that "
                        "its specs name."
                    )
                self._loading = True
                try:
                    self._plugins = tuple(discover())
                finally:
                    self._loading = False
                self._rebuild()
            assert self._snapshot is not None
            return self._snapshot

    def _rebuild(self) -> None:
        plugins = self._plugins or ()
        backends = _claims((p, s, names) for p in plugins for s in p.backends for names in s.names)
        operators = _claims((p, s, s.name) for p in plugins for s in p.operators)
        specs = {spec.name: spec for plugin in plugins for spec in plugin.backends}
        preferred = sorted(specs, key=lambda name: (-specs[name].priority, name))
        self._snapshot = Snapshot(plugins, backends, operators, tuple(preferred))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called after a plugin was registered or unregistered in process."""
        self._on_change.append(callback)

    def register(self, plugin: object, name: str) -> Plugin:
        """Add a plugin that no entry point names. See :func:`register_plugin`."""
        from slope.plugins.loading import registered

        with self._lock:
            known = self.snapshot().plugins
            for other in known:
                if other.name == name:
                    raise PluginError(
                        f"there is a plugin {other} already; register this one under another name."
                    )
            record = registered(plugin, name)
            self._plugins = (*known, record)
            self._rebuild()
        self._changed()
        return record

    def unregister(self, name: str) -> None:
        """Take out a plugin that was registered in process. See :func:`unregister_plugin`."""
        with self._lock:
            known = self.snapshot().plugins
            kept = tuple(p for p in known if p.name != name or not p.in_process)
            if len(kept) == len(known):
                names = ", ".join(p.name for p in known if p.in_process) or "none"
                raise PluginError(
                    f"no plugin {name!r} was registered in this process (registered: {names}); "
                    f"to keep an installed one out, set SLOPE_DISABLE_PLUGINS={name}."
                )
            self._plugins = kept
            self._rebuild()
        self._changed()

    def _changed(self) -> None:
        for callback in self._on_change:
            callback()

    def answers(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """What each plugin's implementation of a hook answers, in load order.

        One that raises is recorded as failed, and logged; the others still answer.
        """
        for plugin in self.snapshot().plugins:
            if plugin.hooks is None:
                continue
            try:
                results = getattr(plugin.hooks, hook)(**arguments)
            except Exception as error:  # noqa: BLE001  # whatever a plugin raises, it is recorded
                self.note_failure(plugin, error, f"in {hook}: ")
                continue
            for result in results:
                yield plugin, result

    def note_failure(self, plugin: Plugin, error: BaseException, doing: str) -> None:
        """Record, and log, that a loaded plugin failed at something; what it offers stays."""
        record = plugin.failed(error, doing)
        with self._lock:
            plugins = self.snapshot().plugins
            which = plugin.name, plugin.distribution
            self._plugins = tuple(
                record if (p.name, p.distribution) == which else p for p in plugins
            )
            self._rebuild()
        log("the plugin %s failed %s", plugin, record.reason)


def log(message: str, *values: object) -> None:
    """Write one warning line to slope's logger; the logging module is imported when needed."""
    import logging

    logging.getLogger("slope").warning(message, *values)


def only(claims: tuple[Claim, ...], what: str) -> Claim:
    """The one offer of a name.

    Raises:
        PluginError: Several plugins offer it; names their distributions.
    """
    first, *others = claims
    if others:
        raise PluginError(clash(what, first.plugin, others[0].plugin))
    return first


def clash(what: str, first: Plugin, second: Plugin) -> str:
    """The text of the error for two plugins that offer the same thing."""
    if first.name == second.name:
        return f"{what} is offered twice by the plugin {first}; drop one of the two."
    told = f"{what} comes from two plugins: {first} and {second}. "
    if first.in_process and second.in_process:
        return f"{told}Unregister one of the two."
    if first.in_process or second.in_process:
        here, there = (first, second) if first.in_process else (second, first)
        return f"{told}Unregister {here.name}, or set SLOPE_DISABLE_PLUGINS to {there.name}."
    return (
        f"{told}Uninstall one of the two distributions, or set SLOPE_DISABLE_PLUGINS to "
        f"{first.name} or to {second.name}."
    )


def _claims(offers: Iterable[tuple[Plugin, Any, str]]) -> Claims:
    claims: dict[str, tuple[Claim, ...]] = {}
    for plugin, spec, name in offers:
        claims[name] = (*claims.get(name, ()), Claim(plugin, spec))
    return claims


# --- the process's plugins

MANAGER: Final = PluginManager()


@boundary
def plugins() -> list[Plugin]:
    """The plugins that are installed or registered, in the order in which they were loaded.

    Also those that are disabled and those that failed, with the reason and the traceback.
    """
    return list(MANAGER.snapshot().plugins)


@boundary
def register_plugin(plugin: object, name: str | None = None) -> Plugin:
    """Add a plugin to this process, for tests and notebooks; packages use entry points.

    Args:
        plugin: A module, or an object whose methods implement hooks.
        name: What to call it. Default: the module's or the object's name.

    Returns:
        The record of it, as :func:`slope.plugins` lists it.

    Raises:
        PluginError: It does not fit the hook specs, or a plugin of that name is there already.
    """
    return MANAGER.register(plugin, name or getattr(plugin, "__name__", type(plugin).__name__))


@boundary
def unregister_plugin(name: str) -> None:
    """Take out a plugin that :func:`register_plugin` added.

    Raises:
        PluginError: None of that name was added in this process.
    """
    MANAGER.unregister(name)


def refuse_failed(name: str) -> None:
    """Raise the failure of the plugin of that name, if it failed to load."""
    for plugin in MANAGER.snapshot().plugins:
        if plugin.name.lower() == name and plugin.state == "failed" and plugin.hooks is None:
            raise PluginError(
                f"the plugin {plugin} failed to load: {plugin.reason} (traceback: python -m slope "
                "info --verbose)"
            )
