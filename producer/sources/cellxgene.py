"""CZ CELLxGENE Discover by its curation API: a collection is a project, each of its datasets a matrix.

https://api.cellxgene.cziscience.com/curation/ui/
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer.sources.portal import Portal
from producer.sources.project import Candidate, Choice, PassedOver, Project, Unusable, summaries
from shared import library_construction
from shared.errors import MatrixNotFoundError, SourceUnavailableError
from shared.messages import MAX_LABELS, MatrixReference, ProjectId
from shared.species import species_name

H5AD: Final = "H5AD"


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Term(_Model):
    label: str
    ontology_term_id: str = ""


class _Asset(_Model):
    filetype: str
    url: str
    filesize: Annotated[int, Field(ge=0)] | None = None


class _Dataset(_Model):
    collection_id: ProjectId
    dataset_id: str
    dataset_version_id: Annotated[str, Field(min_length=1, max_length=200)]
    title: str = ""
    assay: tuple[_Term, ...] = ()
    organism: tuple[_Term, ...] = ()
    assets: tuple[_Asset, ...] = ()

    @property
    def shown(self) -> str:
        """What a person calls it."""
        return f"{self.title} ({self.dataset_id})" if self.title else self.dataset_id


@dataclass(frozen=True, slots=True)
class CellxgeneSource:
    """The collections that the portal lists."""

    portal: Portal

    def projects(self, project_id: str = "") -> Iterator[Candidate]:
        """Every collection, or only ``project_id``; one answer lists the datasets of all.

        Raises SourceUnavailableError or AccessDeniedError where the portal fails as a whole.
        """
        collections: dict[str, list[_Dataset | PassedOver]] = defaultdict(list)
        for each in self._one(project_id) if project_id else self._all():
            collections[str(each.get("collection_id", "?"))].append(_parsed(each))
        for collection in sorted(collections):
            yield _candidate(collection, collections[collection])

    def _all(self) -> Iterator[dict[str, Any]]:
        yield from _dicts(self.portal.get("/datasets"))

    def _one(self, project_id: str) -> Iterator[dict[str, Any]]:
        document = self.portal.find(f"/collections/{project_id}")
        if document is None:
            return
        listed = document.get("datasets") if isinstance(document, dict) else None
        yield from ({**each, "collection_id": project_id} for each in _dicts(listed))


def _dicts(listed: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise SourceUnavailableError("the portal's answer is not as documented (no list of datasets)")
    yield from listed


def _parsed(dataset: dict[str, Any]) -> _Dataset | PassedOver:
    try:
        return _Dataset.model_validate(dataset)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(dataset.get("title") or dataset.get("dataset_id") or "a dataset")[:200]
        return PassedOver(name, f"its entry is malformed ({'.'.join(map(str, first['loc']))}: {first['msg']})")


def _candidate(collection: str, datasets: Iterable[_Dataset | PassedOver]) -> Candidate:
    matrices, passed_over = [], []
    for dataset in datasets:
        found = dataset if isinstance(dataset, PassedOver) else _reference(dataset)
        if isinstance(found, PassedOver):
            passed_over.append(found)
        else:
            matrices.append(found)
    if matrices:
        return Project(collection, tuple(matrices), Choice((f"{len(matrices):,} datasets.",), tuple(passed_over)))
    why = " ".join(summaries(passed_over))
    choice = Choice(passed_over=tuple(passed_over))
    return Unusable(collection, MatrixNotFoundError.reason, f"no matrix to read. {why}", choice=choice)


def _reference(dataset: _Dataset) -> MatrixReference | PassedOver:
    asset = next((asset for asset in dataset.assets if asset.filetype.upper() == H5AD), None)
    assays = sorted({library_construction.preferred(term.ontology_term_id, term.label) for term in dataset.assay})
    if asset is None:
        return PassedOver(dataset.shown, "there is no H5AD of it")
    if assays and not any(library_construction.method(label).rna for label in assays):
        return PassedOver(dataset.shown, f"{', '.join(assays)} measures no expression")
    species = {species_name(term.ontology_term_id) or species_name(term.label) for term in dataset.organism}
    try:
        return MatrixReference(
            uri=asset.url,
            version=dataset.dataset_version_id,
            size_bytes=asset.filesize,
            species=species.pop() if len(species) == 1 else None,
            library_construction=tuple(assays[:MAX_LABELS]),
        )
    except ValidationError as error:
        return PassedOver(dataset.shown, f"no message can name it ({error.errors()[0]['msg']})")
