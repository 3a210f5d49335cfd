"""W3: one training step of a GPT.

Normalization before each part, learned positions, GELU by its tanh formula, AdamW. Forward,
gradient and update are one compiled program in slope and in JAX.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from systems import Array, Call, Program, to_tinygrad, to_torch, training

RATE, BETAS, EPS, DECAY = 3e-4, (0.9, 0.95), 1e-8, 0.1
NORM_EPS = 1e-5


class Size(NamedTuple):
    """Sequences in a batch, their length, the width, layers, heads, and how many tokens there are.

    Between the two linear maps of a layer the width is four times as large.
    """

    batch: int
    length: int
    width: int
    layers: int
    heads: int
    vocabulary: int


W3 = Size(8, 128, 256, 4, 8, 256)
DEEP = Size(8, 128, 256, 24, 8, 256)
TINY = Size(2, 5, 8, 2, 2, 11)


def data(size: Size) -> tuple[Array, Array]:
    """Random tokens and those that follow them, the same at every run."""
    random = np.random.default_rng(0)
    text = random.integers(0, size.vocabulary, (size.batch, size.length + 1))
    return text[:, :-1].copy(), text[:, 1:].copy()


def parameters(size: Size) -> dict[str, Array]:
    """Initial weights by name; those of linear maps are (outputs, inputs)."""
    random = np.random.default_rng(1)
    width = size.width
    made: dict[str, Array] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        weight = random.standard_normal((outputs, inputs)) / np.sqrt(inputs)
        made[f"{name}.weight"] = weight.astype(np.float32)
        made[f"{name}.bias"] = np.full(outputs, 0.01, np.float32)

    def norm(name: str) -> None:
        made[f"{name}.weight"] = np.full(width, 1.1, np.float32)
        made[f"{name}.bias"] = np.full(width, 0.01, np.float32)

    for name, rows in (("tokens", size.vocabulary), ("positions", size.length)):
        made[f"{name}.weight"] = random.standard_normal((rows, width)).astype(np.float32)
    for layer in range(size.layers):
        norm(f"blocks.{layer}.norm1")
        linear(f"blocks.{layer}.qkv", 3 * width, width)
        linear(f"blocks.{layer}.out", width, width)
        norm(f"blocks.{layer}.norm2")
        linear(f"blocks.{layer}.up", 4 * width, width)
        linear(f"blocks.{layer}.down", width, 4 * width)
    norm("norm")
    linear("head", size.vocabulary, width)
    return made


def slope_model(size: Size) -> Any:
    """The model in slope, with the initial weights."""
    import slope
    from slope import nn

    width = size.width

    class Block(nn.Module):
        def __init__(self) -> None:
            self.norm1 = nn.LayerNorm(width, NORM_EPS)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width, NORM_EPS)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def __call__(self, x: Any) -> Any:
            n, length, _ = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(n, length, 3, size.heads, -1)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            seen = slope.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.permute(0, 2, 1, 3).reshape(n, length, width))
            return x + self.down(slope.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(self) -> None:
            self.tokens = nn.Embedding(size.vocabulary, width)
            self.positions = nn.Embedding(size.length, width)
            self.blocks = [Block() for _ in range(size.layers)]
            self.norm = nn.LayerNorm(width, NORM_EPS)
            self.head = nn.Linear(width, size.vocabulary)

        def __call__(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions.weight
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return GPT().load_state_dict(parameters(size))


def slope_program(backend: str, size: Size) -> Program:
    """The step on a backend of slope."""
    import slope
    from slope import nn

    def loss_of(model: Any, tokens: Any, following: Any) -> Any:
        logits = model(tokens).reshape(-1, size.vocabulary)
        return slope.cross_entropy(logits, following.reshape(-1))

    @slope.jit(backend=backend, donate=(0, 1))
    def step(model: Any, optimizer: Any, tokens: Any, following: Any) -> Any:
        loss, gradients = slope.value_and_grad(loss_of)(model, tokens, following)
        return loss, *optimizer(model, gradients)

    model = slope_model(size)
    optimizer = nn.AdamW(model, RATE, BETAS, EPS, DECAY)
    return Program(step, (model, optimizer), tuple(map(slope.tensor, data(size))))


def jax_parameters(size: Size) -> Any:
    """The initial weights as JAX models hold them: nested, linear maps as (inputs, outputs)."""
    import jax.numpy as jnp

    tree: dict[str, Any] = {"blocks": [{} for _ in range(size.layers)]}
    for name, value in parameters(size).items():
        *path, field = name.split(".")
        home: Any = tree
        for part in path:
            home = home[int(part)] if isinstance(home, list) else home.setdefault(part, {})
        linear = field == "weight" and path[-1] in ("qkv", "out", "up", "down", "head")
        home[field] = jnp.asarray(value.T if linear else value)
    return tree


def jax_norm(p: Any, x: Any) -> Any:
    """Layer normalization in JAX."""
    import jax

    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + NORM_EPS)
    return x * p["weight"] + p["bias"]


def jax_linear(p: Any, x: Any) -> Any:
    """A linear map in JAX."""
    return x @ p["weight"] + p["bias"]


def jax_program(size: Size) -> Program:
    """The step in JAX."""
    import jax
    import jax.numpy as jnp

    def block(p: Any, x: Any) -> Any:
        n, length, width = x.shape
        qkv = jax_linear(p["qkv"], jax_norm(p["norm1"], x)).reshape(n, length, 3, size.heads, -1)
        q, k, v = (qkv[:, :, each] for each in range(3))
        seen = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + jax_linear(p["out"], seen.reshape(n, length, width))
        inner = jax.nn.gelu(jax_linear(p["up"], jax_norm(p["norm2"], x)), approximate=True)
        return x + jax_linear(p["down"], inner)

    def loss_of(p: Any, tokens: Any, following: Any) -> Any:
        x = p["tokens"]["weight"][tokens] + p["positions"]["weight"]
        for each in p["blocks"]:
            x = block(each, x)
        scores = jax.nn.log_softmax(jax_linear(p["head"], jax_norm(p["norm"], x)))
        return -jnp.take_along_axis(scores, following[..., None], -1).mean()

    def step(p: Any, moments: Any, tokens: Any, following: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(p, tokens, following)
        p, moments = jax_adamw(p, gradients, moments)
        return loss, p, moments

    p = jax_parameters(size)
    zeros = jax.tree.map(jnp.zeros_like, p)
    moments = (jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, p))
    batch = tuple(map(jnp.asarray, data(size)))
    return Program(jax.jit(step, donate_argnums=(0, 1)), (p, moments), batch)


def jax_adamw(p: Any, gradients: Any, moments: Any) -> tuple[Any, Any]:
    """AdamW in JAX: the new parameters and moments."""
    import jax
    import jax.numpy as jnp

    count, mean, square = moments
    count = count + 1
    first, second = BETAS
    mean = jax.tree.map(lambda m, g: first * m + (1 - first) * g, mean, gradients)
    square = jax.tree.map(lambda s, g: second * s + (1 - second) * g * g, square, gradients)
    c1, c2 = 1 - first**count, 1 - second**count

    def updated(each: Any, m: Any, s: Any) -> Any:
        return each * (1 - RATE * DECAY) - RATE * (m / c1) / (jnp.sqrt(s / c2) + EPS)

    return jax.tree.map(updated, p, mean, square), (count, mean, square)


def torch_model(size: Size) -> Any:
    """The model in PyTorch, with the initial weights."""
    from torch import nn

    width = size.width

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width, NORM_EPS)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width, NORM_EPS)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, length, _ = x.shape
            q, k, v = (
                each.view(n, length, size.heads, -1).transpose(1, 2)
                for each in self.qkv(self.norm1(x)).split(width, dim=2)
            )
            seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(n, length, width))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(size.vocabulary, width)
            self.positions = nn.Embedding(size.length, width)
            self.blocks = nn.ModuleList(Block() for _ in range(size.layers))
            self.norm = nn.LayerNorm(width, NORM_EPS)
            self.head = nn.Linear(width, size.vocabulary)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions.weight
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    model = GPT()
    given = {name: to_torch(each) for name, each in parameters(size).items()}
    model.load_state_dict(given)
    return model.to(given["head.bias"].device)


def torch_step(size: Size, compiled: bool) -> Call:
    """The step in PyTorch, eager or with the model compiled."""
    import torch

    model = torch_model(size)
    tokens, following = map(to_torch, data(size))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY, fused=True
    )
    forward: Any = torch.compile(model) if compiled else model

    def call() -> float:
        optimizer.zero_grad()
        logits = forward(tokens).view(-1, size.vocabulary)
        loss = torch.nn.functional.cross_entropy(logits, following.view(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    return call


def tinygrad_step(size: Size) -> Call:
    """The step in tinygrad."""
    from tinygrad import Context, TinyJit, nn

    width = size.width

    class Block:
        def __init__(self) -> None:
            self.norm1 = nn.LayerNorm(width, NORM_EPS)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width, NORM_EPS)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def __call__(self, x: Any) -> Any:
            n, length, _ = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(n, length, 3, size.heads, -1)
            q, k, v = (qkv[:, :, each].transpose(1, 2) for each in range(3))
            seen = q.scaled_dot_product_attention(k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(n, length, width))
            return x + self.down(self.up(self.norm2(x)).gelu())

    class GPT:
        def __init__(self) -> None:
            self.tokens = nn.Embedding(size.vocabulary, width)
            self.positions = nn.Embedding(size.length, width)
            self.blocks = [Block() for _ in range(size.layers)]
            self.norm = nn.LayerNorm(width, NORM_EPS)
            self.head = nn.Linear(width, size.vocabulary)

        def __call__(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions.weight
            return self.head(self.norm(x.sequential(self.blocks)))

    model = GPT()
    given = {name: to_tinygrad(each) for name, each in parameters(size).items()}
    nn.state.load_state_dict(model, given, verbose=False)
    tokens, following = map(to_tinygrad, data(size))
    first, second = BETAS
    optimizer = nn.optim.AdamW(
        nn.state.get_parameters(model), lr=RATE, b1=first, b2=second, eps=EPS, weight_decay=DECAY
    )

    @TinyJit
    def step() -> Any:
        with Context(TRAINING=1):
            optimizer.zero_grad()
            loss = model(tokens).flatten(0, 1).sparse_categorical_crossentropy(following.flatten())
            return loss.backward().realize(*optimizer.schedule_step())

    return lambda: step().item()


def contenders(backends: list[str], peers: list[str], size: Size) -> dict[str, Call]:
    """All of them, by name, warmed up and checked to follow the same losses."""
    steps = slope_program, jax_program, torch_step, tinygrad_step
    return training(backends, peers, size, *steps)
