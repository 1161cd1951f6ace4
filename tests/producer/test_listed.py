"""The portals are where their documentation says they are."""

import pytest

from producer.sources.azul import AzulSource
from producer.sources.cellxgene import CellxgeneSource
from producer.sources.listed import AZUL, CELLXGENE, source
from shared.errors import SettingsError
from shared.settings import ProducerSettings


def settings(name: str, environ: str, portal_url: str = "") -> ProducerSettings:
    return ProducerSettings.model_validate({"source": name, "environ": environ, "portal_url": portal_url})


@pytest.mark.parametrize(
    ("name", "kind", "address"),
    [
        ("fresh", AzulSource, "https://service.azul.data.humancellatlas.org"),
        ("cellxgene", CellxgeneSource, "https://api.cellxgene.cziscience.com/curation/v1"),
    ],
)
def test_production_is_where_the_documentation_says(name: str, kind: type, address: str) -> None:
    found = source(settings(name, "prod"), s3=None)  # type: ignore[arg-type]
    assert isinstance(found, kind)
    assert found.portal.url == address  # type: ignore[attr-defined]


def test_every_deployment_has_an_address_of_its_own() -> None:
    assert len({*AZUL.values(), *CELLXGENE.values()}) == len(AZUL) + len(CELLXGENE)


def test_an_address_of_ones_own_comes_before_all() -> None:
    found = source(settings("fresh", "prod", "http://127.0.0.1:1"), s3=None)  # type: ignore[arg-type]
    assert found.portal.url == "http://127.0.0.1:1"  # type: ignore[attr-defined]


def test_a_deployment_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="DPSS_ENVIRON: cellxgene has no deployment integration"):
        source(settings("cellxgene", "integration"), s3=None)  # type: ignore[arg-type]
