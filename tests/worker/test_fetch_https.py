"""Matrices at a portal's addresses, over the wire."""

import datetime as dt
import hashlib
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from shared.errors import (
    AccessDeniedError,
    CorruptMatrixError,
    MatrixNotFoundError,
    ScratchFullError,
    SourceUnavailableError,
    SummaryStatsError,
)
from shared.messages import MatrixReference
from shared.portal import LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS, file_version
from tests.portals.scripted import ADDRESS, Portal, Reply, Script, file, listening, redirect, serving, was_left_alone
from worker import hops
from worker.addresses import AllowedPlaces
from worker.fetch import fetch as fetch_matrix
from worker.fetch_https import TRIES, fetch_https
from worker.hops import Client
from worker.landing import Landed, named_place

BODY = bytes(range(256)) * 12_000
"""Three times what is read at once."""
SHA256 = hashlib.sha256(BODY).hexdigest()
HOSTS = ("files.example.org",)


@dataclass
class Fetcher:
    """Fetches into a folder from a portal; pauses are noted instead of slept, names are looked up in a table."""

    folder: Path
    portal: Portal
    names: dict[str, list[str]] = field(default_factory=lambda: {ADDRESS: [ADDRESS]})
    pauses: list[float] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    def __call__(self, uri: str, version: str | None = None) -> Landed:
        return fetch_https(uri, version, self.folder, self.client())

    def client(self) -> Client:
        return Client(AllowedPlaces(self.portal.url, HOSTS), self.pauses.append, self._look_up)

    def _look_up(self, host: str, _port: int) -> list[str]:
        self.looked_up.append(host)
        return self.names[host]

    def ranges(self) -> list[str | None]:
        """What parts were asked for."""
        return [request.headers.get("Range") for request in self.portal.asked]


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A portal without TLS, as a stand-in is."""
    with serving() as portal:
        yield portal


@pytest.fixture
def fetch(portal: Portal, tmp_path: Path) -> Fetcher:
    """What is tested."""
    return Fetcher(tmp_path, portal)


def test_a_file_comes_with_its_sha256_and_etag(fetch: Fetcher, portal: Portal) -> None:
    landed = fetch(portal.answers("/files/m.h5ad", file(BODY)))
    assert landed.path.name == "m.h5ad"
    assert landed.path.read_bytes() == BODY
    assert (landed.sha256, landed.etag) == (SHA256, "one")
    assert not fetch.pauses


def test_a_request_says_who_asks_and_carries_nothing_else(fetch: Fetcher, portal: Portal) -> None:
    fetch(portal.answers("/m?a=b%20c", file(BODY)) + "#part")
    (request,) = portal.asked
    assert request.path == "/m?a=b%20c"
    assert request.headers["User-Agent"].startswith("data-portal-summary-stats/")
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers.keys() == {"Host", "User-Agent", "Accept-Encoding", "Connection"}


def test_a_proxy_of_the_environment_is_not_asked(
    fetch: Fetcher, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{ADDRESS}:{proxy.getsockname()[1]}")
        fetch(portal.answers("/m", file(BODY)))
        assert was_left_alone(proxy)


def test_a_prepared_file_is_waited_for_and_then_fetched_where_it_is(fetch: Fetcher, portal: Portal) -> None:
    uri = portal.answers("/files/1?version=2", redirect("/files/1?token=a", 301, Retry_After="10"))
    portal.answers("/files/1?token=a", redirect("?token=b", 301, Retry_After="30"))
    portal.answers("/files/1?token=b", redirect(portal.url + "/store/x", 302))
    portal.answers("/store/x", file(BODY))
    assert fetch(uri, SHA256).sha256 == SHA256
    assert fetch.pauses == [10, 30]


def test_a_wait_may_be_a_date_and_is_bounded(fetch: Fetcher, portal: Portal) -> None:
    tomorrow = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    waits = [tomorrow, "99999999", "0", "-5", "soon"]
    steps = [redirect("/m", 301, Retry_After=wait) for wait in waits]
    fetch(portal.answers("/m", *steps, file(BODY)))
    longest, shortest = LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS
    assert fetch.pauses == [longest, longest, shortest]


@pytest.mark.parametrize("wait", ["30", "9999"])
def test_a_file_that_is_never_prepared_is_given_up_for_now(fetch: Fetcher, portal: Portal, wait: str) -> None:
    uri = portal.answers("/m", redirect("/m", 301, Retry_After=wait))
    with pytest.raises(SourceUnavailableError, match="waiting for its portal"):
        fetch(uri)
    assert sum(fetch.pauses) <= hops.MOST_WAITED_SECONDS + LONGEST_WAIT_SECONDS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(fetch: Fetcher, portal: Portal, status: int) -> None:
    portal.answers("/b/c", file(BODY))
    assert fetch(portal.answers("/b/a", redirect("../b/./c#x", status))).sha256 == SHA256
    assert not fetch.pauses


def test_redirects_that_run_in_a_circle_end(fetch: Fetcher, portal: Portal) -> None:
    portal.answers("/b", redirect("/a"))
    with pytest.raises(SourceUnavailableError, match="redirects"):
        fetch(portal.answers("/a", redirect("/b")))
    assert len(portal.asked) == hops.MAX_HOPS + 1


def test_a_redirect_to_nowhere_is_explained(fetch: Fetcher, portal: Portal) -> None:
    with pytest.raises(SourceUnavailableError, match="without saying where"):
        fetch(portal.answers("/a", Reply(302)))


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        ("https://evil.org/m", "DPSS_ALLOWED_HOSTS"),
        ("//evil.org/m", "only https on port 443"),
        ("http://files.example.org/m", "only https"),
        ("https://files.example.org@evil.org/m", "user name"),
        ("https://169.254.169.254/latest/meta-data", "by their names"),
        ("https://169.254.170.2/v2/credentials", "by their names"),
        ("file:///etc/passwd", "only https"),
        ("https://[bad/m", "IPv6"),
    ],
)
def test_a_redirect_to_a_forbidden_address_is_refused(
    fetch: Fetcher, portal: Portal, location: str, complaint: str
) -> None:
    with pytest.raises(AccessDeniedError, match=complaint):
        fetch(portal.answers("/m", redirect(location)))
    assert set(fetch.looked_up) == {ADDRESS}
    assert len(portal.asked) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_to_loopback_connects_to_nobody(fetch: Fetcher, portal: Portal, scheme: str) -> None:
    with listening() as other:
        port = other.getsockname()[1]
        with pytest.raises(AccessDeniedError, match="only https on port 443"):
            fetch(portal.answers("/m", redirect(f"{scheme}://{ADDRESS}:{port}/m")))
        with pytest.raises(AccessDeniedError, match="only https on port 443"):
            fetch(f"{scheme}://{ADDRESS}:{port}/m")
        assert was_left_alone(other)


@pytest.mark.parametrize("address", [ADDRESS, "::1", "169.254.169.254", "10.0.0.1", "fd00::1"])
def test_an_allowed_name_that_leads_inside_is_refused(fetch: Fetcher, portal: Portal, address: str) -> None:
    fetch.names["files.example.org"] = ["1.1.1.1", address]
    for uri in ("https://files.example.org/m", portal.answers("/m", redirect("https://files.example.org/m"))):
        with pytest.raises(AccessDeniedError, match=f"is at {address}, which is no public address"):
            fetch(uri)


def test_a_refusal_shows_no_more_of_an_address_than_fits_a_line(fetch: Fetcher) -> None:
    with pytest.raises(AccessDeniedError) as refusal:
        fetch("https://evil.org/" + "x" * 2_000)
    assert "x" * 200 not in str(refusal.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, MatrixNotFoundError),
        (410, MatrixNotFoundError),
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (400, SourceUnavailableError),
        (204, SourceUnavailableError),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(
    fetch: Fetcher, portal: Portal, status: int, error: type[SummaryStatsError]
) -> None:
    with pytest.raises(error, match=f"answered {status}"):
        fetch(portal.answers("/m", Reply(status)))
    assert len(portal.asked) == 1


def test_a_busy_portal_is_asked_again_when_it_says_so(fetch: Fetcher, portal: Portal) -> None:
    busy = [Reply(429, {"Retry-After": "30"}), Reply(503, {"Retry-After": "10"}), Reply(500)]
    assert fetch(portal.answers("/m", *busy, file(BODY))).sha256 == SHA256
    assert fetch.pauses[:2] == [30, 10]
    assert fetch.pauses[2] < 10


@pytest.mark.parametrize(
    ("reply", "tries"), [(Reply(503), TRIES), (file(BODY, "", 100), 1 + TRIES)], ids=["busy", "cut at the same place"]
)
def test_what_keeps_failing_is_given_up_for_now(
    fetch: Fetcher, portal: Portal, reply: Reply | Script, tries: int
) -> None:
    with pytest.raises(SourceUnavailableError, match=f"gave up after {TRIES} tries in vain"):
        fetch(portal.answers("/m", reply))
    assert len(portal.asked) == tries


def test_a_portal_that_is_not_there_is_given_up_for_now(fetch: Fetcher, portal: Portal) -> None:
    with listening() as server:
        portal.url = f"http://{ADDRESS}:{server.getsockname()[1]}"
    with pytest.raises(SourceUnavailableError, match="refused"):
        fetch(portal.url + "/m")


def test_a_cut_file_is_resumed_where_it_broke_off(fetch: Fetcher, portal: Portal) -> None:
    cuts = [file(BODY, sent=100), file(BODY, sent=1_500_000)]
    portal.answers("/store", *cuts, file(BODY))
    uri = portal.answers("/m", redirect("/store"))
    assert fetch(uri).path.read_bytes() == BODY
    stored = [request.headers for request in portal.asked if request.path == "/store"]
    assert [headers.get("Range") for headers in stored] == [None, "bytes=100-", "bytes=1500100-"]
    assert [headers.get("If-Range") for headers in stored] == [None, '"one"', '"one"']
    assert len(fetch.pauses) == 2


@pytest.mark.parametrize("etag_holds", [True, False], ids=["condition kept", "condition forgotten"])
def test_a_file_that_was_replaced_meanwhile_starts_anew(fetch: Fetcher, portal: Portal, etag_holds: bool) -> None:  # noqa: FBT001 - a parameter of the case
    newer = file(BODY[::-1], '"two"', etag_holds=etag_holds)
    landed = fetch(portal.answers("/m", file(BODY, sent=100), newer))
    assert landed.path.read_bytes() == BODY[::-1]
    assert landed.etag == "two"


@pytest.mark.parametrize(
    ("place", "start"),
    [
        ("", 100),
        ("bytes 0-3071999/3072000", 0),
        ("bytes 100-3071999/9999999", 100),
        ("bytes 100-200/3072000", 100),
        ("bytes 100-3071999/3072000", 0),
    ],
)
def test_a_part_that_is_not_the_rest_is_not_glued_on(fetch: Fetcher, portal: Portal, place: str, start: int) -> None:
    wrong = Reply(206, {"ETag": '"one"', "Content-Range": place}, BODY[start:])
    landed = fetch(portal.answers("/m", file(BODY, sent=100), wrong, file(BODY)))
    assert landed.sha256 == SHA256
    assert fetch.ranges() == [None, "bytes=100-", None]


def test_a_whole_answer_is_not_taken_for_a_part(fetch: Fetcher, portal: Portal) -> None:
    whole = Reply(200, {"ETag": '"one"', "Content-Range": "bytes 100-3071999/3072000"}, BODY[100:])
    assert fetch(portal.answers("/m", file(BODY, sent=100), whole)).path.read_bytes() == BODY[100:]


def test_a_part_that_was_not_asked_for_is_not_taken(fetch: Fetcher, portal: Portal) -> None:
    part = Reply(206, {"ETag": '"one"', "Content-Range": "bytes 0-99/3072000"}, BODY[:100])
    assert fetch(portal.answers("/m", part, file(BODY))).sha256 == SHA256


def test_a_file_that_shrank_starts_anew(fetch: Fetcher, portal: Portal) -> None:
    small = file(b"small", '"two"')
    landed = fetch(portal.answers("/m", file(BODY, sent=100), Reply(416), small))
    assert landed.path.read_bytes() == b"small"


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_a_cut_file_whose_version_cannot_be_told_starts_anew(fetch: Fetcher, portal: Portal, etag: str) -> None:
    landed = fetch(portal.answers("/m", file(BODY, etag, sent=100), file(BODY, etag)))
    assert landed.sha256 == SHA256
    assert fetch.ranges() == [None, None]
    assert landed.etag == ("weak" if etag else None)


def test_a_server_that_knows_no_ranges_starts_from_zero(fetch: Fetcher, portal: Portal) -> None:
    whole = Reply(200, {"ETag": '"one"'}, BODY)
    assert fetch(portal.answers("/m", file(BODY, sent=100), whole)).sha256 == SHA256


@pytest.mark.parametrize("place", ["/a b", "/\u00e4"])
def test_a_place_that_is_not_percent_encoded_is_asked_as_browsers_do(
    fetch: Fetcher, portal: Portal, place: str
) -> None:
    portal.answers(quote(place, encoding="latin-1"), file(BODY))
    assert fetch(portal.answers("/m", redirect(place))).sha256 == SHA256


def test_a_wrong_sha256_is_read_once_more(fetch: Fetcher, portal: Portal) -> None:
    assert fetch(portal.answers("/m", file(b"wrong"), file(BODY)), SHA256.upper()).path.read_bytes() == BODY


def test_a_sha256_that_stays_wrong_is_explained(fetch: Fetcher, portal: Portal) -> None:
    with pytest.raises(CorruptMatrixError, match=f"not {SHA256} as the message's version says"):
        fetch(portal.answers("/m", file(b"wrong")), SHA256)
    assert len(portal.asked) == 2
    with pytest.raises(SourceUnavailableError, match=f"not {SHA256} as the message's version says"):
        fetch(portal.answers("/n", file(b"wrong"), file(b"wrong in another way")), SHA256)


def test_a_file_that_is_cut_again_and_again_is_read_as_long_as_some_of_it_comes(fetch: Fetcher, portal: Portal) -> None:
    cuts = [file(BODY, sent=len(BODY) // (2 * TRIES))] * 2 * TRIES
    assert fetch(portal.answers("/m", *cuts, file(BODY))).sha256 == SHA256


def test_a_version_that_is_no_sha256_is_not_compared(fetch: Fetcher, portal: Portal) -> None:
    assert fetch(portal.answers("/m", file(BODY)), "d911082e-b5e2-40e6-8f08-fb53c7894622").sha256 == SHA256


def test_a_content_encoding_is_not_undone(fetch: Fetcher, portal: Portal) -> None:
    reply = Reply(200, {"Content-Encoding": "gzip"}, BODY)
    assert fetch(portal.answers("/m.gz", reply)).path.read_bytes() == BODY


def test_a_file_of_unknown_length_is_refused(fetch: Fetcher, portal: Portal) -> None:
    with pytest.raises(SourceUnavailableError, match="does not say how long"):
        fetch(portal.answers("/m", Reply(200, {}, BODY, says_length=False)))


def test_a_file_without_room_is_refused_before_it_is_read(fetch: Fetcher, portal: Portal) -> None:
    vast = Reply(200, {"Content-Length": str(10**18)}, b"", says_length=False)
    with pytest.raises(ScratchFullError, match="DPSS_SCRATCH_DIR"):
        fetch(portal.answers("/m", vast))


def test_more_than_was_announced_is_not_read(fetch: Fetcher, portal: Portal) -> None:
    longer = Reply(200, {"Content-Length": "100"}, BODY, says_length=False)
    assert fetch(portal.answers("/m", longer)).path.read_bytes() == BODY[:100]


def _certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for ``name`` and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a portal of the tests")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(ADDRESS))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Fetcher]:
    """A portal with TLS under a name, which nobody's certificate vouches for."""
    certificate = _certificate(tmp_path, "portal.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    folder = tmp_path / "input"
    folder.mkdir()
    with serving(context, "portal.test") as portal:
        yield Fetcher(folder, portal, {"portal.test": [ADDRESS], "other.test": [ADDRESS]})


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: Fetcher) -> None:
    with pytest.raises(SourceUnavailableError, match="bad certificate: self-signed"):
        secure(secure.portal.answers("/m", file(BODY)))
    assert not secure.portal.asked
    assert not secure.pauses


@pytest.fixture
def trusted(secure: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    """The same portal, its certificate among those that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "portal.test.pem"))
    return secure


def test_the_address_that_was_looked_at_is_asked_by_its_name(trusted: Fetcher) -> None:
    assert trusted(trusted.portal.answers("/m", file(BODY))).sha256 == SHA256
    assert trusted.looked_up == ["portal.test"]
    assert trusted.portal.asked[0].headers["Host"] == trusted.portal.url.removeprefix("https://")


def test_a_certificate_of_another_name_is_refused(trusted: Fetcher) -> None:
    trusted.portal.url = trusted.portal.url.replace("portal.test", "other.test")
    with pytest.raises(SourceUnavailableError, match="bad certificate: Hostname mismatch"):
        trusted(trusted.portal.answers("/m", file(BODY)))


def test_a_file_cut_under_tls_is_resumed(trusted: Fetcher) -> None:
    assert trusted(trusted.portal.answers("/m", file(BODY, sent=100), file(BODY))).path.read_bytes() == BODY
    assert trusted.ranges() == [None, "bytes=100-"]


def test_a_redirect_from_tls_to_none_is_refused(trusted: Fetcher) -> None:
    plain = trusted.portal.url.replace("https", "http") + "/m"
    with pytest.raises(AccessDeniedError, match="only https on port 443"):
        trusted(trusted.portal.answers("/m", redirect(plain)))


@pytest.mark.parametrize(("version", "expected"), [("the portal's own", "the portal's own"), (None, "one")])
def test_a_manifest_has_the_portals_version_or_else_the_etag(
    trusted: Fetcher, s3: S3Client, version: str | None, expected: str
) -> None:
    matrix = MatrixReference(uri=trusted.portal.answers("/m", file(BODY)), version=version, species="homo_sapiens")
    known = fetch_matrix(matrix, trusted.folder, s3, trusted.client()).input
    assert (known.uri, known.version, known.sha256, known.size_bytes) == (matrix.uri, expected, SHA256, len(BODY))


def test_a_manifest_has_the_etag_of_what_lies_in_s3(fetch: Fetcher, s3: S3Client, stack: Stack) -> None:
    put = s3.put_object(Bucket=stack.matrix_bucket, Key="m", Body=BODY)
    matrix = MatrixReference(uri=f"s3://{stack.matrix_bucket}/m", version="an older one")
    known = fetch_matrix(matrix, fetch.folder, s3, fetch.client()).input
    assert (known.version, known.sha256) == (put["ETag"].strip('"'), SHA256)


def test_what_lies_in_a_portals_mirror_keeps_the_portals_version(fetch: Fetcher, s3: S3Client, stack: Stack) -> None:
    s3.put_object(Bucket=stack.matrix_bucket, Key="file/m", Body=BODY)
    version = file_version("u", "2021", SHA256)
    matrix = MatrixReference(uri=f"s3://{stack.matrix_bucket}/file/m", version=version)
    assert fetch_matrix(matrix, fetch.folder, s3, fetch.client()).input.version == version


def test_what_lies_in_a_mirror_and_promises_no_content_keeps_the_portals_version_too(
    fetch: Fetcher, s3: S3Client, stack: Stack
) -> None:
    s3.put_object(Bucket=stack.matrix_bucket, Key="file/m", Body=BODY)
    version = file_version("00000001-0000-4000-8000-000000000001", "2021", None)
    matrix = MatrixReference(uri=f"s3://{stack.matrix_bucket}/file/m", version=version)
    assert fetch_matrix(matrix, fetch.folder, s3, fetch.client()).input.version == version


def test_what_lies_in_a_mirror_and_is_something_else_is_refused(fetch: Fetcher, s3: S3Client, stack: Stack) -> None:
    s3.put_object(Bucket=stack.matrix_bucket, Key="file/m", Body=b"other")
    uri = f"s3://{stack.matrix_bucket}/file/m"
    matrix = MatrixReference(uri=uri, version=file_version("u", "2021", SHA256))
    with pytest.raises(CorruptMatrixError, match=f"{uri}: it has sha256 [0-9a-f]{{64}}, not {SHA256}"):
        fetch_matrix(matrix, fetch.folder, s3, fetch.client())


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("https://p.example.org/repository/files/u?version=1&fileName=matrix.mtx.gz", "p.example.org/matrix.mtx.gz"),
        ("https://p.example.org/repository/files/u?version=1", "p.example.org/repository/files/u"),
        ("https://p.example.org/f/u?fileName=../../x", "p.example.org/f/u"),
        ("https://p.example.org/f/u?fileName=", "p.example.org/f/u"),
        ("s3://bucket/folder/matrix.mtx.gz?fileName=x", "s3://bucket/folder/matrix.mtx.gz?fileName=x"),
    ],
)
def test_a_file_is_called_as_its_portal_calls_it(uri: str, place: str) -> None:
    assert named_place(uri) == place
