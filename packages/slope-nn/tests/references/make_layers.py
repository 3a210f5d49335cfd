"""Write layers.npz: values and gradients of PyTorch's layers (needs torch to run)."""

from pathlib import Path

import numpy as np
import torch
from torch import nn


def fill(name, shape):
    """The value of a parameter: the test computes the same."""
    size = int(np.prod(shape))
    phase = sum(map(ord, name)) % 7
    return (0.5 * np.sin(1.7 * np.arange(size) + phase)).reshape(shape).astype(np.float32)


def inputs(*shape):
    return np.sin(0.7 * np.arange(int(np.prod(shape))) ** 1.1).reshape(shape).astype(np.float32)


def transformer(kind, **options):
    return kind(8, 2, 16, dropout=0.0, batch_first=True, **options)


CAUSAL = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
CASES = {
    "Linear": (nn.Linear(4, 3), [inputs(2, 5, 4)]),
    "Bilinear": (nn.Bilinear(3, 4, 2), [inputs(5, 3), inputs(5, 4)]),
    "Embedding": (nn.Embedding(7, 3, padding_idx=2), [np.array([[1, 2, 6], [1, 0, 2]])]),
    "LayerNorm": (nn.LayerNorm((3, 4)), [inputs(2, 3, 4)]),
    "RMSNorm": (nn.RMSNorm(4), [inputs(2, 3, 4)]),
    "GroupNorm": (nn.GroupNorm(2, 6), [inputs(2, 6, 5)]),
    "BatchNorm1d": (nn.BatchNorm1d(3), [inputs(5, 3)]),
    "BatchNorm2d": (nn.BatchNorm2d(3), [inputs(2, 3, 4, 5)]),
    "BatchNorm2d.eval": (nn.BatchNorm2d(3).eval(), [inputs(2, 3, 4, 5)]),
    "BatchNorm3d": (nn.BatchNorm3d(2), [inputs(2, 2, 3, 2, 2)]),
    "InstanceNorm1d": (nn.InstanceNorm1d(3), [inputs(2, 3, 6)]),
    "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True), [inputs(2, 3, 4, 5)]),
    "PReLU": (nn.PReLU(3), [inputs(2, 3, 4)]),
    "MultiheadAttention": (nn.MultiheadAttention(8, 2, batch_first=True), [inputs(2, 5, 8)]),
    "MultiheadAttention.causal": (
        nn.MultiheadAttention(8, 2, batch_first=True),
        [inputs(2, 5, 8)],
    ),
    "TransformerEncoderLayer": (transformer(nn.TransformerEncoderLayer), [inputs(2, 5, 8)]),
    "TransformerEncoderLayer.first": (
        transformer(nn.TransformerEncoderLayer, norm_first=True, activation="gelu"),
        [inputs(2, 5, 8)],
    ),
    "TransformerDecoderLayer": (
        transformer(nn.TransformerDecoderLayer),
        [inputs(2, 5, 8), inputs(2, 3, 8)],
    ),
    "PixelShuffle": (nn.PixelShuffle(2), [inputs(2, 8, 3, 2)]),
    "Unflatten": (nn.Unflatten(1, (2, 3)), [inputs(2, 6, 2)]),
}


def call(name, layer, tensors):
    if name.startswith("MultiheadAttention"):
        mask = CAUSAL if name.endswith("causal") else None
        return layer(tensors[0], tensors[0], tensors[0], attn_mask=mask, need_weights=False)[0]
    if name == "TransformerDecoderLayer":
        return layer(*tensors, tgt_mask=CAUSAL, tgt_is_causal=True)
    return layer(*tensors)


def main():
    stored = {}
    for name, (layer, arrays) in CASES.items():
        with torch.no_grad():
            for parameter_name, parameter in layer.named_parameters():
                parameter.copy_(torch.tensor(fill(parameter_name, tuple(parameter.shape))))
            for buffer_name, buffer in layer.named_buffers():
                if buffer.dtype.is_floating_point:
                    buffer.copy_(torch.tensor(1 + np.abs(fill(buffer_name, tuple(buffer.shape)))))
        tensors = [
            torch.tensor(a, requires_grad=np.issubdtype(a.dtype, np.floating)) for a in arrays
        ]
        out = call(name, layer, tensors)
        weights = torch.tensor(np.cos(np.arange(out.numel())).reshape(out.shape))
        (out * weights).sum().backward()
        stored[f"{name}/out"] = out.detach().numpy()
        for place, tensor in enumerate(tensors):
            stored[f"{name}/input/{place}"] = tensor.detach().numpy()
            if tensor.grad is not None:
                stored[f"{name}/grad/{place}"] = tensor.grad.numpy()
        for parameter_name, parameter in layer.named_parameters():
            stored[f"{name}/parameter/{parameter_name}"] = parameter.grad.numpy()
        for buffer_name, buffer in layer.named_buffers():
            if buffer.dtype.is_floating_point:
                stored[f"{name}/buffer/{buffer_name}"] = buffer.numpy()
    np.savez_compressed(Path(__file__).with_name("layers.npz"), **stored)


if __name__ == "__main__":
    main()
