"""Which functions are methods and operators of tensors.

Declared for type checkers in :mod:`slope.core.declared`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slope import dtypes
from slope.core.tensor import Tensor, install_methods
from slope.devices import Device, device
from slope.dims import DimExpr
from slope.dtypes import DType, DTypeLike, as_dtype
from slope.errors import ArgumentError, SlopeError
from slope.functions import (
    activations,
    arithmetic,
    arrangement,
    at,
    combining,
    contraction,
    data_dependent,
    elementwise,
    extremes,
    indexing,
    joining,
    likeness,
    logic,
    masking,
    norms,
    numpy_protocols,
    ordering,
    powers,
    products,
    quantiles,
    ranks,
    reductions,
    rounding,
    scattering,
    sections,
    selection,
    shapes,
    special_values,
    statistics,
)
from slope.functions._base import TensorLike, as_tensor, strong, to_dtype
from slope.functions._devices import placed


def to(
    x: Tensor,
    *targets: Any,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """As another dtype, on another device, or both: ``x.to(slope.float16)``, ``x.to("cpu")``.

    ``non_blocking`` and ``copy`` are PyTorch's, and change nothing: a move takes as long as it
    takes, and tensors that do not change need no copies. Behind a target they may stand without
    their names.

    Raises:
        ArgumentError: a target that is neither.
    """
    del non_blocking, copy
    while len(targets) > 1 and isinstance(targets[-1], bool):
        targets = targets[:-1]
    if len(targets) > 1:  # as in x.to(device, dtype if wanted else None)
        targets = tuple(target for target in targets if target is not None)
    for target in targets:
        if isinstance(target, Device):
            device = target
        elif isinstance(target, Tensor):
            dtype, device = target.dtype, target.device
        elif isinstance(target, (DType, type)):
            dtype = target
        elif isinstance(target, str):
            dtype, device = _named(target, dtype, device)
        else:
            try:
                dtype = as_dtype(target)
            except SlopeError:
                raise ArgumentError(
                    f"to: {target!r:.60} is neither a dtype nor a device."
                ) from None
    x = x if dtype is None else strong(to_dtype(x, as_dtype(dtype)))
    return x if device is None else placed(x, device)


def _named(name: str, dtype: Any, where: Any) -> tuple[Any, Any]:
    try:
        return as_dtype(name), where
    except SlopeError:
        return dtype, device(name)


def type_as(x: Tensor, other: TensorLike) -> Tensor:
    """As another tensor's dtype."""
    return to(x, as_tensor(other, "type_as", "other").dtype)


def _as(dtype: DType) -> Callable[[Tensor], Tensor]:
    def convert(x: Tensor) -> Tensor:
        return to(x, dtype)

    convert.__name__ = convert.__qualname__ = dtype.name
    convert.__doc__ = f"As {dtype.name}."
    return convert


def cuda(x: Tensor, device: Device | str | int = 0) -> Tensor:
    """On a GPU: the first, or the one of a number or name."""
    return placed(x, f"cuda:{device}" if isinstance(device, int) else device)


def detach(x: Tensor) -> Tensor:
    """The same values as a constant: no derivative passes."""
    return elementwise.stop_gradient(x)


def contains(x: Tensor, value: TensorLike) -> bool:
    """``value in x``: whether an element equals it."""
    return bool(reductions.any(logic.eq(x, value)))


def same(x: Tensor) -> Tensor:
    """The tensor itself: tensors do not change and have no strides."""
    return x


def negative(x: Tensor) -> Tensor:
    """``-x``."""
    return elementwise.neg(x)


def _operand(value: object) -> bool:
    """Whether an operator takes a value.

    For others Python asks the other side, and says that neither can.
    """
    import numpy as np

    return isinstance(value, (Tensor, int, float, np.ndarray, np.generic, DimExpr))


def _operator(function: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Any]:
    def operator(x: Tensor, y: Any) -> Any:
        if type(y) is not Tensor and not _operand(y):
            return NotImplemented
        return function(x, y)

    operator.__name__ = operator.__qualname__ = function.__name__
    operator.__doc__ = function.__doc__
    return operator


def _reflected(function: Callable[[Any, Any], Tensor]) -> Callable[[Tensor, Any], Any]:
    def operator(x: Tensor, y: Any) -> Any:
        return function(y, x) if _operand(y) else NotImplemented

    operator.__name__ = operator.__qualname__ = function.__name__
    operator.__doc__ = function.__doc__
    return operator


def divmod_(x: Tensor, y: Any) -> tuple[Tensor, Tensor]:
    """``(x // y, x % y)``."""
    return arithmetic.floor_divide(x, y), arithmetic.remainder(x, y)


BINARY = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": arithmetic.pow,
    "matmul": contraction.matmul,
    "and": logic.bitwise_and,
    "or": logic.bitwise_or,
    "xor": logic.bitwise_xor,
    "lshift": logic.bitwise_left_shift,
    "rshift": logic.bitwise_right_shift,
    "divmod": divmod_,
}
COMPARISONS = {name: getattr(logic, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}

NAMES = {
    arithmetic: """
        add sub mul div true_divide floor_divide remainder fmod pow
        lerp atan2 logaddexp hypot xlogy copysign heaviside addcmul addcdiv
    """,
    extremes: "maximum minimum fmax fmin clamp clamp_min clamp_max",
    likeness: """
        t expand_as reshape_as ravel select cpu is_floating_point
        new_zeros new_ones new_full new_tensor
    """,
    logic: """
        eq ne lt le gt ge isclose allclose equal
        logical_and logical_or logical_xor logical_not
        bitwise_and bitwise_or bitwise_xor bitwise_not bitwise_left_shift bitwise_right_shift
    """,
    elementwise: """
        neg abs sign exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos
        tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc sigmoid astype bitcast
        erfinv lgamma digamma sinc logit
    """,
    rounding: "floor ceil round trunc frac",
    special_values: "isnan isfinite isposinf isneginf signbit isinf nan_to_num",
    reductions: """
        sum prod mean var std max min amax amin argmax argmin any all logsumexp norm
        cumsum count_nonzero nansum nanmean
    """,
    shapes: """
        reshape view flatten unflatten permute transpose movedim squeeze unsqueeze expand
        broadcast_to repeat tile
    """,
    contraction: "matmul dot mv mm bmm outer tensordot",
    indexing: "gather take_along_dim index_select",
    activations: "relu softmax log_softmax prelu hardshrink",
    ordering: """aminmax argsort cummax cummin cumprod logcumsumexp median nanmedian
        sort topk""",
    quantiles: "quantile nanquantile",
    scattering: """
        index_add index_copy index_fill index_put scatter scatter_add scatter_reduce take
    """,
    masking: "masked_fill masked_select masked_scatter",
    data_dependent: "nonzero argwhere unique unique_consecutive bincount",
    arrangement: """
        flip fliplr flipud roll rot90 swapaxes diagonal diag diag_embed tril triu
    """,
    products: "addmm addmv addr addbmm baddbmm vdot inner kron trace cross",
    joining: "split chunk unbind narrow diff",
    combining: "diagflat",
    norms: "dist renorm",
    powers: "deg2rad float_power gcd lcm ldexp logaddexp2 rad2deg",
    ranks: "histc histogram kthvalue mode msort",
    sections: """
        tensor_split hsplit vsplit dsplit select_scatter slice_scatter diagonal_scatter
    """,
    selection: "repeat_interleave",
    statistics: "cov corrcoef",
}


def where_method(x: Tensor, condition: Any, y: Any) -> Tensor:
    """``x`` where the condition holds, else ``y``."""
    return logic.where(condition, x, y)


def _install() -> None:
    methods: dict[str, Any] = {}
    for module, names in NAMES.items():
        methods.update({name: getattr(module, name) for name in names.split()})
    for name, function in BINARY.items():
        methods[f"__{name}__"] = _operator(function)
        methods[f"__r{name}__"] = _reflected(function)
    methods.update({f"__{name}__": _operator(function) for name, function in COMPARISONS.items()})
    methods.update(
        __neg__=elementwise.neg,
        __pos__=same,
        __abs__=elementwise.abs,
        __invert__=logic.bitwise_not,
        __round__=rounding.round,
        __getitem__=indexing.getitem,
        __setitem__=at.setitem,
        __iter__=indexing.iterate,
        __contains__=contains,
        where=where_method,
        unfold=selection.windows_along,
        to=to,
        type_as=type_as,
        view_as=likeness.reshape_as,
        float=_as(dtypes.float32),
        double=_as(dtypes.float64),
        half=_as(dtypes.float16),
        bfloat16=_as(dtypes.bfloat16),
        int=_as(dtypes.int32),
        long=_as(dtypes.int64),
        bool=_as(dtypes.bool_),
        cuda=cuda,
        detach=detach,
        clone=same,
        contiguous=same,
        T=property(shapes.reverse_dims),
        mT=property(shapes.matrix_transpose),
        at=property(at.at),
    )
    install_methods(**methods)
    Tensor.__array_ufunc__ = numpy_protocols.array_ufunc  # pyright: ignore[reportAttributeAccessIssue]  # NumPy asks for it
    Tensor.__array_function__ = numpy_protocols.array_function  # pyright: ignore[reportAttributeAccessIssue]  # NumPy asks for it


if "add" not in Tensor.__dict__:
    _install()
