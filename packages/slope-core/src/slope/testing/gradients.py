"""Derivatives of functions against differences, to any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from slope.api._arguments import function_name
from slope.core.operator import Linear
from slope.core.tensor import Splat, Tensor
from slope.core.types import type_of_array
from slope.dtypes import float64
from slope.errors import ArgumentError, GradientError
from slope.plugins.selection import use_backend
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.tree import tree_flatten, tree_unflatten

Array = np.ndarray[Any, Any]
Flat = Callable[..., Sequence[Tensor]]

MODES: Final = ("fwd", "rev")
STEP: Final = 1e-6


def check_grads(
    function: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = MODES,
    *,
    rtol: float = 2e-5,
    atol: float = 2e-6,
    step: float = STEP,
    backend: str = "numpy",
) -> None:
    """Check a function's derivatives against central differences, in float64.

    Args:
        function: of pytrees of tensors, smooth at ``args``.
        args: its arguments; floating-point leaves are cast to float64.
        order: up to which derivative.
        modes: ``"fwd"`` (``jvp``), ``"rev"`` (``vjp``); derivatives of higher order mix them.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        step: how far the differences reach to both sides.
        backend: where to compute.

    Raises:
        AssertionError: a derivative is wrong; says of which order, in which mode, and by how much.
        ArgumentError: a mode is unknown.
        GradientError: no argument is of a floating-point dtype.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        raise ArgumentError(f"check_grads: modes={modes!r}; they are 'fwd' and 'rev'.")
    leaves, structure = tree_flatten(tuple(args))
    primals = [_float64(leaf) for leaf in leaves]
    moving = [primal.dtype.is_floating_point for primal in primals]
    if not any(moving):
        raise GradientError("check_grads: no argument is of a floating-point dtype.")

    def flat(*tensors: Tensor) -> list[Tensor]:
        result = function(*tree_unflatten(structure, tensors))
        return [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, Tensor)]

    with use_backend(backend):
        check_flat(
            flat, primals, moving, order, modes, function_name(function),
            rtol=rtol, atol=atol, step=step,
        )  # fmt: skip


def _float64(leaf: Any) -> Tensor:
    array = np.asarray(leaf)
    if array.dtype.kind not in "biu":
        array = array.astype(np.float64)
    return Tensor(type_of_array(array), host=np.ascontiguousarray(array).reshape(array.shape))


def check_flat(
    flat: Flat,
    primals: Sequence[Tensor],
    moving: Sequence[bool],
    order: int,
    modes: Sequence[str],
    name: str,
    *,
    rtol: float = 2e-5,
    atol: float = 2e-6,
    step: float = STEP,
    path: str = "",
) -> None:
    """Check the derivatives of a function of tensors; see :func:`check_grads`.

    Args:
        flat: from tensors to a sequence of tensors.
        primals: where; floating-point ones are float64.
        moving: which of them to move.
        order: up to which derivative.
        modes: ``"fwd"``, ``"rev"``.
        name: what messages call the function.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        step: of the differences.
        path: the modes of the derivatives that ``flat`` is already.
    """
    random = np.random.default_rng(len(path))
    tangents = [
        _constant(random.uniform(0.5, 1.5, primal.shape)) if moves else None
        for primal, moves in zip(primals, moving, strict=True)
    ]
    wanted = differences(flat, primals, tangents, step)
    for mode in modes:
        told = f"{name}: the derivative of order {path.count(',') + 1} ({path}{mode})"
        if mode == "fwd":
            found = [_array(each) for each in pushed(flat, tangents)(*primals)]
            for number, (got, want) in enumerate(zip(found, wanted, strict=True)):
                _demand(got, want, rtol, atol, f"{told} of result {number}")
            following = pushed(flat, tangents)
        else:
            cotangents = [_constant(random.uniform(0.5, 1.5, want.shape)) for want in wanted]
            following = pulled(flat, moving, cotangents)
            results = [_array(each) for each in following(*primals)]
            given = [_array(each) for each in tangents if each is not None]
            pulls = sum(float(np.sum(a * b)) for a, b in zip(results, given, strict=True))
            pushes = sum(
                float(np.sum(_array(a) * b)) for a, b in zip(cotangents, wanted, strict=True)
            )
            scale = sum(
                float(np.sum(np.abs(_array(a) * b)))
                for a, b in zip(cotangents, wanted, strict=True)
            )
            _demand(
                np.asarray(pulls), np.asarray(pushes), rtol, atol + rtol * scale,
                f"{told}: <J'u, t> against the difference <u, J t>",
            )  # fmt: skip
        if order > 1:
            check_flat(
                following, primals, moving, order - 1, modes, name,
                rtol=rtol, atol=atol, step=step, path=f"{path}{mode}, ",
            )  # fmt: skip


def _demand(got: Array, want: Array, rtol: float, atol: float, what: str) -> None:
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, err_msg=what)


def _constant(array: Any) -> Tensor:
    array = np.asarray(array, float64.numpy)
    return Tensor(type_of_array(array), host=array)


def _array(tensor: Tensor) -> Array:
    return tensor.numpy().astype(np.float64)


def differences(
    flat: Flat, primals: Sequence[Tensor], tangents: Sequence[Tensor | None], step: float = STEP
) -> list[Array]:
    """The directional derivative of each result by central differences."""

    def moved(by: float) -> list[Array]:
        args = [
            primal if tangent is None else _constant(primal.numpy() + by * tangent.numpy())
            for primal, tangent in zip(primals, tangents, strict=True)
        ]
        return [_array(out) for out in flat(*args)]

    return [(up - down) / (2 * step) for up, down in zip(moved(step), moved(-step), strict=True)]


def pushed(flat: Flat, tangents: Sequence[Tensor | None]) -> Flat:
    """The tangents of all results, as a function of the primals."""

    def run(*primals: Tensor) -> list[Tensor]:
        outs, moved = jvp_flat(flat, primals, tangents)
        return [
            Splat(0, out.type) if each is None else each
            for out, each in zip(outs, moved, strict=True)
        ]

    return run


def pulled(flat: Flat, moving: Sequence[bool], cotangents: Sequence[Tensor]) -> Flat:
    """The cotangents of the moving primals, as a function of all primals."""

    def run(*primals: Tensor) -> list[Tensor]:
        outs, program, moved = linearize_flat(flat, primals, moving)
        given = [
            ct if moves and out.dtype.is_floating_point else None
            for out, ct, moves in zip(outs, cotangents, moved, strict=True)
        ]
        results = backward(program, [Linear(var.type) for var in program.inputs], given)
        types = [primal.type for primal, moves in zip(primals, moving, strict=True) if moves]
        return [
            Splat(0, each) if result is None else result
            for result, each in zip(results, types, strict=True)
        ]

    return run
