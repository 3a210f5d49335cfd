"""Models written in PyTorch's words: what works as it is, and what says how to write it here."""

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


class Scaled(nn.Module):
    offset: slope.Tensor
    gain: slope.Tensor
    act: nn.Tanh

    def __init__(self, features):
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.scale = nn.Parameter(slope.ones(features))
        self.fixed = nn.Parameter(slope.full((features,), 2.0), requires_grad=False)
        self.register_buffer("offset", slope.full((features,), 0.5))
        self.register_parameter("gain", slope.ones(1))
        self.add_module("act", nn.Tanh())

    def forward(self, x):
        return self.act(self.linear(x)) * self.scale * self.fixed * self.gain + self.offset


def test_a_module_with_forward_and_registered_fields():
    model = Scaled(3)
    x = slope.ones(4, 3)
    assert [name for name, _ in model.named_buffers()] == ["offset"]
    assert list(model.state_dict()) == [
        "linear.weight",
        "linear.bias",
        "scale",
        "fixed",
        "offset",
        "gain",
    ]
    grads = slope.jit(slope.grad(lambda model: model(x).sum()))(model)
    assert grads.fixed is None
    assert grads.offset is None
    np.testing.assert_allclose(
        grads.scale.numpy(), (np.tanh(model.linear(x).numpy()) * 2).sum(0), rtol=1e-5
    )
    model, _ = nn.SGD(model, 0.1)(model, grads)
    np.testing.assert_array_equal(model.fixed.numpy(), np.full(3, 2, np.float32))


def test_a_module_that_cannot_be_called():
    with pytest.raises(errors.ArgumentError, match="defines neither __call__ nor forward"):
        nn.Module()(slope.ones(3))


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda m, _: m.cuda(), r"Linear has no 'cuda': use \.to\("),
        (lambda m, _: m.half(), r"use \.astype\(slope\.float16\)"),
        (lambda m, _: m.zero_grad(), "gradients are values"),
        (lambda m, _: m.register_buffer("b", m.weight, persistent=False), "strict=False"),
        (lambda m, _: nn.Parameter([1.0]), r"Parameter takes a tensor, not \[1\.0\]"),
        (lambda _, o: o.step(), r"SGD has no 'step': model, optimizer = optimizer\(model"),
        (lambda _, o: o.zero_grad(), "nothing gathers them"),
        (lambda _, o: o.state_dict(), r"slope\.save"),
        (lambda _, o: o.param_groups, r"optimizer\.groups"),
        (
            lambda m, _: nn.SGD(m.parameters())(m, slope.grad(lambda m: m.weight.sum())(m)),
            r"expected 0, 1; found weight, bias instead\. Give it the model itself",
        ),
    ],
)
def test_words_of_pytorch_say_what_to_write(use, told):
    model = nn.Linear(2, 2)
    with pytest.raises(errors.SlopeError, match=told):
        use(model, nn.SGD(model))


def test_other_names_are_missing_as_ever():
    model = nn.Linear(2, 2)
    assert not hasattr(model, "cuda")
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'nothing'"):
        model.nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
    with pytest.raises(AttributeError, match="'SGD' object has no attribute 'nothing'"):
        nn.SGD(model).nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
