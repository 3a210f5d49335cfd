"""The llama-style decoder of the examples: caches, writing, GGUF files, and the real SmolLM2."""

from __future__ import annotations

import importlib
import io
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import slope
from slope import errors, nn

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# What a float32 reference (which agrees with llama.cpp) gives for a prompt: token numbers, greedy
# continuation, and some of the logits as [position, token, value].
REFERENCE = json.loads((Path(__file__).parent / "golden" / "smollm2.json").read_text())


@pytest.fixture
def llama(load_example) -> ModuleType:
    return load_example("common.llama")


@pytest.fixture
def files(load_example) -> ModuleType:
    return load_example("common.gguf_llama")


@pytest.fixture
def write(load_example, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return load_example("tiny_gguf").write_tiny_gguf


def small(llama: ModuleType, **changes):
    slope.manual_seed(0)
    sizes = {"vocabulary": 50, "width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "hidden": 48}
    return llama.initialized(llama.Config(**{**sizes, **changes}), scale=0.3)


def greedy(model, tokens: list[int], count: int) -> list[int]:
    """The continuation, without caches: each token reads the whole text again."""
    tokens = list(tokens)
    for _ in range(count):
        logits = model(slope.tensor([tokens]))
        tokens.append(int(logits.numpy()[0, -1].argmax()))
    return tokens[-count:]


# --- the model and its caches


@pytest.mark.parametrize("changes", [{}, {"tied": False, "interleaved": True, "kv_heads": 4}])
def test_cached_decoding_gives_what_the_whole_text_gives(llama, backend, changes):
    model = small(llama, **changes)
    tokens = slope.randint(0, 50, (2, 9))
    whole = model(tokens).numpy()
    caches = model.caches(12, batch=2)

    @slope.jit(donate="caches")
    def step(model, caches, tokens):
        features, caches = model.features(tokens, caches)
        return model.head(features), caches

    parts = []
    for start, stop in ((0, 4), (4, 5), (5, 6), (6, 9)):
        logits, caches = step(model, caches, tokens[:, start:stop])
        parts.append(logits.numpy())
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-4, atol=1e-4)
    assert [cache.filled.item() for cache in caches] == [9, 9]


def test_angles_and_masks_are_worked_out_once_for_all_blocks(llama):
    model = small(llama, layers=4)
    tokens = np.zeros((1, 1), np.int64)
    lowered = llama.advance.lower(model, model.caches(8), tokens, 1)
    names = [instr.op.name for instr in lowered.program.instrs if instr.outputs[0].type.ndim]
    # Besides, a number is compared: whether there is anything to look at.
    assert names.count("cos") == names.count("sin") == names.count("le") == 1
    assert names.count("dynamic_update_slice") == 8
    # Weights are inputs: the largest constant holds the rates of rotation.
    assert {each.type.shape for each, _ in lowered.program.constants} == {(4,)}


def test_parameters_are_those_of_the_sizes(llama):
    model = small(llama)
    block = 2 * 32 + 32 * 32 * 2 + 16 * 32 * 2 + 3 * 32 * 48
    assert sum(each.numel() for each in model.parameters()) == 50 * 32 + 32 + 2 * block
    assert model.head.weight is model.embed.weight
    spread = {name: each.numpy().std() for name, each in model.named_parameters()}
    assert spread["blocks.0.feed.gate.weight"] == pytest.approx(0.3, rel=0.1)
    assert spread["blocks.1.feed.down.weight"] == pytest.approx(0.15, rel=0.1)  # 0.3 / sqrt(4)


def test_a_writer_continues_a_text(llama, backend):
    model = small(llama, tied=False)
    prompt = [3, 1, 4, 1, 5, 9]
    # On IREE each size of a chunk is a compilation of some seconds.
    for chunk in (1, 4, 32) if backend == "numpy" else (4,):
        writer = llama.Writer(model, 16, chunk=chunk)
        assert list(writer.write(prompt, 5)) == (first := greedy(model, prompt, 5))
        assert len(set(first)) > 2
        assert writer.used == 10  # the last token was not read yet
        more = [2, 6]
        assert list(writer.write(more, 20)) == greedy(model, [*prompt, *first, *more], 4)
        assert writer.used == 16  # full


def test_a_writer_stops_at_a_stop_token(llama):
    with slope.use_backend("onnxruntime"):
        model = small(llama, tied=False)
        expected = greedy(model, [7, 8], 6)
        stop = next(token for token in expected[1:] if token != expected[0])
        writer = llama.Writer(model, 32)
        found = list(writer.write([7, 8], 6, [stop]))
        assert found == expected[: expected.index(stop)]
        assert writer.ended
        after = list(writer.write([9], 2))  # the stop token is part of the text
        assert after == greedy(model, [7, 8, *found, stop, 9], 2)
        assert not writer.ended


def test_sampling_depends_on_the_seed_alone(llama, backend):
    model = small(llama)

    def text(seed: int) -> list[int]:
        slope.manual_seed(seed)
        writer = llama.Writer(model, 32, temperature=1.0, top_k=20, top_p=0.9)
        return list(writer.write([1, 2, 3], 12))

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_bad_prompts_are_refused_and_nothing_is_lost(llama):
    with slope.use_backend("numpy"):
        model = small(llama)
        writer = llama.Writer(model, 8)
        told = "9 tokens do not fit into a cache of 8, of which 0 are used; .* at least 9"
        with pytest.raises(errors.ArgumentError, match=told):
            list(writer.write([1] * 9, 1))
        with pytest.raises(errors.ArgumentError, match="nothing to continue"):
            list(writer.write([], 1))
        with pytest.raises(errors.ArgumentError, match="token 50 is not among the model's 50"):
            list(writer.write([1, 50], 1))
        with pytest.raises(errors.ArgumentError, match="token -1 is not among"):
            list(writer.write([-1], 1))
        assert list(writer.write([1] * 8, 3)) == greedy(model, [1] * 8, 1)


# --- files


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_file_gives_model_and_tokenizer(files, write, tmp_path, kind, tied):
    path = tmp_path / "tiny.gguf"
    written = write(path, tied=tied, kind=importlib.import_module("tiny_gguf").Kind[kind])
    loaded = files.load_gguf(path)
    config = loaded.model.config
    assert (config.width, config.layers, config.heads, config.kv_heads) == (32, 2, 4, 2)
    assert (config.hidden, config.rope_base, config.tied) == (64, 1000.0, tied)
    state = loaded.model.state_dict()
    assert len(state) == len(written)
    pairs = {
        "embed.weight": "token_embd.weight",
        "blocks.1.attention.k_proj.weight": "blk.1.attn_k.weight",
        "blocks.0.feed.down.weight": "blk.0.ffn_down.weight",
        "blocks.0.feed_norm.weight": "blk.0.ffn_norm.weight",
        "norm.weight": "output_norm.weight",
    }
    for mine, theirs in pairs.items():
        np.testing.assert_array_equal(state[mine].numpy(), written[theirs])
    assert loaded.stop == {2}
    ids = loaded.tokenizer.encode("in the<|im_end|> 12é").ids
    assert [loaded.tokenizer.id_to_token(each) for each in ids] == [
        "in", "Ġthe", "<|im_end|>", "Ġ", "1", "2", "Ã", "©"
    ]  # fmt: skip
    assert loaded.tokenizer.decode(ids, skip_special_tokens=False) == "in the<|im_end|> 12é"


def test_a_file_is_written_on_from(files, llama, write, tmp_path, backend):
    write(tmp_path / "tiny.gguf")
    loaded = files.load_gguf(tmp_path / "tiny.gguf")
    ids = loaded.tokenizer.encode("in the").ids
    writer = llama.Writer(loaded.model, 24)
    assert list(writer.write(ids, 8)) == greedy(loaded.model, ids, 8)


def test_what_is_no_llama_file_is_refused(files, write, tmp_path):
    path = tmp_path / "tiny.gguf"
    with pytest.raises(nn.data.DataError, match="there is no file"):
        files.load_gguf(path)
    write(path, arch="mamba")
    with pytest.raises(
        nn.data.DataError, match="of architecture 'mamba'; this reads 'llama' alone"
    ):
        files.load_gguf(path)
    write(path, pre="jina")
    with pytest.raises(
        nn.data.DataError, match="with cuts 'jina'; this reads 'gpt2' with 'gpt-2' or"
    ):
        files.load_gguf(path)
    write(path, leave_out="blk.1.ffn_up.weight")
    with pytest.raises(errors.TreeError, match=r"missing: blocks\.1\.feed\.up\.weight"):
        files.load_gguf(path)
    path.write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(nn.data.DataError, match=r"tiny\.gguf is no whole GGUF file \(106 bytes\)"):
        files.load_gguf(path)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_refused(files, write, tmp_path, part):
    path = tmp_path / "tiny.gguf"
    write(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(part * len(raw))])
    with pytest.raises(nn.data.DataError, match="is no whole GGUF file"):
        files.load_gguf(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"llama.rope.scaling.type": "yarn"}, r"scaled positions \(yarn\)"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"llama.rope.dimension_count": 4}, "turns 4 of 8 elements of each head"),
        ({"llama.block_count": None}, r"tiny has no field llama\.block_count"),
    ],
)
def test_models_with_other_parts_are_refused(files, write, tmp_path, changes, told):
    write(tmp_path / "tiny.gguf")
    reader = files.open_gguf(tmp_path / "tiny.gguf")
    fields = {key: field.contents() for key, field in reader.fields.items()} | changes
    fields = {key: value for key, value in fields.items() if value is not None}
    with pytest.raises(nn.data.DataError, match=told):
        files.config_of(fields, tied=True, name="tiny")


# --- the script


@pytest.fixture
def chat(load_example, monkeypatch, capsys):
    """Run llama_chat with arguments and typed lines; gives what it prints."""

    def call(*args: str, typed: str = "") -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["llama_chat.py", *args])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        runpy.run_path(str(EXAMPLES / "llama_chat.py"), run_name="__main__")
        found = capsys.readouterr()
        return found.out, found.err

    return call


@pytest.mark.parametrize("name", ["numpy", "onnxruntime", "iree"])
def test_chat_continues_a_text(chat, files, write, tmp_path, name):
    path = tmp_path / "tiny.gguf"
    write(path)
    common = ("--backend", name, "--model", str(path), "--context", "64", "--max-tokens", "12")
    out, told = chat(*common, "--plain", "in the", "--greedy")
    with slope.use_backend(name):
        loaded = files.load_gguf(path)
        ids = loaded.tokenizer.encode("in the").ids
        expected = loaded.tokenizer.decode(
            [*ids, *greedy(loaded.model, ids, 12)], skip_special_tokens=False
        )
    assert out == expected + "\n"
    assert f"[{name}: {len(ids)} tokens read in " in told
    assert "tokens per second]" in told


def test_chat_holds_a_conversation(chat, files, write, tmp_path):
    path = tmp_path / "tiny.gguf"
    write(path)
    common = ("--backend", "numpy", "--model", str(path), "--max-tokens", "5", "--seed", "0")
    out, told = chat(*common, typed="the in\nthe\n\nnot read\n")
    assert out.count("> ") >= 3  # two messages, and the line that ends it
    assert "Say something; an empty line or Ctrl-C ends the conversation." in told
    once, _ = chat(*common, "--prompt", "the in")
    assert once.rstrip("\n") in out


def test_chat_says_what_is_wrong(chat, write, tmp_path):
    path = tmp_path / "tiny.gguf"
    common = ("--backend", "numpy", "--model", str(path))
    with pytest.raises(SystemExit, match="llama_chat: there is no file"):
        chat(*common, "--prompt", "the")
    write(path, template="")
    with pytest.raises(SystemExit, match=r"no chat template of the form ChatML .* give --plain"):
        chat(*common, "--prompt", "the")
    write(path)
    with pytest.raises(SystemExit, match="tokens do not fit into a cache of 20, of which 0"):
        chat(*common, "--prompt", "the", "--context", "20")


def test_an_interrupt_ends_the_conversation(chat, write, tmp_path, monkeypatch):
    path = tmp_path / "tiny.gguf"
    write(path)

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    with pytest.raises(SystemExit) as caught:
        chat("--backend", "numpy", "--model", str(path))
    assert caught.value.code == 130


# --- the real model


@pytest.fixture(scope="module")
def smollm2():
    """Model and tokenizer of SmolLM2-135M-Instruct, fetched unless cached, and the class Writer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        fetch = runpy.run_path(str(EXAMPLES / "llama_chat.py"))["smollm2"]
        try:
            path = fetch()
        except nn.data.DataError as error:
            pytest.skip(f"the weights cannot be fetched: {str(error).splitlines()[0]}")
        with slope.use_backend("numpy"):
            loaded = importlib.import_module("common.gguf_llama").load_gguf(path)
        return loaded, importlib.import_module("common.llama").Writer


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "iree", "numpy"])
def test_smollm2_agrees_with_the_reference(smollm2, name):
    loaded, make_writer = smollm2
    ids = loaded.tokenizer.encode(REFERENCE["prompt"]).ids
    assert ids == REFERENCE["ids"]
    with slope.use_backend(name):
        logits = slope.jit(loaded.model)(slope.tensor([ids])).numpy()[0]
        rows, tokens, values = (np.array(each) for each in zip(*REFERENCE["logits"], strict=True))
        found = logits[rows.astype(int), tokens.astype(int)]
        np.testing.assert_allclose(found, values, atol=2e-3, rtol=0)
        assert list(make_writer(loaded.model, 64).write(ids, 24)) == REFERENCE["greedy"]
