"""The workloads by name: what each is, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import call_overhead
import conv_step
import decode
import eager
import fresh
import gpt_step
import gradbench
import mlp_step
from systems import Program
from timing import Result, interleaved


class Asked(NamedTuple):
    """What the command line asks for."""

    backends: list[str]
    peers: list[str]
    rounds: int


class Step(NamedTuple):
    """A workload that is one compiled step: its module, size, and what it is."""

    module: Any
    size: Any
    title: str

    def flops(self, backend: str) -> int:
        """The floating-point operations of the step, counted in slope's program of it."""
        program: Program = self.module.slope_program(backend, self.size)
        step: Any = program.step
        return step.lower(*program.arguments).cost().flops


STEPS = {
    "W1": Step(mlp_step, mlp_step.W1, "MLP step, 200 x 784-100-10, SGD with momentum"),
    "W2": Step(mlp_step, mlp_step.W2, "MLP step, 256 x 784-1024-1024-10, SGD with momentum"),
    "W3": Step(gpt_step, gpt_step.W3, "GPT step, 8 x 128, width 256, 4 layers, 8 heads, AdamW"),
    "W4": Step(conv_step, conv_step.W4, "convolutional step, 32x3x32x32, 16/32/64, batch norm"),
    "W5": Step(decode, decode.W5, "cached decoding of one token, width 256, 4 layers"),
}


def steps(name: str, asked: Asked) -> Iterator[Result]:
    """W1 to W5."""
    step = STEPS[name]
    made = step.module.contenders(asked.backends, asked.peers, step.size)
    systems = interleaved(made, rounds=asked.rounds)
    flops = step.flops(asked.backends[-1]) if asked.backends else None
    yield Result(name, step.title, systems, flops=flops)


def calls(name: str, asked: Asked) -> Iterator[Result]:
    """W6."""
    for count in call_overhead.COUNTS:
        made = call_overhead.contenders(asked.backends, asked.peers, count)
        title = f"a call of x * 2 + 1 on (4,), {count} of them in a dict"
        yield Result(f"{name}/{count}", title, interleaved(made, rounds=asked.rounds, seconds=0.03))


def eager_operators(name: str, asked: Asked) -> Iterator[Result]:
    """W8."""
    made = eager.contenders(asked.backends, asked.peers)
    title = f"{eager.OPERATORS} eager operators on {eager.SHAPE}"
    yield Result(name, title, interleaved(made, rounds=asked.rounds))


def published(name: str, asked: Asked) -> Iterator[Result]:
    """W9."""
    for title, size in gradbench.SIZES.items():
        pairs = gradbench.contenders(asked.backends, asked.peers, size)
        for what, made in zip(("objective", "gradient"), pairs, strict=True):
            systems = interleaved(made, rounds=asked.rounds)
            yield Result(f"{name}/{title} {what}", f"{size}, {what}, float64", systems)


def starts(name: str, asked: Asked) -> Iterator[Result]:
    """W7."""
    for title, (module, size) in fresh.STARTS.items():
        rounds = min(asked.rounds, 1 if size == "DEEP" else 3)
        named = [f"slope/{each}" for each in asked.backends] + ["jax"] * ("jax" in asked.peers)
        found = fresh.start(named, module, size, rounds)
        for what, systems in found.items():
            yield Result(f"{name}/{title} {what}", fresh.WHAT[what], systems)


def memory(name: str, asked: Asked) -> Iterator[Result]:
    """W10."""
    for title in ("W3", "W4"):
        named = [f"slope/{each}" for each in asked.backends]
        named += [peer for peer in ("jax", "torch") if peer in asked.peers]
        step = STEPS[title]
        found = fresh.memory(named, step.module.__name__, title, min(asked.rounds, 3))
        for what, systems in found.items():
            yield Result(f"{name}/{title} {what}", fresh.WHAT[what], systems, unit="bytes")


def imports(name: str, asked: Asked) -> Iterator[Result]:
    """W11."""
    modules = ["slope", *dict.fromkeys(peer.partition(".")[0] for peer in asked.peers)]
    systems = fresh.imports(modules, min(asked.rounds, 9))
    yield Result(name, "import, in a fresh process", systems)


WORKLOADS: dict[str, Callable[[str, Asked], Iterator[Result]]] = {
    **dict.fromkeys(STEPS, steps),
    "W6": calls,
    "W7": starts,
    "W8": eager_operators,
    "W9": published,
    "W10": memory,
    "W11": imports,
}
