"""Names of foreign models turned into a model's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from slope.extend import ArgumentError, TreeError
from slope_nn._checks import iterable, mapping

Rule = tuple[str, str | Callable[[re.Match[str]], str] | None]


def rename(
    state: Mapping[str, Any],
    rules: Iterable[Rule],
    transform: Callable[[str, Any], Any] | None = None,
) -> dict[str, Any]:
    r"""A state dict with other names.

    Args:
        state: names and tensors.
        rules: pairs of a regular expression and its replacement (text with ``\1``, or a function of
            the match), or ``None`` to drop the tensor. Each rule in turn is applied to each name,
            wherever it matches.
        transform: takes the new name and the tensor to the tensor to keep, for example transposed.

    Raises:
        TreeError: two tensors get the same name.
        ArgumentError: a rule is no regular expression.

    Example:
        >>> state = nn.rename(
        ...     state, [(r"^model\.", ""), (r"layers\.(\d+)", r"blocks.\1"), (r"rotary_emb", None)]
        ... )
        >>> model.load_state_dict(state)
    """
    state, compiled = mapping("rename", "state", state), []
    for rule in iterable("rename", "rules", rules):
        if not isinstance(rule, tuple | list) or len(rule) != 2:
            raise ArgumentError(
                f"rename: each rule is a regular expression and its replacement, not {rule!r:.60}."
            )
        pattern, replacement = rule
        try:
            compiled.append((re.compile(pattern), replacement))
        except (re.error, TypeError) as error:
            raise ArgumentError(f"rename: {pattern!r} is no regular expression: {error}.") from None
    renamed: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for old, tensor in state.items():
        name: str | None = old
        for pattern, replacement in compiled:
            if replacement is not None:
                name = pattern.sub(replacement, name)
            elif pattern.search(name):
                name = None
                break
        if name is None:
            continue
        if name in renamed:
            raise TreeError(f"rename: {origin[name]!r} and {old!r} both become {name!r}.")
        renamed[name] = tensor if transform is None else transform(name, tensor)
        origin[name] = old
    return renamed


def from_torch(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict of PyTorch's layers with the names that slope's have.

    Most names are the same. Attention's ``in_proj_weight`` and ``in_proj_bias`` are split into
    those of ``q_proj``, ``k_proj`` and ``v_proj``. The counters ``num_batches_tracked`` of batch
    normalization are left out: slope's layers have one with ``momentum=None`` alone, which is then
    loaded with ``strict=False``.

    Args:
        state: names and tensors of PyTorch, or arrays.

    Example:
        >>> model.load_state_dict(nn.from_torch(torch_model.state_dict()))
    """
    renamed: dict[str, Any] = {}
    for name, tensor in mapping("from_torch", "state", state).items():
        *before, last = name.split(".")
        prefix = "".join(f"{part}." for part in before)
        if last == "num_batches_tracked":
            continue
        if last in ("in_proj_weight", "in_proj_bias"):
            third, kind = tensor.shape[0] // 3, last.removeprefix("in_proj_")
            for place, part in enumerate("qkv"):
                rows = tensor[place * third : (place + 1) * third]
                renamed[f"{prefix}{part}_proj.{kind}"] = rows
        elif last in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
            renamed[f"{prefix}{last.replace('_weight', '.weight')}"] = tensor
        else:
            renamed[name] = tensor
    return renamed
