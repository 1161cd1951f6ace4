"""The model of queue, policies and workers: what it promises whatever the scenario."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.simulation.autoscaler import DELAY_PERIODS, PERIOD_SECONDS, Autoscaler
from infra.simulation.fleet import DAY, GRACE_SECONDS, START_SECONDS, Fleet, Outcome, Scenario
from infra.simulation.policy import Policy
from infra.simulation.prices import LEAST_SECONDS, TaskPrice
from infra.simulation.report import picture, table
from infra.simulation.scenarios import DAYS, RUN_AT, Day, run_of, shown, span
from infra.simulation.workload import SIZES, drawn, durations, mean_seconds_2019, seconds_2019

ROOT = Path(__file__).parents[2]
POLICY = Policy.of_terraform()
HOUR = 3_600.0


def simulated(
    scenario: Scenario, policy: Policy = POLICY, *, seed: int = 0, seconds: float = DAY, protection: bool = True
) -> Outcome:
    random = np.random.default_rng(seed)
    times = durations(drawn(scenario.projects, random), random)
    return Fleet(policy, scenario, times, random, protection=protection).run(seconds)


def test_the_numbers_are_those_of_the_terraform(tmp_path: Path) -> None:
    variables, scaling = ((ROOT / "infra" / name).read_text() for name in ("variables.tf", "scaling.tf"))
    (tmp_path / "variables.tf").write_text(variables.replace("default     = 100\n", "default     = 7\n"))
    (tmp_path / "scaling.tf").write_text(scaling.replace("wake_periods = 5\n", "wake_periods = 6\n"))

    changed = Policy.of_terraform(tmp_path)

    assert (POLICY.worker_max_tasks, changed.worker_max_tasks) == (100, 7)
    assert changed == replace(POLICY, worker_max_tasks=7, wake_periods=POLICY.wake_periods + 1)


def test_a_variable_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text("")
    (tmp_path / "scaling.tf").write_text("")

    with pytest.raises(KeyError, match="worker_min_tasks"):
        Policy.of_terraform(tmp_path)


def test_the_run_and_the_grace_are_those_of_the_terraform() -> None:
    assert f'"cron(0 {RUN_AT // HOUR:.0f} ' in (ROOT / "infra" / "variables.tf").read_text()
    assert f"grace_seconds = {GRACE_SECONDS:.0f}\n" in (ROOT / "infra" / "worker.tf").read_text()


def test_a_count_of_messages_in_flight_that_sqs_leaves_out_is_none_in_flight() -> None:
    terraform = "".join(path.read_text() for path in (ROOT / "infra").glob("*.tf"))
    expressions = re.findall(r'expression += "(.*\bin_flight\b.*)"', terraform)

    assert len(expressions) >= 3
    assert [each for each in expressions if "in_flight" in each.replace("FILL(in_flight, 0)", "")] == []


@pytest.mark.parametrize(
    ("backlog", "tasks"), [(1, 1), (30, 1), (31, 2), (60, 2), (61, 4), (1_920, 64), (1_921, 100), (10**6, 100)]
)
def test_as_many_workers_are_woken_as_the_backlog_wants(backlog: int, tasks: int) -> None:
    assert POLICY.woken(backlog) == tasks


def test_one_message_wakes_the_fleet_from_zero() -> None:
    outcome = simulated(Scenario(1, at=HOUR))

    assert outcome.done == outcome.most_tasks == 1
    assert outcome.first_task is not None
    assert outcome.first_task <= (DELAY_PERIODS + 1) * PERIOD_SECONDS + START_SECONDS[1]


def test_the_days_begin_when_cloudwatch_has_just_looked_so_that_none_is_shown_at_its_best() -> None:
    just_before, just_after = simulated(Scenario(1, at=HOUR)).first_task, simulated(Scenario(1, at=HOUR + 1)).first_task

    assert just_before is not None
    assert just_after is not None
    assert just_after - just_before == PERIOD_SECONDS - 1
    assert {day.scenario.at % PERIOD_SECONDS for day in DAYS} == {1}


def test_one_message_wakes_it_though_the_queues_metrics_are_late() -> None:
    assert simulated(Scenario(1, at=HOUR, quiet=True)).done == 1


def test_a_run_wakes_it_at_once_though_the_queues_metrics_are_late() -> None:
    by_run, by_hand = simulated(run_of(100)), simulated(replace(run_of(100), by_run=False))

    assert by_run.first_task is not None
    assert by_hand.first_task is not None
    assert by_run.first_task < 5 * 60 < 15 * 60 < by_hand.first_task


def test_without_a_message_no_worker_ever_starts() -> None:
    outcome = simulated(Scenario(0))

    assert (outcome.most_tasks, outcome.cost) == (0, 0.0)


def test_the_fleet_returns_to_zero_and_costs_nothing_from_then_on() -> None:
    outcome = simulated(Scenario(500, at=HOUR))

    assert outcome.drained is not None
    assert outcome.asleep is not None
    assert outcome.asleep >= outcome.drained + (POLICY.sleep_after_minutes - 1) * PERIOD_SECONDS
    assert (outcome.minutes[-1].tasks, outcome.idle_cost) == (0, 0.0)


@pytest.mark.parametrize("awake", [{"worker_min_tasks": 1}, {"sleep_after_minutes": 60}])
def test_a_fleet_that_stays_awake_with_nothing_to_do_is_seen_to_cost(awake: dict[str, int]) -> None:
    outcome = simulated(Scenario(50, at=HOUR), replace(POLICY, **awake))

    assert 0 < outcome.idle_cost < outcome.cost


def test_one_message_in_flight_keeps_a_worker() -> None:
    times = np.array([6 * HOUR])

    outcome = Fleet(POLICY, Scenario(1), times, np.random.default_rng(0)).run()

    at_work = [minute for minute in outcome.minutes if 3 * 60 <= minute.at <= 6 * HOUR]
    assert {(minute.backlog, minute.tasks) for minute in at_work} == {(1, 1)}
    assert outcome.done == 1


@settings(deadline=None)
@given(
    projects=st.integers(0, 2_000),
    per_second=st.sampled_from([0.2, 5.0, math.inf]),
    spot=st.sampled_from([0, 80, 100]),
    limit=st.integers(1, 120),
    seconds=st.floats(HOUR, DAY),
    seed=st.integers(0, 99),
)
def test_no_message_is_lost_and_no_busy_worker_is_stopped_by_scaling(
    projects: int, per_second: float, spot: int, limit: int, seconds: float, seed: int
) -> None:
    policy = replace(POLICY, worker_spot_percent=spot, worker_max_tasks=limit)
    scenario = Scenario(projects, at=600.0, per_second=per_second)

    outcome = simulated(scenario, policy, seed=seed, seconds=seconds)

    assert outcome.busy_killed == 0
    assert outcome.done + outcome.left == scenario.sent(outcome.minutes[-1].at)


def test_without_protection_scaling_stops_busy_workers() -> None:
    """Else the model could not show that protection matters."""
    slow = replace(POLICY, project_seconds=1)
    scenario = Scenario(3_000, per_second=0.4)

    assert simulated(scenario, slow, protection=False).busy_killed > 0
    assert simulated(scenario, slow).busy_killed == 0


def test_what_spot_interrupts_is_done_by_another() -> None:
    policy = replace(POLICY, worker_spot_percent=100, worker_on_demand_base=0)
    times = np.full(60, 0.5 * HOUR)

    outcome = Fleet(policy, Scenario(60), times, np.random.default_rng(3)).run()

    assert outcome.interrupted > 0
    assert outcome.released > 0
    assert outcome.done == 60


def test_the_limits_hold() -> None:
    outcome = simulated(Scenario(5_000), replace(POLICY, worker_max_tasks=20, worker_spot_percent=0))

    assert outcome.most_tasks == 20


def test_the_least_is_kept_when_there_is_nothing_to_do() -> None:
    outcome = simulated(Scenario(50, at=HOUR), replace(POLICY, worker_min_tasks=2, worker_spot_percent=0))

    assert outcome.minutes[-1].tasks == 2


def test_tracking_adds_workers_after_three_minutes_and_takes_them_away_after_fifteen() -> None:
    scaler = Autoscaler(replace(POLICY, worker_min_tasks=1))
    many, few = 3 * POLICY.backlog_per_task, 3

    assert [scaler.minute(60.0 * minute, many) for minute in range(9)] == [1] * 3 + [3] * 6
    assert [scaler.minute(60.0 * minute, few) for minute in range(9, 30)] == [3] * 15 + [1] * 6


def test_a_worker_with_two_slots_is_wanted_for_twice_the_messages() -> None:
    assert replace(POLICY, worker_slots=2).backlog_per_task == 2 * POLICY.backlog_per_task


def test_workers_of_several_slots_are_refused_rather_than_shown_as_if_they_had_one() -> None:
    with pytest.raises(ValueError, match="worker_slots is 2"):
        simulated(Scenario(1), replace(POLICY, worker_slots=2))


def test_the_last_datapoint_without_a_worker_takes_back_none_that_was_woken() -> None:
    scaler = Autoscaler(POLICY)
    scaler.minute(0.0, 3_000)

    assert [scaler.minute(60.0, 10), scaler.minute(120.0, 10)] == [100, 100]


def test_target_tracking_rests_while_the_queues_metrics_are_late() -> None:
    scaler = Autoscaler(POLICY)
    scaler.minute(0.0, 0, enqueued=3_000)
    woken = scaler.minute(60.0, None)

    assert {scaler.minute(minute * 60.0, None) for minute in range(2, 40)} == {woken} == {100}


def test_a_short_task_costs_a_minute_and_spot_costs_less() -> None:
    price = TaskPrice.of(vcpu=2, memory_gb=4)

    assert price.cost(1, spot=False) == price.cost(LEAST_SECONDS, spot=False) == pytest.approx(60 * price.on_demand)
    assert price.on_demand == pytest.approx((2 * 0.04048 + 4 * 0.004445 + 0.005) / 3_600)
    assert price.cost(600, spot=True) < price.cost(600, spot=False) / 2


def test_projects_are_of_the_sizes_that_are_assumed() -> None:
    random = np.random.default_rng(0)
    classes = drawn(100_000, random)
    times = durations(classes, random)
    typical = [size.seconds + size.file_bytes / 100e6 + 1 for size in SIZES]

    assert sum(size.share for size in SIZES) == pytest.approx(1)
    assert times.mean() == pytest.approx(sum(s.share * t for s, t in zip(SIZES, typical, strict=True)), rel=0.02)
    assert seconds_2019(classes) == pytest.approx(100_000 * mean_seconds_2019(), rel=0.02)


def test_the_2019_design_is_given_the_same_projects() -> None:
    one = shown(Day("one", Scenario(1)), POLICY)

    assert one.seconds_2019 in {size.seconds_2019 or 0.0 for size in SIZES}


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "\N{EN DASH}"), (45, "45 s"), (119, "119 s"), (180, "3.0 min"), (7_200, "2.0 h")]
)
def test_times_are_told_for_people(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_the_table_has_a_line_for_each_day_and_the_picture_is_small(tmp_path: Path) -> None:
    days = [shown(Day("100 are due", run_of(100)), POLICY)]

    picture(days, tmp_path / "days.png")

    assert table(days).count("\n| 100 are due |") == 1
    assert 0 < (tmp_path / "days.png").stat().st_size < 250_000


def test_the_readme_tells_what_the_simulation_shows_now() -> None:
    """Of the days that take a moment; `make simulate` prints all."""
    readme = (ROOT / "README.md").read_text()
    days = [shown(day, POLICY) for day in DAYS if day.scenario.projects <= 10_000]

    assert [line for line in table(days).splitlines() if line not in readme] == []
