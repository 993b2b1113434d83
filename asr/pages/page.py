"""The name of a template beside this file -> the template, with the filters that all pages share."""

from collections.abc import Callable
from pathlib import Path

import jinja2

from asr.languages import NAMES


def template(name: str, **filters: Callable[..., str]) -> jinja2.Template:
    """Escapes all that it is given; a name that is missing raises `jinja2.UndefinedError`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"language_name": language_name, "percent": percent, **filters}
    return environment.get_template(name)


def language_name(code: str) -> str:
    return NAMES.get(code, code).title()


def percent(rate: float | None, digits: int = 1) -> str:
    return "–" if rate is None else f"{100 * rate:.{digits}f}"
