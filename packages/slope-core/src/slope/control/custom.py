"""Operators with derivatives that a user wrote: what ``custom_jvp`` and ``custom_vjp`` bind.

A rule is an object that works on flat operands; batching wraps it in another. The first operands
are values that the function captured; no rule says how it depends on them. Where the function draws
random numbers, the last operand is the key that it begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from slope import ops
from slope.control._programs import batch_to
from slope.core.operator import Operator, Tangent, register
from slope.core.program import Program, evaluate
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.errors import GradientError
from slope.ops.linear import batched_at, move_dim
from slope.transforms.linearize import pullback_call
from slope.transforms.vmap import batch_program, vmap_flat


class JvpRule(Protocol):
    """What ``custom_jvp_call`` needs of a rule."""

    name: str
    captured: int

    def push(
        self, primals: Sequence[Tensor], tangents: Sequence[Tangent]
    ) -> tuple[Sequence[Tensor], Sequence[Tangent]]:
        """The results and their tangents; floating-point ones are tensors, others ``None``."""
        ...


class VjpRule(Protocol):
    """What ``custom_vjp_call`` needs of a rule."""

    name: str
    captured: int

    def forward(self, primals: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The results and the residuals."""
        ...

    def backward(
        self, residuals: Sequence[Tensor], cotangents: Sequence[Tensor]
    ) -> Sequence[Tangent]:
        """The cotangents of all operands; ``None`` is zero."""
        ...


def _batched(
    program: Program, size: Any, dims: tuple[int | None, ...]
) -> tuple[Program, tuple[bool, ...]]:
    """The batched program, every output that may depend on the batch with it."""
    outs = batch_program(program, size, dims)[1]
    wanted = tuple(
        at is not None or each.dtype.is_floating_point
        for at, each in zip(outs, program.output_types, strict=True)
    )
    return batch_to(program, size, dims, wanted), wanted


class _Batched:
    """The base of batched rules; equal ones are one to the cache of programs."""

    def __init__(
        self, rule: Any, size: Any, in_dims: tuple[int | None, ...], wanted: tuple[bool, ...]
    ) -> None:
        self.rule, self.size, self.in_dims, self.wanted = rule, size, in_dims, wanted
        self.name, self.captured = rule.name, rule.captured

    def key(self) -> Any:
        return type(self), self.rule, self.size, self.in_dims, self.wanted

    def __hash__(self) -> int:
        return hash(self.key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Batched) and self.key() == other.key()

    def run(
        self,
        function: Callable[..., Sequence[Tensor]],
        args: Sequence[Tensor],
        dims: Sequence[int | None],
    ) -> tuple[list[Tensor], list[int | None]]:
        return vmap_flat(function, args, dims, self.size, self.name)

    def placed(self, out: Tensor, at: int | None, want: bool) -> Tensor:
        return batched_at(out, at, self.size, 0) if want else out


class _BatchedJvp(_Batched):
    def push(
        self, primals: Sequence[Tensor], tangents: Sequence[Tangent]
    ) -> tuple[Sequence[Tensor], Sequence[Tangent]]:
        count = len(primals)
        there = [tangent is not None for tangent in tangents]
        moving = [tangent for tangent in tangents if tangent is not None]
        pushed: list[bool] = []

        def function(*args: Tensor) -> list[Tensor]:
            given = iter(args[count:])
            outs, ts = self.rule.push(
                args[:count], [next(given) if each else None for each in there]
            )
            pushed[:] = [each is not None for each in ts]
            return [*outs, *(each for each in ts if each is not None)]

        dims = [*self.in_dims, *(at for at, each in zip(self.in_dims, there, strict=True) if each)]
        outs, ats = self.run(function, [*primals, *moving], dims)
        total = len(self.wanted)
        given = iter(zip(outs[total:], ats[total:], strict=True))
        placed = [
            self.placed(out, at, want)
            for out, at, want in zip(outs, ats, self.wanted, strict=False)
        ]
        return placed, [
            self.placed(*next(given), want) if each else None
            for each, want in zip(pushed, self.wanted, strict=True)
        ]


class _BatchedVjp(_Batched):
    residual_dims: tuple[int | None, ...] = ()

    def forward(self, primals: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        total = len(self.wanted)

        def function(*args: Tensor) -> list[Tensor]:
            outs, residuals = self.rule.forward(args)
            return [*outs, *residuals]

        outs, ats = self.run(function, primals, self.in_dims)
        self.residual_dims = tuple(ats[total:])
        placed = [
            self.placed(out, at, want)
            for out, at, want in zip(outs, ats, self.wanted, strict=False)
        ]
        return placed, outs[total:]

    def backward(
        self, residuals: Sequence[Tensor], cotangents: Sequence[Tensor]
    ) -> Sequence[Tangent]:
        count = len(residuals)
        there: list[bool] = []

        def function(*args: Tensor) -> list[Tensor]:
            found = self.rule.backward(args[:count], args[count:])
            there[:] = [each is not None for each in found]
            return [each for each in found if each is not None]

        dims = [*self.residual_dims, *(0 if want else None for want in self.wanted)]
        given = iter(zip(*self.run(function, [*residuals, *cotangents], dims), strict=True))
        return [
            self._pulled(*next(given), at) if each else None
            for each, at in zip(there, self.in_dims, strict=True)
        ]

    def _pulled(self, cotangent: Tensor, at: int | None, want: int | None) -> Tensor:
        """A cotangent where its operand has the batch; summed over it where that has none."""
        if want is not None:
            return batched_at(cotangent, at, self.size, want)
        if at is None:  # alike for all examples, whose contributions add up
            cotangent = batched_at(cotangent, None, self.size, 0)
        return ops.sum_(move_dim(cotangent, at or 0, 0), dim=(0,))


class _CustomCall(Operator):
    """The family base: runs a program; batching wraps the rule in another.

    Params:
        program: without constants.
        rule: what differentiates it.

    Class attributes:
        batched_rule: the class of the rule of a batch.
    """

    multiple = True
    transparent = True
    batched_rule: ClassVar[type[_Batched]]

    def infer(self, *types: TensorType, program: Program, rule: Any) -> tuple[TensorType, ...]:
        return program.output_types

    def expand(self, *args: Any, program: Program, rule: Any) -> Any:
        return evaluate(program, args)

    def batch(
        self,
        size: Any,
        args: Sequence[Tensor],
        in_dims: Sequence[int | None],
        *,
        program: Program,
        rule: Any,
    ) -> tuple[Any, Any]:
        dims = tuple(in_dims)
        made, wanted = _batched(program, size, dims)
        outs = self(*args, program=made, rule=self.batched_rule(rule, size, dims, wanted))
        return outs, tuple(0 if want else None for want in wanted)


class CustomJvpCall(_CustomCall):
    """Run a program whose tangents a rule gives.

    Params:
        program: without constants.
        rule: a :class:`JvpRule`.
    """

    name = "custom_jvp_call"
    batched_rule = _BatchedJvp

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        program: Program,
        rule: JvpRule,
    ) -> Any:
        _refuse_captured(tangents, rule, "custom_jvp")
        full = [
            Splat(0, primal.type) if tangent is None and primal.dtype.is_floating_point else tangent
            for primal, tangent in zip(primals, tangents, strict=True)
        ]
        outs, pushed = rule.push(primals, full)
        return tuple(outs), tuple(pushed)


class CustomVjpCall(_CustomCall):
    """Run a program whose cotangents a rule gives.

    Params:
        program: without constants.
        rule: a :class:`VjpRule`.
    """

    name = "custom_vjp_call"
    batched_rule = _BatchedVjp

    def jvp(
        self,
        primals: Sequence[Any],
        tangents: Sequence[Tangent],
        *,
        program: Program,
        rule: VjpRule,
    ) -> Any:
        raise GradientError(
            f"custom_vjp ({rule.name}): forward-mode differentiation (jvp, jacfwd, hessian of it) "
            "needs a rule for tangents, and there is one for cotangents alone. Use "
            "slope.custom_jvp, which serves both modes, or reverse mode (grad, vjp, jacrev)."
        )

    def linearize(
        self,
        primals: Sequence[Tensor],
        tangents: Sequence[Tangent],
        *,
        program: Program,
        rule: VjpRule,
    ) -> Any:
        """As for every operator with ``vjp``; but no captured value may move."""
        _refuse_captured(tangents, rule, "custom_vjp")
        outs, residuals = self.vjp(*primals, program=program, rule=rule)
        return outs, pullback_call(
            *primals,
            *residuals,
            *(each for each in tangents if each is not None),
            op=self,
            params=(("program", program), ("rule", rule)),
            moving=tuple(tangent is not None for tangent in tangents),
            residuals=len(residuals),
        )

    def vjp(self, *primals: Any, program: Program, rule: VjpRule) -> Any:
        outs, residuals = rule.forward(primals)
        return tuple(outs), tuple(residuals)

    def pullback(
        self, residuals: tuple[Any, ...], cotangent: Any, *, program: Program, rule: VjpRule
    ) -> Sequence[Tangent]:
        return rule.backward(residuals, cotangent)


def _refuse_captured(tangents: Sequence[Tangent], rule: JvpRule | VjpRule, user: str) -> None:
    if any(tangent is not None for tangent in tangents[: rule.captured]):
        raise GradientError(
            f"{user} ({rule.name}): the function uses a value of an enclosing function that is "
            "being differentiated, and its rule says how it depends on its arguments alone. Make "
            "that value an argument."
        )


custom_jvp_call: Any = register(CustomJvpCall())
custom_vjp_call: Any = register(CustomVjpCall())
