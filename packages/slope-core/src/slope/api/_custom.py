"""Functions with derivatives that users write: custom_jvp, custom_vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

from slope.api._arguments import (
    function_name,
    output_leaves,
    require_callable,
    tensor_leaf,
    type_name,
    whole_numbers,
)
from slope.api._bodies import Body, KeyScope, NoDraws, fresh_key
from slope.control._programs import intern, lifted
from slope.control.custom import custom_jvp_call, custom_vjp_call
from slope.core.operator import Tangent
from slope.core.tensor import Splat, Tensor
from slope.core.trace import EVAL, current_trace
from slope.core.types import TensorType
from slope.errors import ArgumentError, GradientError, ShapeError, TreeError
from slope.functions.generator import all_or_nothing, use_scope
from slope.tree import flatten_up_to, tree_flatten, tree_unflatten, typed_key

P = ParamSpec("P")
R = TypeVar("R")


class _Arguments:
    """The arguments of a call: which are differentiated and which are not."""

    def __init__(self, args: tuple[Any, ...], nondiff: Sequence[int], user: str) -> None:
        count = len(args)
        self.nondiff = sorted({number + count if number < 0 else number for number in nondiff})
        for number in self.nondiff:
            if not 0 <= number < count:
                raise ArgumentError(
                    f"{user}: nondiff_argnums={tuple(nondiff)}, and there are {count} arguments."
                )
        self.fixed = [args[number] for number in self.nondiff]
        rest = tuple(arg for number, arg in enumerate(args) if number not in self.nondiff)
        leaves, self.structure = tree_flatten(rest)
        self.leaves = [
            leaf if isinstance(leaf, (bool, str)) else tensor_leaf(leaf, user, "an argument")
            for leaf in leaves
        ]
        self.tensors = [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]

    def rest(self, values: Sequence[Any], *, statics: bool = True) -> tuple[Any, ...]:
        """The differentiated arguments of flat values; other leaves if ``statics``, or ``None``."""
        given = iter(values)
        leaves = [
            next(given) if isinstance(leaf, Tensor) else leaf if statics else None
            for leaf in self.leaves
        ]
        return tree_unflatten(self.structure, leaves)

    def whole(self, values: Sequence[Any]) -> list[Any]:
        """All arguments in their order."""
        rest = list(self.rest(values))
        for number, value in zip(self.nondiff, self.fixed, strict=True):
            rest.insert(number, value)
        return rest

    def key(self) -> Any:
        """Equal for calls that differ in tensors' values alone; identities if not comparable."""
        statics = [None if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        try:
            return typed_key((tuple(self.fixed), tuple(statics))), self.structure
        except ArgumentError:
            return id(self)


class _Rule:
    """The base of rules on flat operands: ``(*captured, *arguments, key if it draws)``."""

    def __init__(
        self, owner: Any, arguments: _Arguments, body: Body, captured: int, user: str
    ) -> None:
        self.owner = owner
        self.arguments = arguments
        self.draws = body.draws
        self.captured = captured
        self.user = user
        self.name = body.name
        self.structure = body.structure
        self.types = [leaf.type for leaf in body.leaves]
        self._key = (
            type(self),
            owner,
            owner.rules(),
            arguments.key(),
            self.draws,
            captured,
            self.structure,
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rule) and self._key == other._key

    def values(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Those of the arguments."""
        return operands[self.captured : self.captured + len(self.arguments.tensors)]

    def scope(self, operands: Sequence[Tensor], what: str) -> Any:
        return (
            KeyScope(operands[-1])
            if self.draws
            else NoDraws(f"the {what} of {self.user} {self.name}")
        )

    def results(self, result: Any, what: str) -> list[Tensor]:
        """A result's leaves, which must be of the function's types."""
        leaves, structure = tree_flatten(result)
        if structure != self.structure:
            raise TreeError(
                f"{self.user} ({self.name}): {what} has the structure {structure}, and the "
                f"function's result {self.structure}."
            )
        tensors = output_leaves(leaves, result, self.user)
        for number, (tensor, wanted) in enumerate(zip(tensors, self.types, strict=True)):
            _require(self, tensor.type, wanted, f"leaf {number} of {what}", "the function's result")
        return tensors


def _require(rule: _Rule, found: TensorType, wanted: TensorType, what: str, whose: str) -> None:
    if found != wanted:
        raise ShapeError(
            f"{rule.user} ({rule.name}): {what} is {found}, and must be {wanted} like {whose}."
        )


class _JvpRule(_Rule):
    def push(
        self, primals: Sequence[Tensor], tangents: Sequence[Tangent]
    ) -> tuple[list[Tensor], list[Tangent]]:
        arguments = self.arguments
        with use_scope(self.scope(primals, "rule")):
            pair = self.owner.jvp_rule(
                *arguments.fixed,
                arguments.rest(self.values(primals)),
                arguments.rest(self.values(tangents), statics=False),
            )
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ArgumentError(
                    f"custom_jvp ({self.name}): the rule must return a pair (result, tangent), "
                    f"and returned a {type_name(pair)}."
                )
            outs = self.results(pair[0], "the rule's result")
            pushed = self._tangents(pair[1])
        return outs, pushed

    def _tangents(self, tree: Any) -> list[Tangent]:
        leaves = flatten_up_to(
            self.structure, tree, f"custom_jvp ({self.name}): the rule's tangent"
        )
        found: list[Tangent] = []
        for number, (leaf, wanted) in enumerate(zip(leaves, self.types, strict=True)):
            if leaf is None or not wanted.dtype.is_floating_point:
                found.append(None)
                continue
            tensor = tensor_leaf(leaf, "custom_jvp", "the rule's tangent")
            _require(
                self,
                tensor.type,
                wanted,
                f"leaf {number} of the rule's tangent",
                "the function's result",
            )
            found.append(tensor)
        return found


class _VjpRule(_Rule):
    residuals: Any = None

    def forward(self, primals: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        with use_scope(self.scope(primals, "forward rule")):
            pair = self.owner.forward_rule(*self.arguments.whole(self.values(primals)))
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ArgumentError(
                    f"custom_vjp ({self.name}): the forward rule must return a pair (result, "
                    f"residuals), and returned a {type_name(pair)}."
                )
            outs = self.results(pair[0], "the forward rule's result")
            leaves, structure = tree_flatten(pair[1])
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        self.residuals = (
            structure,
            [None if isinstance(leaf, Tensor) else (leaf,) for leaf in leaves],
        )
        return outs, tensors

    def backward(self, residuals: Sequence[Tensor], cotangents: Sequence[Tensor]) -> list[Tangent]:
        structure, plan = self.residuals
        given = iter(residuals)
        kept = tree_unflatten(
            structure, [next(given) if each is None else each[0] for each in plan]
        )
        result = tree_unflatten(self.structure, cotangents)
        arguments = self.arguments
        pulled = self.owner.backward_rule(*arguments.fixed, kept, result)
        count = arguments.structure.num_children
        if not isinstance(pulled, (tuple, list)) or len(pulled) != count:
            raise TreeError(
                f"custom_vjp ({self.name}): the backward rule must return a tuple with one "
                f"cotangent for each of the {count} arguments, and returned "
                f"{pulled!r:.80}."
            )
        found: list[Tangent] = [None] * self.captured
        for number, (tree, child) in enumerate(
            zip(pulled, arguments.structure.children(), strict=True)
        ):
            leaves = (
                [None] * child.num_leaves
                if tree is None
                else flatten_up_to(child, tree, f"custom_vjp ({self.name}): cotangent {number}")
            )
            found.extend(leaves)
        found = self._checked(found[self.captured :])
        return [*[None] * self.captured, *found, *([None] if self.draws else [])]

    def _checked(self, leaves: Sequence[Any]) -> list[Tangent]:
        checked: list[Tangent] = []
        for number, (leaf, argument) in enumerate(zip(leaves, self.arguments.leaves, strict=True)):
            if not isinstance(argument, Tensor):
                continue
            if leaf is None or not argument.dtype.is_floating_point:
                checked.append(None)
                continue
            tensor = (
                Splat(float(leaf), argument.type.with_shape(()))
                if isinstance(leaf, (int, float))
                else tensor_leaf(leaf, "custom_vjp", "a cotangent")
            )
            _require(
                self,
                tensor.type,
                argument.type,
                f"cotangent {number} of the backward rule",
                "its argument",
            )
            checked.append(tensor)
        return checked


class _Custom(Generic[P, R]):
    """The base of :class:`custom_jvp` and :class:`custom_vjp`."""

    user = ""

    def __init__(self, function: Callable[P, R], nondiff_argnums: int | Sequence[int] = ()) -> None:
        require_callable(function, self.user)
        functools.update_wrapper(self, function)  # pyright: ignore[reportArgumentType]  # subclasses are callable
        self.function: Callable[..., R] = function
        self.nondiff_argnums = whole_numbers(nondiff_argnums, self.user, "nondiff_argnums")
        self.__name__ = function_name(function)

    def rules(self) -> tuple[Any, ...]:
        """The rules, part of what makes two calls the same."""
        raise NotImplementedError  # both define it

    def _bind(self, args: tuple[Any, ...], operator: Any, make: Any) -> Any:
        arguments = _Arguments(args, self.nondiff_argnums, f"{self.user} {self.__name__}")
        with Body(self.function, self.user) as body:
            body.run(
                *arguments.whole(
                    [body.trace.new_input(tensor.type) for tensor in arguments.tensors]
                )
            )
            program = body.finish()
        (program,), captured = lifted((program,))
        rule = make(self, arguments, body, len(captured), self.user)
        with fresh_key(body.draws) as key:
            outs = operator(*captured, *arguments.tensors, *key, program=intern(program), rule=rule)
        return tree_unflatten(body.structure, outs)

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if not kwargs:
            return args
        import inspect

        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(
                f"{self.user} ({self.__name__}): keyword-only arguments "
                f"{', '.join(bound.kwargs)} cannot be passed; make them positional."
            )
        return bound.args


class custom_jvp(_Custom[P, R]):  # noqa: N801  # used as a decorator
    """A function with a rule for its tangents: forward mode uses it, reverse mode transposes it.

    The rule must be linear in the tangents. It works under ``jit``, ``vmap`` and further
    derivatives, which differentiate the rule.

    Args:
        function: of positional pytrees of tensors and numbers.
        nondiff_argnums: arguments that are not differentiated: anything (functions, strings); the
            rule gets them first.

    Example:
        >>> @slope.custom_jvp
        ... def f(x):
        ...     return slope.sin(x)
        >>> @f.defjvp
        ... def f_jvp(primals, tangents):
        ...     (x,), (dx,) = primals, tangents
        ...     return f(x), 10 * slope.cos(x) * dx
        >>> slope.grad(f)(0.0).item()
        10.0
    """

    user = "custom_jvp"
    jvp_rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule: ``(*nondiff, primals, tangents) -> (result, tangent of the result)``.

        ``primals`` and ``tangents`` are tuples in the structure of the arguments; the tangents of
        integers and bools are ``None``.

        Returns:
            The rule.
        """
        self.jvp_rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set the rule by one for each argument, whose tangents add up.

        Args:
            rules: ``(tangent, result, *arguments) -> tangent of the result``, for arguments and
                results that are one tensor each; ``None``: no derivative passes.

        Raises:
            ArgumentError: there are ``nondiff_argnums``; when differentiated, not as many rules
                as arguments.
        """
        if self.nondiff_argnums:
            raise ArgumentError(
                f"custom_jvp ({self.__name__}): defjvps takes a rule for each argument, so there "
                "can be no nondiff_argnums; set the whole rule with defjvp."
            )

        def rule(primals: Any, tangents: Any) -> tuple[Any, Any]:
            if len(rules) != len(primals):
                raise ArgumentError(
                    f"custom_jvp ({self.__name__}): defjvps got {len(rules)} rules, and there are "
                    f"{len(primals)} arguments; give None for those without a derivative."
                )
            out = self(*primals)
            parts = [
                part(tangent, out, *primals)
                for part, tangent in zip(rules, tangents, strict=True)
                if part is not None and tangent is not None
            ]
            return out, sum(parts[1:], parts[0]) if parts else None

        self.defjvp(rule)

    def rules(self) -> tuple[Any, ...]:
        return (self.jvp_rule,)

    @all_or_nothing
    def __call__(self, *args: Any, **kwargs: Any) -> R:
        if self.jvp_rule is None:
            raise GradientError(
                f"custom_jvp ({self.__name__}) has no rule; set one with @{self.__name__}.defjvp."
            )
        args = self._positional(args, kwargs)
        return (
            self.function(*args)
            if current_trace() is EVAL
            else self._bind(args, custom_jvp_call, _JvpRule)
        )


class custom_vjp(_Custom[P, R]):  # noqa: N801  # used as a decorator
    """A function with rules for its cotangents, for reverse mode alone.

    Works under ``jit``, ``vmap`` and further reverse-mode derivatives, which differentiate the
    rules.

    Args:
        function: of positional pytrees of tensors and numbers.
        nondiff_argnums: arguments that are not differentiated: anything (functions, strings); the
            backward rule gets them first.

    Example:
        >>> @slope.custom_vjp
        ... def clip_gradient(x):
        ...     return x
        >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, g: (slope.clamp(g, -1, 1),))
        >>> slope.grad(lambda x: clip_gradient(x) * 5.0)(2.0).item()
        1.0
    """

    user = "custom_vjp"
    forward_rule: Callable[..., Any] | None = None
    backward_rule: Callable[..., Any] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set the rules.

        Args:
            forward: takes the function's arguments to ``(result, residuals)``.
            backward: takes ``(*nondiff, residuals, cotangent of the result)`` to a tuple of the
                arguments' cotangents; ``None`` is zero, and what integers and bools get.
        """
        self.forward_rule, self.backward_rule = forward, backward

    def rules(self) -> tuple[Any, ...]:
        return self.forward_rule, self.backward_rule

    @all_or_nothing
    def __call__(self, *args: Any, **kwargs: Any) -> R:
        if self.forward_rule is None or self.backward_rule is None:
            raise GradientError(
                f"custom_vjp ({self.__name__}) has no rules; set them with "
                f"{self.__name__}.defvjp(forward, backward)."
            )
        args = self._positional(args, kwargs)
        return (
            self.function(*args)
            if current_trace() is EVAL
            else self._bind(args, custom_vjp_call, _VjpRule)
        )
