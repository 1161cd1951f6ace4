"""The name of a species as keys write it (``homo_sapiens``), from what portals and files call it."""

import re
from typing import Final

from shared.messages import SPECIES_PATTERN

_TAXA: Final = {
    "NCBITaxon:9606": "homo_sapiens",
    "NCBITaxon:10090": "mus_musculus",
    "NCBITaxon:10116": "rattus_norvegicus",
    "NCBITaxon:7955": "danio_rerio",
    "NCBITaxon:9544": "macaca_mulatta",
    "NCBITaxon:9541": "macaca_fascicularis",
    "NCBITaxon:30608": "microcebus_murinus",
    "NCBITaxon:9483": "callithrix_jacchus",
    "NCBITaxon:9593": "gorilla_gorilla",
    "NCBITaxon:9595": "gorilla_gorilla",
    "NCBITaxon:9598": "pan_troglodytes",
    "NCBITaxon:9986": "oryctolagus_cuniculus",
    "NCBITaxon:9823": "sus_scrofa",
    "NCBITaxon:7227": "drosophila_melanogaster",
    "NCBITaxon:6239": "caenorhabditis_elegans",
}
"""The species that CELLxGENE takes (schema 7.1); 9595 is the western lowland gorilla, a subspecies."""
_COMMON_NAMES: Final = {
    "human": "homo_sapiens",
    "mouse": "mus_musculus",
    "rat": "rattus_norvegicus",
    "zebrafish": "danio_rerio",
    "gorilla_gorilla_gorilla": "gorilla_gorilla",
}
_NO_NAME: Final = frozenset(
    {"", "na", "n_a", "nan", "none", "null", "unknown", "unspecified", "not_applicable", "not_specified", "other"}
)


def species_name(label: str) -> str | None:
    """A species as keys write it, from a name or an NCBI taxon; None where it is neither."""
    taxon = f"NCBITaxon:{label.strip().casefold().removeprefix('ncbitaxon:')}"
    if taxon in _TAXA:
        return _TAXA[taxon]
    name = re.sub(r"\W+", "_", label.casefold()).strip("_")
    name = _COMMON_NAMES.get(name, name)
    unknown = name in _NO_NAME or name.startswith("ncbitaxon")
    return None if unknown or not re.match(SPECIES_PATTERN, name) else name
