import re
from pathlib import Path

import pytest

from asr import params
from asr.errors import UserError

ROOT = Path(__file__).parent.parent


def test_the_file_in_the_project_is_valid_and_names_every_param():
    content = params.parse((ROOT / "params.yaml").read_text(), "params.yaml")
    assert params.check(content).model_dump() == content


def test_the_defaults_are_those_of_the_file():
    assert params.Params() == params.load(ROOT / "params.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_parses_and_starts_with_its_command(path):
    text = path.read_text()
    params.check(params.parse(text, path))
    assert f"make repro RECIPE={path.stem}" in text.splitlines()[0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"train": {"learning_rte": 1.0}}, "train.learning_rte: unknown; did you mean learning_rate?"),
        ({"trane": {}}, "trane: unknown; did you mean train?"),
        ({"data": {"source": "synthtic"}}, "data.source: 'synthtic' .* did you mean synthetic?"),
        ({"train": {"max_steps": "many"}}, "train.max_steps: 'many'"),
        ({"train": {"max_steps": 1.5}}, "train.max_steps: 1.5"),
        ({"train": {"max_steps": True}}, "train.max_steps: True"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate: nan"),
        ({"train": {"batch_size": 3, "gradient_accumulation_steps": 2}}, r"train: .*must divide batch_size \(3\)"),
        ({"data": {"source": "table"}}, "data: .*data.table.path"),
        ({"data": {"split": {"validation": 0.5, "test": 0.5}}}, "data.split: validation [+] test"),
        ({"model": {"window_s": 31}}, "model.window_s: 31: input should be less than or equal to 30"),
        ({"audio": {"max_s": 31}}, "audio.max_s: 31"),
        ({"train": None}, "train: None"),
        ({"text": {"by_language": {"hi": {"lowercas": True}}}}, "text.by_language.hi.lowercas: .*mean lowercase?"),
        ({"text": {"by_language": {"Hindi": {}}}}, "text.by_language.Hindi"),
        ({"text": {"by_language": {"hi": {"by_language": {}}}}}, "text.by_language.hi.by_language: unknown"),
    ],
)
def test_a_mistake_is_named_with_its_value_and_the_remedy(content, line):
    with pytest.raises(UserError, match=line):
        params.check(content)


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(UserError) as caught:
        params.check({"train": {"seed": "x"}, "model": {"checkpont": "a"}})
    assert len(str(caught.value).splitlines()) == 2


def test_exponents_are_read_as_dvc_reads_them():
    assert params.parse("train: {learning_rate: 1e-5}", "p")["train"]["learning_rate"] == 1e-5


@pytest.mark.parametrize("text", ["a: [", "- a", "just text", "a: 1\na: 2"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml"):
        params.load(tmp_path / "params.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        ({"speeds": [0.9, 1.1]}, "speeds must have 1.0"),
        ({"speeds": [1.0, 0.9, 0.9000001]}, "speeds names something twice: 1, 0.9, 0.9"),
        ({"augment": ["noise", "noise"]}, "augment names something twice: noise, noise"),
    ],
)
def test_copies_of_one_name_and_speeds_without_the_utterance_itself_are_refused(audio, said):
    with pytest.raises(UserError, match=re.escape(said)):
        params.check({"audio": audio})
