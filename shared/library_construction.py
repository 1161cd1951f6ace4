"""Library construction methods, told apart despite untidy labels: the group that cells are filed under.

The table beside this file lists methods by their id in the Experimental Factor Ontology (3.90, Apache-2.0), preferred
label and the other spellings seen. The group is our key; whether a method counts molecules (``umi``) and whether it
measures expression at all (``rna``) is our judgement.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

UNSPECIFIED: Final = "unspecified"
MAX_GROUP_CHARACTERS: Final = 64
_UMI: Final = {"yes": True, "no": False, "": None}
_NO_LABEL: Final = frozenset(
    {"", "nan", "none", "null", "na", "n/a", "unknown", "unspecified", "not specified", "not applicable", "snrna"}
)
"""What says nothing of a method; ``snRNA`` says what was sequenced, and not how."""


@dataclass(frozen=True, slots=True)
class Method:
    """A library construction method; ``group`` stands in keys, ``umi`` is None where it is not known.

    ``rna`` is False of what measures chromatin, methylation or surface proteins alone.
    """

    group: str
    label: str
    umi: bool | None
    rna: bool = True


def _folded(label: str) -> str:
    return re.sub(r"[\s_]+", " ", label).strip().casefold()


@cache
def _table() -> dict[str, Method]:
    text = resources.files("shared").joinpath("library_construction.tsv").read_text(encoding="utf-8")
    table: dict[str, Method] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        method = Method(row["group"], row["label"], _UMI[row["umi"]], row["rna"] == "yes")
        names = [row["efo_id"], row["label"], *filter(None, row["synonyms"].split(";"))]
        table |= {_folded(name): method for name in names}
    return table


def method(label: str) -> Method:
    """The method that a label or EFO id means; an unknown label is a method of its own, no label is unspecified."""
    folded = _folded(label)
    if folded in _NO_LABEL:
        return Method(UNSPECIFIED, UNSPECIFIED, None)
    known = _table().get(folded)
    if known:
        return known
    group = re.sub(r"[^A-Za-z0-9.]+", "-", label.strip()).strip("-.")[:MAX_GROUP_CHARACTERS]
    return Method(group or UNSPECIFIED, " ".join(label.split()), None)


def preferred(efo_id: str, label: str) -> str:
    """The label of the method that the id means, where it is known; else the one given."""
    known = _table().get(_folded(efo_id))
    return known.label if known else label
