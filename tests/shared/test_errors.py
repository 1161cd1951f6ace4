"""The tree of errors agrees with the contract."""

from shared.errors import BY_REASON, one_line

PERMANENT = {
    "invalid_message",
    "matrix_not_found",
    "access_denied",
    "unsupported_format",
    "corrupt_matrix",
    "no_raw_counts",
    "empty_matrix",
}
PASSING = {
    "out_of_memory",
    "timeout",
    "crashed",
    "scratch_full",
    "source_unavailable",
    "publish_failed",
    "internal_error",
}


def test_every_reason_of_the_contract_has_one_error_of_the_right_class() -> None:
    assert {reason for reason, error in BY_REASON.items() if not error.retried} == PERMANENT
    assert {reason for reason, error in BY_REASON.items() if error.retried} == PASSING


def test_one_line_is_printable_and_bounded() -> None:
    line = one_line("first\nsecond\x1b[31m\u202e" + "x" * 2_000)
    assert line.startswith("first second\\x1b[31m\\u202e")
    assert len(line) == 1024
    assert line.isprintable()
