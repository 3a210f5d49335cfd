"""The example gpt_text: its corpus, and training end to end on every backend."""

from __future__ import annotations

import functools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import slope
from slope import errors, nn

EXAMPLES = Path(__file__).parents[1] / "examples"
WORDS = ["the", "people", "of", "a", "free", "nation", "ask", "law", "and", "duty", "peace"]


def text(length: int = 120_000) -> str:
    """Sentences of few words in an order drawn by chance."""
    random = np.random.default_rng(0)
    words = [WORDS[place] for place in random.integers(0, len(WORDS), length // 4)]
    return (" ".join(words) + ". The people of the United States")[:length]


@pytest.fixture
def run(run_example, monkeypatch):
    """Run the example with arguments; gives what it prints, and its variables."""
    monkeypatch.setattr(nn.data, "state_of_the_union", text, raising=False)
    monkeypatch.setattr(nn.data, "moby_dick", lambda: text(80_000) + "WUdf", raising=False)
    return functools.partial(run_example, "gpt_text")


def loss_in(out: str) -> float:
    line = next(line for line in out.splitlines() if line.startswith("Validation loss"))
    return float(line.split()[2])


@pytest.mark.parametrize("name", ["numpy", "onnxruntime", "iree"])
def test_trains_and_writes(run, name):
    out, scope = run("--backend", name, "--tiny", "--steps", "60", "--lr", "1e-2")
    assert f"Backend {name}: " in out
    assert loss_in(out) < 1.6  # log(16 words) / 5 characters is 0.55; an even guess is 2.9
    assert "A sample:\nThe people of the United States" in out
    assert scope["train_step"].compile_count == 1
    assert scope["evaluate"].compile_count == 1


def test_characters_and_the_other_text(run):
    args = ("--backend", "numpy", "--tiny", "--text", "moby-dick", "--tokens", "characters")
    out, _ = run(*args, "--prompt", "the ", "--sample", "40", "--steps", "4")
    assert "1.00 characters each" in out
    sample = out.split("A sample:\n")[1].split("\nPicture")[0]
    assert sample.startswith("the ")
    assert len(sample) == 44


def test_the_weights_change_as_with_the_schedule(load_example, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpt_text.py", "--tiny"])
    script = runpy.run_path(str(EXAMPLES / "gpt_text.py"))
    args = script["arguments"]()
    assert (args.width, args.steps, args.lr) == (32, 20, 3e-3)
    with slope.use_backend("numpy"):
        _, optimizer = script["build"](args, 50)
    rates = [optimizer.lr(step) for step in (0, 3, 4, 20)]
    np.testing.assert_allclose([float(each) for each in rates], [7.5e-4, 3e-3, 3e-3, 3e-4])


# --- the corpus


def test_both_codecs_give_the_text_back(load_example):
    corpus = load_example("common.corpus").corpus
    whole = text() + "é" * 3
    for vocabulary in (None, 270):
        data = corpus(whole, vocabulary)
        assert data.codec.size == (len(set(whole)) if vocabulary is None else 270)
        assert data.codec.decode(data.validation) == whole[20_000:40_000]
        assert data.codec.decode(data.training) == whole[:20_000] + whole[40_000:]
        assert data.characters == 20_000 / len(data.validation)
        assert data.codec.decode(data.codec.encode(["a law"])[0]) == "a law"
    with pytest.raises(errors.ArgumentError, match="has no character 'Q'"):
        corpus(whole).codec.encode(["Q"])
    with pytest.raises(errors.ArgumentError, match="100 characters are too few"):
        corpus("x" * 100)


def test_windows_are_pieces_of_the_text_and_depend_on_the_seed(load_example):
    module = load_example("common.corpus")
    tokens = np.arange(50)
    found = list(module.windows(tokens, 8, 4, 3, seed=1))
    assert [each.shape for each in found] == [(4, 8)] * 3
    assert all((np.diff(each) == 1).all() for each in found)
    again = np.stack(list(module.windows(tokens, 8, 4, 3, seed=1)))
    other = np.stack(list(module.windows(tokens, 8, 4, 3, seed=2)))
    assert (again == found).all()
    assert (other != found).any()
    with pytest.raises(errors.ArgumentError, match="50 tokens has no window of 51"):
        next(module.windows(tokens, 51, 4, 3, seed=1))


def test_validation_windows_are_spread_over_the_text(load_example):
    covering = load_example("common.corpus").covering
    assert covering(np.arange(50), 8, 3)[:, 0].tolist() == [0, 16, 40]
    assert covering(np.arange(50), 8, 99).shape == (6, 8)
    with pytest.raises(errors.ArgumentError, match="50 tokens hold no window of 51"):
        covering(np.arange(50), 51, 3)


def test_the_picture_shows_any_text(load_example, tmp_path):
    draw = load_example("common.text_figure").text_figure
    out = draw(
        tmp_path / "a" / "b.png", [2.0, 1.5], [(2, 1.7)], "one $2 $3\n\n\x16 \u4e00", "A title"
    )
    assert out.read_bytes().startswith(b"\x89PNG")
    assert draw(tmp_path / "c.png", [1.0], [], "", "A title").exists()
