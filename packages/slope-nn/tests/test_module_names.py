"""What people ask of modules by PyTorch's names, and foreign tensors in state dicts."""

import ml_dtypes
import numpy as np
import pytest

import slope
from slope import nn
from slope.errors import RenamedError, TreeError


@pytest.fixture
def model():
    with slope.use_backend("numpy"):
        yield nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_names_take_a_prefix_and_may_leave_out_what_is_below(model):
    names = ["net.0.weight", "net.0.bias", "net.1.weight", "net.1.bias"]
    assert [name for name, _ in model.named_parameters("net")] == names
    assert [name for name, _ in model.named_modules(prefix="net")] == ["net", "net.0", "net.1"]
    buffers = [name for name, _ in model.named_buffers(prefix="net")]
    assert list(model.state_dict(prefix="net.")) == names + buffers
    assert model.parameters(recurse=False) == model.buffers(recurse=False) == []
    assert len(model[0].parameters(recurse=False)) == len(model[1].buffers(recurse=False)) == 2


def test_parts_by_their_dotted_names(model):
    assert model.get_submodule("1") is model[1]
    assert model.get_submodule("") is model
    assert model.get_parameter("0.weight") is model[0].weight
    assert model.get_buffer("1.running_mean") is model[1].running_mean
    with pytest.raises(TreeError, match=r"Sequential holds a Tensor at '0\.weight', no Module"):
        model.get_submodule("0.weight")
    with pytest.raises(TreeError, match=r"nothing is at '7\.weight'"):
        model.get_parameter("7.weight")


def test_parameter_dicts_are_asked_as_dicts_are():
    held = nn.ParameterDict({"a": slope.ones(1)})
    assert held.get("a") is held["a"]
    assert held.get("b") is None
    assert held.get("training", 3) == 3
    held.clear()
    assert len(held) == 0


def test_a_module_may_say_what_its_repr_shows():
    class Scale(nn.Module):
        def __init__(self):
            self.factor = slope.ones(2)
            self.inner = nn.ReLU()

        def extra_repr(self):
            return "by two"

    assert repr(Scale()) == "Scale(by two\n  (inner): ReLU()\n)"


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("compile", r"use slope\.jit\(model\)"),
        ("register_forward_pre_hook", "wrap the module in one that calls it"),
        ("register_full_backward_hook", "change what slope.grad returns"),
        ("set_submodule", r"setattr\(model\.get_submodule\(parent\), name, module\)"),
        ("to_empty", r"use model = model\.to\(device\)"),
    ],
)
def test_other_names_of_pytorch_say_what_to_write(model, name, way):
    with pytest.raises(RenamedError, match=f"Sequential has no '{name}': .*{way}"):
        getattr(model, name)


class Foreign:
    """A tensor as PyTorch's: to be detached, and with bfloat16 that NumPy's DLPack refuses."""

    def __init__(self, array, dtype="torch.float32", attached=True):
        self.array, self.dtype, self.attached = array, dtype, attached
        self.shape = array.shape

    def detach(self):
        return Foreign(self.array, self.dtype, attached=False)

    def float(self):
        return Foreign(self.array, attached=self.attached)

    def __dlpack__(self, **options):
        if self.attached or "bfloat16" in self.dtype:
            raise BufferError("cannot export")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_state_dicts_take_foreign_tensors(model):
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    model.load_state_dict({"0.weight": Foreign(array)}, strict=False, assign=True)
    assert model[0].weight.tolist() == array.tolist()
    half = Foreign(array, "torch.bfloat16")
    with pytest.raises(TreeError, match=r"bfloat16\[3, 2\] instead of float32.* model\.to\(dtype"):
        model.load_state_dict({"0.weight": half}, strict=False)
    small = model.to(slope.bfloat16)
    small.load_state_dict({"0.weight": half}, strict=False)
    assert small[0].weight.numpy().dtype == ml_dtypes.bfloat16
    assert small[0].weight.to(slope.float32).tolist() == array.tolist()
    for made in (slope.tensor(half), slope.as_tensor(half), slope.from_dlpack(half)):
        assert made.dtype == slope.bfloat16
