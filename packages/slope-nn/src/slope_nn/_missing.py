"""Names of PyTorch's that slope-nn lacks: errors that say what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slope.extend import RenamedError

_WRAP: Final = "wrap the module in one that calls it"
_RENAME: Final = "change the names with nn.rename before loading"
MODULE_METHODS: Final = {
    "bfloat16": "use model = model.to(slope.bfloat16), which makes a copy",
    "cpu": 'use model = model.to("cpu"), which makes a copy',
    "cuda": 'use model = model.to("cuda:0"), which makes a copy',
    "double": "use model = model.to(slope.float64), which makes a copy",
    "float": "use model = model.to(slope.float32), which makes a copy",
    "half": "use model = model.to(slope.float16), which makes a copy",
    "compile": "use slope.jit(model)",
    "get_extra_state": "assign what shall be saved as a Buffer",
    "register_forward_hook": _WRAP,
    "register_forward_pre_hook": _WRAP,
    "register_full_backward_hook": "change what slope.grad returns, or write a slope.custom_vjp",
    "register_load_state_dict_pre_hook": _RENAME,
    "register_module": "use .add_module, or assign it",
    "register_state_dict_post_hook": _RENAME,
    "reset_parameters": "make the layer anew, or assign to its parameters what nn.init draws",
    "set_extra_state": "assign what shall be saved as a Buffer",
    "set_submodule": "assign it: setattr(model.get_submodule(parent), name, module)",
    "share_memory": "leave it out: tensors do not change",
    "to_empty": "use model = model.to(device), which makes a copy",
    "xpu": 'use model = model.to("xpu:0"), which makes a copy',
    "requires_grad_": "use .freeze() and .unfreeze()",
    "type": "use .astype",
    "zero_grad": "gradients are values that slope.grad returns, and nothing gathers them",
}

_SCHEDULE: Final = "schedules are rates: nn.Adam(model, lr=nn.{}(...))"
_SCHEDULES: Final = {
    "ChainedScheduler": "ChainedSchedule",
    "ConstantLR": "ConstantSchedule",
    "CosineAnnealingLR": "CosineSchedule",
    "CosineAnnealingWarmRestarts": "CosineSchedule",
    "CyclicLR": "CyclicSchedule",
    "ExponentialLR": "ExponentialSchedule",
    "LRScheduler": "Schedule",
    "LambdaLR": "LambdaSchedule",
    "LinearLR": "LinearSchedule",
    "MultiStepLR": "MultiStepSchedule",
    "MultiplicativeLR": "MultiplicativeSchedule",
    "OneCycleLR": "OneCycleSchedule",
    "PolynomialLR": "PolynomialSchedule",
    "SequentialLR": "SequentialSchedule",
    "StepLR": "StepSchedule",
}
_LAZY: Final = "shapes are needed when a layer is made: use nn.{}, with the number of features"
_LAZY_LAYERS: Final = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "Linear",
]

_OF_NN: Final[dict[str, str]] = {
    **{name: _SCHEDULE.format(ours) for name, ours in _SCHEDULES.items()},
    **{f"Lazy{layer}": _LAZY.format(layer) for layer in _LAZY_LAYERS},
    "AdaptiveLogSoftmaxWithLoss": "use nn.Linear and slope.cross_entropy over all classes",
    "AveragedModel": "use nn.EMA(model)",
    "Container": "use nn.Module, nn.Sequential or nn.ModuleList",
    "CrossMapLRN2d": "use nn.LocalResponseNorm",
    "DataParallel": "a program runs on one device",
    "FeatureAlphaDropout": "use nn.AlphaDropout, or nn.Dropout1d to nn.Dropout3d for channels",
    "FractionalMaxPool2d": "use nn.MaxPool2d or nn.AdaptiveMaxPool2d",
    "FractionalMaxPool3d": "use nn.MaxPool3d or nn.AdaptiveMaxPool3d",
    "NLLLoss2d": "use nn.NLLLoss",
    "ReduceLROnPlateau": "use nn.ReduceOnPlateau",
    "SWALR": "use a schedule as lr=, and nn.EMA(model)",
    "SparseAdam": "tensors are dense: use nn.Adam",
    "SyncBatchNorm": "a program runs on one device: use nn.BatchNorm2d",
    "UninitializedParameter": "give parameters their shapes",
    "clip_grad_norm_": "write gradients, norm = nn.clip_grad_norm(gradients, 1.0)",
    "clip_grad_value_": "write gradients = nn.clip_grad_value(gradients, 1.0)",
    "get_total_norm": "use nn.global_norm",
    "lr_scheduler": _SCHEDULE.format("CosineSchedule").replace("...", "1e-3, steps"),
    "optim": "optimizers are in slope.nn itself: nn.Adam(model, lr=1e-3)",
    "skip_init": "write with nn.init.skip(): ...",
    "spectral_norm": "use nn.SpectralNorm(layer)",
    "swa_utils": "use nn.EMA(model)",
    "utils": "use nn.clip_grad_norm(gradients, 1.0), nn.parameters_to_vector(model), nn.WeightNorm",
    "weight_norm": "use nn.WeightNorm(layer)",
}


def missing(owner: object, name: str, ways: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that is not there.

    Args:
        owner: what was asked.
        name: for what.
        ways: what to write instead of some names.
    """
    kind = type(owner).__name__
    way = ways.get(name)
    if way is None:
        return AttributeError(f"{kind!r} object has no attribute {name!r}")
    return RenamedError(f"{kind} has no {name!r}: {way}.")


def missing_in(module: str, name: str, ways: Mapping[str, str] = _OF_NN) -> AttributeError:
    """The error for a name that a module of slope's lacks; of ``slope.nn`` if no ways are given."""
    way = ways.get(name)
    if way is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    return RenamedError(f"{module} has no {name!r}: {way}.")
