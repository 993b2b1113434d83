"""A run -> data/export: what export.formats asks for, each heard on the test split, and its card."""

import json
from pathlib import Path

from asr import params
from stages import stage


def main(
    listing: Path,
    model: Path,
    base: Path,
    features: Path,
    selection: Path,
    report: Path,
    run_file: Path,
    folder: Path,
) -> None:
    """`listing` is not read: DVC compares it."""
    choices = params.load()
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    if choices.export.formats:
        from asr.exports.exports import Run, export  # with torch, which takes seconds to import

        made = export(Run(model, base, features, selection, report, run_file), choices, folder)
    (folder / "exports.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    stage(main)
