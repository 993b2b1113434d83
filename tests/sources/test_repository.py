import logging
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asr.errors import UserError
from asr.sources.repository import README, files_by_split, tables_among

README_OF_TWO = """---
license: cc0-1.0
configs:
- config_name: clean
  data_files:
  - split: train
    path: ["clean/train-*", "extra/*.parquet"]
  - split: test
    path: clean/test-*
- config_name: other
  default: true
  data_files: other/*.parquet
---
# A corpus
"""
LAYOUTS = {
    "push_to_hub": [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "data/test-00000-of-00001.parquet",
    ],
    "other names of splits": ["data/clean-00000-of-00001.parquet", "data/noisy-00000-of-00001.parquet"],
    "folders": ["train/a.parquet", "train/b.parquet", "dev/c.parquet", "test/d.parquet"],
    "files": ["train.parquet", "my_validation.parquet", "test-1.parquet"],
    "one file": ["speech.parquet"],
    "a file that says nothing beside those that do": ["train.parquet", "other.parquet", "test.parquet"],
    "declared": ["clean/train-0.parquet", "clean/test-0.parquet", "extra/1.parquet", "other/2.parquet"],
    "hidden": ["train.parquet", ".cache/train.parquet"],
}


def written(folder: Path, names: list[str], readme: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": ["a"]}), folder / name)
    if readme:
        (folder / README).write_text(readme)


@pytest.mark.parametrize(("layout", "config"), [*((name, None) for name in LAYOUTS), ("declared", "clean")])
def test_files_are_those_that_datasets_finds(
    layout: str, config: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = README_OF_TWO if layout == "declared" else ""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(logging.getLogger("datasets"), "disabled", True)
    folder = tmp_path / "corpus"
    written(folder, LAYOUTS[layout], readme)
    theirs = datasets.load_dataset_builder(str(folder), config).config.data_files
    expected = {
        str(split): sorted(str(Path(file).relative_to(folder)) for file in files) for split, files in theirs.items()
    }
    found = files_by_split([*LAYOUTS[layout], README], readme, config)
    assert {split: sorted(names) for split, names in found.items()} == expected


def test_the_conversions_of_the_hub_have_a_folder_for_each_configuration() -> None:
    names = [f"{config}/{split}/0000.parquet" for config in ("de", "hi_in") for split in ("train", "test.clean")]
    assert files_by_split(names, "", "hi_in") == {
        "train": ["hi_in/train/0000.parquet"],
        "test.clean": ["hi_in/test.clean/0000.parquet"],
    }
    with pytest.raises(UserError, match="there are several, name one: de, hi_in"):
        files_by_split(names, "", None)
    with pytest.raises(UserError, match="there is no 'fr', but de, hi_in"):
        files_by_split(names, "", "fr")


def test_arrow_files_are_used_where_there_is_no_parquet_but_not_those_of_a_cache() -> None:
    arrow = ["test/data-00000-of-00001.arrow", "train/data-00000-of-00001.arrow"]
    names = [*arrow, "train/cache-0123456789abcdef.arrow", "dataset_dict.json", "train/state.json"]
    assert files_by_split(names, "", None) == {"test": arrow[:1], "train": arrow[1:]}
    assert tables_among([*names, "a.parquet"]) == ["a.parquet"]


@pytest.mark.parametrize("readme", ["---\nconfigs: [\n---\n", "---\nconfigs: 1\n---\n", "# no front matter", "---\n"])
def test_a_readme_that_declares_nothing_leaves_it_to_the_names(readme: str) -> None:
    assert files_by_split(["train.parquet"], readme, None) == {"train": ["train.parquet"]}
