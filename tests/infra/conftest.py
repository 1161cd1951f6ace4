"""The Terraform, applied once to an embedded server that has what moto lacks."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from infra.local.emulator import client_environ, emulator
from shared.settings import PREFIX
from tests.infra.gaps import filled
from tests.infra.rights import Calls, watched
from tests.infra.terraform import Terraform

CALLERS = ("producer", "worker", "operator")


@dataclass(frozen=True)
class Deployment:
    """What was applied, and how to reach it."""

    terraform: Terraform
    outputs: dict[str, Any]
    endpoint: str
    calls: Calls

    def client(self, service: Any) -> Any:
        """A client of the embedded server."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.outputs["environ"]["AWS_REGION"],
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",  # noqa: S106 - it takes any
        )

    def environ(self, caller: str, **settings: str) -> dict[str, str]:
        """Of a process that calls under the name of its role."""
        return {**clean_environ(), **client_environ(self.endpoint), **settings, "AWS_ACCESS_KEY_ID": caller}

    def task_definition(self, side: str) -> dict[str, Any]:
        """The task definition of ``side``."""
        family = f"{self.outputs['cluster']}-{side}"
        found: dict[str, Any] = self.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
        return found

    def container(self, side: str) -> dict[str, Any]:
        """The container that it has."""
        container: dict[str, Any] = self.task_definition(side)["containerDefinitions"][0]
        return container

    def settings(self, side: str) -> dict[str, str]:
        """The environment that ECS would give the container of ``side``."""
        return {each["name"]: each["value"] for each in self.container(side)["environment"]}


def clean_environ() -> dict[str, str]:
    """Ours without settings of the project or of AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "AWS_"))}


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All of infra/*.tf, applied."""
    folder = tmp_path_factory.mktemp("terraform")
    with filled(), watched(*CALLERS) as calls, emulator() as endpoint:
        environ = {**clean_environ(), **client_environ(endpoint), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        variables = {
            "image_tag": "test",
            "source_name": "canned",
            "gallery": "true",
            "alarm_emails": '["operator@example.org"]',
            "delete_with_contents": "true",
        }
        terraform = Terraform(folder, environ, variables)
        terraform.init()
        terraform.apply()
        yield Deployment(terraform, terraform.outputs(), endpoint, calls)
