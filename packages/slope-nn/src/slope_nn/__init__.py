"""Modules, layers and optimizers for slope; ``slope.nn`` shows the same names."""

from __future__ import annotations

from slope_nn import functional
from slope_nn._activations import GELU, Dropout, Flatten, Identity, ReLU, Sigmoid, Tanh
from slope_nn._containers import Fn, Sequential
from slope_nn._linear import Linear
from slope_nn._module import Module
from slope_nn._node import Buffer
from slope_nn._optimizers._base import Optimizer
from slope_nn._optimizers._sgd import SGD

__all__ = [
    "GELU",
    "SGD",
    "Buffer",
    "Dropout",
    "Flatten",
    "Fn",
    "Identity",
    "Linear",
    "Module",
    "Optimizer",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
]
