"""What determines a training names its attempt, whose newest whole checkpoint counts."""

from pathlib import Path
from typing import Any

import pytest

import asr.experiments.run
import asr.shards
from asr.params import Evaluate, Lora, Model, Params, Train
from asr.train.attempt import Attempt, is_without_effect
from tests.builders import begin_checkpoint, example, write_features, write_selection
from tests.test_imports import APART, MODULES

INPUTS = ["base/model.safetensors", "base/tokenizer.json", "features/index.json", "selection/train.parquet"]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path / "attempts" / "key")


class TestAttempt:
    @pytest.fixture(scope="class")
    def inputs(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
        """A base checkpoint, of which any files will do, features, and a selection of them."""
        folder = tmp_path_factory.mktemp("inputs")
        (folder / "base").mkdir()
        for name in ("model.safetensors", "tokenizer.json"):
            (folder / "base" / name).write_text(name)
        write_features(folder / "features", {"train": [example("a")]})
        write_selection(folder / "selection", folder / "features")
        return folder / "base", folder / "features", folder / "selection"

    @pytest.fixture
    def key(self, inputs: tuple[Path, ...], tmp_path: Path) -> Any:
        def key(**sections: Any) -> str:
            return Attempt.of(tmp_path, *inputs, Params(**sections)).folder.name

        return key

    def test_it_is_named_by_16_digits_and_the_same_again(self, key: Any) -> None:
        assert len(bytes.fromhex(key())) == 8
        assert key() == key()

    @pytest.mark.parametrize(
        "sections",
        [{"train": Train(seed=2)}, {"train": Train(lora=Lora(rank=8))}, {"model": Model(window_s=15)}],
    )
    def test_what_training_reads_makes_another(self, key: Any, sections: dict[str, Any]) -> None:
        assert key(**sections) != key()

    def test_what_training_does_not_read_makes_no_other(self, key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        before = key()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
        assert key(evaluate=Evaluate(seed=2), model=Model(checkpoint="a/path")) == before

    @pytest.mark.parametrize("name", INPUTS)
    def test_a_byte_of_an_input_makes_another_and_back_the_same(
        self, key: Any, inputs: tuple[Path, ...], name: str
    ) -> None:
        before, path = key(), inputs[0].parent / name
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        assert key() != before
        path.write_bytes(content)
        assert key() == before

    def test_a_module_that_computes_makes_another_and_one_that_shows_does_not(
        self, key: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        before = key()
        changed = tmp_path / "changed.py"
        changed.write_text("")
        with monkeypatch.context() as patch:
            patch.setattr(asr.experiments.run, "__file__", str(changed))
            assert key() == before
        monkeypatch.setattr(asr.shards, "__file__", str(changed))
        assert key() != before

    def test_another_dtype_of_auto_and_another_version_make_another(
        self, key: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = {key()}
        with monkeypatch.context() as patch:
            patch.setattr("asr.train.attempt.version", lambda package: "0.0")
            keys.add(key())
        for name in ("float32", "bf16"):
            monkeypatch.setattr("asr.train.attempt.resolve_precision", lambda precision, name=name: name)
            keys.add(key())
        assert len(keys) == 4

    def test_only_what_no_stage_depends_on_is_without_effect(self) -> None:
        without = {name for name in MODULES if is_without_effect(name.removesuffix(".py").replace("/", "."))}
        assert {"asr/train/advice.py", "asr/experiments/run.py", "asr/params/corpus.py"} <= without <= APART

    def test_a_new_one_has_neither_checkpoint_nor_run(self, attempt: Attempt) -> None:
        assert (attempt.checkpoint, attempt.step, attempt.is_over, attempt.run) == (None, 0, False, None)

    def test_it_goes_on_from_the_newest_that_is_complete(self, attempt: Attempt) -> None:
        for step in (8, 9, 10):
            begin_checkpoint(attempt, step)
            attempt.complete(step, is_over=step == 10)
        begin_checkpoint(attempt, 11)
        assert attempt.checkpoint == attempt.folder / "checkpoint-10"
        assert (attempt.step, attempt.is_over) == (10, True)
        assert attempt.cut_off() == [attempt.folder / "checkpoint-11"]

    def test_the_one_before_lives_until_the_next_is_complete(self, attempt: Attempt) -> None:
        begin_checkpoint(attempt, 9)
        attempt.complete(9, is_over=False)
        begin_checkpoint(attempt, 10)
        assert attempt.step == 9
        attempt.complete(10, is_over=False)
        assert [path.name for path in attempt.folder.iterdir()] == ["checkpoint-10"]

    def test_what_a_disk_has_damaged_is_known_and_can_be_left(self, attempt: Attempt) -> None:
        path = begin_checkpoint(attempt, 9) / "weights"
        path.write_text("sound")
        attempt.complete(9, is_over=False)
        assert attempt.damaged() == []
        path.write_text("s0und")
        assert attempt.damaged() == [path]
        attempt.discard()
        assert (attempt.checkpoint, attempt.damaged()) == (None, [])

    def test_it_remembers_its_run(self, attempt: Attempt) -> None:
        run = {"run_id": None, "journal": "название"}
        attempt.note_run(run)
        assert attempt.run == run

    def test_to_remove_it_leaves_the_unfinished_work_of_others(self, attempt: Attempt) -> None:
        other = Attempt(attempt.folder.parent / "other")
        for one in (attempt, other):
            one.note_run({})
        attempt.remove()
        assert not attempt.folder.exists() and other.run == {}
        other.remove()
        assert not other.folder.parent.exists()
