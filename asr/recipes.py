"""A recipe -> params.yaml: the keys that it names replace those of the committed file, comments and all else stay.

python -m asr.recipes NAME
"""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from asr import params
from asr.errors import UserError

FOLDER = Path("recipes")
PARAMS = Path("params.yaml")


def apply(name: str) -> list[str]:
    """Merges a recipe into params.yaml; returns a line for each param that it changes from what is committed.

    The recipe starts from the committed params.yaml, so that one recipe can follow another. Raises `UserError` where
    params.yaml has edits of its own, which would be lost.
    """
    recipe, committed = _recipe(name), _committed()
    present = PARAMS.read_text(encoding="utf-8")
    if present != committed and present not in (merged(committed, _recipe(other)) for other in names()):
        raise UserError(
            f"{PARAMS} has edits that are not committed; commit them, or drop them with: git checkout {PARAMS}"
        )
    result = merged(committed, recipe)
    params.check(params.parse(result, PARAMS))
    if result != present:
        PARAMS.write_text(result, encoding="utf-8")
    return list(_changes(params.parse(committed, PARAMS), params.parse(result, PARAMS)))


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def merged(text: str, recipe: dict[str, Any]) -> str:
    """YAML `text` with the values of `recipe` (nested) in place of its own."""
    yaml = _yaml()
    content = yaml.load(text)
    _merge(content, recipe)
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def _merge(content: Any, recipe: dict[str, Any]) -> None:
    for key, value in recipe.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            _merge(content[key], value)
        else:
            content[key] = value


def _changes(before: Any, after: Any, name: str = "") -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in after:
            yield from _changes(before.get(key), after[key], f"{name}.{key}" if name else str(key))
    elif before != after:
        yield f"{name}: {before} -> {after}"


def _recipe(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"{path}: no such recipe; there are: {', '.join(names())}")
    text = path.read_text(encoding="utf-8")
    params.parse(text, path)
    content: dict[str, Any] = _yaml().load(text)
    return content


def _yaml() -> YAML:
    """Keeps comments, the shape of lists, and numbers as they were written."""
    yaml = YAML()
    yaml.width = 200
    yaml.representer.add_representer(
        type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _committed() -> str:
    shown = subprocess.run(["git", "show", f"HEAD:./{PARAMS}"], capture_output=True, encoding="utf-8")
    if shown.returncode:
        raise UserError(f"{PARAMS} is not in git, so a recipe could not be undone: {shown.stderr.strip()}")
    return shown.stdout


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"error: name one recipe: {', '.join(names())}")
    try:
        changes = apply(sys.argv[1])
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"recipe {sys.argv[1]}: params.yaml differs from the committed one in")
    print("\n".join(f"  {line}" for line in changes) or "  nothing")
    print(f"back to it with: git checkout {PARAMS} && make repro", flush=True)


if __name__ == "__main__":
    main()
