"""What slope-backend-iree tells slope: its backend. Imports nothing heavy."""

from __future__ import annotations

from slope.extend import BackendSpec, hookimpl

slope_api_version = 1


@hookimpl
def slope_backends() -> list[BackendSpec]:
    """The IREE backend."""
    return [
        BackendSpec(
            name="iree",
            target="slope_backend_iree.backend:IreeBackend",
            description="StableHLO, compiled by IREE",
            priority=30,
            requirement="pip install slope-backend-iree",
            formats=(".mlir", ".vmfb"),
        )
    ]
