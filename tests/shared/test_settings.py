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
        ("DPSS_METRIC_NAMESPACE", "of:ours"),
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


def test_hosts_are_a_list_between_commas_in_lower_case() -> None:
    settings = WorkerSettings.load({"DPSS_ALLOWED_HOSTS": "Data.Example.org, .store.example.org"})
    assert settings.allowed_hosts == ("data.example.org", ".store.example.org")


@pytest.mark.parametrize("value", ["*", "*.example.org", "https://example.org", "10.0.0.1", "a.org:8443", "localhost"])
def test_what_is_no_name_of_a_host_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="DPSS_ALLOWED_HOSTS"):
        WorkerSettings.load({"DPSS_ALLOWED_HOSTS": value})


def test_a_base_address_ends_without_a_slash() -> None:
    environ = {"DPSS_PORTAL_URL": "http://127.0.0.1:8080/curation/v1/"}
    assert WorkerSettings.load(environ).portal_url == "http://127.0.0.1:8080/curation/v1"
    assert ProducerSettings.load(environ).portal_url == "http://127.0.0.1:8080/curation/v1"


@pytest.mark.parametrize(
    "value",
    [
        *("portal.example.org", "ftp://portal.example.org", "https://", "https://me@portal.example.org"),
        *("https://portal.example.org/?a=b", "https://portal.example.org:99999", "https://[::1"),
    ],
)
def test_what_is_no_base_address_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="DPSS_PORTAL_URL"):
        WorkerSettings.load({"DPSS_PORTAL_URL": value})
