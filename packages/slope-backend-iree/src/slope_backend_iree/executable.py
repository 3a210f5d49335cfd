"""Compiled programs as slope calls them, and the handles that they take and return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from slope.extend import DType, Executable, aligned_empty, splat_scalar

from .arrays import aligned_copy
from .lower.program import Lowered
from .runtime import Module, Runtime


class Placed(NamedTuple):
    """The handle of a tensor that is not on the CPU; there, IREE's own buffer view is the handle.

    Attributes:
        view: IREE's buffer view.
        runtime: what moves it.
    """

    view: Any
    runtime: Runtime


def import_to(runtime: Runtime, array: np.ndarray[Any, Any]) -> Any:
    """The handle of a host array on a device."""
    view = runtime.import_array(array)
    return view if runtime.kind == "cpu" else Placed(view, runtime)


class IreeExecutable(Executable):
    """A loaded module, and how the program's outputs come from its results."""

    def __init__(
        self,
        runtime: Runtime,
        lowered: Lowered,
        module: Module | None,
        donated: frozenset[int] = frozenset(),
        *,
        branches: bool = False,
    ) -> None:
        self._donated = donated
        self._branches = branches  # which result is a view of an input may differ from call to call
        self.code = lowered.text
        self._runtime = runtime
        self._module = module
        self._sources = lowered.sources
        self._literals = {
            place: filled(atom.type.shape, atom.value, atom.type.dtype)
            for place, (kind, atom) in enumerate(lowered.sources)
            if kind == "literal"
        }
        # The plain case, every result an output in order, needs no rearranging.
        self._in_order = lowered.sources == tuple(("result", i) for i in range(lowered.results))
        self._views: frozenset[int] | None = None  # known after the first call

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        results = self._run(handles) if self._module is not None else ()
        if self._in_order:
            return results
        return [
            self._output(place, source, handles, results)
            for place, source in enumerate(self._sources)
        ]

    def _run(self, handles: Sequence[Any]) -> Sequence[Any]:
        assert self._module is not None
        runtime = self._runtime
        if runtime.kind != "cpu":
            views = self._module([handle.view for handle in handles])
            return [Placed(view, runtime) for view in views]
        results = self._module(handles)
        views = self._views  # another thread's call may change it meanwhile
        if views is None or self._branches:
            views = self._views = self._find_views(handles, results)
        for place in views:
            own = aligned_copy(runtime.export_array(results[place]))
            results[place] = runtime.import_array(own)
        return results

    def _find_views(self, handles: Sequence[Any], results: Sequence[Any]) -> frozenset[int]:
        # IREE returns an input that was only reshaped as a view of it, in every call alike, and may
        # return one result as a view of another. Results must be on their own; the memory of
        # donated inputs is free.
        to_host = self._runtime.export_array
        seen = [
            to_host(handle) for place, handle in enumerate(handles) if place not in self._donated
        ]
        views: set[int] = set()
        for place, result in enumerate(results):
            array = to_host(result)
            if any(np.may_share_memory(array, each) for each in seen):
                views.add(place)
            elif array.size:
                seen.append(array)
        return frozenset(views)

    def _output(
        self, place: int, source: tuple[str, Any], handles: Sequence[Any], results: Sequence[Any]
    ) -> Any:
        kind, which = source
        if kind == "input":
            return handles[which]
        if kind == "result":
            return results[which]
        return import_to(self._runtime, self._literals[place])


def filled(shape: tuple[int, ...], value: bool | float, dtype: DType) -> np.ndarray[Any, Any]:
    """A host array of one repeated number, which IREE takes as it is."""
    array = aligned_empty(shape, dtype.numpy)
    array[...] = splat_scalar(value, dtype)
    return array
