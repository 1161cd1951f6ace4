"""The species of a matrix, from the ids of its genes and the names of assemblies."""

import re
from collections import Counter, defaultdict
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.matrices.features import genome_before, prefix_of
from worker.matrices.matrix import Genes, Strings

SPECIES_OF_PREFIX: Final = {
    "ENSG": "homo_sapiens",
    "ENSMUSG": "mus_musculus",
    "ENSRNOG": "rattus_norvegicus",
    "ENSDARG": "danio_rerio",
    "ENSMMUG": "macaca_mulatta",
    "ENSMFAG": "macaca_fascicularis",
    "ENSMICG": "microcebus_murinus",
    "ENSCJAG": "callithrix_jacchus",
    "ENSGGOG": "gorilla_gorilla",
    "ENSPTRG": "pan_troglodytes",
    "ENSOCUG": "oryctolagus_cuniculus",
    "ENSSSCG": "sus_scrofa",
    "FBgn": "drosophila_melanogaster",
    "WBGene": "caenorhabditis_elegans",
}
"""Prefixes of Ensembl's stable ids, https://www.ensembl.org/info/genome/stable_ids/prefixes.html"""
_GENOMES: Final = {
    "grch": "homo_sapiens",
    "hg": "homo_sapiens",
    "grcm": "mus_musculus",
    "mm": "mus_musculus",
    "mratbn": "rattus_norvegicus",
    "rn": "rattus_norvegicus",
    "rnor": "rattus_norvegicus",
    "danrer": "danio_rerio",
    "grcz": "danio_rerio",
    "mmul": "macaca_mulatta",
    "sscrofa": "sus_scrofa",
    "bdgp": "drosophila_melanogaster",
    "dm": "drosophila_melanogaster",
    "ce": "caenorhabditis_elegans",
    "wbcel": "caenorhabditis_elegans",
}
"""How assemblies' names begin (GRCh38, hg19, GRCm39, mm10, Rnor_6.0), before a number."""
_OTHERS: Final = "others"
_MOSTLY: Final = 0.9
_SEVERAL: Final = 0.05
"""Of the genes: fewer of another species are additions (transgenes)."""


class SpeciesOfIds:
    """What the ids of genes, (genes,), tell."""

    def __init__(self, ids: Strings) -> None:
        self._n_genes = len(ids)
        prefixes = Counter(prefix_of(name) or genome_before(name) for name in ids)
        self._counts: Counter[str | None] = Counter()
        """Genes by the species of their stable id, or else of the genome before their name; None: of another."""
        for prefix, count in prefixes.items():
            if prefix:
                self._counts[SPECIES_OF_PREFIX.get(prefix) or species_of_genome(prefix)] += count

    @property
    def single(self) -> str | None:
        """The species; None where they do not agree, or are of another kind."""
        species, count = max(self._counts.items(), key=lambda item: item[1], default=(None, 0))
        told = self._counts.total()
        return species if told * 2 >= self._n_genes and count >= _MOSTLY * told else None

    @property
    def several(self) -> str | None:
        """A sentence where they are of more than one species, as in a mixture of human and mouse cells."""
        enough = _SEVERAL * self._n_genes
        found = {species or _OTHERS: count for species, count in self._counts.items() if count >= enough}
        if len(found) <= 1:
            return None
        listed = " and ".join(f"{count:,} of {species}" for species, count in sorted(found.items()))
        return f"The genes are {listed}: all are taken together, of no single species."


def shares(genes: Genes, counts: npt.NDArray[np.float64]) -> dict[str, float]:
    """Each species' share of the ``counts``, (genes,), 0 to 1, as far as the genes' ids or names tell."""
    sums: defaultdict[str, float] = defaultdict(float)
    for name, count in zip(genes.ids, counts.tolist(), strict=True):
        prefix = prefix_of(name) or genome_before(name)
        if prefix:
            sums[SPECIES_OF_PREFIX.get(prefix) or species_of_genome(prefix) or _OTHERS] += count
    total = sum(sums.values()) or 1.0
    return {species: count / total for species, count in sums.items()}


def species_of_genome(genome: str) -> str | None:
    """The species that an assembly's name tells (``GRCh38``, ``mm10_chr19``)."""
    match = re.match(r"([a-z]+)_?\d", genome.strip().casefold())
    return _GENOMES.get(match[1]) if match else None
