"""What scaling and alarms make of metrics that come late, out of step, or not at all."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.simulation.policy import Policy
from tests.infra.metric_math import WORLDS, Series, World

INFRA = Path(__file__).parents[2] / "infra"
MINUTES = 10
NONE: Series = [None] * MINUTES
POLICY = Policy.of_terraform()

worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


def expressions(file: str, resource: str) -> dict[str, str]:
    """Id → expression, of one resource."""
    text = (INFRA / file).read_text()
    shared = dict(re.findall(r'^  (\w+) += "(.*)"$', text, re.MULTILINE))
    block = text.partition(f"resource {resource} {{\n")[2].partition("\n}\n")[0]
    found = re.findall(r'\bid += "(\w+)"\n(?: +label .*\n)? +expression += (?:"(.+)"|local\.(\w+))', block)
    return {name: written or shared[borrowed] for name, written, borrowed in found}


def result(world: World, of: dict[str, str], **metrics: Series) -> Series:
    """Of the last expression, which stands on those before it."""
    known = dict(metrics)
    for name, expression in of.items():
        known[name] = world.value(expression, known)
    return known[list(of)[-1]]


def steady(value: float, late: int = 0) -> Series:
    """The same in every minute, but for the last ones, which are not there yet."""
    return [value] * (MINUTES - late) + [None] * late


def since(minute: int, value: float, late: int = 0) -> Series:
    return [*[0.0] * minute, *[value] * (MINUTES - minute - late), *[None] * late]


def once(minute: int, value: float) -> Series:
    return [value if each == minute else None for each in range(MINUTES)]


def points(series: Series) -> Sequence[float]:
    return [point for point in series if point is not None]


def test_it_reckons_as_cloudwatch_documents() -> None:
    """The examples of the user guide: comparisons, and IF with a scalar and with a series."""
    world = WORLDS["as documented"]
    one, other = [30.0, 20.0, 0.0, 0.0], [20.0, None, 20.0, None]
    chosen: dict[str, Series] = {
        "metric1": [1.0, 1.0, 0.0, 0.0, None],
        "metric2": [30.0, None, 0.0, 0.0, 30.0],
        "metric3": [0.0, 0.0, 20.0, None, 20.0],
    }

    assert world.value("metric1 < metric2", {"metric1": one, "metric2": other}) == [0, 0, 1, 0]
    assert world.value("IF(metric1, metric2, metric3)", chosen) == [30, 0, 20, None, None]
    assert world.value("IF(metric1, 5, metric3)", chosen) == [5, 5, 20, None, None]
    assert world.value("metric2 / metric3", chosen) == [None, None, 0, None, 1.5]


WAKE = expressions("scaling.tf", '"aws_cloudwatch_metric_alarm" "wake"')


def wakes(world: World, **metrics: Series) -> bool:
    return any(point >= 1 for point in points(result(world, WAKE, **metrics)[-POLICY.wake_periods :]))


@worlds
@pytest.mark.parametrize("late", [0, 1, 2, 3])
@pytest.mark.parametrize("desired", [NONE, steady(0), steady(0, late=3)], ids=["no metric", "none", "none, late"])
def test_one_message_wakes_however_late_its_metric_is(world: World, late: int, desired: Series) -> None:
    visible, in_flight = since(5, 1, late), steady(0, late)

    assert wakes(world, visible=visible, in_flight=in_flight, enqueued=NONE, desired=desired)
    assert wakes(world, visible=visible, in_flight=NONE, enqueued=NONE, desired=desired)


@worlds
@pytest.mark.parametrize("desired", [NONE, steady(0, late=1)], ids=["no metric", "none"])
def test_a_run_wakes_though_nothing_is_known_of_the_queue(world: World, desired: Series) -> None:
    assert wakes(world, visible=NONE, in_flight=NONE, enqueued=once(7, 100), desired=desired)


@worlds
@pytest.mark.parametrize("late", [0, 1, 2, 3])
def test_nobody_is_woken_where_there_are_workers(world: World, late: int) -> None:
    """Else they would be set to a number that knows nothing of them."""
    for visible in (steady(100), steady(100, late=2), NONE):
        assert not wakes(world, visible=visible, in_flight=visible, enqueued=once(8, 9), desired=steady(4, late))


@worlds
def test_nobody_is_woken_for_nothing(world: World) -> None:
    assert not wakes(world, visible=steady(0), in_flight=steady(0), enqueued=once(8, 0), desired=steady(0))
    assert not wakes(world, visible=NONE, in_flight=NONE, enqueued=NONE, desired=NONE)


TRACK = expressions("scaling.tf", '"aws_appautoscaling_policy" "track"')


@worlds
@pytest.mark.parametrize(("queue_late", "tasks_late"), [(0, 0), (2, 0), (0, 2), (3, 1)])
def test_the_backlog_for_each_worker_is_true_though_metrics_are_out_of_step(
    world: World, queue_late: int, tasks_late: int
) -> None:
    found = result(world, TRACK, visible=steady(300, queue_late), in_flight=NONE, desired=steady(10, tasks_late))

    assert set(points(found)) == {30}


@worlds
def test_without_the_queues_metrics_or_the_services_nothing_is_tracked(world: World) -> None:
    assert points(result(world, TRACK, visible=NONE, in_flight=NONE, desired=steady(10))) == []
    assert points(result(world, TRACK, visible=steady(50), in_flight=steady(0), desired=NONE)) == []


@worlds
def test_an_empty_queue_is_not_tracked_down_to_zero_nor_up_from_there(world: World) -> None:
    working = result(world, TRACK, visible=steady(0), in_flight=steady(0), desired=steady(4))
    asleep = result(world, TRACK, visible=steady(0), in_flight=steady(0), desired=steady(0))

    assert set(points(working)) == {0.25}
    assert max(points(asleep)) <= 1 <= POLICY.backlog_per_task


SLEEP = expressions("scaling.tf", '"aws_cloudwatch_metric_alarm" "sleep"')


def sleeps(world: World, **metrics: Series) -> bool:
    """CloudWatch looks at the last datapoints that there are."""
    last = points(result(world, SLEEP, **metrics))[-POLICY.sleep_after_minutes :]
    return len(last) == POLICY.sleep_after_minutes and max(last) <= 0


@worlds
def test_the_fleet_sleeps_when_the_queue_is_known_to_be_empty(world: World) -> None:
    assert sleeps(world, visible=steady(0, late=2), in_flight=steady(0, late=2))
    assert sleeps(world, visible=steady(0, late=2), in_flight=NONE)


@worlds
def test_the_fleet_does_not_sleep_where_the_queue_is_not_known_to_be_empty(world: World) -> None:
    assert not sleeps(world, visible=NONE, in_flight=NONE)
    assert not sleeps(world, visible=steady(0), in_flight=steady(1, late=1))
    assert not sleeps(world, visible=since(8, 1), in_flight=steady(0))


FRUITLESS = expressions("observability.tf", '"aws_cloudwatch_metric_alarm" "no_publish"')


@worlds
def test_an_hour_with_work_is_fruitless_unless_something_was_published(world: World) -> None:
    work, idle = {"visible": steady(9), "in_flight": NONE}, {"visible": steady(0), "in_flight": NONE}

    assert set(result(world, FRUITLESS, **work, published=NONE)) == {1}
    assert result(world, FRUITLESS, **work, published=once(4, 2))[4] == 0
    assert set(result(world, FRUITLESS, **idle, published=NONE)) == {0}
    assert 1 not in result(world, FRUITLESS, visible=NONE, in_flight=NONE, published=NONE)
