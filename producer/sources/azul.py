"""The Human Cell Atlas by its Azul service: the default catalog's projects, and their matrices of today.

https://service.azul.data.humancellatlas.org
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer.sources.choice import MatrixSet, choose
from producer.sources.file_names import Surety
from producer.sources.matrix_tree import LIBRARY, SPECIES, PortalFile, files_of
from producer.sources.portal import Portal
from producer.sources.project import Candidate, Choice, Project, Unusable, labels, summaries
from shared import library_construction, portal, telemetry
from shared.errors import MatrixNotFoundError, SourceUnavailableError, SummaryStatsError
from shared.messages import MatrixReference, ProjectId
from shared.species import species_name
from shared.validation import first_problem

PAGE_PROJECTS: Final = 100
"""The most that Azul gives at once."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

log = telemetry.logger("azul")


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Catalogs(_Model):
    default_catalog: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")


class _Pagination(_Model):
    next: str | None = None
    total: Any = None


class _Page(_Model):
    hits: list[Any]
    pagination: _Pagination


class _Details(_Model):
    matrices: Any = None
    contributed: Any = Field(None, alias="contributedAnalyses")


class _Hit(_Model):
    entry_id: ProjectId = Field(alias="entryId")
    projects: tuple[_Details, ...] = Field(min_length=1)
    protocols: Any = None
    donors: Any = Field(None, alias="donorOrganisms")


@dataclass(frozen=True, slots=True)
class AzulSource:
    """The projects that the service lists."""

    portal: Portal

    def projects(self, project_id: str = "") -> Iterator[Candidate]:
        """Every project, or only ``project_id``, a page at a time.

        Raises SourceUnavailableError or AccessDeniedError where the service fails as a whole.
        """
        catalog = self._default_catalog()
        hits = self._hit(catalog, project_id) if project_id else self._hits(catalog)
        for hit in hits:
            yield _candidate(hit, catalog, self.portal.url)

    def _default_catalog(self) -> str:
        document = self.portal.get("/index/catalogs")
        try:
            return _Catalogs.model_validate(document).default_catalog
        except ValidationError as error:
            raise SourceUnavailableError(f"{self.portal.url}/index/catalogs: {_undocumented(error)}") from error

    def _hit(self, catalog: str, project_id: str) -> Iterator[Any]:
        if not _UUID.fullmatch(project_id):
            return
        if hit := self.portal.find(f"/index/projects/{project_id}", catalog=catalog):
            yield hit

    def _hits(self, catalog: str) -> Iterator[Any]:
        listed, total = 0, ""
        try:
            for page in self._pages(catalog):
                total = f" of {page.pagination.total:,}" if isinstance(page.pagination.total, int) else ""
                yield from page.hits
                listed += len(page.hits)
        except SummaryStatsError as error:
            before = f"{listed:,}{total} projects of catalog {catalog} were listed before"
            raise type(error)(f"{error}; {before}") from error
        if not listed:
            log.warning("the catalog lists no projects", catalog=catalog)

    def _pages(self, catalog: str) -> Iterator[_Page]:
        query: dict[str, str | int] = {"catalog": catalog, "size": PAGE_PROJECTS, "sort": "projectId", "order": "asc"}
        document = self.portal.get("/index/projects", **query)
        seen = set[str]()
        while True:
            try:
                page = _Page.model_validate(document)
            except ValidationError as error:
                raise SourceUnavailableError(f"{self.portal.url}/index/projects: {_undocumented(error)}") from error
            new = {_id(hit) for hit in page.hits} - seen
            yield _Page(hits=[hit for hit in page.hits if _id(hit) in new], pagination=page.pagination)
            if page.pagination.next is None:
                return
            if not new:
                raise SourceUnavailableError(f"{self.portal.url}/index/projects: the pages go round in circles")
            seen |= new
            document = self.portal.follow(page.pagination.next)


def _undocumented(error: ValidationError) -> str:
    return f"the answer is not as documented ({first_problem(error, 'as a whole')})"


def _id(hit: Any) -> str:
    return str(hit.get("entryId", "?") if isinstance(hit, dict) else "?")[:128]


def _candidate(hit: Any, catalog: str, base: str) -> Candidate:
    try:
        return _project(_Hit.model_validate(hit), catalog, base)
    except ValidationError as error:
        reason = _undocumented(error)
    except ValueError as error:
        reason = f"the answer is not as documented ({error})"
    return Unusable(_id(hit), SourceUnavailableError.reason, reason, "failed")


def _project(hit: _Hit, catalog: str, base: str) -> Candidate:
    found = files_of(*(tree for details in hit.projects for tree in (details.matrices, details.contributed)))
    _fill_in(found.files, hit)
    chosen = choose(found.files)
    passed_over = (*found.malformed, *chosen.passed_over)
    if not chosen.sets:
        why = " ".join(summaries(passed_over)) or "The portal lists no files of it."
        choice = Choice(passed_over=passed_over)
        return Unusable(hit.entry_id, MatrixNotFoundError.reason, f"no matrix to read. {why}", choice=choice)
    matrices = tuple(_reference(file, each, catalog, base) for each in chosen.sets for file in each.files)
    return Project(hit.entry_id, matrices, Choice(chosen.taken, passed_over))


def _fill_in(files: tuple[PortalFile, ...], hit: _Hit) -> None:
    """Where a tree does not say a file's library construction, those of the project; so its species, if it has one."""
    libraries, species = _texts(hit.protocols, LIBRARY), _texts(hit.donors, SPECIES)
    for file in files:
        if not any(_tells(label) for label in file.libraries):
            file.libraries = {label for label in libraries if _tells(label)}
        if not any(map(species_name, file.species)) and len(species) == 1:
            file.species = set(species)


def _texts(objects: Any, name: str) -> set[str]:
    """All that the objects, where they are any, say of ``name``."""
    known = [each for each in objects if isinstance(each, dict)] if isinstance(objects, list) else []
    lists = [value if isinstance(value := each.get(name), list) else [value] for each in known]
    return {text for texts in lists for text in texts if isinstance(text, str)}


def _tells(label: str) -> bool:
    return library_construction.method(label).group != library_construction.UNSPECIFIED


def _reference(file: PortalFile, of: MatrixSet, catalog: str, base: str) -> MatrixReference:
    """The file as a message names it; ValidationError where no message can."""
    entry = file.entry
    return MatrixReference(
        uri=_address(file, of, catalog, base),
        version=portal.file_version(entry.uuid, entry.version, entry.sha256),
        size_bytes=entry.size,
        species=next(iter(of.species)) if len(of.species) == 1 else None,
        library_construction=labels(filter(_tells, file.libraries)),
    )


def _address(file: PortalFile, of: MatrixSet, catalog: str, base: str) -> str:
    """The portal's mirror before the portal; but a file that is known by its name needs an address with a name."""
    entry = file.entry
    if (entry.azul_mirror_uri or "").startswith("s3://") and of.surety is not Surety.BARE:
        return str(entry.azul_mirror_uri)
    query = urlencode({"catalog": catalog, "version": entry.version})
    own = f"{base}/repository/files/{quote(entry.uuid, safe='')}?{query}"
    told = (url for url in (entry.azul_url, entry.url) if url and url.startswith("https://"))
    parts = urlsplit(next(told, own))
    if not entry.name or "fileName=" in parts.query:
        return parts.geturl()
    name = urlencode({"fileName": entry.name})
    return parts._replace(query=f"{parts.query}&{name}" if parts.query else name, fragment="").geturl()
