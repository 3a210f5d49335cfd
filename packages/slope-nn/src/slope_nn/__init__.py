"""Modules, layers and optimizers for slope; ``slope.nn`` shows the same names."""

from __future__ import annotations

from slope_nn import functional
from slope_nn._activations import GELU, Dropout, Flatten, Identity, ReLU, Sigmoid, Tanh
from slope_nn._containers import Fn, Sequential
from slope_nn._linear import Linear
from slope_nn._module import Module
from slope_nn._node import Buffer
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
from slope_nn._saving._files import (
    CheckpointError,
    read_safetensors,
    write_safetensors,
    write_sharded,
)
from slope_nn._saving._names import rename
from slope_nn._saving._trees import load, save

__all__ = [
    "EMA",
    "GELU",
    "LAMB",
    "SGD",
    "Accumulate",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Buffer",
    "CheckpointError",
    "ConstantSchedule",
    "CosineSchedule",
    "Dropout",
    "ExponentialSchedule",
    "Flatten",
    "Fn",
    "Identity",
    "Linear",
    "LinearSchedule",
    "Lion",
    "Module",
    "MultiStepSchedule",
    "OneCycleSchedule",
    "Optimizer",
    "PolynomialSchedule",
    "RMSprop",
    "ReLU",
    "ReduceOnPlateau",
    "Schedule",
    "Sequential",
    "Sigmoid",
    "StepSchedule",
    "Tanh",
    "WarmupSchedule",
    "clip_grad_norm",
    "clip_grad_value",
    "functional",
    "global_norm",
    "load",
    "read_safetensors",
    "rename",
    "save",
    "write_safetensors",
    "write_sharded",
]
