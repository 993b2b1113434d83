"""Checkpoint directories: what they say to other programs, and what can't be written."""

import pytest
from safetensors import SafetensorError
from transformers import GenerationConfig, WhisperProcessor

from asr.errors import UserError
from asr.models.checkpoints import explained_writing, load_model, save


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("I/O error: full\nmore")])
def test_weights_that_can_not_be_written_are_one_line_with_the_room_that_was_left(tmp_path, error):
    with pytest.raises(UserError) as told, explained_writing(tmp_path / "new" / "step-2.part"):
        raise error
    said = str(told.value)
    assert said.startswith(f"{tmp_path}/new/step-2.part: cannot be written (")
    assert "MB were free); make room there, and run `dvc repro`" in said
    assert "\n" not in said


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), explained_writing(tmp_path):
        raise ZeroDivisionError


@pytest.mark.parametrize(("is_multilingual", "task"), [(True, "transcribe"), (False, None)])
def test_a_multilingual_checkpoint_tells_other_programs_to_transcribe(tmp_path, scratch, is_multilingual, task):
    network = load_model(scratch)
    network.generation_config.is_multilingual = is_multilingual
    network.generation_config.task = None
    save(network, WhisperProcessor.from_pretrained(scratch), tmp_path)
    assert getattr(GenerationConfig.from_pretrained(tmp_path), "task", None) == task
