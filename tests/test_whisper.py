"""The speech example and its parts; the tests that take the network are skipped without it."""

from __future__ import annotations

import struct
import wave

import numpy as np
import pytest

import slope
from slope import errors
from slope.nn import data


def write_wav(path, samples, rate=16_000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype({1: "u1", 2: "<i2"}[width]).tobytes())
    return path


# --- sound


@pytest.fixture
def sound():
    """Half a second: a rising tone with noise, then almost nothing."""
    time = np.arange(8000) / 16_000
    noise = np.random.default_rng(0).standard_normal(8000)
    tone = np.sin(2 * np.pi * (300 * time + 4000 * time**2)) + 0.01 * noise
    return (0.3 * np.where(time < 0.4, tone, 1e-7 * noise)).astype(np.float32)


def log_mel_by_definition(sound, filters):
    padded = np.pad(sound.astype(np.float64), 200, mode="reflect")
    frames = np.stack([padded[start : start + 400] for start in range(0, len(sound), 160)])
    hann = np.sin(np.pi * np.arange(400) / 400) ** 2
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    decades = np.log10(np.maximum(power @ filters, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4).T / 4


def test_log_mel(load_example, backend, sound):
    speech = load_example("common.speech")
    want = log_mel_by_definition(sound, speech.mel_filters(80))
    model = speech.LogMel()
    quiet = 0.01 * sound[::-1]  # each of a batch has a loudest of its own
    got = slope.jit(lambda model, x: model(x))(model, slope.tensor(np.stack([sound, quiet])))
    assert got.shape == (2, 80, 50)
    np.testing.assert_allclose(got[0].numpy(), want, atol=2e-4)
    alone = log_mel_by_definition(quiet, speech.mel_filters(80))
    np.testing.assert_allclose(got[1].numpy(), alone, atol=2e-4)
    assert want.max() - want.min() == pytest.approx(2.0)  # the still part is cut off


def test_mel_filters(load_example):
    filters = load_example("common.speech").mel_filters(80)
    assert filters.shape == (201, 80)
    # From the table that Whisper is published with: rows are bands, columns multiples of 40 Hz.
    known = {(0, 1): 0.02486259, (1, 1): 0.00199082, (40, 43): 0.014735566, (79, 190): 0.00223205}
    for (band, column), value in known.items():
        assert filters[column, band] == pytest.approx(value, abs=1e-8)
    assert np.all(filters.sum(axis=0) > 0)


def test_wav_files(load_example, tmp_path):
    speech = load_example("common.speech")
    values = np.array([0, 16384, -32768, 32767])
    np.testing.assert_array_equal(
        speech.read_wav(write_wav(tmp_path / "a.wav", values)),
        np.array([0, 0.5, -1, 32767 / 32768], np.float32),
    )
    both = np.stack([values, np.zeros(4)], axis=1)
    np.testing.assert_allclose(
        speech.read_wav(write_wav(tmp_path / "b.wav", both, channels=2)),
        np.array([0, 0.25, -0.5, 32767 / 65536]),
    )
    time = np.arange(4410) / 44_100
    tone = 1e4 * np.sin(2 * np.pi * 440 * time)
    got = speech.read_wav(write_wav(tmp_path / "c.wav", tone, rate=44_100))
    want = 1e4 / 32768 * np.sin(2 * np.pi * 440 * np.arange(1600) / 16_000)
    np.testing.assert_allclose(got, want, atol=2e-4)


def test_bad_wav_files(load_example, tmp_path):
    speech = load_example("common.speech")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(data.DataError, match=r"text.wav is no WAV file .*ffmpeg -i text.wav"):
        speech.read_wav(tmp_path / "text.wav")
    with pytest.raises(data.DataError, match=r"byte.wav has samples of 8 bits, and 16 are read"):
        speech.read_wav(write_wav(tmp_path / "byte.wav", np.zeros(4), width=1))
    with pytest.raises(data.DataError, match=r"none.wav holds no sound"):
        speech.read_wav(write_wav(tmp_path / "none.wav", np.zeros(0)))


def test_long_sound_is_cut_where_it_is_still(load_example):
    pieces = load_example("common.speech").pieces
    sound = np.ones(16_000 * 25, np.float32)
    sound[16_000 * 8 : 16_000 * 8 + 8000] = 0  # half a second of pause from second 8
    sound[16_000 * 17 : 16_000 * 17 + 8000] = 0
    cut = list(pieces(sound, 10.0))
    assert [round(len(piece) / 16_000) for piece in cut] == [8, 9, 8]
    np.testing.assert_array_equal(np.concatenate(cut), sound)
    starts = np.cumsum([len(piece) for piece in cut])[:-1] / 16_000
    assert np.all((starts > [8, 17]) & (starts < [8.5, 17.5]))
    assert [len(piece) for piece in pieces(np.ones(100, np.float32), 10.0)] == [100]


def test_word_errors(load_example):
    speech = load_example("common.speech")
    assert speech.words_of("Mr. John\u2019s ill-disposed, isn't HE?") == [
        "mister", "john's", "ill", "disposed", "isn't", "he",
    ]  # fmt: skip
    said = ["a", "b", "c", "d"]
    for heard, wrong in [("a b c d", 0), ("b c d", 1), ("a x c d e", 2), ("", 4), ("d c b a", 4)]:
        assert speech.word_errors(heard.split(), said) == wrong
    assert speech.word_errors(["a"], []) == 1


def test_words_get_their_times(load_example):
    alignment = load_example("common.alignment")
    looks = np.full((5, 60), 0.001)
    for row, (start, end) in enumerate([(0, 10), (10, 30), (30, 35), (35, 50), (50, 60)]):
        looks[row, start:end] = 0.05
    found = alignment.words([" Hel", "lo", " big", " world."], looks)
    assert [word.text for word in found] == ["Hello", "big", "world."]
    times = [time for word in found for time in (word.start, word.end)]
    np.testing.assert_allclose(times, [0, 0.6, 0.6, 0.7, 0.7, 1.0], atol=0.021)
    assert alignment.words([], looks[:1]) == []


# --- weights


def packed(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def variable(name, shape, code, raw):
    head = struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, code, len(raw))
    return packed(name) + head + raw


def model_file(*variables, aliases=(), version=6):
    parts = [struct.pack("<I", version), packed("SomeSpec"), struct.pack("<I", 3)]
    parts += [struct.pack("<I", len(variables)), *variables, struct.pack("<I", len(aliases))]
    return b"".join(parts + [packed(word) for pair in aliases for word in pair])


WHOLE = model_file(
    variable("a/weight", (2, 3), 4, np.arange(6).astype("<f2").tobytes()),
    variable("scale", (), 0, struct.pack("<f", 1.5)),
    variable("heads", (), 2, struct.pack("<h", -7)),
    variable("half", (2,), 5, struct.pack("<2H", 0x3FC0, 0xC000)),
    aliases=[("b/weight", "a/weight")],
)


def test_reads_ctranslate2(load_example, tmp_path):
    (tmp_path / "model.bin").write_bytes(WHOLE)
    found = load_example("common.ctranslate2").read_ctranslate2(tmp_path / "model.bin")
    assert (found.kind, found.revision) == ("SomeSpec", 3)
    assert list(found.arrays) == ["a/weight", "scale", "heads", "half", "b/weight"]
    weight = found.arrays["a/weight"]
    assert weight.dtype == np.float16
    np.testing.assert_array_equal(weight, [[0, 1, 2], [3, 4, 5]])
    assert found.arrays["b/weight"] is weight
    assert (found.arrays["scale"], found.arrays["heads"]) == (1.5, -7)
    np.testing.assert_array_equal(found.arrays["half"], np.array([1.5, -2], np.float32))


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_cut_short(load_example, tmp_path, length):
    (tmp_path / "model.bin").write_bytes(WHOLE[:length])
    with pytest.raises(data.DataError, match=r"model.bin: cut short: .* bytes at byte \d+, and"):
        load_example("common.ctranslate2").read_ctranslate2(tmp_path / "model.bin")


HUGE = packed("a") + struct.pack("<B3IBI", 3, 2**31, 2**31, 2**31, 0, 0)
CONTRADICTIONS = {
    r"format version 3 is not supported, only 6": model_file(version=3),
    r"'a' stands in it twice": model_file(*2 * [variable("a", (1,), 1, b"x")]),
    r"'a' has the unknown type 9 \(known: 0 float32, 1 int8": model_file(
        variable("a", (1,), 9, b"x")
    ),
    r"'a', float32 of shape \(2,\), needs 8 bytes and claims 4": model_file(
        variable("a", (2,), 0, b"four")
    ),
    r"'a', float32 of shape \(2147483648, .*\), needs \d{29} bytes and claims 0": model_file(HUGE),
    r"alias 'b' of 'c': 'c' is not there": model_file(aliases=[("b", "c")]),
    r"alias 'a' of 'a': 'a' is a variable too": model_file(
        variable("a", (1,), 1, b"x"), aliases=[("a", "a")]
    ),
    r"2 bytes follow its end": model_file() + b"ab",
    r"the model's kind is no UTF-8: b'\\xff": struct.pack("<IH", 6, 2) + b"\xff\0",
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_files_that_contradict_themselves(load_example, tmp_path, message):
    (tmp_path / "model.bin").write_bytes(CONTRADICTIONS[message])
    with pytest.raises(data.DataError, match=r"model.bin: .*" + message):
        load_example("common.ctranslate2").read_ctranslate2(tmp_path / "model.bin")


# --- the model


@pytest.fixture
def voice(load_example):
    slope.manual_seed(1)
    return load_example("common.whisper_files").tiny_random()


def test_cached_decoding_equals_uncached(load_example, backend, voice):
    model = voice.model
    whisper = load_example("common.whisper")
    sound = np.random.default_rng(0).standard_normal((1, model.sizes.samples)).astype(np.float32)
    _, memories = whisper.listen(model, sound)
    tokens = np.array([[1, 2, 30, 4, 5, 6, 7]])
    nothing, watched = slope.zeros(model.sizes.tokens), slope.tensor(voice.watched)

    @slope.jit
    def several(model, tokens, memories, caches):
        whole = model.decoder(tokens, memories)
        first, caches, _ = model.decoder(tokens[:, :4], memories, caches)
        rest, _, _ = model.decoder(tokens[:, 4:], memories, caches)
        return whole, slope.cat([first, rest], dim=1)

    (scores, none, looks), in_two = several(model, tokens, memories, model.caches())
    assert none == []
    np.testing.assert_allclose(in_two.numpy(), scores.numpy(), atol=1e-5)
    caches = model.caches()
    for place in range(tokens.shape[1]):
        said = whisper.say(model, tokens[:, place : place + 1], memories, caches, nothing, watched)
        caches = said.caches
        assert said.token.item() == scores[0, place].argmax().item()
        mean = np.mean([each.numpy()[0, :, place] for each in looks], axis=(0, 1))
        np.testing.assert_allclose(said.looks.numpy()[0], mean, atol=1e-6)
    assert caches[0].filled.item() == 7
    assert len(set(scores[0].argmax(dim=1).tolist())) > 1  # the comparison can fail


def test_a_penalty_rules_tokens_out(load_example, voice):
    whisper, model = load_example("common.whisper"), voice.model
    with slope.use_backend("numpy"):
        _, memories = whisper.listen(model, np.zeros((1, model.sizes.samples), np.float32))
        penalty = np.full(model.sizes.tokens, -np.inf, np.float32)
        penalty[17] = 0
        said = whisper.say(
            model, slope.tensor([[1]]), memories, model.caches(), penalty, voice.watched
        )
    assert said.token.tolist() == [[17]]


def as_ctranslate2(model):
    """The variables that CTranslate2 would hold of a model."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    arrays = {
        "decoder/num_heads": np.int16(model.sizes.heads),
        "decoder/activation": np.int8(3),
        "decoder/pre_norm": np.int8(1),
        "decoder/embeddings/weight": state["decoder.embedding.weight"],
        "decoder/projection/weight": state["decoder.embedding.weight"],
    }
    for side, parts in (
        ("encoder", {"ffn/layer_norm": ["norm2"]}),
        (
            "decoder",
            {
                "ffn/layer_norm": ["norm3"],
                "attention/layer_norm": ["norm2"],
                "attention/linear_0": ["cross_attn.q_proj"],
                "attention/linear_1": ["cross_attn.k_proj", "cross_attn.v_proj"],
                "attention/linear_2": ["cross_attn.out_proj"],
            },
        ),
    ):
        parts |= {
            "self_attention/layer_norm": ["norm1"],
            "self_attention/linear_0": [f"self_attn.{each}_proj" for each in "qkv"],
            "self_attention/linear_1": ["self_attn.out_proj"],
            "ffn/linear_0": ["linear1"],
            "ffn/linear_1": ["linear2"],
        }
        arrays[f"{side}/position_encodings/encodings"] = state[f"{side}.positions"]
        for leaf, theirs in (("weight", "gamma"), ("bias", "beta")):
            arrays[f"{side}/layer_norm/{theirs}"] = state[f"{side}.norm.{leaf}"]
            for part, ours in parts.items():
                end = theirs if "norm" in part else leaf
                for layer in range(model.sizes.layers):
                    arrays[f"{side}/layer_{layer}/{part}/{end}"] = np.concatenate(
                        [state[f"{side}.layers.{layer}.{name}.{leaf}"] for name in ours]
                    )
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        arrays[f"encoder/{name.replace('.', '/')}"] = state[f"encoder.{name}"]
    return arrays


def test_weights_go_where_they_belong(load_example, voice):
    arrays = as_ctranslate2(voice.model)
    loaded = load_example("common.whisper").load_whisper(arrays)
    assert loaded.sizes == voice.model.sizes
    want = voice.model.state_dict()
    for name, tensor in loaded.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), want[name].numpy(), err_msg=name)


def test_weights_that_are_not_all_there(load_example, voice):
    load_whisper = load_example("common.whisper").load_whisper
    arrays = as_ctranslate2(voice.model)
    gone = {
        name: value for name, value in arrays.items() if name != "encoder/layer_1/ffn/linear_0/bias"
    }
    with pytest.raises(errors.TreeError, match=r"missing: encoder.layers.1.linear1.bias"):
        load_whisper(gone)
    with pytest.raises(data.DataError, match=r"no 'decoder/embeddings/weight'"):
        load_whisper({})
    with pytest.raises(data.DataError, match=r"only models with GELU and normalization first"):
        load_whisper({**arrays, "decoder/activation": np.int8(0)})
    bytes_ = {**arrays, "encoder/conv1/bias": np.zeros(32, np.int8)}
    with pytest.raises(data.DataError, match=r"'encoder/conv1/bias' is int8; quantized"):
        load_whisper(bytes_)


# --- the example


@pytest.fixture
def run(run_example):
    """Run the example with arguments; gives the lines that it prints."""

    def call(*args):
        out, scope = run_example("whisper_transcribe", *args)
        assert (scope["listen"].compile_count, scope["say"].compile_count) == (1, 1)
        return out.splitlines()

    return call


@pytest.mark.parametrize("name", ["numpy", "onnx", "iree"])
def test_small_and_random(run, tmp_path, sound, name):
    wav = write_wav(tmp_path / "tone.wav", 3e4 * np.tile(sound, 6))  # three seconds, with pauses
    lines = run("--tiny", "--limit", "5", "--backend", name, str(wav))
    assert lines[0].startswith(f"Backend {'onnxruntime' if name == 'onnx' else name}: loaded in")
    assert lines[2] == "tone.wav (3.0 s)"
    assert lines[3].count("<") == 10  # two pieces of at most two seconds
    assert "14 tokens of" in lines[4]
    assert lines[-1].endswith("picture.png")


def test_tiny_needs_no_file(run):
    assert run("--tiny", "--limit", "3", "--backend", "numpy")[2] == "a rising tone (1.5 s)"


def test_transcribes_a_sentence(run, load_example, monkeypatch):
    files = load_example("common.whisper_files")
    try:
        clips = files.librivox()
        files.tiny_en()
    except data.DataError as error:
        pytest.skip(f"the weights or the clips cannot be had: {error}")
    monkeypatch.setattr(files, "librivox", lambda: clips[-1:])
    lines = run("--backend", "onnxruntime")
    assert lines[3] == " He might even have been made amiable himself."
    assert lines[4].startswith("  0 of 8 words wrong, ")
    assert "All files: 0 of 8 words wrong" in lines
