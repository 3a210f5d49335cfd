"""A small training step with all that makes one: gradients, Adam, dropout, numbers as inputs."""

import numpy as np

import slope
from slope import nn


def make():
    """The step, and the model, optimizer and batch that it begins with."""
    slope.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 5))
    optimizer = nn.Adam(model, lr=0.05)
    x, y = slope.randn(6, 12), slope.tensor(np.arange(6) % 5)

    @slope.jit
    def step(model, optimizer, x, y):
        loss, gradients = slope.value_and_grad(lambda m: slope.cross_entropy(m(x), y))(model)
        model, optimizer = optimizer(model, gradients)
        return model, optimizer, loss

    return step, (model, optimizer, x, y)


def losses(step, args, count):
    """The losses of some steps from a seed, by anything that is called like the step."""
    slope.manual_seed(7)
    model, optimizer, x, y = args
    found = []
    for _ in range(count):
        model, optimizer, loss = step(model, optimizer, x, y)
        found.append(loss.item())
    return found
