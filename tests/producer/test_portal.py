"""A portal's JSON, over the wire: patience, politeness and its bounds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from producer.sources import portal as portals
from producer.sources.portal import PERIOD_SECONDS, REQUESTS, TRIES
from shared.errors import AccessDeniedError, SourceUnavailableError, SummaryStatsError
from tests.portals.azul import document
from tests.portals.scripted import Portal, Reply, listening, serving, was_left_alone


@pytest.fixture
def server() -> Iterator[Portal]:
    """What is asked."""
    with serving() as portal:
        yield portal


@dataclass
class Asking:
    """A client whose clock stands still but for its pauses, which are noted instead of slept."""

    server: Portal
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.portal = portals.Portal(self.server.url, sleep=self.pauses.append, clock=lambda: sum(self.pauses))


@pytest.fixture
def asking(server: Portal) -> Asking:
    """What is tested."""
    return Asking(server)


def test_a_document_is_asked_for_once_and_by_name(asking: Asking, server: Portal) -> None:
    server.answers("/index/catalogs?a=b+c", document({"x": 1}))
    assert asking.portal.get("/index/catalogs", a="b c") == {"x": 1}
    (request,) = server.asked
    assert request.headers["User-Agent"].startswith("data-portal-summary-stats/")
    assert "+https://" in request.headers["User-Agent"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_portal_is_asked_again_when_it_says(asking: Asking, server: Portal, status: int) -> None:
    server.answers("/x", Reply(status, {"Retry-After": "30"}), Reply(status, {"Retry-After": "10"}), document([]))
    assert asking.portal.get("/x") == []
    assert asking.pauses == [30, 10]


def test_pauses_grow_where_the_portal_names_none(asking: Asking, server: Portal) -> None:
    server.answers("/x", Reply(500))
    with pytest.raises(SourceUnavailableError, match=rf"/x: the portal answered 500; gave up after {TRIES} tries"):
        asking.portal.get("/x")
    assert len(server.asked) == TRIES
    assert len(asking.pauses) == TRIES - 1
    assert max(asking.pauses) <= 60


@pytest.mark.parametrize(
    "broken",
    [
        Reply(200, {}, b'{"hits": [1, 2, 3]}', sent=9),
        Reply(200, {}, b'{"hits": [1'),
        Reply(200, {}, b"<html>Bad gateway</html>"),
        Reply(200, {}, b"\xff\xfe\x00"),
        Reply(200, {}, b"[" * 200_000),
        Reply(200, {"Content-Encoding": "gzip"}, b"no gzip"),
    ],
    ids=["cut", "ends early", "html", "no text", "deep", "no gzip"],
)
def test_an_answer_that_is_cut_or_no_json_is_asked_for_again(asking: Asking, server: Portal, broken: Reply) -> None:
    server.answers("/x", broken, document({"whole": True}))
    assert asking.portal.get("/x") == {"whole": True}


@pytest.mark.parametrize(
    ("status", "error"),
    [(status, AccessDeniedError) for status in (401, 403)]
    + [(status, SourceUnavailableError) for status in (400, 302, 204, 404, 410)],
)
def test_an_answer_that_stays_is_told_at_once(
    asking: Asking, server: Portal, status: int, error: type[SummaryStatsError]
) -> None:
    server.answers("/x", Reply(status, {"Location": server.url + "/y"}))
    with pytest.raises(error, match=f"{server.url}/x: the portal answered {status}"):
        asking.portal.get("/x")
    assert len(server.asked) == 1


def test_a_document_may_be_looked_for_in_vain(asking: Asking, server: Portal) -> None:
    server.answers("/there", document({"x": 1}))
    assert asking.portal.find("/there") == {"x": 1}
    assert asking.portal.find("/not-there") is None
    with pytest.raises(SourceUnavailableError, match="/not-there: the portal answered 404; check DPSS_PORTAL_URL"):
        asking.portal.get("/not-there")


def test_no_address_but_the_portals_is_followed(asking: Asking, server: Portal) -> None:
    with listening() as elsewhere:
        port = elsewhere.getsockname()[1]
        for address in (
            f"http://127.0.0.1:{port}/x",
            server.url.replace("http:", "https:") + "/x",
            "file:///etc/hosts",
        ):
            with pytest.raises(SourceUnavailableError, match="not followed"):
                asking.portal.follow(address)
        assert was_left_alone(elsewhere)
    assert server.asked == []


def test_an_answer_without_end_is_not_read(asking: Asking, server: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portals, "MAX_ANSWER_BYTES", 1_000)
    server.answers("/x", Reply(200, {}, b"[" + b"1," * 1_000 + b"1]"))
    with pytest.raises(SourceUnavailableError, match="longer than 1,000 bytes"):
        asking.portal.get("/x")


def test_a_portal_that_is_not_there_is_unavailable(asking: Asking) -> None:
    with listening() as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}"
    portal = portals.Portal(address, sleep=asking.pauses.append)
    with pytest.raises(SourceUnavailableError, match=f"{address}/x.*refused"):
        portal.get("/x")


def test_requests_stay_below_the_portals_limit(asking: Asking, server: Portal) -> None:
    server.answers("/x", document(0))
    for _ in range(REQUESTS + 1):
        asking.portal.get("/x")
    assert asking.pauses == [PERIOD_SECONDS]
