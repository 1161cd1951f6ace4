"""A stand-in for the Azul service on loopback: catalogs, projects by pages, files by 301 and 302."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.portals.scripted import Portal, Reply, Request, file, redirect, serving

CATALOG = "dcp99"
MOST = 100
"""Projects on a page, as the service has it."""


def uuid(number: int) -> str:
    """An id that a project or a file may have."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def entry(number: int, name: str, body: bytes = b"", **more: Any) -> dict[str, Any]:
    """What the service says of a file; without a ``body``, of one that no other equals."""
    return {
        "uuid": uuid(number),
        "version": "2021-02-11T23:11:45.000000Z",
        "name": name,
        "format": name.partition(".")[2],
        "size": len(body),
        "sha256": hashlib.sha256(body or uuid(number).encode()).hexdigest(),
        "contentDescription": ["Count Matrix"],
        "fileSource": "DCP/2 Analysis",
        "isIntermediate": False,
        "matrixCellCount": None,
    } | more


def tree(*entries: object, species: str = "Homo sapiens", library: str = "10X v2 sequencing") -> dict[str, Any]:
    """Files below all four levels."""
    files = {"libraryConstructionApproach": {library: list(entries)}}
    return {"genusSpecies": {species: {"developmentStage": {"adult": {"organ": {"blood": files}}}}}}


def hit(project_id: str, matrices: object = None, contributed: object = None, **more: Any) -> dict[str, Any]:
    """What the service says of a project."""
    details = {"projectId": project_id, "matrices": matrices or {}, "contributedAnalyses": contributed or {}}
    return {"entryId": project_id, "projects": [details], "protocols": [], "donorOrganisms": []} | more


@dataclass
class Azul:
    """The stand-in: what it lists and holds, and the replies it gives first.

    Some files are ``slow``: they have to be prepared. Some are cut, once, after so many bytes.
    """

    portal: Portal
    hits: list[Any] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    cuts: dict[str, int] = field(default_factory=dict)
    first: list[Reply] = field(default_factory=list)
    page_size: int = MOST

    @property
    def url(self) -> str:
        """Its address."""
        return self.portal.url

    @property
    def asked(self) -> list[str]:
        """Paths that were asked for, without their queries."""
        return [urlsplit(request.path).path for request in self.portal.asked]

    def holds(self, described: dict[str, Any], body: bytes) -> dict[str, Any]:
        """Keep the file's content; the entry with its address."""
        self.bodies[described["uuid"]] = body
        query = urlencode({"catalog": CATALOG, "version": described["version"]})
        return described | {"azul_url": f"{self.url}/repository/files/{described['uuid']}?{query}"}

    def answer(self, request: Request) -> Reply:
        """As the service would."""
        if self.first:
            return self.first.pop(0)
        parts = urlsplit(request.path)
        room, *rest = parts.path.strip("/").split("/")
        query = dict(parse_qsl(parts.query))
        return self._index(rest, query) if room == "index" else self._file(request, room, rest[-1], query)

    def _index(self, path: list[str], query: dict[str, str]) -> Reply:
        match path:
            case ["catalogs"]:
                return document({"default_catalog": CATALOG, "catalogs": {CATALOG: {"internal": False}}})
            case ["projects"] if query["catalog"] == CATALOG:
                return self._page(query)
            case ["projects", project_id] if query["catalog"] == CATALOG:
                found = next((hit for hit in self.hits if hit["entryId"] == project_id), None)
                return document(found) if found else Reply(404)
        return document({"Code": "BadRequestError"}, 400)

    def _file(self, request: Request, room: str, number: str, query: dict[str, str]) -> Reply:
        """In a store that knows ranges; a slow one is asked for again before."""
        if number not in self.bodies:
            return Reply(404)
        if room == "storage":
            return file(self.bodies[number], f'"{number}"', self.cuts.pop(number, None))(request)
        if number in self.slow and "wait" not in query:
            return redirect(f"{request.path}&wait=0", 301, Retry_After="1")
        return redirect(f"{self.url}/storage/{number}?signature=x")

    def _page(self, query: dict[str, str]) -> Reply:
        size = int(query.get("size", "10"))
        if size > MOST:
            return document({"Code": "BadRequestError"}, 400)
        start, size = int(query.get("search_after", "0")), min(size, self.page_size)
        more = start + size < len(self.hits)
        following = f"{self.url}/index/projects?{urlencode(query | {'search_after': start + size})}"
        pagination = {"next": following if more else None, "total": len(self.hits), "size": size}
        return document({"hits": self.hits[start : start + size], "pagination": pagination, "termFacets": {}})


def document(content: object, status: int = 200) -> Reply:
    """An answer in JSON."""
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


@contextmanager
def azul(hits: Sequence[Any] = ()) -> Iterator[Azul]:
    """The stand-in, until the block ends."""
    with serving() as portal:
        service = Azul(portal, list(hits))
        portal.otherwise = service.answer
        yield service
