"""From a bucket of real matrices to published figures: what the outside sees, byte by byte."""

import gzip
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
import scipy.io
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.type_defs import MessageTypeDef
from PIL import Image

from infra.local import emulator as local
from infra.local import pages
from infra.local import stack as stacks
from tests.browser import chromium, visiting
from tests.fleet.conftest import Fleet, attributes_of, depth, environ_for, letters

SAMPLES = Path(stacks.__file__).parent / "samples"
MATRICES = "project-assets/project-matrices/"
FIGURES = "project-assets/project-stats/"
HUMAN = "abe1a013-af7a-45ed-8c26-f3793c24a1f4"
FIGURE_NAMES = (
    "highest_expr_genes",
    "violin",
    "scatter_genes_vs_counts",
    "scatter_percentMitoGenes_vs_count",
    "highly_variable_genes",
    "pca",
    "umap",
    "rank_gene_groups",
)
MORE_FIGURES = ("barcode_rank", "cluster_sizes", "marker_dot_plot")
TABLE_NAMES = ("top_genes.tsv", "variable_genes.tsv", "markers.tsv", "marker_dot_plot.tsv", "cells.parquet")


@dataclass(frozen=True)
class Day:
    """One day of the fleet, seen afterwards."""

    fleet: Fleet
    sqs: SQSClient
    s3: S3Client
    plan: list[dict[str, Any]]
    log: list[dict[str, Any]]
    letters: list[MessageTypeDef]

    def body(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.fleet.stack.figure_bucket, Key=key)["Body"].read()

    def manifest(self, project_id: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.body(f"{FIGURES}{project_id}/manifest.json"))
        return manifest

    def libraries(self, project_id: str) -> list[dict[str, Any]]:
        return [library for entity in self.manifest(project_id)["entities"] for library in entity["libraries"]]


def put_projects(s3: S3Client, bucket: str) -> None:
    """Real samples under the names that canned matrices have, one of them cut short, one on the blacklist."""
    pbmc = (SAMPLES / "pbmc3k.homo_sapiens.mtx.zip").read_bytes()
    mouse = (SAMPLES / "mouse_pancreas.mus_musculus.h5ad").read_bytes()
    bodies = {
        f"{MATRICES}{HUMAN}.homo_sapiens.mtx.zip": pbmc,
        f"{MATRICES}full-length.homo_sapiens.h5ad": (SAMPLES / "oligodendroglioma.homo_sapiens.h5ad").read_bytes(),
        f"{MATRICES}two-species.mus_musculus.h5ad": mouse,
        f"{MATRICES}two-species.homo_sapiens.h5ad": (SAMPLES / "oligodendroglioma.homo_sapiens.h5ad").read_bytes(),
        f"{MATRICES}cut-short.mtx.zip": pbmc[: len(pbmc) // 2],
        f"{MATRICES}scaled.h5ad": (SAMPLES / "no_raw_counts.h5ad").read_bytes(),
        f"{MATRICES}unwanted.h5ad": mouse,
        "blacklist": b"# not for publication\r\nunwanted \r\n",
    }
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture(scope="module")
def day(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """The daily run and one worker until idle, with the commands that the images run."""
    environ = local.client_environ(endpoint)
    session = boto3.Session("emulator", "emulator", region_name=environ["AWS_REGION"])
    sqs, s3 = session.client("sqs", endpoint_url=endpoint), session.client("s3", endpoint_url=endpoint)
    stack = stacks.create(sqs, s3, "golden")
    put_projects(s3, stack.matrix_bucket)
    folder = tmp_path_factory.mktemp("golden")
    fleet = Fleet(stack, folder, environ_for(stack) | environ | {"DPSS_SCRATCH_DIR": str(folder)})
    produced = fleet.run("producer.cli", "run", "--source", "canned", "--blacklist", "--json")
    assert produced.returncode == 0, produced.stderr
    with fleet.worker("--until-idle", "2", DPSS_FIGURE_FORMATS="png,svg") as worker:
        assert worker.wait() == 0, worker.log_path.read_text()[-2_000:]
        log = worker.log()
    plan = [json.loads(line) for line in produced.stdout.splitlines()]
    return Day(fleet, sqs, s3, plan, log, letters(sqs, stack))


def test_the_run_says_what_it_did_with_each_project(day: Day) -> None:
    summary = day.plan[-1]["summary"]
    assert (summary["found"], summary["enqueued"], summary["blacklisted"]) == (6, 5, 1)


def test_every_project_ended_in_figures_or_in_a_dead_letter_with_its_reason(day: Day) -> None:
    assert depth(day.sqs, day.fleet.stack.queue_url) == (0, 0)
    reasons = {json.loads(letter["Body"])["project_id"]: attributes_of(letter) for letter in day.letters}
    assert {project: found["dpss.reason"] for project, found in reasons.items()} == {
        "cut-short": "corrupt_matrix",
        "scaled": "no_raw_counts",
    }
    assert {found["dpss.stage"] for found in reasons.values()} == {"read"}
    assert {found["dpss.attempts"] for found in reasons.values()} == {"1"}
    assert {manifest(day, project)["project_id"] for project in (HUMAN, "full-length", "two-species")}


def manifest(day: Day, project_id: str) -> dict[str, Any]:
    return day.manifest(project_id)


@pytest.mark.parametrize("project_id", [HUMAN, "full-length", "two-species"])
def test_every_published_byte_is_the_manifests(day: Day, project_id: str) -> None:
    items = [item for library in day.libraries(project_id) for item in (*library["figures"], *library["tables"])]
    assert items
    for item in items:
        body = day.body(item["key"])
        assert hashlib.sha256(body).hexdigest() == item["sha256"], item["key"]
        assert len(body) == item["bytes"]


def test_figures_lie_where_portals_link_to(day: Day) -> None:
    (library,) = day.libraries(HUMAN)
    place = f"{FIGURES}{HUMAN}.homo_sapiens/10X/"
    names = (*FIGURE_NAMES, *MORE_FIGURES)
    assert [figure["key"] for figure in library["figures"]][::2] == [f"{place}{name}.png" for name in names]
    assert {table["key"] for table in library["tables"]} == {f"{place}{name}" for name in TABLE_NAMES}


def test_two_species_of_a_project_are_two_entities_of_one_manifest(day: Day) -> None:
    entities = {entity["entity"]: entity for entity in day.manifest("two-species")["entities"]}
    assert entities.keys() == {"two-species.homo_sapiens", "two-species.mus_musculus"}
    (mouse,) = entities["two-species.mus_musculus"]["libraries"]
    assert mouse["statistics"]["cells"] == 100
    assert mouse["statistics"]["median_percent_mito"] > 0


@pytest.mark.parametrize("project_id", [HUMAN, "full-length", "two-species"])
def test_each_picture_opens_has_the_stated_size_and_is_not_blank(day: Day, project_id: str) -> None:
    figures = [figure for library in day.libraries(project_id) for figure in library["figures"]]
    pictures = [figure for figure in figures if figure["key"].endswith(".png")]
    assert len(pictures) >= 7
    for figure in pictures:
        with Image.open(io.BytesIO(day.body(figure["key"]))) as picture:
            assert picture.size == (figure["width"], figure["height"])
            assert np.asarray(picture.convert("L")).std() > 5, figure["key"]
        assert len(figure["alt"]) > 40


def test_a_reader_finds_a_project_in_the_index_and_sees_all_its_figures(day: Day, endpoint: str) -> None:
    bucket = day.fleet.stack.figure_bucket
    made = day.fleet.run("producer.cli", "gallery")
    assert made.returncode == 0, made.stderr
    pages.let_anyone_read(day.s3, bucket)
    with chromium() as browser, visiting(browser, pages.index_address(endpoint, bucket, FIGURES)) as seen:
        seen.keep("published-index")
        for project_id in (HUMAN, "two-species"):
            seen.page.get_by_role("link", name=project_id, exact=True).click()
            assert seen.load_pictures() == []
            shown = seen.page.locator("img").count()
            assert shown == sum(len({each["name"] for each in part["figures"]}) for part in day.libraries(project_id))
            assert seen.violations() == []
            seen.keep(f"published-{project_id}")
            seen.page.get_by_role("link", name="All projects").click()


def test_what_cannot_be_drawn_is_said(day: Day) -> None:
    (library,) = day.libraries("full-length")
    skipped = {item["name"]: item["reason"] for item in library["skipped"]}
    assert "mitochondrial" in skipped["scatter_percentMitoGenes_vs_count"]


def test_what_is_unusual_is_said_and_the_authors_types_are_drawn(day: Day) -> None:
    (library,) = day.libraries("full-length")
    assert [alert["title"] for alert in library["alerts"]] == ["Suspected TPM or CPM"]
    (types,) = [figure for figure in library["figures"] if figure["key"].endswith("/cell_types.png")]
    assert "by the authors' 6 cell types" in types["alt"]
    (ordinary,) = day.libraries(HUMAN)
    assert ordinary["alerts"] == []


def test_the_statistics_of_pbmc3k_are_those_of_the_matrix_in_memory(day: Day) -> None:
    with zipfile.ZipFile(SAMPLES / "pbmc3k.homo_sapiens.mtx.zip") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("matrix.mtx.gz")]
        (genes_name,) = [name for name in archive.namelist() if name.endswith("genes.tsv.gz")]
        counts = scipy.io.mmread(io.BytesIO(gzip.decompress(archive.read(name))), spmatrix=False).tocsc()
        genes = pd.read_csv(io.BytesIO(archive.read(genes_name)), sep="\t", compression="gzip")
    mito = genes["featurename"].str.startswith("MT-").to_numpy()
    per_cell = np.asarray(counts.sum(axis=0)).ravel()
    (library,) = day.libraries(HUMAN)
    statistics = library["statistics"]
    assert statistics["cells"] == counts.shape[1] == 2700
    assert statistics["nonzeros"] == counts.nnz
    assert statistics["total_counts"] == per_cell.sum()
    assert statistics["median_counts_per_cell"] == np.median(per_cell)
    assert statistics["median_genes_per_cell"] == np.median(np.diff(counts.indptr))
    share = 100 * np.asarray(counts[mito].sum(axis=0)).ravel() / per_cell
    assert statistics["median_percent_mito"] == pytest.approx(np.median(share), abs=1e-3)


def test_the_table_of_cells_has_every_cell(day: Day) -> None:
    (library,) = day.libraries(HUMAN)
    key = next(table["key"] for table in library["tables"] if table["name"] == "cells.parquet")
    cells = pd.read_parquet(io.BytesIO(day.body(key)))
    assert list(cells.columns[:5]) == ["cell_id", "n_counts", "n_genes", "percent_mito", "cluster"]
    assert len(cells) == cells["cell_id"].nunique() == 2700
    assert cells["cluster"].nunique() == library["statistics"]["clusters"]


def test_every_log_line_of_a_project_says_run_project_message_and_attempt(day: Day) -> None:
    started = [line for line in day.log if line["event"] in {"received", "stage", "published", "failed"}]
    assert len(started) > 20
    for line in started:
        assert {"run_id", "project_id", "message_id", "attempt", "timestamp", "level"} <= line.keys()
    assert len({line["run_id"] for line in started}) == 1


def test_metrics_are_told_for_projects_stages_memory_and_waiting(day: Day) -> None:
    metrics = [line for line in day.log if "_aws" in line]
    names = {metric["Name"] for line in metrics for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert names == {"ProjectsDone", "ProjectsFailed", "StageSeconds", "PeakMemory", "QueueWait"}
    assert {line["Reason"] for line in metrics if "ProjectsFailed" in line} == {"corrupt_matrix", "no_raw_counts"}
    assert {line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in metrics} == {"DataPortalSummaryStats"}


def test_the_next_run_sends_nothing_and_knows_why(day: Day) -> None:
    produced = day.fleet.run("producer.cli", "run", "--source", "canned", "--blacklist", "--json")
    assert produced.returncode == 0, produced.stderr
    rows = [json.loads(line) for line in produced.stdout.splitlines()]
    assert rows[-1]["summary"]["enqueued"] == 0
    assert rows[-1]["summary"]["up_to_date"] == 3
    assert depth(day.sqs, day.fleet.stack.queue_url) == (0, 0)


def test_a_message_for_what_is_up_to_date_starts_no_child(day: Day) -> None:
    enqueued = day.fleet.run("producer.cli", "enqueue", HUMAN, "--source", "canned", "--force", "--json")
    assert enqueued.returncode == 0, enqueued.stderr
    body = day.sqs.receive_message(QueueUrl=day.fleet.stack.queue_url, VisibilityTimeout=0)["Messages"][0]["Body"]
    unforced = json.dumps(json.loads(body) | {"force": False})
    day.sqs.purge_queue(QueueUrl=day.fleet.stack.queue_url)
    day.sqs.send_message(QueueUrl=day.fleet.stack.queue_url, MessageBody=unforced)
    with day.fleet.worker("--until-idle", "1") as worker:
        assert worker.wait() == 0
    assert worker.said("up_to_date", project_id=HUMAN)
    assert not worker.said("stage", stage="start")
