"""Labels, masks and decoder inputs for every language of Whisper: transformers' own, and as written by hand.

The task is always `transcribe`: a corpus of transcriptions teaches no other.
"""

import json
import shutil

import numpy as np
import pytest
from transformers import WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from asr.clips.tokens import Labeller
from asr.loading.batches import EpochBatches
from asr.loading.timestamps import with_timestamps
from tests.builders import example, write_features

OF_ALL_SIZES = [code for code in LANGUAGES if code != "yue"]  # Cantonese came with large-v3
HELLO, HELLO_WORLD = [48529, 13], [48529, 11, 7968, 13]


@pytest.fixture(scope="module")
def large_v3(scratch, tmp_path_factory):
    """A base folder with large-v3's tokenizer: Cantonese comes after the other languages, what follows is one later."""
    folder = tmp_path_factory.mktemp("large-v3") / "base"
    shutil.copytree(scratch, folder)
    described = json.loads((scratch / "tokenizer.json").read_text())
    first_task = next(token for token in described["added_tokens"] if token["content"] == "<|translate|>")
    cantonese = {**first_task, "content": "<|yue|>"}
    for token in described["added_tokens"]:
        token["id"] += token["id"] >= cantonese["id"]
    described["added_tokens"] = sorted([*described["added_tokens"], cantonese], key=lambda token: token["id"])
    for token in described["post_processor"]["special_tokens"].values():
        token["ids"] = [number + (number >= cantonese["id"]) for number in token["ids"]]
    (folder / "tokenizer.json").write_text(json.dumps(described))
    return folder


@pytest.mark.parametrize(("checkpoint", "codes"), [("scratch", OF_ALL_SIZES), ("large_v3", [*LANGUAGES])])
def test_labels_of_every_language_equal_transformers_own(checkpoint, codes, request):
    base = request.getfixturevalue(checkpoint)
    labeller, reference = Labeller(base), WhisperTokenizer.from_pretrained(base)
    assert len(codes) == len({labeller.prefix(code)[1] for code in codes}) == len(LANGUAGES) - (checkpoint == "scratch")
    for code in codes:
        labels = labeller.labels("Hola, mundo.", code)
        reference.set_prefix_tokens(language=code, task="transcribe", predict_timestamps=False)
        assert labels == reference("Hola, mundo.").input_ids
        assert labels[:4] == labeller.prefix(code) == reference.prefix_tokens
        plain = labels[3]
        timed = with_timestamps(np.array(labels, np.int32), 1.0, plain).tolist()
        reference.set_prefix_tokens(language=code, task="transcribe", predict_timestamps=True)
        assert timed[:3] == reference.prefix_tokens
        assert timed[3:] == [plain + 1, *labels[4:-1], plain + 51, labels[-1]]


def test_a_batch_of_every_language_is_as_written_by_hand(scratch, tmp_path):
    labeller = Labeller(scratch)
    texts = {code: "Hola, mundo." if n % 2 else "Hola." for n, code in enumerate(OF_ALL_SIZES)}
    rows = [example(code, 0.2, labeller.labels(text, code)) for code, text in texts.items()]
    write_features(tmp_path, {"train": rows})
    (batch,) = EpochBatches(tmp_path, "train", batch_size=99, window_s=10, pad_id=50257)
    assert sorted(batch["ids"]) == sorted(OF_ALL_SIZES)
    for name, inputs, targets in zip(batch["ids"], batch["decoder_input_ids"], batch["labels"], strict=True):
        language = 50259 + OF_ALL_SIZES.index(name)
        if texts[name] == "Hola.":
            assert inputs.tolist() == [50258, language, 50359, 50363, *HELLO, 50257, 50257]
            assert targets.tolist() == [language, 50359, 50363, *HELLO, 50257, -100, -100]
        else:
            assert inputs.tolist() == [50258, language, 50359, 50363, *HELLO_WORLD]
            assert targets.tolist() == [language, 50359, 50363, *HELLO_WORLD, 50257]
    assert int(batch["n_targets"]) == int((batch["labels"] != -100).sum()) == 50 * 6 + 49 * 8
