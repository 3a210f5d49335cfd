"""What tests draw, and how they compare it."""

import numpy as np

import slope


def close(actual, expected, tolerance=2e-5):
    """Two tensors, arrays or numbers are equal but for rounding."""
    np.testing.assert_allclose(
        np.asarray(actual), np.asarray(expected), rtol=tolerance, atol=tolerance
    )


def draw(*shape, seed=0):
    """A float32 tensor of normally distributed numbers."""
    return slope.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
