"""params.yaml -> `Params`, checked before anything runs.

An unknown key, a wrong type or a value out of range is refused in one line that names it, its value and, for a name,
the nearest valid one.
"""

import difflib
import reprlib
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

LARGEST_BYTES = 2**17  # of params.yaml: a reader of YAML in Python takes seconds for more
N_LINES = 20  # of mistakes, more than which nobody reads


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
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file; run this in the project's own folder")
    if not path.is_file():  # a pipe would never end
        raise UserError(f"{path} is not a file; git checkout {path} brings it back")
    if (size_bytes := path.stat().st_size) > LARGEST_BYTES:
        raise UserError(f"{path} has {size_bytes:,} bytes; params are at most {LARGEST_BYTES:,}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}; save it as UTF-8") from None
    return check(parse(text, path))


def parse(text: str, path: str | Path) -> dict[str, Any]:
    """YAML 1.2, as DVC reads it (1e-5 is a number), as nested dicts. `path` is what an error names."""
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise UserError(f"{path} is nested too deeply; params are at most a few levels deep") from None
    except (YAMLError, ValueError, LookupError) as error:  # the last two: a number, date or tag that is none
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of sections, not {_short(content)}")
    return content


def check(content: dict[str, Any]) -> Params:
    """`content` (nested dicts) as `Params`; raises `UserError` that names each offending param."""
    if secret := list(_secret(content, "", set())):
        raise UserError("\n".join(f"{name}: {REFUSED}" for name in secret))
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        rest = [f"and {len(problems) - N_LINES:,} mistakes more"] if len(problems) > N_LINES else []
        raise UserError("\n".join([*map(_explain, problems[:N_LINES]), *rest])) from None


def _secret(value: Any, name: str, seen: set[int]) -> Iterator[str]:
    """The dotted names of the values that hold a password or a token; what aliases repeat is looked at once."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if items and id(value) not in seen:
        seen.add(id(value))
        for key, inner in items:
            yield from _secret(inner, f"{name}.{key}".lstrip("."), seen)
    if isinstance(value, str) and without_secrets(value) != value:
        yield name


def _explain(problem: Any) -> str:
    """One line for one of pydantic's findings."""
    location = [_name(part) for part in problem["loc"]]
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
        near = difflib.get_close_matches(_short(value), valid.replace("'", "").replace(" or ", ", ").split(", "), n=1)
        return f"{name}: {_short(value)} is not one of {valid}" + (f"; did you mean {near[0]}?" if near else "")
    return f"{name}: {_short(value)}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


class _Short(reprlib.Repr):
    """A value as it was meant, cut where it is long: aliases of aliases write gigabytes in a few lines."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 100, 100

    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if value.bit_length() < 256 else f"a whole number of {value.bit_length():,} bits"


_short = _Short().repr


def _name(part: str | int) -> str:
    """A key is the user's own, and may be a page long."""
    return str(part)[:100] if isinstance(part, str) else _short(part)


def _names(section: list[str]) -> list[str]:
    """The valid names in a section, given as the path to it."""
    model: Any = Params
    for part in section:
        # A key of a mapping, or a place in a list, is the user's own: the values' model knows nothing of it.
        model = get_args(model)[-1] if get_origin(model) in (dict, list) else model.model_fields[part].annotation
    return list(model.model_fields)
