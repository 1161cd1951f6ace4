"""CZ CELLxGENE Discover by its curation API: a collection is a project, each of its datasets a matrix.

https://api.cellxgene.cziscience.com/curation/ui/
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from producer.sources.portal import Portal
from producer.sources.project import Candidate, Choice, PassedOver, Project, Unusable, labels, summaries
from shared import library_construction, telemetry
from shared.errors import MatrixNotFoundError, SourceUnavailableError
from shared.messages import MatrixReference, ProjectId
from shared.species import species_name
from shared.validation import first_problem

H5AD: Final = "H5AD"

log = telemetry.logger("cellxgene")


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class _Term(_Model):
    label: _Text = ""
    ontology_term_id: _Text = ""


class _Asset(_Model):
    filetype: _Text = ""
    url: _Text = ""
    filesize: Annotated[int, Field(ge=0)] | None = None


class _Dataset(_Model):
    collection_id: ProjectId
    dataset_id: str
    dataset_version_id: Annotated[str, Field(min_length=1, max_length=200)]
    title: _Text = ""
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
    if not isinstance(listed, list):
        raise SourceUnavailableError("the portal's answer is not as documented (no list of datasets)")
    known = [each for each in listed if isinstance(each, dict)]
    if len(known) < len(listed):
        log.warning("the portal lists what is no dataset", entries=len(listed) - len(known))
    yield from known


def _parsed(dataset: dict[str, Any]) -> _Dataset | PassedOver:
    try:
        return _Dataset.model_validate(dataset)
    except ValidationError as error:
        name = str(dataset.get("title") or dataset.get("dataset_id") or "a dataset")[:200]
        return PassedOver(name, f"its entry is malformed ({first_problem(error, 'the entry')})")


def _candidate(collection: str, datasets: Sequence[_Dataset | PassedOver]) -> Candidate:
    matrices, passed_over = [], []
    for dataset in datasets:
        found = dataset if isinstance(dataset, PassedOver) else _reference(dataset)
        if isinstance(found, PassedOver):
            passed_over.append(found)
        else:
            matrices.append(found)
    if matrices:
        return Project(collection, tuple(matrices), Choice((f"{len(matrices):,} datasets.",), tuple(passed_over)))
    why = f"no matrix to read. {' '.join(summaries(passed_over))}"
    choice = Choice(passed_over=tuple(passed_over))
    if all(isinstance(dataset, PassedOver) for dataset in datasets):
        return Unusable(collection, SourceUnavailableError.reason, why, "failed", choice)
    return Unusable(collection, MatrixNotFoundError.reason, why, choice=choice)


def _reference(dataset: _Dataset) -> MatrixReference | PassedOver:
    asset = next((asset for asset in dataset.assets if asset.filetype.upper() == H5AD and asset.url), None)
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
            library_construction=labels(assays),
        )
    except ValidationError as error:
        return PassedOver(dataset.shown, f"no message can name it ({first_problem(error, 'the dataset')})")
