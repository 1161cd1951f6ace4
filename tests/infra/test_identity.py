"""The Terraform's words beside the code's: actions that are called and allowed, settings that are told and known."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import get_session

from shared.settings import PREFIX, ProducerSettings, WorkerSettings, variable
from tests.infra.rights import ACTIONS
from tests.infra.terraform import INFRA

ROOT = INFRA.parent
SERVICES = ("s3", "sqs", "cloudwatch")
POLICIES = {"producer": ("producer", "operator"), "worker": ("worker",)}
"""The desk is the producer's code under the operator's policy."""
BY_ECS = {"ecs:UpdateTaskProtection"}
"""Called for us by ECS's agent (worker/protection.py)."""


@cache
def actions_by_method() -> dict[str, str]:
    """Method of a client, or operation that a paginator is made for → what policies call it."""
    session = get_session()
    operations = {
        f"{service}:{operation}": xform_name(operation)
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    }
    return {method: ACTIONS.get(operation, operation) for operation, method in operations.items()}


def called(side: str) -> set[str]:
    """Actions that the code of ``side`` asks AWS for."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / side).rglob("*.py")]
    names = {name for tree in trees for name in words(tree)}
    return {actions_by_method()[name] for name in names & actions_by_method().keys()}


def words(tree: ast.AST) -> Iterator[str]:
    """Methods that are called, and what ``get_paginator`` is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
            if node.func.attr == "get_paginator" and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def allowed(policy: str) -> set[str]:
    """Actions of a policy document in the Terraform."""
    document = re.search(
        rf'^data "aws_iam_policy_document" "{policy}" \{{\n.*?^\}}', read("identity"), re.DOTALL | re.MULTILINE
    )
    assert document
    return set(re.findall(r'"((?:s3|sqs|cloudwatch|ecs):\w+)"', document[0]))


def read(*names: str) -> str:
    return "\n".join(Path(INFRA, f"{name}.tf").read_text() for name in names)


@pytest.mark.parametrize("side", POLICIES)
def test_policies_have_what_the_code_calls_and_no_more(side: str) -> None:
    """Also on ways that no test of the applied Terraform takes: replay, release, retraction."""
    may = set().union(*(allowed(policy) for policy in POLICIES[side]))

    assert may - BY_ECS == called(side)


@pytest.mark.parametrize(("side", "settings"), [("producer", ProducerSettings), ("worker", WorkerSettings)])
def test_a_task_definition_names_settings_that_there_are(
    side: str, settings: type[ProducerSettings | WorkerSettings]
) -> None:
    """One that is misspelt would be passed over."""
    told = set(re.findall(rf"^    ({PREFIX}\w+) +=", read("cluster", side), re.MULTILINE))

    assert len(told) > 10
    assert told <= {variable(field) for field in settings.model_fields}
