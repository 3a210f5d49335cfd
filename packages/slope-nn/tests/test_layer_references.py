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
    "PReLU": lambda: nn.PReLU(3),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2),
    "MultiheadAttention.causal": lambda: nn.MultiheadAttention(8, 2),
    "TransformerEncoderLayer": lambda: transformer(nn.TransformerEncoderLayer),
    "TransformerEncoderLayer.first": lambda: transformer(
        nn.TransformerEncoderLayer, norm_first=True, activation="gelu"
    ),
    "TransformerDecoderLayer": lambda: transformer(nn.TransformerDecoderLayer),
    "PixelShuffle": lambda: nn.PixelShuffle(2),
    "Unflatten": lambda: nn.Unflatten(1, (2, 3)),
}


def fill(name, shape):
    """The value of a parameter: make_layers.py computes the same."""
    size = int(np.prod(shape))
    phase = sum(map(ord, name)) % 7
    return (0.5 * np.sin(1.7 * np.arange(size) + phase)).reshape(shape).astype(np.float32)


def split(state):
    """PyTorch keeps the three projections of attention in one tensor."""
    out = {}
    for name, value in state.items():
        if "in_proj_" in name:
            before, kind = name.split("in_proj_")
            parts = zip("qkv", np.split(value, 3), strict=True)
            out.update({f"{before}{letter}_proj.{kind}": part for letter, part in parts})
        else:
            out[name] = value
    return out


def stored(prefix):
    return {k[len(prefix) :]: REFERENCES[k] for k in REFERENCES.files if k.startswith(prefix)}


def run(name):
    """What a layer gives with the reference's parameters, and the reference."""
    parameters = stored(f"{name}/parameter/")
    buffers = stored(f"{name}/buffer/")
    layer: Any = LAYERS[name]()
    state = split({each: fill(each, g.shape) for each, g in parameters.items()})
    state |= {each: 1 + np.abs(fill(each, b.shape)) for each, b in buffers.items()}
    layer.load_state_dict(state)
    inputs = list(stored(f"{name}/input/").values())
    options = {"is_causal": True} if "causal" in name or "Decoder" in name else {}

    def loss_of(layer, *inputs):
        out = layer(*inputs, **options)
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
    expected |= {f"parameter/{k}": v for k, v in split(parameters).items()}
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
    "name", ["Bilinear", "Embedding", "BatchNorm2d", "GroupNorm", "TransformerDecoderLayer"]
)
def test_other_backends_agree(name, backend_name):
    with slope.use_backend(backend_name):
        check(name)
