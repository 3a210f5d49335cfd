"""Layers against values and gradients of PyTorch's (references/make_layers.py wrote them)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slope
from slope import nn

REFERENCES = np.load(Path(__file__).parent / "references" / "layers.npz")


def transformer(kind, **options):
    return kind(8, 2, 16, dropout=0.0, **options)


LAYERS = {
    "Linear": lambda: nn.Linear(4, 3),
    "Bilinear": lambda: nn.Bilinear(3, 4, 2),
    "Embedding": lambda: nn.Embedding(7, 3, padding_idx=2),
    "LayerNorm": lambda: nn.LayerNorm((3, 4)),
    "RMSNorm": lambda: nn.RMSNorm(4),
    "GroupNorm": lambda: nn.GroupNorm(2, 6),
    "BatchNorm1d": lambda: nn.BatchNorm1d(3),
    "BatchNorm2d": lambda: nn.BatchNorm2d(3),
    "BatchNorm2d.eval": lambda: nn.BatchNorm2d(3).eval(),
    "BatchNorm3d": lambda: nn.BatchNorm3d(2),
    "InstanceNorm1d": lambda: nn.InstanceNorm1d(3),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(3, affine=True),
    "InstanceNorm2d.tracked": lambda: nn.InstanceNorm2d(3, 1e-3, 0.3, True, True),
    "InstanceNorm1d.eval": lambda: nn.InstanceNorm1d(3, track_running_stats=True).eval(),
    "TransformerEncoder": lambda: nn.TransformerEncoder(
        transformer(nn.TransformerEncoderLayer), 2, nn.LayerNorm(8)
    ),
    "TransformerDecoder": lambda: nn.TransformerDecoder(transformer(nn.TransformerDecoderLayer), 2),
    "PReLU": lambda: nn.PReLU(3),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2),
    "MultiheadAttention.causal": lambda: nn.MultiheadAttention(8, 2),
    "TransformerEncoderLayer": lambda: transformer(nn.TransformerEncoderLayer),
    "TransformerEncoderLayer.first": lambda: transformer(
        nn.TransformerEncoderLayer, norm_first=True, activation="gelu"
    ),
    "TransformerDecoderLayer": lambda: transformer(nn.TransformerDecoderLayer),
    "Conv1d": lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2),
    "Conv2d": lambda: nn.Conv2d(3, 4, (3, 2), padding="same", dilation=2),
    "Conv3d": lambda: nn.Conv3d(2, 3, 2, bias=False),
    "MaxPool2d": lambda: nn.MaxPool2d(3, 2, 1),
    "AvgPool2d": lambda: nn.AvgPool2d(2),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d((3, 2)),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "Unflatten": lambda: nn.Unflatten(1, (2, 3)),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(
        4, 6, 3, stride=2, padding=1, output_padding=1, groups=2
    ),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(3, 4, (3, 2), stride=(2, 1), dilation=(1, 2)),
    "ConvTranspose2d.bare": lambda: nn.ConvTranspose2d(
        4, 2, 2, stride=3, output_padding=2, groups=2, bias=False
    ),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(2, 3, 2, stride=2, padding=1),
    "Conv1d.circular": lambda: nn.Conv1d(2, 3, 4, padding="same", padding_mode="circular"),
    "Conv2d.reflect": lambda: nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"),
    "MaxPool1d": lambda: nn.MaxPool1d(3, 2, padding=1, dilation=2),
    "MaxPool2d.ceil": lambda: nn.MaxPool2d((3, 2), ceil_mode=True),
    "MaxPool3d": lambda: nn.MaxPool3d(2, 1),
    "AvgPool1d": lambda: nn.AvgPool1d(3, 2, padding=1, count_include_pad=False),
    "AvgPool2d.ceil": lambda: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
    "AvgPool2d.divisor": lambda: nn.AvgPool2d(2, divisor_override=3),
    "AvgPool3d": lambda: nn.AvgPool3d((2, 3, 1)),
    "AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(3),
    "AdaptiveAvgPool3d": lambda: nn.AdaptiveAvgPool3d((2, None, 1)),
    "AdaptiveMaxPool1d": lambda: nn.AdaptiveMaxPool1d(4),
    "AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d((3, 2)),
    "AdaptiveMaxPool3d": lambda: nn.AdaptiveMaxPool3d(2),
    "Upsample": lambda: nn.Upsample(scale_factor=2),
    "Upsample.linear": lambda: nn.Upsample(size=7, mode="linear"),
    "Upsample.bilinear": lambda: nn.Upsample(scale_factor=(2.0, 1.5), mode="bilinear"),
    "Upsample.corners": lambda: nn.Upsample(size=(6, 3), mode="bilinear", align_corners=True),
    "Upsample.bicubic": lambda: nn.Upsample(scale_factor=2.0, mode="bicubic"),
    "Upsample.trilinear": lambda: nn.Upsample(size=(3, 5, 4), mode="trilinear"),
    "PixelUnshuffle": lambda: nn.PixelUnshuffle(2),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(3, alpha=0.5, k=0.7),
    "ZeroPad2d": lambda: nn.ZeroPad2d((1, 2, 0, -1)),
    "ConstantPad1d": lambda: nn.ConstantPad1d(2, 0.5),
    "ReflectionPad2d": lambda: nn.ReflectionPad2d((1, 2, 0, 1)),
    "ReplicationPad3d": lambda: nn.ReplicationPad3d(1),
    "CircularPad1d": lambda: nn.CircularPad1d((2, 1)),
    "RNN": lambda: nn.RNN(3, 4, 2),
    "RNN.relu": lambda: nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True),
    "RNN.state": lambda: nn.RNN(3, 4, bidirectional=True),
    "GRU": lambda: nn.GRU(3, 4, 2, bidirectional=True),
    "GRU.state": lambda: nn.GRU(3, 4, batch_first=True),
    "GRU.single": lambda: nn.GRU(3, 4, bias=False),
    "LSTM": lambda: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True),
    "LSTM.state": lambda: nn.LSTM(3, 4),
    "LSTM.projected": lambda: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
    "RNNCell": lambda: nn.RNNCell(3, 4, nonlinearity="relu"),
    "GRUCell": lambda: nn.GRUCell(3, 4),
    "LSTMCell": lambda: nn.LSTMCell(3, 4),
    "LSTMCell.start": lambda: nn.LSTMCell(3, 4, bias=False),
}


def fill(name, shape):
    """The value of a parameter: make_layers.py computes the same."""
    size = int(np.prod(shape))
    phase = sum(map(ord, name)) % 7
    return (0.5 * np.sin(1.7 * np.arange(size) + phase)).reshape(shape).astype(np.float32)


def stored(prefix):
    return {k[len(prefix) :]: REFERENCES[k] for k in REFERENCES.files if k.startswith(prefix)}


def run(name):
    """What a layer gives with the reference's parameters, and the reference."""
    parameters = stored(f"{name}/parameter/")
    buffers = stored(f"{name}/buffer/")
    layer: Any = LAYERS[name]()
    state = nn.from_torch({each: fill(each, g.shape) for each, g in parameters.items()})
    state |= {each: 1 + np.abs(fill(each, b.shape)) for each, b in buffers.items()}
    layer.load_state_dict(state)
    inputs = list(stored(f"{name}/input/").values())
    options = {"is_causal": True} if "causal" in name or "Decoder" in name else {}

    def loss_of(layer, *inputs):
        if name.startswith("LSTM") and len(inputs) == 3:
            inputs = (inputs[0], inputs[1:])
        out = layer(*inputs, **options)
        if isinstance(out, tuple):  # recurrent layers give several
            out = slope.cat([each.reshape(-1) for each in slope.tree_leaves(out)])
        weights = slope.tensor(np.cos(np.arange(out.numel())).reshape(out.shape))
        return (out * weights.astype(out.dtype)).sum(), (out, layer)

    places = [0, *(n + 1 for n, a in enumerate(inputs) if a.dtype.kind == "f")]
    step = slope.value_and_grad(loss_of, argnums=tuple(places), has_aux=True)
    (_, (out, layer)), grads = slope.jit(step)(layer, *map(slope.tensor, inputs))
    found = {"out": out}
    found |= {f"grad/{place - 1}": g for place, g in zip(places[1:], grads[1:], strict=True)}
    found |= {f"parameter/{each}": g for each, g in grads[0].named_parameters() if g is not None}
    found |= {f"buffer/{each}": b for each, b in layer.named_buffers()}
    expected = {"out": REFERENCES[f"{name}/out"]}
    expected |= {f"grad/{k}": v for k, v in stored(f"{name}/grad/").items()}
    expected |= {f"parameter/{k}": v for k, v in nn.from_torch(parameters).items()}
    expected |= {f"buffer/{k}": v for k, v in buffers.items()}
    return {k: v.numpy() for k, v in found.items()}, expected


def check(name):
    found, expected = run(name)
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[key], value, rtol=0, atol=2e-5 * scale, err_msg=key)


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_pytorchs(name):
    check(name)


@pytest.mark.parametrize("backend_name", ["onnxruntime", "iree"])
@pytest.mark.parametrize(
    "name",
    [
        "Bilinear",
        "Embedding",
        "BatchNorm2d",
        "GroupNorm",
        "TransformerDecoderLayer",
        "ConvTranspose2d",
        "Upsample.bicubic",
        "RNN.relu",
        "GRU",
        "LSTM.projected",
    ],
)
def test_other_backends_agree(name, backend_name):
    with slope.use_backend(backend_name):
        check(name)
