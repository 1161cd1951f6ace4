"""What a process says of itself."""

import json
import logging

import pytest
import structlog

from shared import telemetry


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_carries_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("json")
    with structlog.contextvars.bound_contextvars(project_id="p", attempt=2):
        telemetry.logger("room").info("hello", stage="read")
    (line,) = lines(capsys)
    assert line["event"] == "hello"
    assert (line["project_id"], line["attempt"], line["stage"], line["level"]) == ("p", 2, "read", "info")


def test_a_librarys_warning_is_a_json_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("json")
    logging.getLogger("botocore").warning("slow %s", "down")
    logging.getLogger("botocore").info("chatter")
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("slow down", "warning")


def test_a_metric_line_is_in_cloudwatchs_embedded_format(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("json", "DataPortalSummaryStats/dpss-dev")
    telemetry.metrics({"StageSeconds": (1.5, "Seconds")}, Stage="read")
    (line,) = lines(capsys)
    assert line["StageSeconds"] == 1.5
    assert line["Stage"] == "read"
    assert line["_aws"]["CloudWatchMetrics"] == [  # type: ignore[index]
        {
            "Namespace": "DataPortalSummaryStats/dpss-dev",
            "Dimensions": [["Stage"]],
            "Metrics": [{"Name": "StageSeconds", "Unit": "Seconds"}],
        }
    ]


def test_the_human_form_leaves_the_wrapping_out(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("console")
    telemetry.metrics({"ProjectsDone": (1, "Count")})
    text = capsys.readouterr().err
    assert "ProjectsDone" in text
    assert "CloudWatchMetrics" not in text
