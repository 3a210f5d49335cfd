"""slope.debug_nans: the error names the operator, the line, the operands and the iteration."""

from __future__ import annotations

import functools
import inspect
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import slope
from slope import errors


@pytest.fixture(autouse=True)
def watching():
    with slope.debug_nans():
        yield


def line_of(function, text):
    """Where a function's source holds a text, as messages say it."""
    lines, first = inspect.getsourcelines(function)
    place = next(number for number, line in enumerate(lines) if text in line)
    return f"{Path(__file__).name}:{first + place}"


def logged(x):
    y = x * 2
    return slope.log(y).sum()


def norm(x):
    still = x - x
    return slope.sqrt((still * still).sum())


def scanned(x):
    def body(carry, element):
        carry = slope.log(carry) + element
        return carry, carry * 2

    return slope.scan(body, x, slope.zeros(5))[1].sum()


def scanned_back(x):
    def body(carry, element):
        return carry + slope.sqrt(element * carry), carry

    return slope.scan(body, x, slope.tensor([1.0, 2.0, 0.0, 1.0]))[0]


def looped(x):
    return slope.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, slope.sqrt(s[1] - 1)), (0, x))[
        1
    ]


def branched(x):
    return slope.cond(x > 0, lambda x: slope.log(-x), lambda x: x, x)


CASES = {  # a function, its argument, the operator, part of its line, more of the message
    "forward": (logged, [1.0, -1.0], "log", "slope.log(y)", r"first at index \(1,\).*-2 at that"),
    "half": (logged, np.array([1, -1], np.float16), "log", "slope.log(y)", r"float16\[2\]"),
    "gradient": (slope.grad(norm), [1.0, 2.0], "mul", "slope.sqrt", "backward.*already 2 inf"),
    "scan": (scanned, 2.0, "log", "slope.log(carry)", "in iteration 2 of the scan over 5"),
    "scan's gradient": (
        slope.grad(scanned_back),
        2.0,
        "mul",
        "slope.sqrt",
        "backward.*in iteration 1 of the scan over 4, backwards",
    ),
    "while": (looped, 2.0, "sqrt", "while_loop", "in iteration 2 of the while loop"),
    "cond": (branched, 2.0, "log", "slope.log(-x)", r"operand 0: float32\[\], finite, -2"),
    "checkpoint": (slope.grad(slope.checkpoint(norm)), [1.0, 2.0], "mul", "slope.sqrt", "backward"),
    "vmap": (slope.vmap(logged), [[1.0, 2.0], [3.0, -1.0]], "log", "slope.log(y)", r"\(1, 1\)"),
    "jacfwd": (slope.jacfwd(norm), [1.0, 2.0], "div", "slope.sqrt", "0 at that index"),
}


@pytest.mark.parametrize("wrap", [lambda f: f, slope.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", CASES)
def test_names_operator_and_line(backend, name, wrap):
    function, value, operator, text, more = CASES[name]
    with pytest.raises(errors.NaNError, match="gave NaN") as caught:
        wrap(function)(slope.tensor(value))
    message = str(caught.value)
    line = line_of(inspect.unwrap(function), text)
    assert line in message
    assert f"the operator '{operator}' gave NaN" in message
    assert re.search(more, message, re.DOTALL), message
    assert caught.value.backward == ("backward" in more)


def test_a_jitted_function_in_a_gradient(backend):
    with pytest.raises(errors.NaNError, match=r"backward pass, in the derivative of") as caught:
        slope.grad(slope.jit(norm))(slope.ones(2))
    assert line_of(norm, "still * still") in str(caught.value)


def test_nan_that_came_in(backend):
    def double(first, second):
        return (first + second) * 2

    with pytest.raises(errors.NaNError, match=r"(?s)'add'.*operand 0.*already 1 NaN.*input 0"):
        slope.jit(double)(slope.tensor([1.0, float("nan")]), 2.0)


def test_infinities_only_when_asked_for(backend):
    divide = slope.jit(lambda x: 1 / (x - 1))
    assert divide(slope.ones(())).item() == float("inf")
    with (
        slope.debug_nans(inf=True),
        pytest.raises(errors.NaNError, match=r"'(div|reciprocal)' gave inf"),
    ):
        divide(slope.ones(()))


def test_a_masked_nan_is_no_fault(backend):
    @slope.jit
    def safe(x):
        return slope.where(x > 0, slope.log(x), 0.0).sum()

    assert safe(slope.tensor([1.0, -1.0])).item() == 0.0


def test_two_scans_alike_on_two_lines_name_their_own():
    first = slope.jit(lambda x: slope.scan(lambda c, e: (slope.log(c), e), x, slope.zeros(3))[0])
    second = slope.jit(lambda x: slope.scan(lambda c, e: (slope.log(c), e), x, slope.zeros(3))[0])
    lines = []
    for each in (first, second):
        with pytest.raises(errors.NaNError, match="gave NaN") as caught:
            each(slope.tensor(2.0))
        assert caught.value.source is not None
        lines.append(caught.value.source.line)
    assert lines[1] == lines[0] + 1


def test_donated_operands_are_still_known(backend):
    @functools.partial(slope.jit, donate=0)
    def step(weights):
        return slope.log(weights - 1) + weights

    with pytest.raises(errors.NaNError, match=r"(?s)'log'.*-0.5 at that index"):
        step(slope.tensor([3.0, 2.0, 1.0]) * 0.5)


def test_a_program_that_captured_a_tensor_and_draws(backend):
    captured = slope.tensor([1.0, -1.0])

    @slope.jit
    def noisy(x):
        return slope.log(captured) + x + slope.rand(2)

    with pytest.raises(errors.NaNError, match=r"(?s)'log'.*-1 at that index"):
        noisy(slope.ones(2))


def test_fit_says_step_operator_and_line():
    model = slope.nn.Linear(1, 1)
    optimizer = slope.nn.SGD(model, lr=0.1)
    batches = [(np.full((2, 1), value, np.float32),) for value in (1.0, 1.0, -1.0)]

    def loss(model, x):
        return slope.log(x).sum() + model(x).sum()

    with (
        slope.use_backend("numpy"),
        pytest.raises(slope.nn.NaNLossError, match=r"at step 2: .*'log' gave NaN") as caught,
    ):
        slope.nn.fit(model, optimizer, loss, batches, progress=False)
    assert line_of(test_fit_says_step_operator_and_line, "slope.log(x).sum()") in str(caught.value)
    assert caught.value.step == 2
    slope.debug_nans(False)  # then fit looks where a loss is NaN
    text = r"the loss is nan at step 2: .*'log' gave NaN"
    with slope.use_backend("numpy"), pytest.raises(slope.nn.NaNLossError, match=text):
        slope.nn.fit(model, optimizer, loss, batches, progress=False)


def test_switch_and_block():
    slope.debug_nans(False)
    assert np.isnan(logged(slope.tensor([-1.0])).item())
    with slope.debug_nans(), pytest.raises(errors.NaNError, match="gave NaN"):
        logged(slope.tensor([-1.0]))
    assert np.isnan(logged(slope.tensor([-1.0])).item())
    slope.debug_nans()
    with pytest.raises(errors.NaNError, match="gave NaN"):
        logged(slope.tensor([-1.0]))


def test_bad_arguments():
    with pytest.raises(errors.ArgumentError, match="debug_nans: enabled must be True or False"):
        slope.debug_nans(cast("bool", 1))
    with pytest.raises(errors.ArgumentError, match="debug_nans: inf must be True or False"):
        slope.debug_nans(inf=cast("bool", "yes"))


@pytest.mark.parametrize(("value", "raised"), [("1", "NaN"), ("inf", "inf"), ("0", "")])
def test_the_environment_variable(value, raised):
    call = "slope.log(slope.tensor([-1.0 if '{}' == 'NaN' else 0.0]))".format(raised or "NaN")
    run = subprocess.run(
        [sys.executable, "-c", f"import slope\n{call}"],
        env={**os.environ, "SLOPE_DEBUG_NANS": value, "SLOPE_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(run.returncode) == bool(raised)
    assert (f"'log' gave {raised}" in run.stderr) == bool(raised)


def test_with_donated_arguments(backend):
    step = slope.jit(lambda state, x: slope.log(state) + x, donate=0)
    with slope.debug_nans(), pytest.raises(errors.NaNError, match="'log'") as caught:
        step(slope.tensor([1.0, -1.0]), slope.ones(2))
    assert "from -1 to 1" in str(caught.value)


def test_the_error_survives_pickling():
    with pytest.raises(errors.NaNError, match="gave NaN") as caught:
        logged(slope.tensor([-1.0]))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
