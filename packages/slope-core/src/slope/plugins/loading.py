"""Finds the installed plugins, loads them in a fixed order, and checks each against the hooks.

A plugin that fails becomes a record of its failure; the others do not notice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from slope.errors import PluginError, SlopeError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import pluggy

    from slope.plugins.hookspecs import BackendSpec, OperatorSpec

_IN_PROCESS: Final = "(registered in process)"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin, loaded or not.

    Attributes:
        name: Its entry point's name, or the name it was registered under.
        distribution: The distribution that it came with.
        version: That distribution's version.
        entry_point: The module that the entry point names; for one that was registered in process,
            what it is.
        state: ``"loaded"``, ``"disabled"`` or ``"failed"``.
        reason: Why it is not loaded, or what failed later; one line.
        traceback: The traceback of the failure, as text.
        backends: The backends that it offers.
        operators: The operators and functions that it offers.
    """

    name: str
    distribution: str
    version: str
    entry_point: str
    state: Literal["loaded", "disabled", "failed"] = "loaded"
    reason: str = ""
    traceback: str = field(default="", repr=False)
    backends: tuple[BackendSpec, ...] = ()
    operators: tuple[OperatorSpec, ...] = ()
    hooks: pluggy.HookRelay | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        if self.in_process:
            return f"{self.name} {_IN_PROCESS}"
        return f"{self.name} (from {self.distribution} {self.version})".replace(" )", ")")

    @property
    def in_process(self) -> bool:
        """Whether it was registered in this process; no entry point names it."""
        return self.distribution == _IN_PROCESS

    def failed(self, error: BaseException, doing: str = "") -> Plugin:
        """The same plugin, with the record of a failure."""
        import traceback

        lines = str(error).strip().splitlines() or [""]
        kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
        text = "".join(traceback.format_exception(error))
        return replace(self, state="failed", reason=f"{doing}{kind}{lines[0]}", traceback=text)


def discover() -> Iterator[Plugin]:
    """Load the installed plugins, ordered by distribution, then by entry point."""
    from importlib.metadata import entry_points

    from slope.plugins.hookspecs import GROUP

    found = [(_record(entry), entry) for entry in entry_points(group=GROUP)]
    found.sort(key=lambda item: (_normalized(item[0].distribution), item[0].name))
    disabled = _disabled()
    rivals: dict[str, list[Plugin]] = {}
    for record, _ in found:
        if not _is_disabled(record, disabled):
            rivals.setdefault(record.name, []).append(record)
    for record, entry in found:
        if _is_disabled(record, disabled):
            yield replace(record, state="disabled", reason="by SLOPE_DISABLE_PLUGINS")
        elif len(rivals[record.name]) > 1:
            first, second = rivals[record.name][:2]
            yield record.failed(PluginError(_same_entry(first, second)))
        else:
            yield _load(record, entry)


def _record(entry: EntryPoint) -> Plugin:
    # A distribution whose METADATA is missing has neither name nor version.
    metadata = entry.dist.metadata if entry.dist else None
    name = metadata["Name"] if metadata and "Name" in metadata else None
    version = metadata["Version"] if metadata and "Version" in metadata else None
    return Plugin(entry.name, name or "an unnamed distribution", version or "", entry.value)


def _same_entry(first: Plugin, second: Plugin) -> str:
    return (
        f"the plugin name {first.name!r} is claimed by two distributions, {first.distribution} and "
        f"{second.distribution}, so neither is loaded. Uninstall one, or set "
        f"SLOPE_DISABLE_PLUGINS={second.distribution}."
    )


def _normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _disabled() -> frozenset[str]:
    entries = os.environ.get("SLOPE_DISABLE_PLUGINS", "").split(",")
    return frozenset(_normalized(entry.strip()) for entry in entries if entry.strip())


def _is_disabled(record: Plugin, disabled: frozenset[str]) -> bool:
    """Whether its entry point's name, its distribution's, or all are listed."""
    names = {"all", _normalized(record.name), _normalized(record.distribution)}
    return not names.isdisjoint(disabled)


# --- loading


def _load(record: Plugin, entry: EntryPoint) -> Plugin:
    try:
        return _examined(record, entry.load())
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a plugin raises, it is recorded
        return record.failed(error)


def registered(plugin: object, name: str) -> Plugin:
    """The record of a plugin that is added in this process, under a name.

    Raises:
        PluginError: It does not fit the hook specs.
    """
    record = Plugin(name, _IN_PROCESS, "", repr(plugin))
    try:
        return _examined(record, plugin)
    except SlopeError:
        raise
    except Exception as error:
        raise PluginError(f"plugin {record} failed: {type(error).__name__}: {error}") from error


def _examined(record: Plugin, plugin: object) -> Plugin:
    """Check a plugin against the hook specs, and collect what it offers.

    Raises:
        PluginError: It was written for another API version, or does not fit the specs.
    """
    import pluggy

    from slope.plugins import hookspecs

    _check_version(record, getattr(plugin, "slope_api_version", None))
    # A manager for each: a broken plugin leaves nothing behind in a registry that others share, and
    # it is always known whose answer an answer is.
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    _check_marked(record, plugin, manager)
    try:
        manager.register(plugin, record.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        hooks = ", ".join(sorted(name for name in vars(hookspecs) if name.startswith("slope_")))
        text = " ".join(str(error).split())
        raise PluginError(f"plugin {record}: {text} (hooks: {hooks})") from error
    _check_arguments(record, plugin, manager)
    return replace(
        record,
        hooks=manager.hook,
        backends=tuple(_backends(record, manager)),
        operators=tuple(_operators(record, manager)),
    )


def _check_version(record: Plugin, declared: object) -> None:
    from slope.plugins.hookspecs import API_VERSION

    if declared == API_VERSION or (declared is None and record.in_process):
        return
    if not isinstance(declared, int):
        raise PluginError(
            f"plugin {record} does not say which plugin API it was written for; write "
            f"`slope_api_version = {API_VERSION}` in {record.entry_point} (it holds {declared!r})."
        )
    old = "slope-core" if declared > API_VERSION else record.distribution
    raise PluginError(
        f"plugin {record} was written for version {declared} of the plugin API, and this "
        f"slope-core has version {API_VERSION}; upgrade the older side: pip install --upgrade {old}"
    )


def _check_marked(record: Plugin, plugin: object, manager: pluggy.PluginManager) -> None:
    """Refuse a hook implementation without its mark, which pluggy passes over."""
    from slope.plugins import hookspecs

    for name in vars(hookspecs):
        if not name.startswith("slope_") or not callable(getattr(plugin, name, None)):
            continue
        if manager.parse_hookimpl_opts(plugin, name) is None:
            raise PluginError(f"plugin {record} defines {name} without the mark @hookimpl.")


def _check_arguments(record: Plugin, plugin: object, manager: pluggy.PluginManager) -> None:
    """Refuse arguments with defaults, which pluggy never passes."""
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.kwargnames:
                raise PluginError(
                    f"plugin {record}: the argument {implementation.kwargnames[0]!r} of "
                    f"{caller.name} has a default, and so is never passed; write it without."
                )


def _backends(record: Plugin, manager: pluggy.PluginManager) -> Iterator[BackendSpec]:
    from slope.plugins.hookspecs import BackendSpec

    for answer in _answers(record, manager.hook.slope_backends):
        for spec in _entries(record, answer, "slope_backends"):
            if not isinstance(spec, BackendSpec):
                raise PluginError(
                    f"slope_backends() of plugin {record} returned {spec!r:.80}; "
                    f"return a list of slope.extend.BackendSpec."
                )
            yield spec


def _operators(record: Plugin, manager: pluggy.PluginManager) -> Iterator[OperatorSpec]:
    from slope.plugins.hookspecs import OperatorSpec

    for answer in _answers(record, manager.hook.slope_operators):
        for offer in _entries(record, answer, "slope_operators"):
            try:
                yield OperatorSpec.of(offer)
            except PluginError as error:
                raise PluginError(f"plugin {record}: {error}") from None


def _answers(record: Plugin, hook: pluggy.HookCaller) -> list[object]:
    """What a plugin's hook gives; pluggy passes over ``None``.

    Raises:
        PluginError: it is implemented, and gives nothing.
    """
    answers = hook()
    if not answers and hook.get_hookimpls():
        raise PluginError(f"{hook.name}() of plugin {record} returned None; return a list.")
    return answers


def _entries(record: Plugin, answer: object, hook: str) -> Iterable[Any]:
    """What a hook returned, if it is several of something.

    Raises:
        PluginError: it is one of something, or a dict.
    """
    if isinstance(answer, (str, Mapping)) or not isinstance(answer, Iterable):
        raise PluginError(f"{hook}() of plugin {record} returned {answer!r:.80}; return a list.")
    return answer
