"""What tables of cells and attributes of files say of library construction and species, whatever they call it."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from shared.species import species_name
from worker.matrices.matrix import Strings

_METHOD: Final = "library_preparation_protocol.library_construction_method"
_APPROACH: Final = "library_preparation_protocol.library_construction_approach"
LIBRARY_COLUMNS: Final = (
    f"{_METHOD}.ontology_label",
    f"{_METHOD}.text",
    f"{_METHOD}.ontology",
    _METHOD,
    f"{_APPROACH}.ontology_label",
    f"{_APPROACH}.text",
    f"{_APPROACH}.ontology",
    _APPROACH,
    "library_construction_method.ontology_label",
    "library_construction_approach",
    "library_construction_method",
    "library_construction",
    "library_preparation_protocol",
    "library_preparation_protocol__ontology_label",
    "assay",
    "assay__ontology_label",
    "assay_ontology_term_id",
)
"""Where the HCA, CELLxGENE and the Single Cell Portal keep it; the first that is filled in counts, cell by cell."""
SPECIES_COLUMNS: Final = (
    "organism_ontology_term_id",
    "organism",
    "donor_organism.genus_species",
    "donor_organism.genus_species.ontology_label",
    "species",
    "species__ontology_label",
    "genus_species",
)
CELL_TYPE_COLUMNS: Final = (
    "cell_type",
    "cell_type__ontology_label",
    "annotated_cell_identity.ontology_label",
    "annotated_cell_identity.text",
    "author_cell_type",
    "celltype",
    "cell_ontology_class",
    "cell_type_ontology_term_id",
    "annotated_cell_identity.ontology",
)
"""Where CELLxGENE, the Single Cell Portal, the HCA and authors keep it, case folded; the first that tells counts."""
_NO_TYPES: Final = frozenset({"", "nan", "none", "na", "n/a", "unknown", "unassigned", "unannotated"})
_MISSING: Final = ("", "nan", "NaN", "None", "NA")


def library_labels(columns: Mapping[str, Strings]) -> Strings | None:
    """Each cell's library construction label, (cells,), as it stands there; None where no column tells."""
    labels: Strings | None = None
    for name in LIBRARY_COLUMNS:
        if name not in columns:
            continue
        column = np.where(np.isin(columns[name], _MISSING), "", columns[name]).astype(object)
        labels = column if labels is None else np.where(labels == "", column, labels).astype(object)
    return labels


def agreed_species(columns: Mapping[str, Strings]) -> tuple[str | None, tuple[str, ...]]:
    """The one species that the first column to tell names; None, and a sentence, where it names several."""
    for name in SPECIES_COLUMNS:
        found = {species for label in set(columns.get(name, ())) if (species := species_name(label))}
        if len(found) > 1:
            return None, (f"{name} names several species: {', '.join(sorted(found))}.",)
        if found:
            return found.pop(), ()
    return None, ()


def cell_types(columns: Mapping[str, Strings]) -> Strings | None:
    """What the authors took each cell for, (cells,), empty where they do not say; None where no column tells."""
    folded = {name.casefold(): column for name, column in columns.items()}
    for column in (folded[name] for name in CELL_TYPE_COLUMNS if name in folded):
        types = {name: "" if name.strip().casefold() in _NO_TYPES else name.strip() for name in set(column)}
        if any(types.values()):
            return np.array([types[name] for name in column], dtype=object)
    return None


def is_annotation(name: str) -> bool:
    """Whether a column is worth reading."""
    return name in LIBRARY_COLUMNS or name in SPECIES_COLUMNS or name.casefold() in CELL_TYPE_COLUMNS
