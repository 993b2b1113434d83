"""Every snippet of docs/corpora.md is executed, on a small corpus that lies where it says."""

import ast
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asr import params
from asr.clips.text import check, trained_text
from asr.corpora import corpus, manifest
from asr.corpora.rejects import read_rejects
from asr.sources import SOURCES, kaldi, mixture
from asr.utterances import Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, clip, lines

PAGE = (Path(__file__).parents[2] / "docs/corpora.md").read_text()
PARAMS = [
    params.parse(snippet, "docs/corpora.md") for snippet in re.findall(r"```yaml\n(data:.*?)```", PAGE, re.DOTALL)
]
MADE_HERE = {"synthetic", "tuxpaint"}  # which have no lines but their name


def table(choices: params.Data) -> None:
    path = Path(str(choices.table.path))
    for n, _ in enumerate(CORPUS):
        clip(path.parent / f"{n}.wav", n)
    text = choices.table.columns.get("text", "text")
    lines(path, f"audio\t{text}\tsplit", *(f"{n}.wav\t{said.text}\t{said.split}" for n, said in enumerate(CORPUS)))


def huggingface(choices: params.Data) -> None:
    folder = Path(str(choices.huggingface.path)) / "data"
    for split in ("train", "validation", "test"):
        rows = [said for said in CORPUS if said.split == split]
        audio = [{"bytes": clip(Path("made.wav"), n).read_bytes(), "path": "a.wav"} for n, _ in enumerate(rows)]
        folder.mkdir(parents=True, exist_ok=True)
        columns = {"audio": audio, "sentence": [said.text for said in rows]}
        pq.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")


def kaldi_of(choices: params.Data) -> None:
    layouts.kaldi(Path("egs/mine"))
    if isinstance(choices.path, dict):
        for name, path in zip(("train", "dev", "test"), choices.path.values(), strict=True):
            Path(f"egs/mine/data/{name}").rename(path)


def fleurs_of(choices: params.Data) -> None:
    paths = [choices.path] if isinstance(choices.path, str) else choices.path or []
    for path in map(Path, paths):
        layouts.fleurs(path.parent, path.name)


BUILDERS: dict[str, Callable[[params.Data], None]] = {
    "table": table,
    "huggingface": huggingface,
    "kaldi": kaldi_of,
    "fleurs": fleurs_of,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def called(content: dict[str, Any]) -> str:
    return content["data"].get("source", "a mixture")


@pytest.mark.parametrize("content", PARAMS, ids=called)
def test_the_lines_of_the_page_make_a_manifest(content: dict[str, Any]) -> None:
    data = params.check(content).data
    for part in data.parts().values() or [data]:
        build = BUILDERS.get(part.source) or (lambda data: layouts.LAYOUTS[data.source](Path(str(data.path))))
        build(part)
    listed = list(mixture.listing(data))
    Path("data/corpus").mkdir(parents=True)
    corpus.write(mixture.utterances(data, Path("data/corpus")), Path("data/manifest"), data)
    rows = list(manifest.read(Path("data/manifest")))
    assert len(rows) == len(CORPUS) * {"fleurs": 2, "a mixture": 3}.get(called(content), 1)
    assert {row.text for row in rows} == {layouts.written(called(content), said.text) for said in CORPUS}
    assert read_rejects(Path("data/manifest")) == [] and listed


def test_the_page_shows_the_lines_of_every_source() -> None:
    shown = {called(content) for content in PARAMS}
    assert shown | MADE_HERE == {*SOURCES, "a mixture"}
    assert all(f"`{name}`" in PAGE for name in SOURCES)


def test_each_is_five_lines_or_a_few_more() -> None:
    snippets = re.findall(r"```yaml\n(data:.*?)```", PAGE, re.DOTALL)
    assert max(len(snippet.splitlines()) for snippet in snippets) <= 7


def test_the_text_rules_of_the_page_make_the_texts_that_it_shows() -> None:
    (snippet,) = re.findall(r"```yaml\n(text:.*?)```", PAGE, re.DOTALL)
    rules = params.check(params.parse(snippet, "docs/corpora.md")).text
    shown = re.findall(r"^\| ([a-z]{2}) \| (.+?) \| (.+?) \|$", PAGE[PAGE.index(snippet) :], re.MULTILINE)
    check(rules, [language for language, _, _ in shown])
    assert {"ar", "de", "en", "fr", "hi", "th", "tr", "uk"} <= {language for language, _, _ in shown}
    for code, text, said in shown:
        assert trained_text(text, rules, code) == said


def test_the_commands_of_the_page_turn_kaldi_s_pipes_into_files() -> None:
    (script,) = re.findall(r"```sh\n(mkdir.*?)```", PAGE, re.DOTALL)
    layouts.kaldi(Path("s5"))
    folder = Path("s5/data/train")
    lines(folder / "wav.scp", *(f"tr{n}-utt cat ../../audio/tr{n}-utt.wav |" for n in range(2)))
    subprocess.run(["sh", "-e", "-c", script], cwd=folder, check=True)
    data = params.Data(source="kaldi", path=str(folder), language="it")
    found = [row for row in kaldi.utterances(data, Path("unused")) if isinstance(row, Utterance)]
    assert [row.audio for row in found] == [f"{folder}/wav/tr{n}-utt.wav" for n in range(2)]
    assert Path(found[0].audio).read_bytes() == Path("s5/audio/tr0-utt.wav").read_bytes()


def test_every_reason_for_a_rejection_of_the_layouts_is_explained() -> None:
    sources = Path(__file__).parents[2] / "asr/sources"
    calls = [node for path in sources.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    reasons = {
        call.args[1].value
        for call in calls
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Rejected" and len(call.args) > 1
        if isinstance(call.args[1], ast.Constant)
    }
    assert {"overlapping cue", "mixed cut", "bad row"} <= reasons
    explained = PAGE[PAGE.index("## Rejects") :]
    assert [reason for reason in reasons if reason not in explained] == []
