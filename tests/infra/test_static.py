"""What can be said of the Terraform without applying it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.infra.terraform import INFRA, Terraform

pytestmark = pytest.mark.terraform

CHECKOV = os.environ.get("CHECKOV") or str(INFRA.parent / ".checkov" / "bin" / "checkov")
FILES = sorted(INFRA.glob("*.tf"))


def test_it_is_formatted() -> None:
    done = Terraform(INFRA, os.environ, {}).run("fmt", "-check", "-diff")

    assert done.returncode == 0, done.stdout


def test_it_is_valid(tmp_path: Path) -> None:
    terraform = Terraform(tmp_path, os.environ, {})
    terraform.init()

    done = terraform.run("validate")

    assert done.returncode == 0, done.stdout + done.stderr


def test_checkov_finds_nothing_that_is_not_explained() -> None:
    options = ["--framework", "terraform", "--quiet", "--compact", "--skip-download"]

    done = subprocess.run([CHECKOV, "--directory", INFRA, *options], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed checks: 0" in done.stdout


def test_each_exception_has_its_reason() -> None:
    exceptions = [line for file in FILES for line in file.read_text().splitlines() if "checkov:skip" in line]

    assert exceptions
    assert [line for line in exceptions if not re.search(r"checkov:skip=\w+: \w[^:]{5,}", line)] == []


def test_every_variable_and_output_is_described_and_every_variable_typed() -> None:
    variables, outputs = ((INFRA / f"{name}.tf").read_text() for name in ("variables", "outputs"))

    named = re.findall(r'^variable "(\w+)" \{\n  description = ".+\n  type        = ', variables, re.MULTILINE)
    assert named == re.findall(r'^variable "(\w+)"', variables, re.MULTILINE)
    told = re.findall(r'^output "(\w+)" \{\n  description = ', outputs, re.MULTILINE)
    assert told == re.findall(r'^output "(\w+)"', outputs, re.MULTILINE)


def test_the_readme_asks_for_outputs_that_there_are() -> None:
    outputs = set(re.findall(r'^output "(\w+)"', (INFRA / "outputs.tf").read_text(), re.MULTILINE))

    asked = re.findall(r"terraform .*output -(?:raw|json) (\w+)", (INFRA.parent / "README.md").read_text())

    assert {"repositories", "producer_run"} <= set(asked) <= outputs


def test_the_scratch_volume_is_a_folder_that_the_image_gives_to_its_user() -> None:
    """Fargate makes it root's, 0755, unless the image has a VOLUME at the same path, which keeps its owner and mode."""
    image, cluster, worker = (
        (INFRA.parent / name).read_text() for name in ("Dockerfile.worker", "infra/cluster.tf", "infra/worker.tf")
    )
    (volume,) = re.findall(r"^VOLUME (\S+)$", image, re.MULTILINE)
    (user,) = re.findall(r"^USER (\d+):\d+$", image, re.MULTILINE)

    assert f'scratch = "{volume}"' in worker
    assert f'user = "{user}:{user}"' in cluster
    assert f"install --directory --mode=1777 --owner={user} --group={user} {volume}\n" in image


def test_no_account_and_no_key_is_in_any_file() -> None:
    for file in [*FILES, INFRA / "example.tfvars"]:
        assert not re.search(r"\b\d{12}\b|\bA[KS]IA[A-Z0-9]{16}\b", file.read_text()), file.name


def test_the_example_names_variables_that_there_are() -> None:
    known = set(re.findall(r'^variable "(\w+)"', (INFRA / "variables.tf").read_text(), re.MULTILINE))

    used = set(re.findall(r"^(?:# )?(\w+) += ", (INFRA / "example.tfvars").read_text(), re.MULTILINE))

    assert used
    assert used <= known
