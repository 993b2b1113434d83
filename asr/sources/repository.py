"""The files of a dataset, in a directory or on the hub -> those of one configuration, by its splits.

What a README declares (https://huggingface.co/docs/hub/datasets-manual-configuration) is followed; otherwise the names
of files and folders say it, as `datasets` reads them, and as the hub's conversions (refs/convert/parquet) have them.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from asr.corpora.splits import split_named
from asr.errors import UserError

README = "README.md"
Files: TypeAlias = dict[str, list[str]]  # the dataset's name of a split -> names of files, in order

_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}.*")  # as push_to_hub names files
_FRONT_MATTER = re.compile(r"---\r?\n(.*?)\r?\n---\s*(\n|$)", re.DOTALL)


def files_by_split(names: Sequence[str], readme: str, config: str | None) -> Files:
    """`names` are all files of the dataset, relative to its root. Raises `UserError` where `config` is none."""
    tables = tables_among(names)
    declared = _declared(readme)
    if declared:
        return _split_as_declared(tables, declared[_chosen(list(declared), config, _default(readme))])
    folders = _configurations(tables)
    if config is not None or folders:
        folder = _chosen(folders or sorted({name.partition("/")[0] for name in tables if "/" in name}), config, None)
        tables = [name for name in tables if name.startswith(f"{folder}/")]
        return _split_by_name(tables, len(folder) + 1)
    return _split_by_name(tables, 0)


def tables_among(names: Sequence[str]) -> list[str]:
    """The Parquet files, else those of Arrow that `save_to_disk` writes, in order; not what lies in hidden folders."""
    shown = sorted(name for name in names if not name.startswith(".") and "/." not in name)
    parquet = [name for name in shown if name.endswith(".parquet")]
    return parquet or [name for name in shown if re.search(r"(^|/)data-\d{5}-of-\d{5}\.arrow$", name)]


def _declared(readme: str) -> dict[str, Any]:
    """Configuration -> its entry in the README's front matter."""
    return {str(entry["config_name"]): entry for entry in _entries(readme)}


def _default(readme: str) -> str | None:
    return next((str(entry["config_name"]) for entry in _entries(readme) if entry.get("default") is True), None)


def _entries(readme: str) -> list[dict[str, Any]]:
    match = _FRONT_MATTER.match(readme)
    try:
        content = YAML(typ="safe", pure=True).load(match[1]) if match else None
    except YAMLError:
        content = None  # `datasets` would fail; the names of the files say enough
    entries = content.get("configs") if isinstance(content, dict) else None
    return [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and "config_name" in entry and ("data_files" in entry or "data_dir" in entry)
    ]


def _chosen(present: list[str], config: str | None, default: str | None) -> str:
    """Raises `UserError`."""
    if config is None and len(present) == 1:
        return present[0]
    wanted = config or default or "default"
    if wanted in present:
        return wanted
    there = ", ".join(present[:20]) + (f" and {len(present) - 20} more" if len(present) > 20 else "")
    if config is None:
        raise UserError(f"data.huggingface.config: there are several, name one: {there}")
    raise UserError(f"data.huggingface.config: there is no {config!r}, but {there or 'none that has a name'}")


def _split_as_declared(tables: list[str], entry: dict[str, Any]) -> Files:
    folder = str(entry.get("data_dir", "")).strip("./")
    prefix = f"{folder}/" if folder else ""
    declared = entry.get("data_files")
    if declared is None:
        return _split_by_name([name for name in tables if name.startswith(prefix)], len(prefix))
    if not isinstance(declared, list) or not all(isinstance(part, dict) for part in declared):
        declared = [{"split": "train", "path": declared}]
    found: Files = {}
    for part in declared:
        paths = part.get("path", [])
        patterns = [prefix + str(path).removeprefix("./") for path in (paths if isinstance(paths, list) else [paths])]
        found[str(part.get("split", "train"))] = [
            name for name in tables if any(_matches(name, pattern) for pattern in patterns)
        ]
    return {split: names for split, names in found.items() if names}


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("**/", ""))


def _configurations(tables: list[str]) -> list[str]:
    """The top folders, where each has splits of its own: `hi_in/train/0000.parquet`, `clean/test-00000-of-...`."""
    tops = sorted({PurePosixPath(name).parts[0] for name in tables if "/" in name})
    if not tops or any("/" not in name for name in tables):
        return []
    if any(_split_of_part(top) or top == "data" for top in tops):
        return []
    return tops


def _split_by_name(tables: list[str], skipped: int) -> Files:
    """`skipped` characters of each name are those of the configuration's folder."""
    found: Files = defaultdict(list)
    for name in tables:
        found[_split_of(PurePosixPath(name[skipped:])) or ""].append(name)
    unnamed = found.pop("", [])
    return dict(found) if found or not unnamed else {"train": unnamed}  # as `datasets` has it


def _split_of(path: PurePosixPath) -> str | None:
    """The dataset's own name of a file's split, if anything says one."""
    shard = _SHARD.fullmatch(path.stem)
    if shard and shard[1] != "data":
        return shard[1]
    if path.stem.isdigit() and path.parent.name:  # the hub's conversions: <config>/<split>/0000.parquet
        return path.parent.name
    parts = [*path.parent.parts, path.stem]
    return next((split for part in parts if (split := _split_of_part(part))), None)


def _split_of_part(part: str) -> str | None:
    """What one of a name's words says: of "train", "my_dev-2"."""
    words = re.split(r"[^a-zA-Z]+", part)
    return next((str(split) for word in words if (split := split_named(word))), None)
