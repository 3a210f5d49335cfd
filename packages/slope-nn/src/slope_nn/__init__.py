"""Modules, layers and optimizers for slope; ``slope.nn`` shows the same names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from slope_nn import functional, init, metrics
from slope_nn._activations import (
    GELU,
    Dropout,
    Dropout1d,
    Dropout2d,
    Flatten,
    Identity,
    PixelShuffle,
    ReLU,
    Sigmoid,
    Tanh,
    Unflatten,
)
from slope_nn._attention import KVCache, MultiheadAttention, RotaryEmbedding
from slope_nn._containers import Fn, ModuleDict, ModuleList, Sequential
from slope_nn._conv import AdaptiveAvgPool2d, AvgPool2d, Conv1d, Conv2d, Conv3d, MaxPool2d
from slope_nn._embedding import Bilinear, Embedding
from slope_nn._fit import NaNLossError, fit
from slope_nn._linear import Linear
from slope_nn._losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
    TripletMarginLoss,
)
from slope_nn._lost import LostAssignmentWarning
from slope_nn._module import Module
from slope_nn._more_activations import (
    CELU,
    ELU,
    GLU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU6,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanhshrink,
    Threshold,
)
from slope_nn._node import Buffer
from slope_nn._norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    RMSNorm,
)
from slope_nn._optimizers._adafactor import Adafactor
from slope_nn._optimizers._adam import LAMB, Adam, AdamW
from slope_nn._optimizers._base import Optimizer
from slope_nn._optimizers._clipping import clip_grad_norm, clip_grad_value, global_norm
from slope_nn._optimizers._lion import Lion
from slope_nn._optimizers._rms import Adagrad, RMSprop
from slope_nn._optimizers._schedules import (
    ConstantSchedule,
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    MultiStepSchedule,
    OneCycleSchedule,
    PolynomialSchedule,
    ReduceOnPlateau,
    Schedule,
    StepSchedule,
    WarmupSchedule,
)
from slope_nn._optimizers._sgd import SGD
from slope_nn._optimizers._wrappers import EMA, Accumulate
from slope_nn._sampling import sample_logits
from slope_nn._saving._files import (
    CheckpointError,
    read_safetensors,
    write_safetensors,
    write_sharded,
)
from slope_nn._saving._names import rename
from slope_nn._saving._trees import load, save
from slope_nn._summary import Summary
from slope_nn._transformer import TransformerDecoderLayer, TransformerEncoderLayer

if TYPE_CHECKING:
    from slope_nn import data as data

__all__ = [
    "CELU",
    "ELU",
    "EMA",
    "GELU",
    "GLU",
    "LAMB",
    "SELU",
    "SGD",
    "Accumulate",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Bilinear",
    "Buffer",
    "CheckpointError",
    "ConstantSchedule",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "CosineEmbeddingLoss",
    "CosineSchedule",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "ExponentialSchedule",
    "Flatten",
    "Fn",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "KVCache",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearSchedule",
    "Lion",
    "LogSigmoid",
    "LogSoftmax",
    "LostAssignmentWarning",
    "MSELoss",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiStepSchedule",
    "MultiheadAttention",
    "NLLLoss",
    "NaNLossError",
    "OneCycleSchedule",
    "Optimizer",
    "PReLU",
    "PixelShuffle",
    "PoissonNLLLoss",
    "PolynomialSchedule",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "ReduceOnPlateau",
    "RotaryEmbedding",
    "Schedule",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "StepSchedule",
    "Summary",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "TripletMarginLoss",
    "Unflatten",
    "WarmupSchedule",
    "clip_grad_norm",
    "clip_grad_value",
    "fit",
    "functional",
    "global_norm",
    "init",
    "load",
    "metrics",
    "read_safetensors",
    "rename",
    "sample_logits",
    "save",
    "write_safetensors",
    "write_sharded",
]


def __getattr__(name: str) -> Any:
    if name == "data":  # loaded when asked for: models need no loaders
        return importlib.import_module("slope_nn.data")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
