"""What tests of programs share: a small interpreter, and a namespace that printed text runs in."""

# ruff: noqa: E501  # golden texts and tables

import types
import warnings
from typing import Any

import numpy as np
import pytest

import slope
from slope import dtypes
from slope.core.printer import constants_of, identifier, program_of, program_text
from slope.core.program import Literal, trace_program
from slope.core.tensor import splat_scalar
from slope.core.types import TensorType


def _dot_general(x, y, contract, batch):
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    of_x, of_y = (
        [next(letters) for _ in range(x.ndim)],
        [next(letters) for _ in range(y.ndim)],
    )
    for dims_x, dims_y in (contract, batch):
        for a, b in zip(dims_x, dims_y, strict=True):
            of_y[b] = of_x[a]
    free_x = [c for d, c in enumerate(of_x) if d not in (*contract[0], *batch[0])]
    free_y = [c for d, c in enumerate(of_y) if d not in (*contract[1], *batch[1])]
    out = [of_x[d] for d in batch[0]] + free_x + free_y
    return np.einsum(f"{''.join(of_x)},{''.join(of_y)}->{''.join(out)}", x, y)


def _broadcast(x, shape, dims):
    full = [1] * len(shape)
    for dim, length in zip(dims, x.shape, strict=True):
        full[dim] = length
    return np.broadcast_to(x.reshape(full), shape)


def _pad(x, low, high, interior, value=0):
    shape = [
        a + n + max(n - 1, 0) * i + b
        for n, a, b, i in zip(x.shape, low, high, interior, strict=True)
    ]
    out = np.full(shape, value, x.dtype)
    places = [
        slice(a, a + n + max(n - 1, 0) * i, i + 1)
        for n, a, i in zip(x.shape, low, interior, strict=True)
    ]
    out[tuple(places)] = x
    return out


def _cast(x, dtype):
    if x.dtype.kind == "f" and dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        wide = np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0.0, posinf=1e30, neginf=-1e30)
        exact = [min(max(int(v), limits.min), limits.max) for v in wide.ravel()]
        return np.array(exact, object).astype(dtype.numpy).reshape(x.shape)
    return x != 0 if dtype.name == "bool" else x.astype(dtype.numpy)


MEANING = {
    "neg": np.negative, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "exp": np.exp, "sin": np.sin, "tanh": np.tanh, "abs": np.abs, "maximum": np.maximum, "minimum": np.minimum,
    "integer_pow": lambda x, exponent: x**exponent,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "where": np.where, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
    "bitwise_not": np.invert, "stop_gradient": lambda x: x, "cast": _cast,
    "reshape": lambda x, shape: x.reshape(shape), "permute": lambda x, dims: x.transpose(dims),
    "broadcast": _broadcast, "flip": lambda x, dims: x[tuple(slice(None, None, -1 if d in dims else 1) for d in range(x.ndim))],
    "slice": lambda x, start, stop, step: x[tuple(map(slice, start, stop, step))], "interior_pad": _pad,
    "concatenate": lambda *xs, dim: np.concatenate(xs, dim), "sum": lambda x, dim: x.sum(dim, dtype=x.dtype),
    "amax": lambda x, dim: x.max(dim), "amin": lambda x, dim: x.min(dim), "prod": lambda x, dim: x.prod(dim, dtype=x.dtype),
    "any": lambda x, dim: x.any(dim), "all": lambda x, dim: x.all(dim), "dot_general": _dot_general,
    "iota": lambda shape, dim, dtype: _broadcast(np.arange(shape[dim], dtype=dtype.numpy), shape, (dim,)),
}  # fmt: skip


def run(program, *arrays):
    """The outputs of a program on NumPy arrays."""
    env = dict(zip(program.inputs, arrays, strict=True))
    env.update((var, tensor.host()) for var, tensor in program.constants)

    def read(atom):
        if isinstance(atom, Literal):
            return np.full(
                atom.type.shape,
                splat_scalar(atom.value, atom.type.dtype),
                atom.type.dtype.numpy,
            )
        return env[atom]

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for instr in program.instrs:
            inputs = [read(atom) for atom in instr.inputs]
            results = (
                run(instr.params["program"], *inputs)
                if instr.op.name == "call"
                else MEANING[instr.op.name](*inputs, **instr.params)
            )
            for var, value in zip(
                instr.outputs, results if instr.op.multiple else (results,), strict=True
            ):
                env[var] = np.asarray(value)
                assert (env[var].shape, env[var].dtype) == (
                    var.type.shape,
                    var.type.dtype.numpy,
                ), instr
    return [read(atom) for atom in program.outputs]


def make(function, *inputs, names=()):
    """The program of a function; inputs are ``"float32[2, 3]"``."""
    program = trace_program(
        lambda *args: _tuple(function(*args)),
        [type_(each) for each in inputs],
        name=getattr(function, "__name__", "program"),
    )
    program.input_names = tuple(names)
    return program.check()


def _tuple(value):
    return value if isinstance(value, tuple | list) else (value,)


def type_(text):
    """``"float32[2, 3]"`` as a type."""
    if isinstance(text, TensorType):
        return text
    name, _, shape = text.rstrip("]").partition("[")
    return TensorType(
        tuple(int(each) for each in shape.split(",") if each.strip()),
        dtypes.as_dtype(name),
    )


class Namespace:
    """``slope`` as printed text imports it."""

    program_of = staticmethod(program_of)

    def __init__(self, **more):
        self.__dict__.update(more)

    def __getattr__(self, name):
        return getattr(slope, name)


def retrace(program, **more):
    """The program that the text of a program computes; ``more`` are names of ``slope`` besides."""
    source = program_text(program).replace("\nimport slope\n", "\n")
    scope = {"slope": Namespace(**more)}
    exec(compile(source, "<printed>", "exec"), scope)
    constants = {f"c{k}": tensor for k, tensor in enumerate(constants_of(program))}
    function: Any = scope[identifier(program.name)]
    return trace_program(
        lambda *args: function(*args, **constants),
        program.input_types,
        name=program.name,
    )


def body(program):
    """The instructions and the return of a program's text, for golden tests."""
    lines = program_text(program).splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("def "))
    end = next(k for k, line in enumerate(lines) if k >= start and line.endswith("):"))
    return "\n".join(line.strip() for line in lines[end + 1 :])


@pytest.fixture(scope="session")
def programs():
    """The helpers above: ``run``, ``make``, ``type_``, ``retrace``, ``body``."""
    return types.SimpleNamespace(run=run, make=make, type_=type_, retrace=retrace, body=body)


@pytest.fixture
def on_numpy():
    """The backend that defines what operators mean."""
    with slope.use_backend("numpy"):
        yield
