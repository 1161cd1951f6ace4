"""The samples are what their table says."""

import gzip

import pytest
from mypy_boto3_s3 import S3Client

from infra.local import samples
from infra.local.stack import Stack
from infra.local.state import object_etags
from shared import keys

FILES = {entry.name for entry in samples.FOLDER.iterdir() if entry.is_file() and entry.name != "README.md"}


def test_every_sample_file_has_a_licence_and_every_licence_a_sample_file() -> None:
    texts = {entry.name for entry in samples.FOLDER.joinpath("LICENSES").iterdir()}
    assert set(samples.LICENCES) == FILES
    assert {text for licences in samples.LICENCES.values() for text in licences} == texts


@pytest.mark.parametrize("file", sorted(samples.LICENCES))
def test_the_attribution_names_each_file_with_its_licences(file: str) -> None:
    readme = samples.FOLDER.joinpath("README.md").read_text(encoding="utf-8")
    [row] = [line for line in readme.splitlines() if line.startswith(f"| `{file}` |")]
    for text in samples.LICENCES[file]:
        assert f"(LICENSES/{text})" in row


def test_every_sample_file_is_shown_by_a_project() -> None:
    assert {file for project in samples.PROJECTS for file in project.files} == FILES


def test_project_ids_are_unique_and_every_name_is_one_of_a_canned_matrix() -> None:
    ids = [project.id for project in samples.PROJECTS]
    assert len(set(ids)) == len(ids)
    for project in samples.PROJECTS:
        assert {keys.parse_canned(name).project_id for name in project.matrices()} == {project.id}


def test_a_file_cut_short_is_half_of_a_real_one_and_cannot_be_inflated() -> None:
    [project] = [project for project in samples.PROJECTS if project.cut_short]
    [contents] = project.matrices().values()
    assert samples.FOLDER.joinpath(*project.files).read_bytes().startswith(contents)
    with pytest.raises(EOFError):
        gzip.decompress(contents)


def test_putting_the_samples_twice_changes_no_etag(stack: Stack, s3: S3Client) -> None:
    samples.put(s3, stack.matrix_bucket, "matrices/", "blacklist")
    first = object_etags(s3, stack.matrix_bucket)
    samples.put(s3, stack.matrix_bucket, "matrices/", "blacklist")
    assert object_etags(s3, stack.matrix_bucket) == first
    assert len(first) == 1 + sum(len(project.files) for project in samples.PROJECTS)
