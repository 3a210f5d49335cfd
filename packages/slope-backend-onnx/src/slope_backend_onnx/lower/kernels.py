"""Which kernels ONNX Runtime has, and the dtypes to compute in where it lacks one.

ONNX allows more dtypes than ONNX Runtime's CPU provider implements, and each release implements
more. What release 1.20 has stands in a table; whether a newer one has more is found by building a
one-node session (0.2 ms), once in a process.

Kernels that give wrong results are not in the table, and the rules do without them:

- In 1.31 Max, Min, Clip, Sign, ReduceMax and ReduceMin of int64 compare two numbers of which only
  the lower 32 bits differ as if these were signed: Max of 1 and 2**31 is 1.
- In 1.31 ReduceSum and ReduceProd of integers saturate; in 1.20 they wrap around, as slope does.
- ScatterND runs over its indices on several threads: where they repeat, additions are lost.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from slope.extend import DType, dtypes
from slope_backend_onnx.graph import ELEMENT_TYPES, Graph
from slope_backend_onnx.provider import OnnxRuntimeError
from slope_backend_onnx.sessions import create_session

_FLOATS = ("float32", "float64")
_INTS = ("int32", "int64")

# Kernels of the CPU provider of ONNX Runtime 1.20 at opset 21; float16 is left out, since it runs
# there by casts to float32.
_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), (*_FLOATS, *_INTS)),
    **dict.fromkeys(("Neg",), (*_FLOATS, *_INTS, "int8")),
    **dict.fromkeys(("Exp", "Log", "Sqrt", "Reciprocal", "Sin", "Tanh", "Sigmoid", "Pow"), _FLOATS),
    **dict.fromkeys(("Floor", "Ceil", "Round", "Relu", "IsNaN", "Gemm"), _FLOATS),
    **dict.fromkeys(("Cos", "Tan", "Erf", "Atan"), ("float32",)),
    **dict.fromkeys(("Max", "Min"), (*_FLOATS, "int32", "uint32", "uint64")),
    **dict.fromkeys(("Equal",), (*_FLOATS, *_INTS, "bool")),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual"), (*_FLOATS, *_INTS)),
    "Where": (*_FLOATS, *_INTS, "uint8"),
    "CumSum": (*_FLOATS, *_INTS),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), (*_FLOATS, "int32", "int8", "uint8", "bool")),
    **dict.fromkeys(("ArgMax", "ArgMin"), (*_FLOATS, *_INTS, "int8", "uint8")),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _FLOATS),
    "MatMul": (*_FLOATS, *_INTS),
    "BitShift": ("uint8", "uint32", "uint64"),
    "Pad": (*_FLOATS, *_INTS, "bool", "int8", "uint8", "uint32", "uint64"),
}

# Operators for which a newer runtime is asked: those whose detour through another dtype costs the
# most passes.
_ASKED: Final = frozenset(
    (
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Where",
        "Equal",
        "Less",
        "LessOrEqual",
        "Greater",
        "GreaterOrEqual",
        "Cos",
        "Tan",
        "Erf",
        "Atan",
    )
)

# Same width or wider, so that the low bits of sums and products agree (integers wrap around) and
# bool is 0 or 1.
WIDE: Final[dict[str, str]] = {
    "bool": "uint8",
    **dict.fromkeys(("int8", "int16", "uint8", "uint16", "uint32"), "int32"),
    "uint64": "int64",
    **dict.fromkeys(("float16", "bfloat16"), "float32"),
}

# Wide enough that every value, and so the order of values, stays; uint64 has no such dtype (see
# `ordered`).
ORDERED: Final[dict[str, str]] = {**WIDE, "bool": "int32", "uint32": "int64"}


@functools.cache
def has_kernel(op_type: str, dtype: str) -> bool:
    """Whether the CPU provider computes an ONNX operator in a dtype by itself."""
    if dtype in _KNOWN[op_type]:
        return True
    if op_type not in _ASKED or dtype in ("float16", "bfloat16"):
        return False
    graph = Graph()
    names = [
        graph.input(name, dtype, (1,))
        for name in "xy"[: 1 if op_type in ("Cos", "Tan", "Erf", "Atan") else 2]
    ]
    if op_type == "Where":
        names.insert(0, graph.input("c", np.bool_, (1,)))
    graph.output(graph.op(op_type, *names))
    return _accepts(graph)


def _accepts(graph: Graph) -> bool:
    try:
        create_session(graph.model().SerializeToString(), work=0)
    except OnnxRuntimeError:
        return False
    return True


@functools.cache
def can_bitcast() -> bool:
    """Whether ONNX Runtime has BitCast, which came with opset 26."""
    graph = Graph()
    graph.require_opset(26)
    graph.output(
        graph.op("BitCast", graph.input("x", np.float32, (1,)), to=ELEMENT_TYPES["uint32"])
    )
    return _accepts(graph)


@functools.cache
def channel_block() -> int:
    """How many channels lie together in the layout of ONNX Runtime's own convolutions, or 0.

    It depends on the processor (16 floats with AVX-512, else 8), some have none, and there is no
    query: the convolution of one block is tried, and must be right.
    """
    random = np.random.default_rng(0)
    for size in (16, 8):
        x = random.random((1, size, 4, 4), np.float32)
        w = random.random((size, size, 1, 1), np.float32)
        graph = Graph()
        graph.output(_trial_conv(graph, graph.input("x", "float32", x.shape), w, size))
        try:
            (got,) = create_session(graph.model().SerializeToString(), work=0)([x])
        except OnnxRuntimeError:
            continue
        if np.allclose(got, np.einsum("ncij,oc->noij", x, w[:, :, 0, 0]), rtol=1e-4):
            return size
    return 0


def _trial_conv(graph: Graph, x: str, w: np.ndarray[Any, Any], size: int) -> str:
    """The 1x1 convolution that :func:`channel_block` tries, all channels being one block."""
    domain = "com.microsoft.nchwc"
    # Weights: inputs, then outputs innermost.
    weights = graph.constant(np.ascontiguousarray(w.transpose(2, 3, 1, 0)).reshape(w.shape))
    inner = graph.op("ReorderInput", x, domain=domain)
    made = graph.op("Conv", inner, weights, domain=domain, kernel_shape=[1, 1])
    return graph.op("ReorderOutput", made, domain=domain, channels=size)


def compute_dtype(op_type: str, dtype: DType, detour: dict[str, str] = WIDE) -> str:
    """The dtype that an ONNX operator computes in; the same one where there is a kernel."""
    if has_kernel(op_type, dtype.name):
        return dtype.name
    return detour.get(dtype.name, dtype.name)


def working_dtype(dtype: DType) -> str:
    """The floating-point dtype, by name, that rules compute in: half precision goes by float32."""
    return dtypes.accumulator(dtype).name


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name, ``bfloat16`` (of ml_dtypes) included."""
    return dtypes.as_dtype(name).numpy
