"""Teach a llama-style decoder to write like a text: `python examples/gpt_text.py`.

It learns from two centuries of State of the Union addresses, or from Moby-Dick, by byte pairs or by
characters. One jitted step holds the forward pass, the gradient, its clipping, the schedule and
AdamW; sampling reads and writes caches of keys and values.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
from common.command import parse
from common.corpus import Corpus, corpus, covering, windows
from common.llama import Config, Llama, Writer, initialized
from common.text_figure import text_figure
from tqdm.auto import tqdm

import slope
from slope import nn

TEXTS = {"speeches": "state_of_the_union", "moby-dick": "moby_dick"}
TINY = {
    "limit": 200_000,
    "vocabulary": 300,
    "steps": 20,
    "warmup": 4,
    "every": 10,
    "batch_size": 4,
    "context": 16,
    "width": 32,
    "layers": 2,
    "heads": 4,
    "sample": 24,
}


def loss_of(model: Llama, tokens: slope.Tensor) -> slope.Tensor:
    """The mean cross-entropy, in nats, of each token of (batch, length) given those before it."""
    logits = model(tokens[:, :-1])
    return slope.cross_entropy(
        slope.reshape(logits, (-1, logits.shape[-1])), slope.reshape(tokens[:, 1:], (-1,))
    )


@partial(slope.jit, donate=("model", "optimizer"))
def train_step(
    model: Llama, optimizer: nn.AdamW, tokens: slope.Tensor, clip: float
) -> tuple[Llama, nn.AdamW, slope.Tensor]:
    """One step: the new model, the new optimizer, and the old loss."""
    loss, gradients = slope.value_and_grad(loss_of)(model, tokens)
    gradients, _ = nn.clip_grad_norm(gradients, clip)
    model, optimizer = optimizer(model, gradients)
    return model, optimizer, loss


@slope.jit
def evaluate(model: Llama, tokens: slope.Tensor) -> slope.Tensor:
    """The loss of a batch."""
    return loss_of(model, tokens)


def validation_loss(model: Llama, data: Corpus, args: argparse.Namespace, count: int) -> float:
    """Nats per character on up to ``count`` windows of the validation part."""
    found = covering(data.validation, args.context + 1, count)
    size = min(args.batch_size, len(found))
    batches = found[: len(found) // size * size].reshape(-1, size, args.context + 1)
    return float(np.mean([evaluate(model, batch).item() for batch in batches])) / data.characters


def build(args: argparse.Namespace, vocabulary: int) -> tuple[Llama, nn.AdamW]:
    """A fresh model and its optimizer."""
    config = Config(
        vocabulary=vocabulary,
        width=args.width,
        layers=args.layers,
        heads=args.heads,
        kv_heads=args.kv_heads,
        hidden=args.width * 8 // 3 // 16 * 16,  # as many weights as two maps of four widths
    )
    model = initialized(config)
    rate = nn.CosineSchedule(
        args.lr, max(args.steps - args.warmup, 1), end=args.lr / 10, warmup=args.warmup
    )
    optimizer = nn.AdamW(
        model,
        lr=rate,
        betas=(0.9, 0.95),
        weight_decay=0.1,
        groups=[(lambda _, tensor: tensor.ndim < 2, {"weight_decay": 0.0})],
    )
    return model, optimizer


def sample(model: Llama, data: Corpus, args: argparse.Namespace) -> str:
    """The prompt and what the model makes of it."""
    prompt = data.codec.encode([args.prompt])[0]
    writer = Writer(
        model,
        len(prompt) + args.sample,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
    )
    return data.codec.decode([*prompt, *writer.write(prompt, args.sample)])


def main() -> None:
    """Train, evaluate, write, and save a picture."""
    args = arguments()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(args.seed)

    text = getattr(nn.data, TEXTS[args.text])()[: args.limit]
    data = corpus(text, args.vocabulary if args.tokens == "pairs" else None)
    model, optimizer = build(args, data.codec.size)
    count = sum(tensor.numel() for tensor in model.parameters())
    print(
        f"{len(text):,} characters, {len(data.training):,} training tokens of {data.codec.size}, "
        f"{data.characters:.2f} characters each; {count:,} weights"
    )

    losses: list[float] = []
    checks: list[tuple[int, float]] = []
    begun = time.perf_counter()
    plan = windows(data.training, args.context + 1, args.batch_size, args.steps, args.seed)
    first = 0.0
    with tqdm(plan, total=args.steps, desc="Training", unit="step") as bar:
        for tokens in bar:
            model, optimizer, loss = train_step(model, optimizer, tokens, args.clip)
            losses.append(loss.item() / data.characters)
            first = first or time.perf_counter()
            if len(losses) % args.every == 0 or len(losses) == args.steps:
                checks.append((len(losses), validation_loss(model, data, args, 64)))
            shown = {"train": f"{np.mean(losses[-20:]):.3f}"}
            if checks:
                shown["validation"] = f"{checks[-1][1]:.3f}"
            bar.set_postfix(shown, refresh=False)
    ended = time.perf_counter()

    final = validation_loss(model, data, args, 512)
    written = sample(model, data, args)
    backend = slope.backend().name
    title = f"{args.text}, {count:,} weights, slope on {backend}: {final:.3f} nats per character"
    picture = text_figure(args.out, losses, checks, written, title)
    each = (ended - first) / max(args.steps - 1, 1) * 1e3
    print(
        f"Backend {backend}: {ended - begun:.0f} s; the first step took {first - begun:.1f} s, the "
        f"others {each:.0f} ms each, validation included"
    )
    print(f"Validation loss {final:.3f} nats per character")
    print(f"A sample:\n{written}")
    print(f"Picture {picture}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Train a small language model on real text.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first that is installed")
    add("--text", choices=[*TEXTS], default="speeches", help="what to learn from")
    add("--limit", type=int, metavar="N", help="use the first N characters only")
    add("--tokens", choices=["pairs", "characters"], default="pairs", help="what a token is")
    add("--vocabulary", type=int, default=1024, help="how many byte pairs")
    add("--steps", type=int, default=600, help="training steps")
    add("--batch-size", type=int, default=8, help="windows in one step")
    add("--context", type=int, default=128, help="tokens in a window")
    add("--width", type=int, default=192, help="length of a token's vector")
    add("--layers", type=int, default=4, help="blocks")
    add("--heads", type=int, default=6, help="of queries")
    add("--kv-heads", type=int, default=2, help="of keys and values")
    add("--lr", type=float, default=3e-3, help="highest learning rate")
    add("--warmup", type=int, default=50, help="steps until it is reached")
    add("--clip", type=float, default=1.0, help="largest norm of the gradient")
    add("--every", type=int, default=50, help="steps between validations")
    add("--prompt", default="The people of the United States", help="the sample's beginning")
    add("--sample", type=int, default=120, help="most tokens to write")
    add("--temperature", type=float, default=0.8, help="of sampling; 0 is greedy")
    add("--top-k", type=int, help="sample among this many tokens")
    add("--top-p", type=float, default=0.95, help="sample among the tokens of this probability")
    add("--seed", type=int, default=0, help="of the weights, the windows and the sample")
    add("--out", default="outputs/gpt_text.png", help="where to save the picture")
    return parse(parser, TINY)


if __name__ == "__main__":
    main()
