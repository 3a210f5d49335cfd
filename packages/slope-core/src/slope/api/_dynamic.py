"""jit for arguments of any size: traced once with symbolic dimensions, and run for what comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from slope.api._arguments import is_whole, positional_names
from slope.api._entries import Entry
from slope.api._jit import Jit
from slope.api._leaves import refuse_strange, signature_of
from slope.api._places import donations, shifted
from slope.api._recompiles import explain_size
from slope.compile import Compiled, Options, log
from slope.core.sizes import Sizes, sized_program
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, current_trace
from slope.core.types import TensorType, type_of_array
from slope.dims import Dim, DimExpr, evaluate
from slope.errors import ArgumentError, ShapeError, boundary
from slope.tree import leaf_paths, tree_leaves

if TYPE_CHECKING:
    from optree import PyTreeSpec

Spec = Mapping[int, Dim] | Sequence[Dim | None] | None
"""Of a tensor: which of its dimensions are symbolic."""


class _Shaped(NamedTuple):
    """Stands for a NumPy array whose shape is symbolic."""

    shape: tuple[Any, ...]
    dtype: np.dtype[Any]


class SizedEntry(Entry):
    """A program for any size, at the sizes of one call.

    Attributes:
        general: the entry of that program.
        sizes: by name.
    """

    __slots__ = ("_closed", "general", "sizes")

    def __init__(self, general: Entry, sizes: Sizes) -> None:
        for name in Entry.__slots__:
            if name != "closed":
                setattr(self, name, getattr(general, name))
        self.general, self.sizes = general, sizes
        self.out_plan = [
            (how, evaluate(what, sizes) if isinstance(what, DimExpr) else what)
            for how, what in general.out_plan
        ]
        self.compiled = None
        self._closed = None

    @property
    def closed(self) -> Any:  # made when asked for
        """The program for these sizes, without constants."""
        if self._closed is None:
            self._closed = sized_program(self.general.closed, self.sizes)
        return self._closed


class DynamicJit(Jit):
    """A compiled function of which some dimensions have any size; made by ``jit(f, dynamic=...)``.

    Calls of known sizes take the path of every compiled function. For new sizes there is a new
    :class:`SizedEntry`; all share one trace and, where the backend can, one executable.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnums: Sequence[int],
        static_argnames: Sequence[str],
        donate: Sequence[int | str],
        options: Options,
        dynamic: Any,
    ) -> None:
        super().__init__(function, static_argnums, static_argnames, donate, options)
        given = (static_argnums, static_argnames, donate, options)
        self._general = Jit(function, *given)  # what is traced with symbolic dimensions
        self._plain = Jit(function, *given)  # for calls under other transforms
        self._specs = self._by_place(dynamic)
        self._by_size: set[Entry] = set()  # programs that backends compile for known sizes alone

    def _by_place(self, dynamic: Any) -> dict[int | str, Any]:
        """The specifications by the position and by the name of their arguments."""
        if not isinstance(dynamic, Mapping) or not all(
            is_whole(place) or isinstance(place, str) for place in dynamic
        ):
            raise ArgumentError(
                f"jit of {self.__name__}: dynamic must be a dict by argument, such as "
                f"{{'x': {{0: slope.Dim('batch')}}}}, and is {dynamic!r:.80}."
            )
        donations(self.function, shifted([*dynamic]) if self._bound else [*dynamic], (), "dynamic")
        names = positional_names(self.function)
        found: dict[int | str, Any] = {}
        for place, spec in dynamic.items():
            if isinstance(place, str):
                number = names.index(place) if place in names else None
            else:
                (number,) = shifted([place]) if self._bound else (place,)
                number = number + len(names) if number < 0 else number
            if number is not None and number < len(names):
                found[names[number]] = spec
            found[place if number is None else number] = spec
        return found

    @property
    def compile_count(self) -> int:
        """For how many structures and types of arguments it has been traced."""
        return self._general.compile_count

    def clear_cache(self) -> None:
        """Forget all compiled programs."""
        super().clear_cache()
        self._by_size.clear()
        self._general.clear_cache()
        self._plain.clear_cache()

    def on(self, backend: str) -> Jit:
        """The same function, compiled for another backend, without options for one."""
        other: Any = super().on(backend)
        other._general, other._plain = self._general.on(backend), self._plain.on(backend)
        return other

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is not EVAL:  # it becomes a part of another program
            return self._plain(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Compiled, list[Any]]:
        """The program for the sizes of these arguments, and its inputs' handles."""
        return self._plain.prepared(args, kwargs)

    # --- tracing

    def _trace(
        self,
        leaves: list[Any],
        structure: PyTreeSpec,
        signatures: tuple[Any, ...],
        static: Any,
        tree: Any,
        key: Any,
    ) -> Entry:
        refuse_strange(leaves, signatures, tree, self.__name__)
        if len(self._entries) >= _LIMIT:  # sizes may go on for ever
            super().clear_cache()
        shapes = self._symbolic_shapes(leaves, tree, static)
        sizes = self._sizes(leaves, shapes, tree)
        general = [
            leaf if shape is None else _general(leaf, shape)
            for leaf, shape in zip(leaves, shapes, strict=True)
        ]
        types = tuple(
            [
                ~TensorType(leaf.shape, type_of_array(old).dtype).number
                if isinstance(leaf, _Shaped)
                else signature_of(leaf)
                for leaf, old in zip(general, leaves, strict=True)
            ]
        )
        place = (structure, types, *key[2:])
        entry = self._general._entries.get(place)
        if entry is None:
            try:
                entry = self._general._trace(general, structure, types, static, tree, place)
            except ShapeError as error:
                error.add_note(
                    f"while {self.__name__} was traced for any size of {', '.join(sizes)} "
                    f"(dynamic=); a dimension that is left out of dynamic= is traced as it comes."
                )
                raise
        return self._entries.setdefault(key, SizedEntry(entry, sizes))

    def _symbolic_shapes(
        self, leaves: Sequence[Any], tree: Any, static: Any
    ) -> list[tuple[Any, ...] | None]:
        """For each leaf its shape, if it has symbolic dimensions."""
        args, kwargs = tree
        gone = static[0] if static else {}
        numbers = [number for number in range(len(args) + len(gone)) if number not in gone]
        specs: list[Any] = []
        for place, arg in (*zip(numbers, args, strict=False), *sorted(kwargs.items())):
            specs += self._spread(self._specs.get(place), arg, place)
        paths = leaf_paths(tree)
        return [
            None if spec is None else self._shape(leaf, spec, path)
            for leaf, spec, path in zip(leaves, specs, paths, strict=True)
        ]

    def _spread(self, spec: Any, tree: Any, place: int | str) -> list[Spec]:
        """The specification of each leaf; one of a whole pytree is that of all its leaves."""
        if spec is None or _is_spec(spec):
            return [spec] * len(tree_leaves(tree))
        if isinstance(spec, Mapping) and isinstance(tree, dict) and spec.keys() <= tree.keys():
            return [
                each
                for key in sorted(tree)
                for each in self._spread(spec.get(key), tree[key], place)
            ]
        both = (tuple, list)
        if isinstance(spec, both) and isinstance(tree, both) and len(spec) == len(tree):
            return [
                each
                for part, subtree in zip(spec, tree, strict=True)
                for each in self._spread(part, subtree, place)
            ]
        raise ArgumentError(
            f"jit of {self.__name__}: dynamic has {spec!r:.80} for the argument {place!r}, which "
            f"is {tree!r:.80}; give {{0: slope.Dim('batch')}} for tensors, in a pytree like the "
            f"argument or for all of its leaves."
        )

    def _shape(self, leaf: Any, spec: Any, path: str) -> tuple[Any, ...]:
        shape = getattr(leaf, "shape", ())
        wanted = spec if isinstance(spec, Mapping) else dict(enumerate(spec))
        fits = isinstance(spec, Mapping) or len(spec) == len(shape)
        if not fits or not all(-len(shape) <= axis < len(shape) for axis in wanted):
            raise ShapeError(
                f"jit of {self.__name__}: dynamic has {spec} for the argument{path}, which has "
                f"{len(shape)} dimensions."
            )
        dims = {axis % len(shape): _dim(each) for axis, each in wanted.items() if each is not None}
        return tuple([dims.get(axis, length) for axis, length in enumerate(shape)])

    def _sizes(
        self, leaves: Sequence[Any], shapes: Sequence[tuple[Any, ...] | None], tree: Any
    ) -> dict[str, int]:
        """The sizes of all dimensions.

        Raises:
            ShapeError: a dimension has two sizes, or one outside of its bounds.
        """
        sizes: dict[str, int] = {}
        first: dict[str, str] = {}
        for leaf, shape, path in zip(leaves, shapes, leaf_paths(tree), strict=True):
            for axis, dim in enumerate(shape or ()):
                if not isinstance(dim, Dim):
                    continue
                size, place = leaf.shape[axis], f"dimension {axis} of the argument{path}"
                known = sizes.setdefault(dim.name, size)
                first.setdefault(dim.name, place)
                if known != size:
                    raise ShapeError(
                        f"jit of {self.__name__}: the dimension {dim} is {known} in "
                        f"{first[dim.name]} and {size} in {place}; give them two names, or equal "
                        f"sizes."
                    )
                if size < dim.min or (dim.max is not None and size > dim.max):
                    raise ShapeError(
                        f"jit of {self.__name__}: {place} is {size}, which is not within the "
                        f"bounds of slope.Dim({dim.name!r}, min={dim.min}, max={dim.max})."
                    )
        return sizes

    # --- compiling

    def _compiled(self, entry: Entry, leaves: Sequence[Any]) -> Compiled:
        assert isinstance(entry, SizedEntry)
        if self.options.resolve().dynamic and entry.general not in self._by_size:
            try:
                general = entry.general.compiled or self._general._compiled(entry.general, leaves)
            except ShapeError as error:
                log("jit of %s has no executable for all sizes: %s", self.__name__, error)
                self._by_size.add(entry.general)
            else:
                entry.compiled = general.sized(entry.sizes)
                return entry.compiled
        name = self.options.resolve().name
        self._told |= explain_size(self.__name__, name, entry.sizes, self._told)
        return super()._compiled(entry, leaves)


_LIMIT: Final = 4096  # sizes whose calls are quick


def _is_spec(spec: Any) -> bool:
    """Whether a value says what is symbolic of one tensor."""
    if isinstance(spec, Mapping):
        return bool(spec) and all(is_whole(axis) for axis in spec)
    return isinstance(spec, (tuple, list)) and any(isinstance(each, (Dim, str)) for each in spec)


def _dim(value: Any) -> Dim:
    if isinstance(value, str):
        return Dim(value)
    if not isinstance(value, Dim):
        raise ArgumentError(
            f"jit: dynamic holds {value!r:.60} for a dimension; give slope.Dim('batch'), or its "
            f"name."
        )
    return value


def _general(leaf: Any, shape: tuple[Any, ...]) -> Any:
    """What stands for a leaf while it is traced for any size."""
    if isinstance(leaf, Tensor):
        return Splat(0, leaf.type.with_shape(shape), leaf.device)
    return _Shaped(shape, leaf.dtype)
