"""The source that the settings name."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from producer.sources.azul import AzulSource
from producer.sources.canned import CannedSource
from producer.sources.cellxgene import CellxgeneSource
from producer.sources.portal import Portal
from producer.sources.project import Candidate
from shared.errors import SettingsError
from shared.settings import Environ, ProducerSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AZUL: Final[Mapping[Environ, str]] = {
    "dev": "https://service.dev.singlecell.gi.ucsc.edu",
    "integration": "https://service.integration.singlecell.gi.ucsc.edu",
    "staging": "https://service.staging.singlecell.gi.ucsc.edu",
    "prod": "https://service.azul.data.humancellatlas.org",
}
CELLXGENE: Final[Mapping[Environ, str]] = {
    "dev": "https://api.cellxgene.dev.single-cell.czi.technology/curation/v1",
    "staging": "https://api.cellxgene.staging.single-cell.czi.technology/curation/v1",
    "prod": "https://api.cellxgene.cziscience.com/curation/v1",
}
"""The portals' deployments; CELLxGENE has none for integration."""


class Source(Protocol):
    """Lists projects."""

    def projects(self, project_id: str = "") -> Iterator[Candidate]:
        """Every project, or only ``project_id``, one at a time."""


def source(settings: ProducerSettings, s3: "S3Client") -> Source:
    """The source of a run; SettingsError where the portal has no such deployment."""
    match settings.source:
        case "canned":
            return CannedSource(s3, settings.matrix_bucket, settings.matrix_prefix, settings.blacklist_key)
        case "fresh":
            return AzulSource(Portal(_address(settings, AZUL)))
        case "cellxgene":
            return CellxgeneSource(Portal(_address(settings, CELLXGENE)))


def _address(settings: ProducerSettings, deployments: Mapping[Environ, str]) -> str:
    address = settings.portal_url or deployments.get(settings.environ)
    if not address:
        raise SettingsError(
            f"DPSS_ENVIRON: {settings.source} has no deployment {settings.environ}; name another or DPSS_PORTAL_URL"
        )
    return address
