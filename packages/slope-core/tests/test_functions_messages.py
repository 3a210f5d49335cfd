"""Messages of functions: what was asked, and with what."""

import numpy as np
import pytest

import slope
from slope import errors
from slope import functions as fn

pytestmark = pytest.mark.usefixtures("on_numpy")


def of(dtype, *shape):
    return fn.ones(*shape, dtype=dtype)


BAD = {
    "shapes": (
        lambda: fn.ones(2, 3) + fn.ones(4),
        errors.ShapeError,
        r"add: shapes \(2, 3\) and \(4,\) do not broadcast: dimension -1 is 3 and 4",
    ),
    "operand": (
        lambda: fn.add(fn.ones(2), "text"),
        errors.ArgumentError,
        r"add: y is a str \('text'\)",
    ),
    "list": (
        lambda: fn.ones(2) * fn.add(fn.ones(2), [1, 2]),
        errors.ArgumentError,
        r"add: y is a list.*slope.tensor",
    ),
    "uint64": (
        lambda: of("uint64", 2) + of("int64", 2),
        errors.DTypeError,
        "add: no integer dtype holds both",
    ),
    "bool sub": (lambda: of("bool", 2) - of("bool", 2), errors.DTypeError, "logical_xor"),
    "mean": (
        lambda: fn.ones(2, dtype="int64").mean(),
        errors.DTypeError,
        r"mean: int64\[2\].*dtype=slope.float32",
    ),
    "dim": (
        lambda: fn.sum(fn.ones(2, 3), 2),
        errors.ShapeError,
        r"sum: dim=2 is out of range for a tensor of shape \(2, 3\)",
    ),
    "dim kind": (
        lambda: fn.sum(fn.ones(2, 3), "x"),
        errors.ArgumentError,
        "sum: dim='x' must be an int",
    ),
    "dim twice": (lambda: fn.sum(fn.ones(2, 3), (0, -2)), errors.ShapeError, "twice"),
    "max dims": (
        lambda: fn.max(fn.ones(2, 3), (0, 1)),
        errors.ArgumentError,
        "slope.amax takes several",
    ),
    "empty max": (lambda: fn.amax(fn.ones(0)), errors.ShapeError, "empty"),
    "where": (
        lambda: fn.where(fn.ones(2), 1, 2),
        errors.DTypeError,
        r"where: the condition must be bool, not float32\[2\]",
    ),
    "reshape": (
        lambda: fn.ones(6).reshape(4),
        errors.ShapeError,
        r"reshape: float32\[6\] has 6 elements, shape \(4,\) has 4",
    ),
    "reshape -1": (lambda: fn.ones(6).reshape(4, -1), errors.ShapeError, r"reshape: .*\(4, -1\)"),
    "reshape -2": (lambda: fn.ones(6).reshape(-1, -1), errors.ShapeError, "one -1"),
    "size kind": (
        lambda: fn.zeros(2.5),
        errors.ArgumentError,
        r"zeros: size takes ints, and got 2.5",
    ),
    "negative": (lambda: fn.zeros(-1), errors.ShapeError, "negative length"),
    "permute": (lambda: fn.ones(2, 3).permute(0, 0), errors.ShapeError, "no permutation"),
    "expand": (lambda: fn.ones(2, 3).expand(4, 3), errors.ShapeError, r"expand: .*\(4, 3\)"),
    "cat": (
        lambda: fn.cat([fn.ones(2, 3), fn.ones(2, 4)]),
        errors.ShapeError,
        r"cat: along dim=0, float32\[2, 4\] does not go with float32\[2, 3\]",
    ),
    "cat nothing": (lambda: fn.cat([]), errors.ShapeError, "at least one"),
    "cat tensor": (lambda: fn.cat(fn.ones(2)), errors.ArgumentError, "list or tuple"),
    "stack": (lambda: fn.stack([fn.ones(2), fn.ones(3)]), errors.ShapeError, "stack"),
    "split": (lambda: fn.split(fn.ones(5), [2, 2]), errors.ShapeError, "do not add up"),
    "pad mode": (
        lambda: fn.pad(fn.ones(5), (1, 1), "mirror"),
        errors.ArgumentError,
        "mode='mirror'",
    ),
    "pad widths": (lambda: fn.pad(fn.ones(5), (1, 1, 1)), errors.ArgumentError, "two widths"),
    "narrow": (
        lambda: fn.narrow(fn.ones(5), 0, 3, 4),
        errors.ShapeError,
        "narrow: 4 elements from 3 on",
    ),
    "matmul": (
        lambda: fn.ones(2, 3) @ fn.ones(4, 5),
        errors.ShapeError,
        r"matmul: float32\[2, 3\] and float32\[4, 5\] do not fit.*3.*4",
    ),
    "matmul batch": (
        lambda: fn.ones(2, 2, 3) @ fn.ones(4, 3, 5),
        errors.ShapeError,
        "leading dimensions.*do not broadcast",
    ),
    "matmul number": (lambda: fn.ones(()) @ fn.ones(3), errors.ShapeError, "use \\* for a number"),
    "linear": (
        lambda: fn.linear(fn.ones(2, 3), fn.ones(5, 4)),
        errors.ShapeError,
        r"linear: x is float32\[2, 3\].*length 4",
    ),
    "mm": (
        lambda: fn.mm(fn.ones(2, 3), fn.ones(3)),
        errors.ShapeError,
        "mm: y must have 2 dimensions",
    ),
    "type called": (
        lambda: fn.ones(2).type("int32"),
        errors.ArgumentError,
        r"the type float32\[2\] of x, no method; x.to\(dtype\)",
    ),
    "einsum lengths": (
        lambda: fn.einsum("ij,jk->ik", fn.ones(2, 3), fn.ones(4, 5)),
        errors.ShapeError,
        "'j'.*3 and 4",
    ),
    "einsum rank": (lambda: fn.einsum("ij->i", fn.ones(2)), errors.ShapeError, "'ij'"),
    "einsum count": (
        lambda: fn.einsum("ij,jk", fn.ones(2, 2)),
        errors.ArgumentError,
        "names 2 operands, and got 1",
    ),
    "einsum letter": (
        lambda: fn.einsum("ij->k", fn.ones(2, 2)),
        errors.ArgumentError,
        "no operand has",
    ),
    "softmax int dim": (
        lambda: fn.softmax(fn.ones(3), 1),
        errors.ShapeError,
        "softmax: dim=1 is out of range",
    ),
    "gelu": (lambda: fn.gelu(fn.ones(3), "best"), errors.ArgumentError, "approximate='best'"),
    "cross_entropy": (
        lambda: fn.cross_entropy(fn.ones(4, 3), fn.tensor([0, 1])),
        errors.ShapeError,
        r"cross_entropy: for x float32\[4, 3\].*int64\[2\]",
    ),
    "reduction": (
        lambda: fn.cross_entropy(fn.ones(4, 3), fn.tensor([0, 1, 1, 0]), reduction="max"),
        errors.ArgumentError,
        "reduction='max'",
    ),
    "mse": (
        lambda: fn.mse_loss(fn.ones(4, 1), fn.ones(4)),
        errors.ShapeError,
        "shapes must be equal",
    ),
    "ragged": (
        lambda: fn.tensor([[1, 2], [3]]),
        errors.ArgumentError,
        "tensor: cannot make an array",
    ),
    "text": (lambda: fn.tensor("text"), errors.ArgumentError, "tensor: data is a str"),
    "complex": (lambda: fn.tensor(np.ones(2, complex)), errors.DTypeError, "complex128"),
    "complex as real": (
        lambda: fn.tensor(np.array([1j]), dtype=slope.float32),
        errors.DTypeError,
        "complex128",
    ),
    "texts as ints": (
        lambda: fn.tensor(np.array(["1"]), dtype=slope.int64),
        errors.DTypeError,
        "no dtype dtype",
    ),
    "objects as floats": (
        lambda: fn.ones(1).new_tensor(np.array([None], object)),
        errors.DTypeError,
        "no dtype dtype.'O'",
    ),
    "big": (lambda: fn.tensor(2**70), errors.ArgumentError, "."),
    "from_numpy": (lambda: fn.from_numpy([1]), errors.ArgumentError, "from_numpy: array is a list"),
    "arange": (
        lambda: fn.arange(0, 5, -1),
        errors.ArgumentError,
        "step=-1 does not lead from 0 to 5",
    ),
    "full": (lambda: fn.full(3), errors.ArgumentError, "full: takes a shape and a number"),
    "to": (lambda: fn.ones(2).to(3.5), errors.ArgumentError, "neither a dtype nor a device"),
    "to device": (lambda: fn.ones(2).to("cuda:7"), errors.DeviceError, "cuda:7"),
    "iterate": (lambda: list(fn.tensor(3.0)), errors.ShapeError, "cannot be iterated"),
    "expand_as": (lambda: fn.ones(2).expand_as(object()), errors.ArgumentError, "expand_as: other"),
    "view_as": (lambda: fn.ones(2).view_as(None), errors.ArgumentError, "reshape_as: other is"),
    "type_as": (lambda: fn.ones(2).type_as("x"), errors.ArgumentError, "type_as: other is a str"),
    "size": (lambda: fn.ones(2).size((0,)), errors.ArgumentError, r"size\(\): dim .* not \(0,\)"),
    "broadcast": (slope.broadcast, errors.ArgumentError, "operator slope.broadcast"),
    "seed": (lambda: slope.random.Generator("x"), errors.ArgumentError, "seed must be an int"),
    "tensorsolve": (
        lambda: slope.linalg.tensorsolve(fn.ones(2, 2), fn.ones(2), dims=1.5),
        errors.ArgumentError,
        "linalg.tensorsolve: dims=1.5 must be an int",
    ),
    "mT": (lambda: fn.ones(2).mT, errors.ShapeError, "at least 2 dimensions"),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()


def test_differences_end_with_the_last_element():
    assert fn.diff(fn.ones(3), n=10**30).shape == (0,)
