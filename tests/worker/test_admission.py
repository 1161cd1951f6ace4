"""How many projects a worker takes at once, by slots and by memory."""

from worker.admission import Admission
from worker.limits import available_memory_mib

BUDGET_MIB = 4_000
ENDLESS_MIB = 10**9


def admission(
    slots: int = 4, ceiling: int | None = 1_000, budget: int | None = BUDGET_MIB, used: float = ENDLESS_MIB
) -> Admission:
    """By default other processes leave so much memory that only the budget counts."""
    return Admission(slots, ceiling, budget, lambda: used)


def test_there_is_room_for_as_many_as_there_are_free_slots() -> None:
    assert [admission(slots=3).room(in_hand) for in_hand in range(4)] == [3, 2, 1, 0]


def test_there_is_room_for_as_many_ceilings_as_fit_into_the_budget() -> None:
    assert [admission(ceiling=1_500).room(in_hand) for in_hand in range(3)] == [2, 1, 0]


def test_one_may_always_be_taken_and_no_second_beside_it_that_does_not_fit() -> None:
    too_large = admission(ceiling=BUDGET_MIB + 1)
    assert [too_large.room(in_hand) for in_hand in range(3)] == [1, 0, 0]


def test_memory_that_others_use_is_not_there() -> None:
    available = available_memory_mib()
    assert available
    scarce = admission(ceiling=int(0.4 * available), budget=ENDLESS_MIB, used=0)
    assert [scarce.room(in_hand) for in_hand in range(3)] == [2, 1, 0]


def test_memory_that_projects_in_hand_use_already_counts_as_theirs() -> None:
    available = available_memory_mib()
    assert available
    ceiling = int(0.6 * available)
    assert admission(ceiling=ceiling, budget=ENDLESS_MIB, used=0).room(1) == 0
    assert admission(ceiling=ceiling, budget=ENDLESS_MIB, used=ceiling).room(1) == 1


def test_without_a_limit_only_slots_count() -> None:
    assert admission(ceiling=None).room(0) == 4
    assert admission(budget=None).room(1) == 3
