"""Command line over environment over defaults."""

import pytest

from shared.errors import SettingsError
from shared.settings import ProducerSettings, WorkerSettings


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"DPSS_SOURCE": "canned", "DPSS_ENVIRON": "staging", "DPSS_BLACKLIST": "true"}
    settings = ProducerSettings.load(environ, environ="prod", source=None)
    assert (settings.environ, settings.source, settings.blacklist) == ("prod", "canned", True)
    assert settings.matrix_prefix == "project-assets/project-matrices/"


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert WorkerSettings.load({"DPSS_WORKER_SLOTS": ""}).worker_slots == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DPSS_WORKER_SLOTS", "many"),
        ("DPSS_WORKER_SLOTS", "0"),
        ("DPSS_VISIBILITY_SECONDS", "50000"),
        ("DPSS_JOB_TIMEOUT_SECONDS", "-1"),
        ("DPSS_FIGURE_FORMATS", "png,gif"),
        ("DPSS_FIGURE_FORMATS", "svg"),
        ("DPSS_FIGURE_FORMATS", ","),
        ("DPSS_JOB_TIMEOUT_SECONDS", "inf"),
        ("DPSS_LOG_FORMAT", "xml"),
    ],
)
def test_a_malformed_setting_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        WorkerSettings.load({name: value})
    assert value.rsplit(",", maxsplit=1)[-1] in str(caught.value)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="DPSS_QUEUE_URL and DPSS_FIGURE_BUCKET must be set"):
        WorkerSettings.load({"DPSS_DLQ_URL": "u"}).require("queue_url", "dlq_url", "figure_bucket")


def test_a_prefix_ends_with_one_slash() -> None:
    assert WorkerSettings.load({"DPSS_FIGURE_PREFIX": "a/b"}).figure_prefix == "a/b/"
    assert WorkerSettings.load({"DPSS_FIGURE_PREFIX": "a/b/"}).figure_prefix == "a/b/"


def test_formats_are_a_list_between_commas() -> None:
    assert WorkerSettings.load({"DPSS_FIGURE_FORMATS": "png, svg"}).figure_formats == ("png", "svg")
