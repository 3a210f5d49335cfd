"""Operators: one class each, which holds the operator's whole story.

To write one, derive from :class:`Operator` (or from a family base: ``Pointwise`` for what works
element by element, ``LinearOperator`` for what is linear in all its operands), give it a ``name``,
and define ``expand``: the same thing in simpler operators. Every transform and every backend
follows from that. A rule of its own (``infer``, ``jvp``, ``vjp`` with ``pullback``,
``transpose``, ``batch``) makes a transform better or faster.

Which rule serves which transform:

========== ===========================================================================
jvp        ``jvp``, else ``expand``
linearize  ``linearize``, else ``vjp`` (with ``pullback``), else ``jvp``, else ``expand``
transpose  ``transpose``, else ``expand``
vmap       ``batch``, else ``expand``
types      ``infer``, else ``expand``
lowering   the backend's rule, else ``expand``, else ``host``
========== ===========================================================================

A tangent or cotangent that is ``None`` is a symbolic zero.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from slope.core.tensor import Tensor
from slope.core.trace import bind
from slope.core.types import Shape, TensorType
from slope.dtypes import DType
from slope.errors import ArgumentError, MissingRuleError, OperatorDefinitionError

Tangent = Tensor | None


class Linear:
    """Stands in ``transpose`` for an operand that the operator is transposed with respect to.

    Attributes:
        type: the operand's type; its value is unknown.
    """

    __slots__ = ("type",)

    def __init__(self, tensor_type: TensorType) -> None:
        self.type = tensor_type

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim


Operand = Tensor | Linear


class Sample(NamedTuple):
    """Inputs that exercise an operator: array arguments (as NumPy arrays) and parameters.

    Attributes:
        args: NumPy arrays.
        params: keyword parameters.
        differentiable: whether derivatives exist at these inputs.
    """

    args: tuple[Any, ...]
    params: dict[str, Any] = {}  # noqa: RUF012  # never written to
    differentiable: bool = True


_RULES = (
    "infer", "jvp", "linearize", "vjp", "pullback", "transpose", "batch", "expand", "host",
    "prune", "with_closed", "samples",
)  # fmt: skip
_DERIVATIVES = frozenset(("jvp", "linearize", "vjp", "transpose"))


class Operator:
    """The base of all operators.

    An operator is used through one instance, which is called like a function.

    Class attributes:
        name: what it is called, also in printed programs (``slope.NAME``).
        multiple: whether it has several results; rules then return tuples of them.
        differentiable: False for operators whose derivative is zero or meaningless (``floor``,
            ``argmax``, ``eq``).
        elementwise: whether every result element depends on the operand elements at the same place
            alone.
        effect: whether calling it matters even if its results are not used: passes keep such calls,
            each of them, in their order.
        inline: whether programs hold its expansion instead of the call.
        whole: whether a call outside ``jit`` runs on the current backend as one program, even where
            other operators run through NumPy: a loop is worth compiling.
        transparent: whether it means no more than its parameter ``program`` run on its operands, so
            that printed programs call that as a function.
    """

    name: ClassVar[str] = ""
    multiple: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    elementwise: ClassVar[bool] = False
    effect: ClassVar[bool] = False
    inline: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    transparent: ClassVar[bool] = False

    _own: ClassVar[frozenset[str]] = frozenset()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = frozenset(
            rule for rule in _RULES if getattr(cls, rule) is not getattr(Operator, rule)
        )
        cls._own = own
        where = f"operator {cls.name!r} ({cls.__module__}.{cls.__qualname__})"
        for rule in own:
            if not callable(getattr(cls, rule)):
                raise OperatorDefinitionError(
                    f"{where} defines {rule} as {getattr(cls, rule)!r:.60}; write it as a method."
                )
        signature = cls.infer if "infer" in own else cls.expand
        cls._defaults = getattr(signature, "__kwdefaults__", None) or {}
        if not cls.name:
            return  # a family base
        if "expand" not in own and "infer" not in own:
            raise OperatorDefinitionError(
                f"{where} defines neither expand nor infer; define expand, or infer and lowerings."
            )
        if ("vjp" in own) != ("pullback" in own):
            missing = "pullback" if "vjp" in own else "vjp"
            raise OperatorDefinitionError(
                f"{where} defines only one of vjp and pullback; write {missing}, too."
            )
        if not cls.differentiable and own & _DERIVATIVES:
            extra = ", ".join(sorted(own & _DERIVATIVES))
            raise OperatorDefinitionError(
                f"{where} says differentiable = False but defines {extra}; drop one of the two."
            )
        if "vjp" in own and "jvp" not in own and "expand" not in own:
            raise OperatorDefinitionError(
                f"{where} defines vjp but neither jvp nor expand, which forward mode needs."
            )

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        """An operator, of a name that no other has.

        Raises:
            OperatorDefinitionError: the class has no name, or that of an operator of slope's own.
        """
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not cls.name:
            raise OperatorDefinitionError(f"the operator class {where} has no name; give it one.")
        known = OPERATORS.get(cls.name)
        home = type(known).__module__
        if home.startswith("slope.") and home != cls.__module__:
            raise OperatorDefinitionError(
                f"{where} is called {cls.name!r}, as an operator of slope's own is, and would be "
                f"taken for that by every backend; call it something else."
            )
        return super().__new__(cls)

    @classmethod
    def has(cls, rule: str) -> bool:
        """Whether the class defines a rule, itself or through its family.

        ``rule`` is the method's name, such as ``"jvp"`` or ``"batch"``.
        """
        return rule in cls._own

    @classmethod
    def runs_on_host(cls) -> bool:
        """Whether ``host`` computes it on backends that have no lowering rule for it."""
        return "host" in cls._own and "expand" not in cls._own

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply the operator under the current trace.

        Operands must be tensors of the right types: no broadcasting.
        """
        for arg in args:
            if type(arg) is not Tensor and not isinstance(arg, Tensor):
                if isinstance(arg, Linear):
                    raise ArgumentError(
                        f"operator {self.name!r} got a Linear {arg.type}: it stands for an operand "
                        f"that a rule transposes, which has no value. Use its type, or the other "
                        f"operands; if a jvp rule led here, it is not linear in its tangents."
                    )
                raise ArgumentError(
                    f"operator {self.name!r} takes tensors, and got {type(arg).__name__} "
                    f"({arg!r:.80}); convert it with slope.tensor(...); parameters go by keyword."
                )
        if self._defaults:
            params = {**self._defaults, **params}
        results = bind(self, args, params)
        return results if self.multiple else results[0]

    def __repr__(self) -> str:
        return f"<operator {self.name}>"

    def __reduce__(self) -> Any:
        return _restored, (self.name, type(self).__module__)

    # --- the rules

    def infer(self, *types: TensorType, **params: Any) -> Any:
        """The type of the result (a tuple of types for several). Refuses operands that do not fit.

        Default: found by tracing ``expand``.
        """
        raise MissingRuleError(self._missing("type inference", "infer"))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        """The result and its tangent, ``(out, tangent_out)``.

        Tangents that are ``None`` are zero.
        """
        raise MissingRuleError(self._missing("jvp", "jvp"))

    def linearize(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        """What ``jvp`` gives, with all that no tangent decides computed before any tangent is read.

        For operators that hold programs: they split them into a program that is run now, and a
        linear one that reverse mode transposes.
        """
        raise MissingRuleError(self._missing("linearization", "linearize"))

    def vjp(self, *primals: Any, **params: Any) -> Any:
        """``(out, residuals)``: the result, and a tuple of the tensors that ``pullback`` needs."""
        raise MissingRuleError(self._missing("vjp", "vjp"))

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, **params: Any
    ) -> Sequence[Tangent]:
        """The cotangents of the operands.

        They are computed from ``vjp``'s residuals and the cotangent of the result (a tuple of them
        for several results, none of which is ``None``).
        """
        raise MissingRuleError(self._missing("vjp", "pullback"))

    def transpose(self, cotangent: Any, *operands: Operand, **params: Any) -> Sequence[Tangent]:
        """The cotangents of the operands that are :class:`Linear`; ``None`` at the others.

        Of several results, those that nothing depends on have a cotangent of ``None``: zero.
        """
        raise MissingRuleError(self._missing("transposition", "transpose"))

    def batch(
        self, size: Any, args: Sequence[Tensor], in_dims: Sequence[int | None], **params: Any
    ) -> tuple[Any, Any]:
        """``(out, dim)``: the operator applied along a batch dimension of length ``size``.

        ``in_dims`` says where each operand holds that dimension (``None``: it has none), ``dim``
        where the result does.
        """
        raise MissingRuleError(self._missing("vmap", "batch"))

    def expand(self, *args: Any, **params: Any) -> Any:
        """The same thing in simpler operators and functions."""
        raise MissingRuleError(self._missing("expansion", "expand"))

    def host(self, *arrays: Any, **params: Any) -> Any:
        """The results, computed by Python from NumPy arrays while a compiled program runs.

        For what no operators can say: to print, to call other libraries. The arrays are copies.
        """
        raise MissingRuleError(self._missing("running on the host", "host"))

    # --- for operators that hold programs

    def prune(self, instr: Any, live: Sequence[bool]) -> Any:
        """An instruction of this operator without the results that nothing reads.

        ``live`` says which those are not. Operands that only they need go, too. ``None``: nothing
        can go.
        """
        return None

    def with_closed(
        self, operands: Sequence[Tensor], params: dict[str, Any]
    ) -> tuple[Sequence[Tensor], dict[str, Any]]:
        """The operands and parameters of the same call, its programs' constants made operands."""
        raise MissingRuleError(
            f"operator {self.name!r} holds a program that captured tensors when it was lowered; "
            f"write {type(self).__qualname__}.with_closed, which makes them operands."
        )

    # --- about it

    def flops(self, *types: TensorType, **params: Any) -> Any:
        """Floating-point operations of one run on operands of these types, an int or symbolic.

        Default: ``None``, and :mod:`slope.core.cost` counts by rules of its own.
        """
        return None

    def samples(self) -> Iterator[Sample]:
        """Inputs that exercise the operator; tests and the conformance kit are made from them."""
        return iter(())

    def _missing(self, transform: str, rule: str) -> str:
        return (
            f"operator {self.name!r} cannot take part in {transform}: it defines neither {rule} "
            f"nor expand. Write {type(self).__qualname__}.{rule}, or "
            f"{type(self).__qualname__}.expand, which serves every transform."
        )


OPERATORS: dict[str, Operator] = {}


def register(op: Operator, origin: str = "slope-core") -> Operator:
    """Make an operator known by its name, as printed programs and lowerings need.

    Raises:
        OperatorDefinitionError: another operator of that name is there already.
    """
    known = OPERATORS.get(op.name)
    if known is not None and known is not op:
        raise OperatorDefinitionError(
            f"two operators are called {op.name!r}: "
            f"{type(known).__module__}.{type(known).__qualname__} and "
            f"{type(op).__module__}.{type(op).__qualname__} (from {origin}); rename one."
        )
    OPERATORS[op.name] = op
    return op


def lookup(name: str) -> Operator:
    """The operator of that name.

    Raises:
        ArgumentError: there is none.
    """
    if name not in OPERATORS:
        raise ArgumentError(f"there is no operator {name!r}.")
    return OPERATORS[name]


def _restored(name: str, module: str) -> Operator:
    """An operator that was pickled; its module registers it, if that is not imported yet."""
    if name not in OPERATORS:
        importlib.import_module(module)
    return lookup(name)


def known_operators() -> dict[str, Operator]:
    """The operators of the core, and of plugins those that were used so far, by name.

    A backend needs a lowering rule for each that has neither ``expand`` nor ``host``; the docstring
    of its class says what it computes, also at the edges.
    """
    return dict(OPERATORS)


def as_tuple(op: Operator, result: Any) -> tuple[Any, ...]:
    """An operator rule's result as a tuple."""
    return tuple(result) if op.multiple else (result,)
