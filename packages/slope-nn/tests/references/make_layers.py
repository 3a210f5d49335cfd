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
    "InstanceNorm2d.tracked": (
        nn.InstanceNorm2d(3, 1e-3, 0.3, True, True),
        [inputs(2, 3, 4, 5)],
    ),
    "InstanceNorm1d.eval": (
        nn.InstanceNorm1d(3, track_running_stats=True).eval(),
        [inputs(2, 3, 6)],
    ),
    "TransformerEncoder": (
        nn.TransformerEncoder(
            transformer(nn.TransformerEncoderLayer), 2, nn.LayerNorm(8), enable_nested_tensor=False
        ),
        [inputs(2, 5, 8)],
    ),
    "TransformerDecoder": (
        nn.TransformerDecoder(transformer(nn.TransformerDecoderLayer), 2),
        [inputs(2, 5, 8), inputs(2, 3, 8)],
    ),
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
    "Conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), [inputs(2, 4, 9)]),
    "Conv2d": (nn.Conv2d(3, 4, (3, 2), padding="same", dilation=2), [inputs(2, 3, 6, 7)]),
    "Conv3d": (nn.Conv3d(2, 3, 2, bias=False), [inputs(2, 2, 3, 4, 3)]),
    "MaxPool2d": (nn.MaxPool2d(3, 2, 1), [inputs(2, 3, 6, 7)]),
    "AvgPool2d": (nn.AvgPool2d(2), [inputs(2, 3, 6, 7)]),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((3, 2)), [inputs(2, 3, 6, 7)]),
    "PixelShuffle": (nn.PixelShuffle(2), [inputs(2, 8, 3, 2)]),
    "Unflatten": (nn.Unflatten(1, (2, 3)), [inputs(2, 6, 2)]),
    "ConvTranspose1d": (
        nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        [inputs(2, 4, 5)],
    ),
    "ConvTranspose2d": (
        nn.ConvTranspose2d(3, 4, (3, 2), stride=(2, 1), dilation=(1, 2)),
        [inputs(2, 3, 4, 5)],
    ),
    "ConvTranspose2d.bare": (
        nn.ConvTranspose2d(4, 2, 2, stride=3, output_padding=2, groups=2, bias=False),
        [inputs(2, 4, 3, 2)],
    ),
    "ConvTranspose3d": (nn.ConvTranspose3d(2, 3, 2, stride=2, padding=1), [inputs(1, 2, 2, 3, 2)]),
    "Conv1d.circular": (
        nn.Conv1d(2, 3, 4, padding="same", padding_mode="circular"),
        [inputs(2, 2, 7)],
    ),
    "Conv2d.reflect": (
        nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"),
        [inputs(2, 2, 5, 6)],
    ),
    "MaxPool1d": (nn.MaxPool1d(3, 2, padding=1, dilation=2), [inputs(2, 3, 9)]),
    "MaxPool2d.ceil": (nn.MaxPool2d((3, 2), ceil_mode=True), [inputs(2, 3, 7, 5)]),
    "MaxPool3d": (nn.MaxPool3d(2, 1), [inputs(1, 2, 3, 4, 3)]),
    "AvgPool1d": (nn.AvgPool1d(3, 2, padding=1, count_include_pad=False), [inputs(2, 3, 8)]),
    "AvgPool2d.ceil": (nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), [inputs(2, 2, 6, 7)]),
    "AvgPool2d.divisor": (nn.AvgPool2d(2, divisor_override=3), [inputs(2, 2, 4, 4)]),
    "AvgPool3d": (nn.AvgPool3d((2, 3, 1)), [inputs(1, 2, 4, 3, 2)]),
    "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(3), [inputs(2, 3, 7)]),
    "AdaptiveAvgPool3d": (nn.AdaptiveAvgPool3d((2, None, 1)), [inputs(1, 2, 5, 3, 4)]),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(4), [inputs(2, 3, 6)]),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d((3, 2)), [inputs(2, 3, 6, 7)]),
    "AdaptiveMaxPool3d": (nn.AdaptiveMaxPool3d(2), [inputs(1, 2, 5, 3, 4)]),
    "Upsample": (nn.Upsample(scale_factor=2), [inputs(2, 3, 4)]),
    "Upsample.linear": (nn.Upsample(size=7, mode="linear"), [inputs(2, 3, 4)]),
    "Upsample.bilinear": (
        nn.Upsample(scale_factor=(2.0, 1.5), mode="bilinear"),
        [inputs(2, 2, 4, 5)],
    ),
    "Upsample.corners": (
        nn.Upsample(size=(6, 3), mode="bilinear", align_corners=True),
        [inputs(2, 2, 4, 5)],
    ),
    "Upsample.bicubic": (nn.Upsample(scale_factor=2.0, mode="bicubic"), [inputs(2, 2, 4, 5)]),
    "Upsample.trilinear": (nn.Upsample(size=(3, 5, 4), mode="trilinear"), [inputs(1, 2, 2, 3, 4)]),
    "PixelUnshuffle": (nn.PixelUnshuffle(2), [inputs(2, 2, 4, 6)]),
    "LocalResponseNorm": (nn.LocalResponseNorm(3, alpha=0.5, k=0.7), [inputs(2, 5, 3, 2)]),
    "ZeroPad2d": (nn.ZeroPad2d((1, 2, 0, -1)), [inputs(2, 2, 3, 4)]),
    "ConstantPad1d": (nn.ConstantPad1d(2, 0.5), [inputs(2, 2, 3)]),
    "ReflectionPad2d": (nn.ReflectionPad2d((1, 2, 0, 1)), [inputs(2, 2, 3, 4)]),
    "ReplicationPad3d": (nn.ReplicationPad3d(1), [inputs(1, 2, 2, 3, 2)]),
    "CircularPad1d": (nn.CircularPad1d((2, 1)), [inputs(2, 2, 4)]),
    "RNN": (nn.RNN(3, 4, 2), [inputs(5, 2, 3)]),
    "RNN.relu": (
        nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True),
        [inputs(2, 5, 3)],
    ),
    "RNN.state": (nn.RNN(3, 4, bidirectional=True), [inputs(5, 2, 3), inputs(2, 2, 4)]),
    "GRU": (nn.GRU(3, 4, 2, bidirectional=True), [inputs(5, 2, 3)]),
    "GRU.state": (nn.GRU(3, 4, batch_first=True), [inputs(2, 5, 3), inputs(1, 2, 4)]),
    "GRU.single": (nn.GRU(3, 4, bias=False), [inputs(5, 3)]),
    "LSTM": (nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True), [inputs(2, 5, 3)]),
    "LSTM.state": (nn.LSTM(3, 4), [inputs(5, 2, 3), inputs(1, 2, 4), inputs(1, 2, 4)]),
    "LSTM.projected": (nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), [inputs(5, 2, 3)]),
    "RNNCell": (nn.RNNCell(3, 4, nonlinearity="relu"), [inputs(2, 3), inputs(2, 4)]),
    "GRUCell": (nn.GRUCell(3, 4), [inputs(2, 3), inputs(2, 4)]),
    "LSTMCell": (nn.LSTMCell(3, 4), [inputs(2, 3), inputs(2, 4), inputs(2, 4)]),
    "LSTMCell.start": (nn.LSTMCell(3, 4, bias=False), [inputs(2, 3)]),
}


def call(name, layer, tensors):
    if name.startswith("MultiheadAttention"):
        mask = CAUSAL if name.endswith("causal") else None
        return layer(tensors[0], tensors[0], tensors[0], attn_mask=mask, need_weights=False)[0]
    if name in ("TransformerDecoderLayer", "TransformerDecoder"):
        return layer(*tensors, tgt_mask=CAUSAL, tgt_is_causal=True)
    if name.startswith("LSTM") and len(tensors) == 3:
        return layer(tensors[0], tuple(tensors[1:]))
    return layer(*tensors)


def flat(out):
    """Every tensor of a result, in one row: recurrent layers give several."""
    if isinstance(out, torch.Tensor):
        return [out.reshape(-1)]
    return [part for each in out for part in flat(each)]


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
        out = out if isinstance(out, torch.Tensor) else torch.cat(flat(out))
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
