"""Names of runs."""

from hypothesis import given
from hypothesis import strategies as st

from producer import run_id


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1))
def test_runs_sort_by_their_time(one: int, other: int) -> None:
    first, second = run_id.new(one), run_id.new(other)
    assert (first[:10] < second[:10]) == (one < other)


def test_an_id_is_a_ulid_of_now_and_no_other_is_equal() -> None:
    ids = {run_id.new() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(len(each) == 26 and set(each) <= set(run_id.ALPHABET) for each in ids)
    # the instant in the ULID specification's own example
    assert run_id.new(1_469_918_176_385).startswith("01ARYZ6S41")
