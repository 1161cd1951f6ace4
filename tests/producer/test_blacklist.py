"""The list of projects that are left out."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from producer import blacklist
from shared.errors import SettingsError, UnsupportedFormatError
from tests.faults.proxy import FaultyServer, Reaction
from tests.faults.reactions import error
from tests.faults.rules import s3_call, when
from tests.producer.conftest import Command

Put = Callable[..., str]
Work = Callable[[], list[dict[str, object]]]


@pytest.mark.parametrize(
    "body",
    [
        b"p1\np2\n",
        b"p1\np2",
        b"\xef\xbb\xbfp1\r\np2\r\n",
        b"# why\n\np1   # trailing\n  \np2\t\n",
        b"  p1\rp2\n#p3",
        b"p1#no blank before\np2\np1\n",
    ],
)
def test_blanks_comments_and_any_line_endings_are_forgiven(body: bytes) -> None:
    assert blacklist.parse(body, "here") == {"p1", "p2"}


@given(st.sets(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)), st.sampled_from(["\n", "\r\n"]))
def test_ids_survive_in_any_number(ids: set[str], ending: str) -> None:
    assert blacklist.parse(ending.join(sorted(ids)).encode(), "here") == ids


def test_what_is_not_utf8_is_refused_with_its_place() -> None:
    with pytest.raises(UnsupportedFormatError, match="here, line 2, byte 4: not UTF-8"):
        blacklist.parse(b"p1\np\xe9\n", "here")


def test_a_bucket_that_is_not_there_is_a_wrong_setting(s3: S3Client) -> None:
    with pytest.raises(SettingsError, match="DPSS_MATRIX_BUCKET"):
        blacklist.read(s3, "not-there", "blacklist")


def test_blacklisted_projects_are_left_out_whatever_their_species_and_even_with_force(
    dpss: Command, put: Put, work: Work, s3: S3Client, stack: Stack
) -> None:
    put("p1.homo_sapiens.h5ad")
    put("p2.h5ad")
    s3.put_object(Bucket=stack.matrix_bucket, Key="blacklist", Body=b"p1\r\nno id at all\x1b[31m\r\n")
    done = dpss("run", "--blacklist", "--force", "--json")
    assert done.code == 0
    assert {row["project_id"]: row["outcome"] for row in done.rows} == {"p1": "blacklisted", "p2": "enqueued"}
    assert [message["project_id"] for message in work()] == ["p2"]
    assert "a line of the blacklist is no project id" in done.err
    assert "\x1b" not in done.err


def test_the_blacklist_is_read_only_when_asked_for(dpss: Command, put: Put, s3: S3Client, stack: Stack) -> None:
    put("p1.h5ad")
    s3.put_object(Bucket=stack.matrix_bucket, Key="blacklist", Body=b"p1\n\xff")
    assert dpss("run", "--dry-run", "--json").summary["due"] == 1
    assert dpss("run", "--dry-run", "--blacklist", "false", "--json", DPSS_BLACKLIST="true").summary["due"] == 1


def test_a_missing_blacklist_is_a_warning_and_leaves_nothing_out(dpss: Command, put: Put) -> None:
    put("p1.h5ad")
    done = dpss("run", "--json", DPSS_BLACKLIST="true")
    assert (done.code, done.summary["enqueued"]) == (0, 1)
    assert '"there is no blacklist, so no project is left out"' in done.err


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error(403, "AccessDenied"), "access_denied"),
        (error(400, "RequestTimeTooSkewed"), "source_unavailable"),
    ],
)
def test_a_blacklist_that_cannot_be_read_stops_the_run_before_anything_is_sent(
    answer: Reaction, code: str, dpss: Command, put: Put, work: Work, faulty: FaultyServer
) -> None:
    put("p1.h5ad")
    faulty.rules.append(when(s3_call("/blacklist"), answer))
    done = dpss("run", "--blacklist", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith(f"{code}: reading the blacklist s3://")
    assert "Traceback" not in done.err
    assert work() == []


def test_a_blacklist_that_is_not_utf8_stops_the_run(
    dpss: Command, put: Put, work: Work, s3: S3Client, stack: Stack
) -> None:
    put("p1.h5ad")
    s3.put_object(Bucket=stack.matrix_bucket, Key="blacklist", Body="p1\n".encode("utf-16"))
    done = dpss("run", "--blacklist")
    assert done.code == 1
    assert done.last_words.startswith("unsupported_format: ")
    assert work() == []
