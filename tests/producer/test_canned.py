"""Matrices in a bucket, listed as projects."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from producer.sources.canned import CannedSource, ListedObject, _grouped
from producer.sources.project import Project, Unusable
from shared.errors import AccessDeniedError, SettingsError
from shared.messages import MAX_MATRICES
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import error
from tests.faults.rules import s3_call, when
from tests.producer.conftest import PREFIX, Command

Put = Callable[..., str]


@pytest.fixture
def source(s3: S3Client, stack: Stack) -> CannedSource:
    """The stack's matrix bucket, whose blacklist lies among the matrices."""
    return CannedSource(s3, stack.matrix_bucket, PREFIX, f"{PREFIX}blacklist")


def test_a_listing_of_several_pages_is_read_to_its_end(
    s3: S3Client, stack: Stack, dpss: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given more keys than two pages of a listing hold, which are of a hundred each
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "100")
    names = [f"project-{number:04d}.mtx.zip" for number in range(250)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=stack.matrix_bucket, Key=PREFIX + name, Body=b"m"), names))
    # when they are listed
    done = dpss("run", "--force", "--dry-run", "--json")
    # then each is found once, in order
    assert [row["project_id"] for row in done.rows] == [name.partition(".")[0] for name in names]
    assert done.summary["found"] == done.summary["due"] == 250


def test_matrices_and_species_of_a_project_make_one_project(source: CannedSource, put: Put, stack: Stack) -> None:
    versions = [put("p1.homo_sapiens.mtx.zip", b"h"), put("p1.loom", b"loom"), put("p1.mus_musculus.h5ad", b"mouse")]
    put("p1-b.csv.gz", b"c")
    other, project = source.projects()
    assert isinstance(other, Project)
    assert isinstance(project, Project)
    assert (other.project_id, project.project_id) == ("p1-b", "p1")
    assert [matrix.species for matrix in project.matrices] == ["homo_sapiens", None, "mus_musculus"]
    assert [matrix.version for matrix in project.matrices] == versions
    assert [matrix.size_bytes for matrix in project.matrices] == [1, 4, 5]
    assert project.matrices[0].uri == f"s3://{stack.matrix_bucket}/{PREFIX}p1.homo_sapiens.mtx.zip"


def test_names_that_are_no_matrices_are_told_and_do_not_split_a_project(source: CannedSource, put: Put) -> None:
    for name in ("", "blacklist", "p1.h5ad", "p1.notes.txt", "p1.x_y.h5ad", "p2.h5ad/deeper.h5ad", "_x.h5ad", "readme"):
        put(name, b"x")
    put("p3.loom", b"")
    found = list(source.projects())
    assert {each.name: each.code for each in found if isinstance(each, Unusable)} == {
        "_x.h5ad": "unsupported_format",
        "p1.notes.txt": "unsupported_format",
        "p2.h5ad/deeper.h5ad": "unsupported_format",
        "p3.loom": "empty_matrix",
        "readme": "unsupported_format",
    }
    projects = [each for each in found if isinstance(each, Project)]
    assert [(project.project_id, len(project.matrices)) for project in projects] == [("p1", 2)]


def test_one_project_is_listed_without_its_neighbours(source: CannedSource, put: Put) -> None:
    for name in ("p1.h5ad", "p10.h5ad", "p1-b.h5ad", "p1.mus_musculus.loom"):
        put(name)
    (project,) = source.projects("p1")
    assert isinstance(project, Project)
    assert [matrix.species for matrix in project.matrices] == [None, "mus_musculus"]


def test_a_bucket_that_is_not_there_is_a_wrong_setting(s3: S3Client) -> None:
    with pytest.raises(SettingsError, match="DPSS_MATRIX_BUCKET: there is no bucket not-there"):
        list(CannedSource(s3, "not-there", PREFIX).projects())


def test_a_forbidden_listing_says_where(faulty: FaultyServer, stack: Stack, dpss: Command) -> None:
    faulty.rules.append(when(s3_call(f"/{stack.matrix_bucket}?"), error(403, "AccessDenied")))
    done = dpss("run", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith(f"{AccessDeniedError.reason}: listing s3://{stack.matrix_bucket}/{PREFIX}")
    assert "Traceback" not in done.err


def test_of_a_project_with_too_many_matrices_no_more_are_kept_than_tell_so() -> None:
    listing = (ListedObject(f"p.s{number:05d}.h5ad", "v", 1) for number in range(MAX_MATRICES + 50))
    (project,) = _grouped("bucket", "", listing)
    assert isinstance(project, Project)
    assert len(project.matrices) == MAX_MATRICES + 1


@given(
    st.sets(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,3}(\.(homo_sapiens|Mus|x y))?\.(h5ad|mtx\.gz|pdf)", fullmatch=True)
    )
)
def test_every_name_of_a_listing_is_in_one_project_or_unusable(names: set[str]) -> None:
    listing = [ListedObject(f"in/{name}", "v", 1) for name in sorted(names, key=str.encode)]
    found = list(_grouped("bucket", "in/", listing))
    projects = [each for each in found if isinstance(each, Project)]
    accounted = [matrix.uri.removeprefix("s3://bucket/in/") for project in projects for matrix in project.matrices]
    accounted += [each.name for each in found if isinstance(each, Unusable)]
    assert sorted(accounted) == sorted(names)
    assert all(before.project_id != after.project_id for before, after in pairwise(projects))
    assert len({project.project_id for project in projects}) == len(projects)
