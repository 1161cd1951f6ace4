"""Which addresses a worker asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import WorkerSettings
from worker.addresses import AllowedPlaces, Place, is_public

ALLOWED = AllowedPlaces("http://127.0.0.1:8080/base", ("data.example.org", ".store.example.org"))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://data.example.org/a/b?c=d#e", Place("https", "data.example.org", 443, "/a/b?c=d", portal=False)),
        ("HTTPS://DATA.example.org:443", Place("https", "data.example.org", 443, "/", portal=False)),
        ("https://eu.b.store.example.org/x", Place("https", "eu.b.store.example.org", 443, "/x", portal=False)),
        ("http://127.0.0.1:8080/other", Place("http", "127.0.0.1", 8080, "/other", portal=True)),
    ],
)
def test_a_listed_host_is_asked_over_tls_and_the_portal_as_it_is_set(url: str, place: Place) -> None:
    assert ALLOWED.place(url) == place


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://evil.org/", "evil.org is no allowed host.*DPSS_ALLOWED_HOSTS"),
        ("https://example.org/", "no allowed host"),
        ("https://xdata.example.org/", "no allowed host"),
        ("https://store.example.org/", "no allowed host"),
        ("https://xstore.example.org/", "no allowed host"),
        ("https://data.example.org.evil.org/", "no allowed host"),
        ("https://data.example.org./", "only hosts by their names"),
        ("https://evil.org\\.store.example.org/", "only hosts by their names"),
        ("https://x%2estore.example.org/", "only hosts by their names"),
        ("https://data.example.org@evil.org/", "user name"),
        ("https://evil.org@data.example.org/", "user name"),
        ("https://data.example.org:8443/", "only https on port 443"),
        ("https://data.example.org:0/", "only https on port 443"),
        ("https://data.example.org:99999/", "[Pp]ort"),
        ("http://data.example.org/", "only https on port 443"),
        ("http://data.example.org:443/", "only https on port 443"),
        ("ftp://data.example.org/", "only https on port 443"),
        ("file:///etc/passwd", "only https on port 443"),
        ("//data.example.org/", "only https on port 443"),
        ("https://127.0.0.1:8080/", "only https on port 443"),
        ("http://127.0.0.1:8081/", "only https on port 443"),
        ("https://127.0.0.1/", "by their names"),
        ("https://169.254.169.254/latest/meta-data", "by their names"),
        ("https://2130706433/", "by their names"),
        ("https://0x7f.0x1/", "by their names"),
        ("https://[::1]/", "by their names"),
        ("https://[::1/", "IPv6"),
        ("https://localhost/", "by their names"),
        ("https://dat\u00e4.example.org/", "printable ASCII"),
        ("https://data.example.org/a b", "printable ASCII"),
        ("https://data.example.org/\r\nHost: evil", "printable ASCII"),
        ("https:///matrix.h5ad", "by their names"),
        ("https://" + "a." * 200 + "store.example.org/", "by their names"),
    ],
)
def test_no_other_address_is_asked(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ALLOWED.place(url)


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]", "0x7f.1", "1.1.1.1"])
def test_a_numeric_address_is_refused_though_it_be_listed(literal: str) -> None:
    with pytest.raises(ValueError, match="by their names"):
        AllowedPlaces(hosts=(literal, literal.strip("[]"))).place(f"https://{literal}/")


@given(st.text())
def test_whatever_the_text_it_is_refused_or_leads_to_an_allowed_place(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}.store.example.org", f"https://data.example.org{text}"):
        try:
            place = ALLOWED.place(url)
        except ValueError:
            continue
        assert (place.scheme, place.port) == ("https", 443)
        assert place.host == "data.example.org" or place.host.endswith(".store.example.org")


@pytest.mark.parametrize("url", ["https://" + "e" * 3_000 + ".org/", "x" * 3_000 + "://data.example.org"])
def test_a_refusal_shows_no_more_of_an_address_than_fits_a_line(url: str) -> None:
    with pytest.raises(ValueError, match="is") as refusal:
        ALLOWED.place(url)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),  # noqa: S104
        *("169.254.169.254", "169.254.170.2", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%lo", "fc00::1"),
        *("fec0::1", "ff02::1", "fd00:ec2::254", "2002:7f00:1::", "2001:0:1::1", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "52.216.0.1", "::ffff:1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_an_address_outside_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://service.azul.data.humancellatlas.org/repository/files/d02f5b5a?catalog=dcp56&version=2025-01-30",
        "https://service.dev.singlecell.gi.ucsc.edu/repository/files/d02f5b5a",
        "https://storage.googleapis.com/datarepo-1234-bucket/x/matrix.loom?X-Goog-Signature=0",
        "https://humancellatlas.s3.amazonaws.com/file/789621de.sha256",
        "https://datasets.cellxgene.cziscience.com/d911082e.h5ad",
    ],
)
def test_the_portals_and_their_stores_are_allowed_by_default(url: str) -> None:
    assert AllowedPlaces(hosts=WorkerSettings.load({}).allowed_hosts).place(url).scheme == "https"


def test_the_buckets_of_others_are_not_allowed_by_default() -> None:
    with pytest.raises(ValueError, match="no allowed host"):
        AllowedPlaces(hosts=WorkerSettings.load({}).allowed_hosts).place("https://anybody.s3.amazonaws.com/x")
