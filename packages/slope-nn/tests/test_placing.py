"""Layers and models take a dtype and a device, as in PyTorch."""

import pytest

import slope
from slope import nn
from slope.errors import ArgumentError, DTypeError, RenamedError

LAYERS = {
    "Linear": (3, 4),
    "Bilinear": (3, 4, 5),
    "Embedding": (5, 3, 1),
    "EmbeddingBag": (5, 3),
    "Conv1d": (2, 3, 2),
    "Conv2d": (2, 3, 2),
    "Conv3d": (2, 3, 2),
    "ConvTranspose1d": (2, 3, 2),
    "ConvTranspose2d": (2, 3, 2),
    "ConvTranspose3d": (2, 3, 2),
    "LayerNorm": (3,),
    "RMSNorm": (3,),
    "GroupNorm": (2, 4),
    "BatchNorm1d": (3,),
    "BatchNorm2d": (3,),
    "BatchNorm3d": (3,),
    "InstanceNorm1d": (3, 1e-5, 0.1, True, True),
    "InstanceNorm2d": (3, 1e-5, 0.1, True, True),
    "InstanceNorm3d": (3, 1e-5, 0.1, True, True),
    "RNN": (3, 4, 2),
    "GRU": (3, 4),
    "LSTM": (3, 4),
    "RNNCell": (3, 4),
    "GRUCell": (3, 4),
    "LSTMCell": (3, 4),
    "MultiheadAttention": (8, 2, 0.0, True, True),
    "TransformerEncoderLayer": (8, 2, 16),
    "TransformerDecoderLayer": (8, 2, 16),
    "Transformer": (8, 2, 1, 1, 16),
    "PReLU": (),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_made_in_a_dtype(name):
    layer = getattr(nn, name)
    with slope.use_backend("numpy"):
        slope.manual_seed(0)
        usual = layer(*LAYERS[name])
        slope.manual_seed(0)
        made = layer(*LAYERS[name], dtype=slope.float16, device="cpu")
    assert {tensor.dtype for tensor in usual.state_dict().values()} == {slope.float32}
    assert {tensor.dtype for tensor in made.state_dict().values()} == {slope.float16}
    assert repr(slope.tree_structure(made)) == repr(slope.tree_structure(usual))  # buffers, too
    for place, tensor in usual.state_dict().items():
        assert tensor.to(slope.float16).tolist() == made.state_dict()[place].tolist()


def test_models_are_converted_as_tensors_are():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, momentum=None))
    for wide in (
        model.to(slope.float64),
        model.to("cpu", slope.float64),
        model.to(dtype=slope.float64, non_blocking=True),
        model.to(slope.zeros(1, dtype=slope.float64)),
        model.astype(slope.float64),
    ):
        kinds = {name: tensor.dtype for name, tensor in wide.state_dict().items()}
        assert kinds.pop("1.num_batches_tracked") == slope.int64
        assert set(kinds.values()) == {slope.float64}
    assert model[0].weight.dtype == slope.float32  # the model itself stays as it was
    assert model.to("cpu")[0].weight.dtype == slope.float32


def test_what_is_no_dtype_of_parameters_is_refused():
    with pytest.raises(ArgumentError, match=r"cannot have the dtype int32: parameters are float"):
        nn.Linear(3, 4, dtype=slope.int32)
    with pytest.raises(DTypeError, match="no dtype 'complex64'"):
        nn.Linear(3, 4).to(dtype="complex64")  # pyright: ignore[reportArgumentType]  # on purpose
    with pytest.raises(RenamedError, match=r"no 'half': use model = model\.to\(slope\.float16\)"):
        nn.Linear(3, 4).half()  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
