"""Where tensors go. The core makes host arrays; whoever knows the backends moves them."""

from __future__ import annotations

from slope.core.tensor import Tensor, Tracer
from slope.core.trace import EVAL
from slope.devices import ANYWHERE, Device, default_device, device
from slope.errors import DeviceError


def placed(x: Tensor, where: Device | str | None = None) -> Tensor:
    """``x`` on a device, by default the default one.

    Traced tensors stay where the whole program runs.

    Raises:
        DeviceError: nothing can move it there.
    """
    target = default_device() if where is None else device(where)
    if isinstance(x, Tracer):
        return x
    if x.device == target:
        return x if (x.device is ANYWHERE) is (target is ANYWHERE) else x.relabelled(target)
    if EVAL.transfer is None:
        raise DeviceError(f"no backend is loaded that moves tensors from {x.device} to {target}.")
    return EVAL.transfer(x, target)
