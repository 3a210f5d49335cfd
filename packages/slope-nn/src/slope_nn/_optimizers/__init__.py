"""Optimizers: pytrees that take a model and its gradients to a new model and a new optimizer."""
