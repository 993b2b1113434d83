"""Every recipe on a small generated corpus of exactly its layout: from the listing to the selection."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from asr import params
from asr.corpora import corpus, manifest
from asr.corpora.rejects import read_rejects
from asr.params import Params
from asr.recipes import merged
from asr.shards import read_columns
from asr.sources import mixture
from pipelines.preprocess import Corpus, preprocess
from tests.sources import layouts
from tests.sources.layouts import CORPUS, written

ROOT = Path(__file__).parent.parent
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
FETCHED = {"tuxpaint"}  # whose corpus is a package that the tests have elsewhere


def build(data: params.Data) -> None:
    """The corpus of each recipe, where it says that it lies."""
    paths = [data.path] if isinstance(data.path, str) else [*(data.path or [])]
    if data.source == "fleurs":
        for path in map(Path, paths):
            layouts.fleurs(path.parent, path.name)
    elif data.source == "librispeech":
        layouts.librispeech(Path(paths[0]).parent)
        shutil.copytree(Path(paths[0]).parent / "test-other", Path(paths[0]).parent / "test-clean")
    elif data.source == "common_voice":
        layouts.common_voice(Path(paths[0]).parent, "hi")
    else:
        layouts.LAYOUTS[data.source](Path(paths[0]))


def chosen(name: str) -> Params:
    recipe: dict[str, Any] = YAML(typ="safe").load((ROOT / f"recipes/{name}.yaml").read_text())
    return params.check(params.parse(merged((ROOT / "params.yaml").read_text(), recipe), name))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_headed_by_its_command_and_its_params_are_valid(name: str) -> None:
    head = (ROOT / f"recipes/{name}.yaml").read_text().splitlines()
    assert head[0].startswith("# ") and head[0].endswith(f"make repro RECIPE={name}")
    chosen(name)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in FETCHED])
def test_a_recipe_makes_features_of_its_layout(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEAM_WORKERS", "1")
    choices = chosen(name)
    data, folder = choices.data, Path("data/manifest")
    build(data)
    assert list(mixture.listing(data))
    Path("data/corpus").mkdir(parents=True)
    corpus.write(mixture.utterances(data, Path("data/corpus")), folder, data)
    Path("listing.json").write_text("{}")
    preprocess(Corpus(folder, Path("listing.json")), scratch, Path("data/features"), Path("data/work"), choices)

    n_languages = len(data.path) if isinstance(data.path, list) and data.source == "fleurs" else 1
    assert read_rejects(folder) == []
    assert len(list(manifest.read(folder))) == n_languages * len(CORPUS)
    rows = [row for split in ("train", "validation", "test") for row in texts(split)]
    assert len(rows) == n_languages * len(CORPUS)
    wanted = {written(data.source, said.text) for said in CORPUS}
    assert {row["text"] for row in rows} == wanted
    trained = {text.lower() if choices.text.lowercase else text for text in wanted}
    assert {row["trained_text"] for row in rows} == trained
    assert Path("data/features/report.html").exists()


def texts(split: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = read_columns(Path("data/features"), split, ["text", "trained_text"]).to_pylist()
    return found


def test_every_recipe_is_in_the_docs() -> None:
    page = (ROOT / "docs/corpora.md").read_text()
    assert [name for name in RECIPES if f"RECIPE={name}" not in page] == []
