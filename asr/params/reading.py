"""params.yaml -> `Params`, checked before anything runs.

An unknown key, a wrong type or a value out of range is refused in one line that names it, its value and, for a name,
the nearest valid one.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from asr.errors import UserError
from asr.params.clips import Audio, Features, Text
from asr.params.corpus import Data
from asr.params.evaluation import Evaluate
from asr.params.export import Export
from asr.params.section import Section
from asr.params.training import Model, Train
from asr.secrets import without_secrets

REFUSED = (
    "it holds a password or token, and params are kept in git, dvc.lock, MLflow and the report; "
    "take it out, and give it in the environment (docs/corpora.md)"
)


class Params(Section):
    data: Data = Data()
    audio: Audio = Audio()
    text: Text = Text()
    features: Features = Features()
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    export: Export = Export()


def load(path: str | Path = "params.yaml") -> Params:
    """The checked params. Raises `UserError` with a line for each thing that is wrong in the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the project's own folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None
    return check(parse(text, path))


def parse(text: str, path: str | Path) -> dict[str, Any]:
    """YAML 1.2, as DVC reads it (1e-5 is a number), as nested dicts. `path` is what an error names."""
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of sections, not {content!r}")
    return content


def check(content: dict[str, Any]) -> Params:
    """`content` (nested dicts) as `Params`; raises `UserError` that names each offending param."""
    if secret := list(_secret(content)):
        raise UserError("\n".join(f"{name}: {REFUSED}" for name in secret))
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_explain(problem) for problem in error.errors())) from None


def _secret(value: Any, name: str = "") -> Iterator[str]:
    """The dotted names of the values that hold a password or a token."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _secret(inner, f"{name}.{key}".lstrip("."))
    if isinstance(value, str) and without_secrets(value) != value:
        yield name


def _explain(problem: Any) -> str:
    """One line for one of pydantic's findings."""
    location = [str(part) for part in problem["loc"]]
    name = ".".join(location) or "params.yaml"
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _names(location[:-1]), n=1, cutoff=0.5)
        return f"{name}: unknown" + (
            f"; did you mean {near[0]}?" if near else f"; valid: {', '.join(_names(location[:-1]))}"
        )
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    if problem["type"] == "literal_error":
        valid = problem["ctx"]["expected"]
        near = difflib.get_close_matches(str(value), valid.replace("'", "").replace(" or ", ", ").split(", "), n=1)
        return f"{name}: {value!r} is not one of {valid}" + (f"; did you mean {near[0]}?" if near else "")
    return f"{name}: {value!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _names(section: list[str]) -> list[str]:
    """The valid names in a section, given as the path to it."""
    model: Any = Params
    for part in section:
        # A key of a mapping, or a place in a list, is the user's own: the values' model knows nothing of it.
        model = get_args(model)[-1] if get_origin(model) in (dict, list) else model.model_fields[part].annotation
    return list(model.model_fields)
