"""Which projects are due, decided without any AWS."""

from datetime import UTC, datetime

import pytest

from producer.listing import Listing
from producer.plan import Decision, Plan, Request, decisions
from producer.published import Published
from producer.sources.project import Candidate, Project, Unusable
from shared import manifest
from shared.errors import AccessDeniedError, SourceUnavailableError
from shared.manifest import FailureRecord
from shared.messages import MAX_MATRICES, MatrixReference

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _project(project_id: str = "p1", version: str | None = "v1") -> Project:
    return Project(project_id, (MatrixReference(uri=f"s3://bucket/{project_id}.h5ad", version=version),))


def _request(*, force: bool = False) -> Request:
    return Request("canned", "run", "schedule", NOON, force)


def _failure(fingerprint: str) -> FailureRecord:
    return FailureRecord(
        fingerprint=fingerprint, reason="corrupt_matrix", error="cut short", stage="read", failed_at=NOON
    )


def _decided(
    plan: Plan,
    *candidates: Candidate,
    published: Published | Exception = Published(),  # noqa: B008 - immutable
) -> list[Decision]:
    def read(_project_id: str, _fingerprint: str) -> Published:
        if isinstance(published, Exception):
            raise published
        return published

    return list(decisions(Listing(candidates, plan.targets), plan, read, "unusable"))


def test_what_was_never_published_is_due_with_its_message() -> None:
    (decision,) = _decided(Plan(_request()), _project())
    assert decision.outcome == "due"
    assert decision.message is not None
    assert decision.message.model_dump() == {
        "schema_version": 1,
        "project_id": "p1",
        "source": "canned",
        "matrices": (_project().matrices[0].model_dump(),),
        "run_id": "run",
        "requested_by": "schedule",
        "requested_at": NOON,
        "force": False,
        "choice": (),
    }


def test_equal_fingerprints_mean_up_to_date_even_beside_an_old_failure() -> None:
    same = manifest.fingerprint(_project().matrices)
    (decision,) = _decided(Plan(_request()), _project(), published=Published(same, _failure(same)))
    assert decision.outcome == "up_to_date"


def test_a_changed_matrix_is_due_again() -> None:
    old = manifest.fingerprint(_project(version="v0").matrices)
    (decision,) = _decided(Plan(_request()), _project(), published=Published(old, _failure(old)))
    assert decision.outcome == "due"


@pytest.mark.parametrize(("address", "outcome"), [("s3://bucket/p1.h5ad", "unusable"), ("s3://moved/p1.h5ad", "due")])
def test_what_failed_for_its_address_is_due_once_that_changes(address: str, outcome: str) -> None:
    record = _failure(manifest.fingerprint(_project().matrices)).model_copy(update={"addresses": (address,)})
    (decision,) = _decided(Plan(_request()), _project(), published=Published(None, record))
    assert decision.outcome == outcome


def test_what_failed_before_with_the_same_inputs_is_unusable_and_says_why() -> None:
    same = manifest.fingerprint(_project().matrices)
    (decision,) = _decided(Plan(_request()), _project(), published=Published(None, _failure(same)))
    assert (decision.outcome, decision.code) == ("unusable", "corrupt_matrix")
    assert decision.reason == "failed before: corrupt_matrix (cut short); --force sends it again"


def test_force_sends_without_looking_but_not_what_is_blacklisted() -> None:
    plan = Plan(_request(force=True), blacklist=frozenset({"p2"}))
    forced, blacklisted = _decided(plan, _project(), _project("p2"), published=AssertionError("was read"))
    assert forced.outcome == "due"
    assert forced.message is not None
    assert forced.message.force
    assert blacklisted.outcome == "blacklisted"


def test_a_matrix_of_unknown_version_is_never_up_to_date() -> None:
    (decision,) = _decided(Plan(_request()), _project(version=None), published=AssertionError("was read"))
    assert decision.outcome == "due"


def test_a_target_leaves_the_others_out_before_the_blacklist_is_asked() -> None:
    plan = Plan(_request(), frozenset({"p1", "gone"}), frozenset({"p2"}))
    found = _decided(plan, _project(), _project("p2"), Unusable("p3.pdf", "unsupported_format", "no matrix"))
    assert [(each.project_id, each.outcome) for each in found] == [
        ("p1", "due"),
        ("p2", "not_targeted"),
        ("p3", "not_targeted"),
        ("gone", "unusable"),
    ]
    assert found[-1].reason == "no matrix found"


def test_an_unusable_name_is_told_with_its_reason() -> None:
    (decision,) = _decided(Plan(_request()), Unusable("p1.pdf", "unsupported_format", "no matrix"))
    assert decision == Decision("p1.pdf", "unusable", "unsupported_format", "no matrix")


def test_a_project_whose_published_state_cannot_be_read_fails_alone() -> None:
    (decision,) = _decided(Plan(_request()), _project(), published=AccessDeniedError("reading: access denied"))
    assert (decision.outcome, decision.code) == ("failed", "access_denied")


@pytest.mark.parametrize(
    ("matrices", "reason"),
    [
        (
            tuple(MatrixReference(uri=f"s3://bucket/{number}", version="v") for number in range(MAX_MATRICES + 1)),
            "more than 1,000 matrices",
        ),
        (
            tuple(MatrixReference(uri=f"s3://bucket/{'x' * 1_500}{number}") for number in range(MAX_MATRICES)),
            "SQS takes 1,048,576",
        ),
    ],
)
def test_a_project_that_no_message_can_hold_is_unusable(matrices: tuple[MatrixReference, ...], reason: str) -> None:
    (decision,) = _decided(Plan(_request()), Project("p1", matrices))
    assert decision.outcome == "unusable"
    assert reason in decision.reason


def test_a_listing_that_breaks_keeps_what_came_before_and_names_nothing_as_lacking() -> None:
    def broken() -> "list[Candidate]":
        raise SourceUnavailableError("page 2")

    listing = Listing((candidate for part in (lambda: [_project()], broken) for candidate in part()), {"p1", "p9"})
    plan = Plan(_request(), frozenset({"p1", "p9"}))
    found = list(decisions(listing, plan, lambda _id, _fingerprint: Published(), "failed"))
    assert [(each.project_id, each.outcome) for each in found] == [("p1", "due")]
    assert str(listing.error) == "page 2"
