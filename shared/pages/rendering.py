"""A page from its template, style and script: everything escaped, nothing asked of any other server."""

from functools import cache
from importlib import resources
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.pages import words
from shared.pages.policy import content_security_policy

COMMON: Final = "shared.pages"
"""The package whose templates all pages are built on."""


def render(package: str, name: str, **values: object) -> bytes:
    """The page ``name`` of a package's templates: ``name.html`` with ``name.css`` and ``name.js``, where they are."""
    style = _text(COMMON, "base.css") + _text(package, f"{name}.css")
    script = _text(package, f"{name}.js")
    template = _environment(package).get_template(f"{name}.html")
    return template.render(
        **values,
        policy=content_security_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
    ).encode()


@cache
def _environment(package: str) -> Environment:
    """Strict: a name that a template misspells is a defect, not an empty place."""
    loaders = [PackageLoader(package), PackageLoader(COMMON)]
    made = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "moment": words.moment,
        "name_title": words.title,
        "number": words.number,
        "size": words.size,
        "species": words.species,
    }
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return made


def _text(package: str, name: str) -> str:
    """A file as it is; nothing where a page has none."""
    file = resources.files(package).joinpath("templates", name)
    return file.read_text(encoding="utf-8") if file.is_file() else ""
