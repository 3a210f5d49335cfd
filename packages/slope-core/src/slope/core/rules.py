"""Calls of operators' rules: what a rule gives back is checked, and what it raises is named.

Rules are written by strangers. A result of the wrong kind, number or type is refused here, with the
operator's name and what the rule should return, before a transform stumbles over it or goes on to
wrong numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NoReturn

from slope.core.operator import Linear, Operator, Tangent
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.errors import ArgumentError, OperatorDefinitionError, SlopeError


def call(op: Operator, rule: str, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """What a rule returns; whatever it raises says in which rule it was raised.

    Raises:
        ArgumentError: ``infer`` or ``expand`` does not take these operands or parameters.
    """
    try:
        return getattr(op, rule)(*args, **params)
    except SlopeError:
        raise
    except Exception as error:
        blame(op, rule, args, params, error)
        raise


def blame(
    op: Operator, rule: str, args: Sequence[Any], params: dict[str, Any], error: Exception
) -> None:
    """Note on an error in which rule it was raised.

    Raises:
        ArgumentError: ``infer`` or ``expand`` does not take these operands or parameters.
    """
    if rule in ("infer", "expand") and isinstance(error, TypeError):
        _refuse_arguments(op, getattr(op, rule), args, params, error)
    if not getattr(error, "__notes__", None):  # the innermost rule tells most
        error.add_note(f"in {_named(op, rule)}")


def _refuse_arguments(
    op: Operator, method: Any, args: Sequence[Any], params: dict[str, Any], error: TypeError
) -> None:
    """Say what an operator takes, if it was called with something else.

    Raises:
        ArgumentError: its operands or parameters have other names or another number.
    """
    signature = inspect.signature(method)
    try:
        signature.bind(*args, **params)
    except TypeError as reason:
        taken = ", ".join(str(each).partition(":")[0] for each in signature.parameters.values())
        raise ArgumentError(
            f"slope.{op.name}: {reason}; it is the operator slope.{op.name}({taken})."
        ) from error


def check_params(op: Operator, params: dict[str, Any]) -> None:
    """Refuse parameters that no program can hold.

    Raises:
        ArgumentError: one is a tensor, or cannot be hashed.
    """
    for name, value in params.items():
        if isinstance(value, Tensor):
            raise ArgumentError(
                f"operator {op.name!r}: the parameter {name!r} is a tensor {value.type}, and "
                f"parameters are static. Pass a number, or make it an operand: a positional "
                f"argument of the operator's rules."
            )
        try:
            hash(value)
        except TypeError:
            raise ArgumentError(
                f"operator {op.name!r}: the parameter {name!r} is {_shown(value)}, which cannot "
                f"be hashed; pass numbers, strings, or tuples of them."
            ) from None


# --- results


def results(op: Operator, rule: str, value: Any) -> tuple[Tensor, ...]:
    """The tensors that a rule returned for the operator's results."""
    if not op.multiple:
        if not isinstance(value, Tensor):
            _refuse(op, rule, value, "a tensor")
        return (value,)
    return _tensors(op, rule, value, "a tuple of tensors")


def _tensors(op: Operator, rule: str, value: Any, wanted: str) -> tuple[Tensor, ...]:
    if isinstance(value, Tensor) or not hasattr(value, "__iter__"):
        _refuse(op, rule, value, wanted)
    found = tuple(value)
    for each in found:
        if not isinstance(each, Tensor):
            _refuse(op, rule, value, wanted)
    return found


def check_types(
    op: Operator, rule: str, made: Sequence[Tensor], types: Sequence[TensorType]
) -> None:
    """Refuse results of ``expand`` or ``vjp`` whose types are not those that are inferred."""
    for each, wanted in zip(made, types, strict=True):
        if each.type.number != wanted.number:
            _refuse(op, rule, each, f"{wanted}, as its other rules say, or mend those")


def result_types(op: Operator, value: Any) -> tuple[TensorType, ...]:
    """The types that ``infer`` returned."""
    wanted = f"{'a tuple of types' if op.multiple else 'a type'} (slope.extend.TensorType)"
    if op.multiple != isinstance(value, (tuple, list)):
        _refuse(op, "infer", value, wanted)
    found = tuple(value) if op.multiple else (value,)
    for each in found:
        if not isinstance(each, TensorType):
            _refuse(op, "infer", value, wanted)
    return found


def pushed(op: Operator, value: Any) -> tuple[tuple[Tensor, ...], tuple[Tangent, ...]]:
    """The results and their tangents that ``jvp`` returned."""
    out, tangent = _pair(op, "jvp", value, "(out, tangent_out)")
    if isinstance(out, Tensor) and isinstance(tangent, Tensor) and not op.multiple:
        _check(op, "jvp", tangent, out.type, "tangent", "result")
        return (out,), (tangent,)
    outs = results(op, "jvp", out)
    tangents = tuple(tangent) if op.multiple and isinstance(tangent, (tuple, list)) else (tangent,)
    if len(tangents) != len(outs):
        _refuse(op, "jvp", tangents, f"a tangent for each of its {len(outs)} results")
    for each, moved in zip(outs, tangents, strict=True):
        if moved is not None:
            _check(op, "jvp", moved, each.type, "tangent", "result")
    return outs, tangents


def recorded(op: Operator, value: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The results and the residuals that ``vjp`` returned."""
    out, residuals = _pair(op, "vjp", value, "(out, residuals)")
    return results(op, "vjp", out), _tensors(
        op, "vjp", residuals, "residuals as a tuple of tensors"
    )


def pulled(
    op: Operator, rule: str, value: Any, operands: Sequence[Tensor | Linear], used: Sequence[bool]
) -> Sequence[Tangent]:
    """The cotangents that ``pullback`` or ``transpose`` returned.

    Args:
        op: the operator.
        rule: which of the two.
        value: what it returned.
        operands: what it returned cotangents of.
        used: for which of them that matters.
    """
    if not isinstance(value, (tuple, list)) or len(value) != len(operands):
        due = f"a tuple with a cotangent (or None) for each operand, {len(operands)} in all"
        _refuse(op, rule, value, due)
    for each, operand, matters in zip(value, operands, used, strict=True):
        if each is not None and matters:
            _check(op, rule, each, operand.type, "cotangent", "operand")
    return value


def batched(
    op: Operator, value: Any, size: Any
) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    """The results and the places of their batch dimensions that ``batch`` returned."""
    out, at = _pair(op, "batch", value, "(out, dim)")
    outs = results(op, "batch", out)
    dims = tuple(at) if op.multiple and isinstance(at, (tuple, list)) else (at,)
    if len(dims) != len(outs):
        _refuse(op, "batch", dims, f"a dimension (or None) for each of its {len(outs)} results")
    for each, dim in zip(outs, dims, strict=True):
        if dim is None:
            continue
        if type(dim) is not int or not 0 <= dim < each.ndim or each.shape[dim] != size:
            _refuse(op, "batch", dim, f"a dimension of {each.type} whose length is {size}")
    return outs, dims


def _pair(op: Operator, rule: str, value: Any, wanted: str) -> tuple[Any, Any]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        _refuse(op, rule, value, wanted)
    return value[0], value[1]


def _check(op: Operator, rule: str, value: Any, wanted: TensorType, what: str, of: str) -> None:
    if not isinstance(value, Tensor):
        _refuse(op, rule, value, f"tensors (or None) as {what}s")
    if value.type.number != wanted.number and wanted.dtype.is_floating_point:
        _refuse(op, rule, value, f"a {what} of its {of}'s type, {wanted}")


def _refuse(op: Operator, rule: str, value: Any, wanted: str) -> NoReturn:
    raise OperatorDefinitionError(f"{_named(op, rule)} returned {_shown(value)}; return {wanted}.")


def _named(op: Operator, rule: str) -> str:
    kind = type(op)
    return f"{rule} of operator {op.name!r} ({kind.__module__}.{kind.__qualname__})"


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {value.type}"
    if isinstance(value, (tuple, list)) and any(isinstance(each, Tensor) for each in value):
        return f"a {type(value).__name__} of ({', '.join(map(_shown, value))})"
    return "None" if value is None else f"{type(value).__name__} ({value!r:.60})"
