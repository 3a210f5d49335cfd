"""W5: a GPT writes one token, with the keys and values of the tokens before it in a cache.

Batch 1. Each call writes the likeliest next token, which is the input of the next call; when the
cache is full, the text starts anew. The number that is read back is that token's logit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gpt_step import NORM_EPS, Size, jax_linear, jax_norm, jax_parameters, parameters
from systems import Array, Call, Program, chosen, same_numbers, to_tinygrad, to_torch

W5 = Size(1, 256, 256, 4, 8, 256)
TINY = Size(1, 12, 8, 2, 2, 11)
FIRST = 1  # the first token


def again(fresh: Callable[[], Call], length: int) -> Call:
    """A callable that writes the next token, and starts anew after so many."""
    call, count = fresh(), 0

    def counted() -> float:
        nonlocal call, count
        if count == length:
            call, count = fresh(), 0
        count += 1
        return call()

    return counted


def with_split_heads(given: dict[str, Array]) -> dict[str, Array]:
    """The weights by the names of `MultiheadAttention`, where q, k and v are apart."""
    made: dict[str, Array] = {}
    for name, value in given.items():
        if ".qkv." in name:
            for part, each in zip("qkv", np.split(value, 3), strict=True):
                made[name.replace("qkv", f"attention.{part}_proj")] = each.copy()
        else:
            made[name.replace(".out.", ".attention.out_proj.")] = value
    return made


def slope_model(size: Size) -> Any:
    """The model in slope."""
    import slope
    from slope import nn

    width = size.width

    class Block(nn.Module):
        def __init__(self) -> None:
            self.norm1 = nn.LayerNorm(width, NORM_EPS)
            self.attention = nn.MultiheadAttention(width, size.heads)
            self.norm2 = nn.LayerNorm(width, NORM_EPS)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def __call__(self, x: Any, cache: Any) -> Any:
            seen, cache = self.attention(self.norm1(x), cache=cache)
            x = x + seen
            inner = slope.gelu(self.up(self.norm2(x)), approximate="tanh")
            return x + self.down(inner), cache

    class GPT(nn.Module):
        def __init__(self) -> None:
            self.tokens = nn.Embedding(size.vocabulary, width)
            self.positions = nn.Embedding(size.length, width)
            self.blocks = [Block() for _ in range(size.layers)]
            self.norm = nn.LayerNorm(width, NORM_EPS)
            self.head = nn.Linear(width, size.vocabulary)

        def __call__(self, token: Any, caches: Any) -> Any:
            x = self.tokens(token) + self.positions(caches[0].filled)
            new = []
            for block, cache in zip(self.blocks, caches, strict=True):
                x, cache = block(x, cache)
                new.append(cache)
            return self.head(self.norm(x))[0, 0], new

    return GPT().load_state_dict(with_split_heads(parameters(size)))


def slope_program(backend: str, size: Size) -> Program:
    """The step on a backend of slope."""
    import slope

    @slope.jit(backend=backend, donate=(1,))
    def step(token: Any, caches: Any, model: Any) -> Any:
        logits, caches = model(token, caches)
        token = logits.argmax()
        return logits[token], token.reshape(1, 1), caches

    return Program(step, (slope.tensor([[FIRST]]), caches_of(size)), (slope_model(size).eval(),))


def caches_of(size: Size) -> list[Any]:
    """Empty caches in slope, one for each layer."""
    from slope import nn

    shape = (1, size.heads, size.length, size.width // size.heads)
    return [nn.KVCache(*shape) for _ in range(size.layers)]


def slope_step(backend: str, size: Size) -> Call:
    """The step, again and again."""
    step, (token, _), rest = slope_program(backend, size)

    def fresh() -> Call:
        return Program(step, (token, caches_of(size)), rest).running()

    return again(fresh, size.length)


def jax_step(size: Size) -> Call:
    """The step in JAX."""
    import jax
    import jax.numpy as jnp

    p = jax_parameters(size)
    width, head = size.width, size.width // size.heads

    def step(token: Any, caches: Any, place: Any, p: Any) -> Any:
        x = p["tokens"]["weight"][token] + p["positions"]["weight"][place]
        new = []
        for block, (keys, values) in zip(p["blocks"], caches, strict=True):
            qkv = jax_linear(block["qkv"], jax_norm(block["norm1"], x))
            qkv = qkv.reshape(1, 1, 3, size.heads, head)
            update = jax.lax.dynamic_update_slice_in_dim
            keys = update(keys, qkv[:, :, 1], place, 1)
            values = update(values, qkv[:, :, 2], place, 1)
            mask = (jnp.arange(size.length) <= place)[None, None, None]
            seen = jax.nn.dot_product_attention(qkv[:, :, 0], keys, values, mask=mask)
            x = x + jax_linear(block["out"], seen.reshape(1, 1, width))
            inner = jax_linear(block["up"], jax_norm(block["norm2"], x))
            x = x + jax_linear(block["down"], jax.nn.gelu(inner, approximate=True))
            new.append((keys, values))
        logits = jax_linear(p["head"], jax_norm(p["norm"], x))[0, 0]
        token = logits.argmax()
        return logits[token], token.reshape(1, 1), new, place + 1

    compiled = jax.jit(step, donate_argnums=(1,))

    def fresh() -> Call:
        empty = jnp.zeros((1, size.length, size.heads, head))
        caches = [(empty.copy(), empty.copy()) for _ in range(size.layers)]
        return Program(compiled, (jnp.array([[FIRST]]), caches, jnp.array(0)), (p,)).running()

    return again(fresh, size.length)


def torch_model(size: Size) -> Any:
    """The model in PyTorch, which keeps the cache in buffers."""
    import torch
    from torch import nn

    width, head = size.width, size.width // size.heads

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width, NORM_EPS)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width, NORM_EPS)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)
            for name in ("keys", "values"):
                empty = torch.zeros(1, size.heads, size.length, head)
                self.register_buffer(name, empty, persistent=False)

        def forward(self, x: Any, place: Any, end: int | None, mask: Any) -> Any:
            q, k, v = self.qkv(self.norm1(x)).view(1, 1, 3, size.heads, head).permute(2, 0, 3, 1, 4)
            self.keys.index_copy_(2, place, k)
            self.values.index_copy_(2, place, v)
            keys, values = self.keys[:, :, :end], self.values[:, :, :end]
            seen = nn.functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
            x = x + self.out(seen.reshape(1, 1, width))
            inner = nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh")
            return x + self.down(inner)

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(size.vocabulary, width)
            self.positions = nn.Embedding(size.length, width)
            self.blocks = nn.ModuleList(Block() for _ in range(size.layers))
            self.norm = nn.LayerNorm(width, NORM_EPS)
            self.head = nn.Linear(width, size.vocabulary)

        def forward(self, token: Any, place: Any, end: int | None = None, mask: Any = None) -> Any:
            x = self.tokens(token) + self.positions(place)
            for block in self.blocks:
                x = block(x, place, end, mask)
            best = self.head(self.norm(x)).max(-1)
            return best.values, best.indices

    model = GPT()
    model.load_state_dict({name: to_torch(each) for name, each in parameters(size).items()})
    return model.eval()


def torch_step(size: Size, compiled: bool) -> Call:
    """The step in PyTorch: eager over the filled part of the cache, or compiled and masked."""
    import torch

    first = to_torch(np.array([[FIRST]]))
    model = torch_model(size).to(first.device)
    places = torch.arange(size.length, device=first.device)
    forward: Any = torch.compile(model) if compiled else model

    def fresh() -> Call:
        token, count = first, 0

        @torch.inference_mode()
        def call() -> float:
            nonlocal token, count
            place = places[count : count + 1]
            if compiled:
                logit, token = forward(token, place, mask=(places <= place)[None])
            else:
                logit, token = forward(token, place, count + 1)
            count += 1
            return logit.item()

        return call

    return again(fresh, size.length)


def tinygrad_step(size: Size) -> Call:
    """The step in tinygrad, over the filled part of the cache."""
    from tinygrad import Tensor, TinyJit, Variable

    given = {name: to_tinygrad(each) for name, each in parameters(size).items()}
    width, head = size.width, size.width // size.heads
    shape = (2, 1, size.heads, size.length, head)
    caches = [Tensor.zeros(*shape).contiguous().realize() for _ in range(size.layers)]

    def linear(name: str, x: Any) -> Any:
        return x.linear(given[f"{name}.weight"].T, given[f"{name}.bias"])

    def norm(name: str, x: Any) -> Any:
        return x.layernorm(eps=NORM_EPS) * given[f"{name}.weight"] + given[f"{name}.bias"]

    @TinyJit
    def step(token: Any, place: Any) -> Any:
        x = given["tokens.weight"][token] + given["positions.weight"][place : place + 1]
        for number, cache in enumerate(caches):
            name = f"blocks.{number}"
            qkv = linear(f"{name}.qkv", norm(f"{name}.norm1", x)).reshape(3, 1, 1, size.heads, head)
            q, k, v = (qkv[each].transpose(1, 2) for each in range(3))
            cache[:, :, :, place : place + 1].assign(Tensor.stack(k, v)).realize()
            keys, values = cache[0, :, :, : place + 1], cache[1, :, :, : place + 1]
            seen = q.scaled_dot_product_attention(keys, values)
            x = x + linear(f"{name}.out", seen.reshape(1, 1, width))
            inner = linear(f"{name}.up", norm(f"{name}.norm2", x)).gelu()
            x = x + linear(f"{name}.down", inner)
        logits = linear("head", norm("norm", x))[0, 0]
        return logits.max().realize(), logits.argmax().reshape(1, 1).realize()

    variable = Variable("place", 0, size.length - 1)

    def fresh() -> Call:
        token, count = Tensor([[FIRST]]).realize(), 0

        def call() -> float:
            nonlocal token, count
            logit, following = step(token, variable.bind(count))
            token = following.clone().realize()  # the jit writes over its results
            count += 1
            return logit.item()

        return call

    return again(fresh, size.length)


def contenders(backends: list[str], peers: list[str], size: Size) -> dict[str, Call]:
    """All of them, by name, warmed up and checked to write the same text with the same logits."""
    made = {f"slope/{name}": slope_step(name, size) for name in backends}
    made |= chosen(
        peers,
        {
            "jax": lambda: jax_step(size),
            "torch": lambda: torch_step(size, compiled=False),
            "torch.compile": lambda: torch_step(size, compiled=True),
            "tinygrad": lambda: tinygrad_step(size),
        },
    )
    return same_numbers(made, steps=2 * size.length if size is TINY else 16)
