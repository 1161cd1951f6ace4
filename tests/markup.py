"""A page as a parser of HTML finds it."""

import base64
import hashlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

EMPTY: Final = frozenset({"br", "img", "input", "link", "meta"})


@dataclass
class Element:
    """A tag with its attributes and the text directly in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Markup(HTMLParser):
    """All elements of a page in order; tags that are not closed where they should be fail."""

    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, page: bytes) -> "Markup":
        """``page``, parsed to its end."""
        made = cls()
        made.feed(page.decode())
        made.close()
        assert not made._open
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def all(self, tag: str) -> list[Element]:
        """The elements of one kind."""
        return [element for element in self.elements if element.tag == tag]

    def values(self, name: str) -> list[str]:
        """Of one attribute, wherever it stands."""
        return [element.attributes[name] for element in self.elements if name in element.attributes]

    def text(self) -> str:
        """All text that people read."""
        shown = [each.text for each in self.elements if each.tag not in {"style", "script"}]
        return " ".join(" ".join(shown).split())

    def policy(self) -> dict[str, str]:
        """The content security policy by directive."""
        (meta,) = [each for each in self.all("meta") if each.attributes.get("http-equiv") == "Content-Security-Policy"]
        return dict(rule.split(" ", 1) for rule in meta.attributes["content"].split("; "))


def hash_source(block: str) -> str:
    """What a policy calls an inline block by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"
