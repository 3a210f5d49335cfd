"""What slope-backend-numpy tells slope: its backend. Imports nothing heavy."""

from __future__ import annotations

from slope.extend import BackendSpec, hookimpl

slope_api_version = 1


@hookimpl
def slope_backends() -> list[BackendSpec]:
    """The NumPy backend."""
    return [
        BackendSpec(
            name="numpy",
            target="slope_backend_numpy.backend:NumpyBackend",
            description="generated NumPy source; runs everywhere",
            priority=10,
            requirement="pip install slope-backend-numpy",
        )
    ]
