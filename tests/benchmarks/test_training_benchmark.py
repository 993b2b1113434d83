"""What benchmarks/train.py compares: the same clips and labels on both sides, clips that are drawn with all seeds."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from transformers import WhisperProcessor

from asr.clips.tokens import Labeller
from asr.corpora import manifest
from asr.corpora.splits import normalised
from asr.evaluate.scoring import metrics
from asr.features import RATE_HZ
from asr.utterances import Utterance
from tests.builders import speech_like

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_CLIPS = 24
LANGUAGES = ("en", "es", "ru")


@pytest.fixture
def module(monkeypatch):
    """A module of the benchmarks by its name; they are importable from their own folders only."""
    for folder in (BENCHMARKS, BENCHMARKS / "ways"):
        monkeypatch.syspath_prepend(folder)
    return importlib.import_module


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """(folder of a manifest, its rows): clips of 0.5 to 1.7 s in three languages, which say each text twice."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number in range(N_CLIPS):
        path = folder / f"{number}.wav"
        soundfile.write(path, speech_like(0.5 + number / 20, seed=number), RATE_HZ)
        text = " ".join(["a"] * (2 + number // 6) + [f"word{number // 6}"])
        duration_s = soundfile.info(path).duration
        rows.append(Utterance(path.stem, str(path), text, LANGUAGES[number % 3], "train", duration_s=duration_s))
    manifest.write(rows, folder / "manifest")
    return folder / "manifest", rows


def test_the_notebooks_collator_makes_the_labels_that_we_train_on(module, clips, scratch, tmp_path):
    training = module("notebook_training")
    folder, rows = clips
    processor = WhisperProcessor.from_pretrained(scratch)
    dataset = training._dataset(folder, processor, True, tmp_path)
    start = Labeller(scratch).labels("", "en")[0]
    batch = training.DataCollatorSpeechSeq2SeqWithPadding(processor, start)([dataset[0], dataset[4], dataset[8]])
    for made, row in zip(batch["labels"].tolist(), (rows[0], rows[4], rows[8]), strict=True):
        ours = Labeller(scratch).labels(row.text, row.language)[1:]
        assert made == ours + [-100] * (len(made) - len(ours))
    assert batch["input_features"].shape == (3, 80, 3000)


def test_no_text_is_both_trained_and_tested(module, clips):
    wer = module("lib.wer")
    plan = wer.Plan(languages=LANGUAGES, min_words=4, min_train_words=3, test_share=0.5, n_train=10)
    chosen = wer.choose(clips[1], plan)
    train, test = ([clip for clip in chosen if clip.split == split] for split in ("train", "test"))
    assert test and len(train) == 10
    assert min(len(clip.text.split()) for clip in test) >= 4
    texts = [{(clip.language, normalised(clip.text)) for clip in part} for part in (train, test)]
    assert not texts[0] & texts[1]
    assert wer.choose(clips[1][::-1], plan)[len(test) :] == train  # drawn by their ids, not by their order


def test_a_clip_is_drawn_with_what_all_seeds_heard_in_it(module):
    wer = module("lib.wer")
    test = [{"id": str(n), "language": "en", "text": "one two three"} for n in range(8)]
    ours = {str(n): "one two three" if n % 3 else "one two" for n in range(8)}
    notebook = {str(n): "one two three" if n % 2 else "one" for n in range(8)}
    once = wer.predictions(test, ours, notebook)
    scores, thrice = (metrics(rows, 1000, seed=1) for rows in (once, once * 3))
    assert scores["wer"] == pytest.approx(3 / 24) and scores["baseline"]["wer"] == pytest.approx(8 / 24)
    assert thrice["difference_interval"] == pytest.approx(scores["difference_interval"])  # three copies tell no more


def test_rows_of_a_killed_run_are_not_measured_again(module, tmp_path):
    rows = module("lib.rows").Rows
    assert rows(tmp_path, {"seeds": (1, 2)}).get("a", lambda: 1) == 1
    later = rows(tmp_path, {"seeds": (1, 2)})
    assert later.get("a", lambda: 2) == 1
    assert later.get("b", lambda x: x + 1, 2) == 3
    assert rows(tmp_path, {"seeds": (1,)}).get("a", lambda: 2) == 2


def test_prompts_are_what_has_a_recording_and_is_speech(module, tmp_path):
    for name in ("agent-user", "beep", "digits/h-6"):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, speech_like(0.5), RATE_HZ)
    transcripts = "; Core sounds\n\ndigits/h-6: sixth\nagent-user: Agent  login.\nbeep: [a beep tone]\nlost: Lost.\n"
    found = module("lib.prompts")._utterances(tmp_path, transcripts)
    assert [(row.id, row.text, row.duration_s) for row in found] == [
        ("agent-user", "Agent login.", 0.5),
        ("digits/h-6", "sixth", 0.5),
    ]


def test_a_row_counts_the_clips_of_batches_that_are_not_full(module):
    speed, trainings = module("lib.speed"), module("lib.trainings")
    usage = trainings.Usage(wall_s=9.0, cpu_s=9.0, launcher_mb=700.0, worker_mb=800.0)
    trained = trainings.Trained(usage, [0.5, 1.0, 1.5], [1.0] * 4, n_epochs=0.5)  # 4 of 8 steps
    training = trainings.Training(max_steps=4, batch_size=8, seed=1, precision="bf16")
    row = speed._row(lambda *arguments: trained, Path(), Path(), training, 48)
    assert row == {"s_a_step": 1.0, "clips_per_s": 6.0, "peak_mb": 800.0, "wall_s": 9.0}


def test_a_row_has_as_many_clips_as_it_says(module, clips):
    speed = module("lib.speed")
    chosen = speed.choose(clips[1], speed.Plan("scratch", n_clips=7, max_s=1.0))
    assert len({clip.id for clip in chosen}) == 7
    assert max(clip.duration_s for clip in chosen) <= 1.0
    with pytest.raises(ValueError, match=r"11 clips are at most 1\.0 s long; 12 are needed"):
        speed.choose(clips[1], speed.Plan("scratch", n_clips=12, max_s=1.0))


@pytest.mark.slow
def test_both_parts_run_on_any_clips_and_go_on_after_a_kill(clips, scratch, tmp_path):
    wer = {
        "languages": LANGUAGES,
        "min_words": 4,
        "min_train_words": 3,
        "test_share": 0.4,
        "n_train": 4,
        "seeds": [1],
        "max_steps": 2,
        "batch_size": 2,
        "warmup_steps": 1,
        "checkpoint": str(scratch),
    }
    speed = {"batch_size": 2, "n_clips": 4}
    options = ["--manifest", clips[0], "--checkpoints", scratch, "--work", tmp_path / "work", "--results", tmp_path]
    options += ["--wer", json.dumps(wer), "--speed", json.dumps(speed), "--keep"]
    printed, _ = run(*options)
    assert "| seed 1 |" in printed and "| ours, own length, bf16 |" in printed
    targets = json.loads((tmp_path / "train_wer.json").read_text())["targets"]
    assert [target["verdict"] for target in targets] == ["NOT MEASURED"]  # of so few words nothing is claimed
    targets = json.loads((tmp_path / "train_speed.json").read_text())["targets"]
    assert len(targets) == 3 and all(target["figure"] > 0 for target in targets)
    again, said = run(*options)
    assert again == printed and "notebook" not in said


def run(*options: Any) -> tuple[str, str]:
    command = [sys.executable, BENCHMARKS / "train.py", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
