"""Containers of modules: PyTorch's ways to fill, cut and join them."""

from collections import OrderedDict
from typing import Any

import pytest

import slope
from slope import errors, nn


def named() -> Any:
    layers = [("hidden", nn.Linear(3, 4)), ("act", nn.ReLU()), ("out", nn.Linear(4, 2))]
    return nn.Sequential(OrderedDict(layers))


@pytest.mark.usefixtures("on_numpy")
def test_a_sequence_takes_a_dict_of_names():
    model = named()
    assert list(model.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert len(model) == 3
    assert model[0] is model.hidden
    assert model(slope.ones(5, 3)).shape == (5, 2)
    assert slope.grad(lambda m: m(slope.ones(5, 3)).sum())(model).out.weight.shape == (2, 4)
    assert list(model[1:].state_dict()) == ["out.weight", "out.bias"]
    model.append(nn.Tanh())
    assert [name for name, _ in model.named_children()] == ["hidden", "act", "out", "3"]
    same: Any = nn.Sequential({"a": slope.tanh})
    assert same.a(slope.zeros(1)).item() == 0


def test_names_that_cannot_be_fields_are_refused():
    for name in ("append", "a.b", "", "_hidden", 3):
        with pytest.raises(errors.ArgumentError, match=r"Sequential: .* cannot name a layer"):
            nn.Sequential({name: nn.ReLU()})  # pyright: ignore[reportArgumentType]  # on purpose


def test_rows_are_changed_in_place():
    row = nn.Sequential(nn.ReLU(), nn.Tanh())
    row.insert(1, nn.Identity())
    assert [type(each) for each in row] == [nn.ReLU, nn.Identity, nn.Tanh]
    assert list(row.__dict__) == ["0", "1", "2"]
    assert isinstance(row.pop(), nn.Tanh)
    assert isinstance(row.pop(0), nn.ReLU)
    assert len(row) == 1
    modules = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.GELU()])
    del modules[1]
    assert [type(each) for each in modules] == [nn.ReLU, nn.GELU]
    del modules[:1]
    assert [type(each) for each in modules] == [nn.GELU]
    with pytest.raises(errors.IndexingError, match="ModuleList of 1 has no module 4"):
        del modules[4]


def test_rows_are_joined_and_searched():
    relu, tanh = nn.ReLU(), nn.Tanh()
    both = nn.ModuleList([relu]) + [tanh]
    assert isinstance(both, nn.ModuleList)
    assert list(both) == [relu, tanh]
    assert tanh in both
    assert nn.Tanh() not in both
    assert isinstance(nn.Sequential(relu) + nn.Sequential(tanh), nn.Sequential)


@pytest.mark.usefixtures("on_numpy")
def test_parameters_as_one_vector():
    model = named()
    model.scale = nn.Buffer(slope.ones(2))
    vector = nn.parameters_to_vector(model)
    assert vector.shape == (3 * 4 + 4 + 4 * 2 + 2,)
    double = nn.vector_to_parameters(vector * 2, model)
    assert slope.equal(double.out.weight, model.out.weight * 2)
    assert slope.equal(double.scale, model.scale)
    grads = slope.grad(lambda m: m(slope.ones(5, 3)).sum())(model)
    assert nn.parameters_to_vector(grads).shape == vector.shape
    again = slope.grad(lambda v: nn.vector_to_parameters(v, model)(slope.ones(5, 3)).sum())(vector)
    assert slope.equal(again, nn.parameters_to_vector(grads))
    with pytest.raises(errors.ShapeError, match=r"is float32\[3\], and the model has 26 numbers"):
        nn.vector_to_parameters(slope.ones(3), model)
    with pytest.raises(errors.ArgumentError, match="no parameters in a ReLU"):
        nn.parameters_to_vector(nn.ReLU())
