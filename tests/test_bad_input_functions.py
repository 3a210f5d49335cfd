"""Bad input: whatever a function gets, a user sees an error of slope's that says what is wrong.

Every public function is called with arguments of wrong kind, rank, size, dtype and device at every
position. It may take them; what it raises must be a ``slope.errors`` kind. Python's own complaint
of a missing argument is left to Python.
"""

import inspect
import itertools
import re
import warnings
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors

# Not functions of tensors: transforms, selections, pytrees, classes.
OTHERS = {
    "Device", "Dim", "compare", "DType", "Program", "Tensor", "backend", "default_generator",
    "device", "grad", "hessian", "info",
    "jacfwd", "jacrev", "jit", "jvp", "linearize", "plugins", "profile", "register_node",
    "set_backend",
    "use_backend",
    "value_and_grad", "vjp", "vmap",
}  # fmt: skip
FUNCTIONS = {
    name: getattr(slope, name)
    for name in slope.__all__
    if name not in OTHERS
    and not name.startswith("tree_")
    and callable(getattr(slope, name))
    and not inspect.isclass(getattr(slope, name))
    and not isinstance(getattr(slope, name), slope.DType)
}
KEYED = [
    "bits",
    "split",
    "fold_in",
    "uniform",
    "normal",
    "randint",
    "bernoulli",
    "beta",
    "categorical",
    "exponential",
    "gamma",
    "gumbel",
    "laplace",
]
KEYED += ["multinomial", "permutation", "shuffle", "truncated_normal"]
KEYED += ["ball", "binomial", "cauchy", "chisquare", "choice", "dirichlet", "f"]
KEYED += ["generalized_normal", "geometric", "loggamma", "logistic", "lognormal", "maxwell"]
KEYED += ["pareto", "poisson", "rademacher", "rayleigh", "t", "triangular", "wald", "weibull_min"]
FUNCTIONS |= {f"random.{name}": getattr(slope.random, name) for name in KEYED}
SPECIAL = {name: getattr(slope.special, name) for name in slope.special.__all__}
FUNCTIONS |= {
    f"special.{name}": function
    for name, function in SPECIAL.items()
    if name == function.__name__ and function.__module__.startswith("slope.special")
}


def tensor(*shape, dtype="float32"):
    return slope.tensor(np.arange(float(np.prod(shape))).reshape(shape), dtype=dtype)


@pytest.fixture(scope="module")
def values():
    with slope.use_backend("numpy"):
        elsewhere = slope.Tensor(
            tensor(2, 3).type, slope.device("cuda:0"), host=np.ones((2, 3), np.float32)
        )
        return {
            "object": object(), "string": "x", "list": [1, "a"], "none": None, "number": 1.5,
            "nan": float("nan"), "negative": -99, "huge": 10**30, "sizes": (9, 9),
            "objects": np.array([None, 1]), "scalar": tensor(), "vector": tensor(7),
            "matrix": tensor(2, 3), "rank 4": tensor(2, 3, 4, 5), "empty": slope.zeros(0, 3),
            "bools": slope.tensor([True, False]), "bytes": tensor(1, 2, dtype="uint8"),
            "out of range": slope.tensor([5, -7]), "complex": np.array([1j]),
            "elsewhere": elsewhere,
        }  # fmt: skip


def calls(name, function, values: dict[str, Any]):
    """Arguments: good ones but for one."""
    parameters = list(inspect.signature(function).parameters.values())
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    needed = sum(p.default is p.empty for p in placed)
    key = slope.random.key(0)
    good = key if name.startswith("random.") else values["matrix"]
    # What only an operand can be: an array as a flag, or a length beyond all memory, is nobody's
    # mistake.
    operands_only = {"objects", "complex", "huge"}
    fillers = (values["matrix"], 1, slope.tensor([0, 1]), (2, 3))
    for count in range(max(needed, 1), min(len(placed), 3) + variadic + 1):
        for place, bad, filler in itertools.product(range(count), values, fillers):
            if place and bad in operands_only:
                continue
            args = [good, *[filler] * (count - 1)]
            args[place] = values[bad]
            yield f"argument {place} is {bad}", args, {}
    for parameter in parameters[max(needed, 1) :]:
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            for bad in values.keys() - operands_only:
                value = values[bad]
                yield f"{parameter.name} is {bad}", [good] * max(needed, 1), {parameter.name: value}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_error_but_slopes_own(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # slope.save may take an argument for a file name
    leaked = {}
    with slope.use_backend("numpy"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, function in FUNCTIONS.items():
            for what, args, kwargs in calls(name, function, values):
                try:
                    function(*args, **kwargs)
                except errors.SlopeError as error:
                    if not str(error):
                        leaked[name] = f"{what}: an error without a message"
                except Exception as error:  # noqa: BLE001  # whatever else there is, is what is sought
                    if "argument" not in str(error) or not isinstance(error, TypeError):
                        leaked[name] = f"{what}: {type(error).__name__}: {error}"
    assert leaked == {}, "\n".join(f"{name}: {what}" for name, what in leaked.items())


# Functions that pass their operands on under another's name, and what that is.
ALIASES: dict[str, str] = {
    "allclose": "isclose", "astype": "cast", "addcmul": "mul", "addcdiv": "div", "true_divide":
    "div",
    "broadcast_to": "expand", "bitwise_left_shift": "shift_left", "view": "reshape",
    "concatenate": "cat",
    "std_mean": "std", "var_mean": "var", "aminmax": "amin", "argsort": "sort", "argwhere":
    "nonzero",
    "bucketize": "searchsorted", "fliplr": "flip", "flipud": "flip", "swapaxes": "transpose",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_messages_name_the_function_that_got_no_tensor(name: str):
    function = FUNCTIONS[name]
    parameters = list(inspect.signature(function).parameters.values())
    first = parameters[0].name if parameters else ""
    if first not in ("x", "query", "key", "anchor", "x1", "condition"):
        pytest.skip("its first argument is no tensor")
    if name in ("clamp", "full_like", "index_put", "scatter_reduce"):
        pytest.skip("refuses the arguments after it first")
    needed = [
        p
        for p in parameters
        if (p.default is p.empty or name == "where")  # which takes all three, or the first alone
        and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    rest = [slope.ones(2, 3)] * (max(len(needed), 1) - 1)
    with slope.use_backend("numpy"), pytest.raises(errors.SlopeError, match="object") as caught:
        function(object(), *rest)
    text = str(caught.value)
    assert ALIASES.get(name, name).rpartition(".")[2] in text, text


DIMS = [
    name
    for name, function in FUNCTIONS.items()
    if [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ][:2]
    == ["x", "dim"]
    and name != "scatter_reduce"  # refuses the arguments after it first
]


@pytest.mark.parametrize("name", sorted(DIMS))
@pytest.mark.parametrize("dim", [9, -9, "rows", 1.5])
def test_messages_name_the_function_and_the_dimension(name: str, dim):
    function = FUNCTIONS[name]
    needed = [
        p for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    rest = [slope.tensor([0])] * (len(needed) - 2)
    wrong = re.escape(repr(dim))
    with slope.use_backend("numpy"), pytest.raises(errors.SlopeError, match=wrong) as caught:
        function(slope.ones(2, 4), dim, *rest)
    assert ALIASES.get(name, name) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["add", "mul", "where", "matmul", "maximum", "cat", "mse_loss", "lerp"]
)
def test_tensors_on_several_devices(name, values):
    here, there = values["matrix"], values["elsewhere"]
    args = {
        "cat": [[here, there]],
        "where": [here > 0, here, there],
        "lerp": [here, there, 0.5],
    }.get(name)
    if name == "matmul":
        there = slope.Tensor(
            tensor(3, 2).type, slope.device("cuda:0"), host=np.ones((3, 2), np.float32)
        )
    with slope.use_backend("numpy"), pytest.raises(errors.DeviceError, match="cuda:0") as caught:
        FUNCTIONS[name](*(args or [here, there]))
    assert ".to('cpu')" in str(caught.value)
