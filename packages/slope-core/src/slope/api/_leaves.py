"""The leaves of a compiled call: what of them decides the program, and what the program takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from slope.api._arguments import argument_paths
from slope.compile import Compiled, refuse_tracer
from slope.core.donation import give_up
from slope.core.program import ProgramTrace
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.types import TensorType, type_of_array
from slope.devices import CPU
from slope.dtypes import DType, float64, int64
from slope.errors import ArgumentError
from slope.functions._arguments import article
from slope.ops import cast
from slope.plugins.backend import Backend
from slope.tree import is_leaf

# What a leaf is to a compiled call.
TENSOR: Final = 0
WEAK_FLOAT: Final = 1
WEAK_INT: Final = 2
STATIC: Final = 3
ARRAY: Final = 4

_PLAIN: Final = frozenset((Tensor, Splat, Tracer, bool, int, float, str, np.ndarray))
WEAK: Final[dict[int, DType]] = {WEAK_FLOAT: float64, WEAK_INT: int64}


def signatures_of(leaves: Sequence[Any]) -> tuple[Any, ...]:
    """What of the leaves decides the program."""
    return tuple(
        [
            leaf.type.number  # what signature_of gives; nearly all leaves are such tensors
            if type(leaf) is Tensor and leaf.device is CPU and not leaf.weak
            else signature_of(leaf)
            for leaf in leaves
        ]
    )


def signature_of(leaf: Any) -> Any:
    """What of a leaf decides the program.

    That is its type, weakness and device, or the value of a static leaf; ``None`` if it cannot be
    an argument.
    """
    kind = type(leaf)
    if kind not in _PLAIN and not is_leaf(leaf):
        return None  # a node where a reader expected a leaf
    if kind is Tensor or isinstance(leaf, Tensor):
        if leaf.weak and leaf.type.shape == ():
            return "float" if leaf.dtype.kind == "f" else "int"
        return leaf.type.number if leaf.device == CPU else (leaf.type, leaf.device)
    if kind is float or isinstance(leaf, (float, np.floating)):
        return "float"
    if kind is bool or kind is str or isinstance(leaf, np.bool_):
        return (kind, leaf)
    if kind is int or isinstance(leaf, (int, np.integer)):
        return "int"
    if isinstance(leaf, np.ndarray):
        return ~type_of_array(leaf).number  # not a tensor's: the call must convert it
    return None


def refuse_strange(
    leaves: Sequence[Any], signatures: Sequence[Any], tree: Any, function: str
) -> None:
    """Raise for a leaf that no compiled function takes.

    Raises:
        ArgumentError: naming its place and the ways out.
    """
    for number, (leaf, signature) in enumerate(zip(leaves, signatures, strict=True)):
        if signature is None:
            path = argument_paths(*tree)[number]
            raise ArgumentError(
                f"jit of {function}: argument{path} is {article(leaf)} "
                f"({leaf!r:.80}), which is neither a tensor, a number, a NumPy array, a bool, "
                f"a string nor a pytree of those. Name it in static_argnums= or "
                f"static_argnames=, or register its class with slope.register_node."
            )


def kind_of(leaf: Any, signature: Any) -> int:
    """What a leaf of this signature is to the call."""
    if signature == "float":
        return WEAK_FLOAT
    if signature == "int":
        return WEAK_INT
    if isinstance(signature, tuple) and not isinstance(leaf, Tensor):
        return STATIC
    return TENSOR if isinstance(leaf, Tensor) else ARRAY


def traced_leaf(trace: ProgramTrace, leaf: Any, kind: int) -> Any:
    """What the traced function gets for a leaf: an input of the program, or the static leaf."""
    if kind == STATIC:
        return leaf
    if kind in WEAK:
        tracer = trace.new_input(TensorType((), WEAK[kind]))
        tracer.weak = True
        return tracer
    return trace.new_input(leaf.type if kind == TENSOR else type_of_array(leaf))


def operands_of(leaves: Sequence[Any], kinds: Sequence[int]) -> list[Tensor]:
    """The leaves that are not static, as tensors: what a program is called with while tracing."""
    operands: list[Tensor] = []
    for leaf, kind in zip(leaves, kinds, strict=True):
        if kind == TENSOR:
            operands.append(leaf)
        elif kind == ARRAY:
            operands.append(Tensor(type_of_array(leaf), host=np.array(leaf)))
        elif kind in WEAK:
            dtype = WEAK[kind]
            if isinstance(leaf, Tensor):
                operands.append(cast(leaf, dtype=dtype))
            else:
                number = as_int64(leaf) if kind == WEAK_INT else leaf
                operands.append(Splat(number, TensorType((), dtype)))
    return operands


def handles_of(
    kinds: Sequence[int], all_tensors: bool, leaves: Sequence[Any], compiled: Compiled
) -> list[Any]:
    """What the executable takes: the handles of the leaves that are not static.

    On the path of every compiled call.
    """
    backend, device = compiled.backend, compiled.device
    if all_tensors:
        return [
            leaf._handle if leaf._backend is backend else _handle(leaf, backend) for leaf in leaves
        ]
    handles: list[Any] = []
    for kind, leaf in zip(kinds, leaves, strict=True):
        if kind == TENSOR:
            handles.append(_handle(leaf, backend))
        elif kind == WEAK_FLOAT:
            handles.append(backend.scalar(float(leaf), float64, device))
        elif kind == WEAK_INT:
            handles.append(backend.scalar(as_int64(leaf), int64, device))
        elif kind == ARRAY:
            handles.append(backend.from_host(np.asarray(leaf), device))  # no subclass of arrays
    return handles


def _handle(tensor: Tensor, backend: Backend) -> Any:
    if type(tensor) is not Tensor:
        refuse_tracer(tensor, "a compiled function")
    return tensor._handle if tensor._backend is backend else tensor.handle(backend)


def take(
    donated: Mapping[int, int],
    forwarded: Collection[int],
    leaves: Sequence[Any],
    handles: list[Any],
    compiled: Compiled,
    function: str,
) -> None:
    """Take the memory of donated leaves from their tensors, so that the call may write to it.

    Where somebody else refers to the memory, the call gets a copy. A tensor that also stands at a
    forwarded leaf, and so is returned, keeps its memory.
    """
    backend = compiled.backend
    returned = {id(leaves[leaf]) for leaf in forwarded} if forwarded else ()
    for leaf in donated:
        if id(leaves[leaf]) not in returned:
            give_up(leaves[leaf], function)
    if backend.donates:
        for position in donated.values():
            if not backend.exclusive(handles[position]):
                handles[position] = backend.copied(handles[position], compiled.device)


def apart(outs: Sequence[Tensor], leaves: Sequence[Any]) -> list[Tensor]:
    """Results that share no memory with NumPy arrays of the caller, who may write to those."""
    arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)]

    def own(out: Tensor) -> Tensor:
        if out.device is CPU and any(np.may_share_memory(out.host(), array) for array in arrays):
            return Tensor(out.type, host=out.host().copy())
        return out

    return [own(out) for out in outs]


def as_int64(value: Any) -> int:
    """A Python or NumPy integer as an input of a program takes it.

    Raises:
        ArgumentError: it does not fit.
    """
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ArgumentError(
            f"the Python int {number} does not fit int64; pass a tensor of another dtype, or name "
            f"the argument in static_argnums=."
        )
    return number
