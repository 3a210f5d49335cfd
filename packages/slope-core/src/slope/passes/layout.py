"""Layout: a program with its convolutions in the layout that a backend prefers.

A transpose beside a convolution can cost more than the convolution, so tensors are kept in the
other layout throughout: variables that only operators without a view of their own on the order of
dimensions connect (elementwise ones, padding, slices...) form a *region*, and a region that holds a
convolution's operand or result is stored in that convolution's order. Convolutions take their
layout by parameter, the operators of a region get their parameters permuted, and a ``permute``
stands only where regions meet: at inputs, at outputs, and around operators that know nothing of
this (reshapes, contractions). Images and weights are in regions of their own, and so an optimizer's
step on weights stays in their order.

The program's inputs and outputs keep their order: the permutes at its edges stay within the
compiled program. To move them out of it, so that buffers lie in the backend's order from call to
call, is the work of what calls the program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slope.core.program import Atom, Instr, Literal, Program, Var
from slope.core.types import Shape
from slope.ops.linear import inverse
from slope.passes._rewriter import Rewriter

Order = tuple[int, ...]

CONVOLUTIONS: Final = {
    "conv": ("image", "weights", "image"),
    "conv_input_grad": ("image", "weights", "image"),
    "conv_weight_grad": ("image", "image", "weights"),
}
"""What the operands and the result are."""

# Operators that work on any order of dimensions, with the parameters that have one entry for each
# dimension...
_PER_DIM: Final[dict[str, tuple[str, ...]]] = {
    "interior_pad": ("low", "high", "interior"),
    "slice": ("start", "stop", "step"),
    "window_max": ("window", "stride", "padding", "dilation"),
    "window_max_grad": ("window", "stride", "padding", "dilation"),
    "window_sum": ("window", "stride", "padding", "dilation"),
}
# ... or that name dimensions.
_NAMED: Final[dict[str, str]] = {
    "flip": "dims",
    "concatenate": "dim",
    "cumsum": "dim",
    "softmax": "dim",
    "log_softmax": "dim",
}
_REDUCTIONS: Final = frozenset(
    ("sum", "amax", "amin", "prod", "any", "all", "logsumexp", "l2_norm")
)
_KEPT: Final = frozenset(("stop_gradient",))


def to_layout(program: Program, layout: str | None) -> Program:
    """The program with its convolutions in a layout; itself if they are, or if there are none.

    Args:
        program: any program.
        layout: ``"NCHW"`` or ``"NHWC"`` (:mod:`slope.ops.conv`); ``None`` leaves everything as it
            is.
    """
    if layout is None:
        return program
    if any(_is_other(instr, layout) for instr in program.instrs):
        return _Relayout(program, layout).run()
    return program


def _is_other(instr: Instr, layout: str) -> bool:
    """Whether an instruction is a convolution in the other layout."""
    return instr.op.name in CONVOLUTIONS and instr.params["layout"] != layout


def order_of(role: str, ndim: int, layout: str) -> Order:
    """Where the dimensions of an image or of weights in the other layout stand in this one."""
    spatial = tuple(range(2, ndim)) if layout == "NHWC" else tuple(range(1, ndim - 1))
    if role == "image":
        return (0, *spatial, 1) if layout == "NHWC" else (0, ndim - 1, *spatial)
    return (*spatial, 1, 0) if layout == "NHWC" else (ndim - 1, ndim - 2, *range(ndim - 2))


class _Regions:
    """Variables in classes that are stored in one order."""

    def __init__(self) -> None:
        self._parents: dict[Var, Var] = {}
        self.orders: dict[Var, Order] = {}

    def root(self, var: Var) -> Var:
        """The variable that stands for a variable's class."""
        found = var
        while (parent := self._parents.get(found)) is not None:
            found = parent
        while var is not found:  # shorter paths for the next time
            self._parents[var], var = found, self._parents[var]
        return found

    def join(self, first: Var, second: Var) -> None:
        """Two variables of one rank are stored alike; the order asked for first holds."""
        a, b = self.root(first), self.root(second)
        if a is b:
            return
        self._parents[b] = a
        order = self.orders.pop(b, None)
        if order is not None:
            self.orders.setdefault(a, order)

    def ask(self, atom: Atom, order: Order) -> None:
        """A variable should be stored in an order."""
        if isinstance(atom, Var):
            self.orders.setdefault(self.root(atom), order)

    def order(self, atom: Atom) -> Order:
        """How a variable is stored: stored dimension ``i`` is its dimension ``order[i]``."""
        plain = tuple(range(atom.type.ndim))
        return self.orders.get(self.root(atom), plain) if isinstance(atom, Var) else plain


class _Relayout:
    """One walk that finds the regions, and one that writes the program anew."""

    def __init__(self, program: Program, layout: str) -> None:
        self.program = program
        self.layout = layout
        self.regions = _Regions()
        self.out = Rewriter(program)
        self.stored: dict[Var, Var] = {}  # variables in the order of their region
        self.known: dict[tuple[Atom, Order], Atom] = {}  # permuted copies

    def run(self) -> Program:
        """The program in the layout."""
        for instr in self.program.instrs:
            self._find(instr)
        for var in (*self.program.inputs, *(var for var, _ in self.program.constants)):
            self._define(var, var, tuple(range(var.type.ndim)))
        for instr in self.program.instrs:
            self.out.source = instr.source
            self._write(instr)
        old = self.program
        outputs = [self._plain(atom) for atom in old.outputs]
        self.out.changed = True
        return Program(
            old.inputs, old.constants, self.out.instrs, outputs, old.name, old.input_names
        )

    # --- regions

    def _find(self, instr: Instr) -> None:
        name = instr.op.name
        if _is_other(instr, self.layout):
            for atom, role in zip((*instr.inputs, *instr.outputs), CONVOLUTIONS[name], strict=True):
                self.regions.ask(atom, order_of(role, atom.type.ndim, self.layout))
        elif _is_transparent(instr):
            (result,) = instr.outputs
            for atom in instr.inputs:
                if isinstance(atom, Var):
                    self.regions.join(atom, result)

    # --- reading and writing

    def _read(self, atom: Atom, order: Order) -> Atom:
        """An atom of the old program in an order."""
        if isinstance(atom, Literal):
            return Literal(atom.value, atom.type.with_shape(_moved(atom.type.shape, order)))
        held = self.regions.order(atom)
        return self._permuted(self.stored[atom], tuple(held.index(dim) for dim in order))

    def _plain(self, atom: Atom) -> Atom:
        return self._read(atom, tuple(range(atom.type.ndim)))

    def _permuted(self, atom: Atom, dims: Order) -> Atom:
        if dims == tuple(range(len(dims))):
            return atom
        key = (atom, dims)
        if key not in self.known:
            self.known[key] = made = self.out.emit("permute", atom, dims=dims)
            self.known[made, inverse(dims)] = atom
        return self.known[key]

    def _define(self, var: Var, made: Atom, order: Order) -> None:
        """What stands for a variable, given in an order, from now on."""
        wanted = self.regions.order(var)
        stored = self._permuted(made, tuple(order.index(dim) for dim in wanted))
        assert isinstance(stored, Var)
        self.stored[var] = stored

    def _write(self, instr: Instr) -> None:
        name = instr.op.name
        if _is_other(instr, self.layout):
            self._write_convolution(instr)
        elif _is_transparent(instr):
            self._write_transparent(instr)
        elif name in _REDUCTIONS and len(instr.inputs) == 1:
            self._write_reduction(instr)
        elif name == "broadcast":
            self._write_broadcast(instr)
        elif name == "permute":
            self._write_permute(instr)
        else:
            inputs = tuple([self._plain(atom) for atom in instr.inputs])
            self.out.keep(instr, inputs)
            for var in instr.outputs:
                self._define(var, var, tuple(range(var.type.ndim)))

    def _emit(self, instr: Instr, inputs: Sequence[Atom], params: dict[str, Any]) -> Atom:
        return self.out.emit(instr.op.name, *inputs, **params)

    def _write_convolution(self, instr: Instr) -> None:
        *operands, result = CONVOLUTIONS[instr.op.name]
        inputs = [
            self._read(atom, order_of(role, atom.type.ndim, self.layout))
            for atom, role in zip(instr.inputs, operands, strict=True)
        ]
        made = self._emit(instr, inputs, {**instr.params, "layout": self.layout})
        (var,) = instr.outputs
        self._define(var, made, order_of(result, var.type.ndim, self.layout))

    def _write_transparent(self, instr: Instr) -> None:
        (var,) = instr.outputs
        order = self.regions.order(var)
        if order == tuple(range(len(order))):
            self.out.keep(instr, tuple([self._plain(atom) for atom in instr.inputs]))
            self._define(var, var, order)
            return
        inputs = [self._read(atom, order) for atom in instr.inputs]
        self._define(var, self._emit(instr, inputs, _moved_params(instr, order)), order)

    def _write_reduction(self, instr: Instr) -> None:
        (x,), (var,) = instr.inputs, instr.outputs
        order, dim = self.regions.order(x), instr.params["dim"]
        if order == tuple(range(len(order))):
            self.out.keep(instr, (self._plain(x),))
            self._define(var, var, tuple(range(var.type.ndim)))
            return
        kept = [each for each in range(x.type.ndim) if each not in dim]
        left = tuple(kept.index(each) for each in order if each not in dim)
        reduced = tuple(sorted(order.index(each) for each in dim))
        made = self._emit(instr, [self._read(x, order)], {**instr.params, "dim": reduced})
        self._define(var, made, left)

    def _write_broadcast(self, instr: Instr) -> None:
        (x,), (var,) = instr.inputs, instr.outputs
        order, dims = self.regions.order(var), instr.params["dims"]
        places = [order.index(dim) for dim in dims]  # the operand's dimensions as stored
        ranked = tuple(sorted(range(len(places)), key=lambda each: places[each]))
        operand = self._read(x, ranked)
        shape = _moved(instr.params["shape"], order)
        made = self._emit(instr, [operand], {"shape": shape, "dims": tuple(sorted(places))})
        self._define(var, made, order)

    def _write_permute(self, instr: Instr) -> None:
        (x,), (var,) = instr.inputs, instr.outputs
        held, dims = self.regions.order(x), instr.params["dims"]
        # Stored dimension i of x is its dimension held[i]: the result's dims.index(held[i]).
        self._define(var, self._read(x, held), tuple(dims.index(dim) for dim in held))


def _is_transparent(instr: Instr) -> bool:
    """Whether one order of dimensions, whichever, serves all operands and the result."""
    name, op = instr.op.name, instr.op
    if len(instr.outputs) != 1 or instr.outputs[0].type.ndim < 3:
        return False
    if not (op.elementwise or name in _PER_DIM or name in _NAMED or name in _KEPT):
        return False
    ndim = instr.outputs[0].type.ndim
    return bool(instr.inputs) and all(atom.type.ndim == ndim for atom in instr.inputs)


def _moved(shape: Shape, order: Order) -> Shape:
    return tuple(shape[dim] for dim in order)


def _moved_params(instr: Instr, order: Order) -> dict[str, Any]:
    name = instr.op.name
    changed: dict[str, Any] = {
        key: _moved(instr.params[key], order) for key in _PER_DIM.get(name, ())
    }
    if name in _NAMED:
        key = _NAMED[name]
        dims = instr.params[key]
        changed[key] = (
            tuple(sorted(order.index(dim) for dim in dims))
            if isinstance(dims, tuple)
            else order.index(dims)
        )
    return {**instr.params, **changed}
