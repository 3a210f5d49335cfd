"""Layers: values, initial values, and containers."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn


def test_linear(backend):
    slope.manual_seed(0)
    layer: Any = nn.Linear(3, 2)
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(slope.tensor(x)).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(slope.jit(layer)(x).numpy(), expected, rtol=1e-5)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert repr(nn.Linear(3, 2, bias=False)) == "Linear(3, 2, bias=False)"


def test_initial_values_are_the_same_on_every_backend_and_repeat():
    def draw(backend):
        with slope.use_backend(backend):
            slope.manual_seed(7)
            drawn = nn.Linear(784, 100)
            keyed = nn.Linear(784, 100, key=slope.random.key(7))
            return [t.numpy().copy() for t in (*drawn.parameters(), *keyed.parameters())]

    first = draw("numpy")
    for backend in ("numpy", "onnxruntime", "iree"):
        for one, other in zip(first, draw(backend), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("on_numpy")
def test_initial_values_are_uniform_with_pytorchs_bound():
    slope.manual_seed(0)
    layer: Any = nn.Linear(100, 300)
    values = np.concatenate([layer.weight.numpy().ravel(), layer.bias.numpy()])
    assert values.min() >= -0.1
    assert values.max() < 0.1
    places = np.sort(values) / 0.2 + 0.5
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is passed by chance once in a thousand seeds.
    assert np.abs(places - np.arange(places.size) / places.size).max() < 1.95 / np.sqrt(places.size)
    assert not np.array_equal(layer.weight.numpy(), nn.Linear(100, 300).weight.numpy())


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize("bad", [0, -1, 2.0, True, "3"])
def test_linear_refuses_sizes(bad):
    with pytest.raises(errors.ArgumentError, match="in_features must be a positive int"):
        nn.Linear(bad, 2)
    with pytest.raises(errors.ArgumentError, match="out_features must be a positive int"):
        nn.Linear(2, bad)


X = np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.ReLU, np.maximum(X, 0)),
        (nn.Tanh, np.tanh(X)),
        (nn.Sigmoid, 1 / (1 + np.exp(-X))),
        (nn.Identity, X),
        (
            lambda: nn.GELU("tanh"),
            0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))),
        ),
        (lambda: nn.Flatten(0), X.ravel()),
        (lambda: nn.Fn(lambda x: x * 2), 2 * X),
    ],
    ids=["relu", "tanh", "sigmoid", "identity", "gelu", "flatten", "fn"],
)
def test_layers_without_parameters(backend, layer, expected):
    np.testing.assert_allclose(layer()(slope.tensor(X)).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("on_numpy")
def test_gelu():
    from math import erf

    expected = [x * 0.5 * (1 + erf(x / 2**0.5)) for x in X.ravel().tolist()]
    np.testing.assert_allclose(
        nn.GELU()(slope.tensor(X)).numpy().ravel(), expected, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(errors.ArgumentError, match="'none' or 'tanh', not 'erf'"):
        nn.GELU("erf")  # pyright: ignore[reportArgumentType]  # as it says


def test_dropout(backend):
    layer, x = nn.Dropout(0.25), slope.ones(100, 100)
    call = slope.jit(lambda layer, x: layer(x))
    slope.manual_seed(0)
    first, second = call(layer, x), call(layer, x)
    values = first.numpy()
    assert set(np.unique(values).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert abs((values == 0).mean() - 0.25) < 0.02
    assert not np.array_equal(values, second.numpy())
    slope.manual_seed(0)
    np.testing.assert_array_equal(layer(x).numpy(), values)
    assert layer.eval()(x) is x
    np.testing.assert_array_equal(call(layer, x).numpy(), x.numpy())


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize("p", [-0.1, 1, "half", True, float("nan")])
def test_dropout_refuses(p):
    with pytest.raises(errors.ArgumentError, match="p must be at least 0 and below 1"):
        nn.Dropout(p)


@pytest.mark.usefixtures("on_numpy")
def test_sequential():
    model = nn.Sequential(nn.Linear(4, 5), slope.relu, nn.Linear(5, 2))
    assert len(model) == 3
    assert isinstance(model[1], nn.Fn)
    assert model[-1].out_features == 2
    assert [type(layer).__name__ for layer in model] == ["Linear", "Fn", "Linear"]
    assert model[1:][1] is model[2]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model(slope.tensor(X)).shape == (3, 2)
    assert nn.Sequential()(1) == 1
    with pytest.raises(errors.IndexingError, match="Sequential of 3 has no layer 3"):
        model[3]
    with pytest.raises(errors.ArgumentError, match="layer 1 is of type int, not callable"):
        nn.Sequential(nn.ReLU(), 3)  # pyright: ignore[reportArgumentType]  # as it says
    with pytest.raises(errors.ArgumentError, match="Fn takes a function"):
        nn.Fn(3)  # pyright: ignore[reportArgumentType]  # as it says


def test_functional_is_slope():
    from slope_nn import functional

    assert nn.functional is functional
    assert functional.__all__
    for name in functional.__all__:
        assert getattr(functional, name) is getattr(slope, name)


def test_the_facade_shows_all_names():
    import slope_nn

    assert nn.__all__ == slope_nn.__all__
    for name in slope_nn.__all__:
        assert getattr(nn, name) is getattr(slope_nn, name)
    assert slope.nn is nn


def test_without_slope_nn_the_facade_says_what_to_install():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['slope_nn'] = None\n"
        "from slope.errors import SlopeError\n"
        "try:\n    import slope.nn\n"
        "except ImportError as error:\n    print(isinstance(error, SlopeError), error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("True ")
    assert "pip install slope-nn" in told.stdout


def test_functional_lacks_no_function_of_layers():
    layered = ("conv", "pool", "relu", "softm", "_norm", "_loss", "dropout", "pixel_")
    public = {name for name in slope.__all__ if any(part in name for part in layered)}
    operators = {"conv", "conv_input_grad", "conv_weight_grad", "l2_norm", "rms_normalize"}
    assert public - operators - {"vector_norm"} <= set(nn.functional.__all__)
