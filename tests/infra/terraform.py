"""Terraform as a newcomer runs it, in a folder of its own, against any endpoint."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

INFRA: Final = Path(__file__).parents[2] / "infra"
PLUGIN_FOLDER: Final = "TF_PLUGIN_DIR"
"""Names a folder of providers to take instead of those that are downloaded; TF_CLI_CONFIG_FILE does, too."""
PATIENCE_SECONDS: Final = 600
EXAMPLE: Final = "example.tfvars"
CHANGES: Final = 2
"""Exit code of a plan that has some."""
AT_ONCE: Final = 20


@dataclass(frozen=True)
class Terraform:
    """The project's Terraform, copied to ``folder``; ``variables`` are those of the deployment."""

    folder: Path
    environ: Mapping[str, str]
    variables: Mapping[str, str]

    def init(self) -> None:
        """Copy and initialise, with the providers that the lock file names."""
        for path in [*INFRA.glob("*.tf"), INFRA / ".terraform.lock.hcl", INFRA / EXAMPLE]:
            shutil.copy(path, self.folder)
        plugins = os.environ.get(PLUGIN_FOLDER)
        self._succeed("init", "-lockfile=readonly", *([f"-plugin-dir={plugins}"] if plugins else []))

    def apply(self) -> None:
        """Make it so."""
        self._succeed("apply", "-auto-approve", f"-parallelism={AT_ONCE}", *self._given(self.variables))

    def destroy(self) -> None:
        """Make it go."""
        self._succeed("destroy", "-auto-approve", f"-parallelism={AT_ONCE}", *self._given(self.variables))

    def drift(self) -> str:
        """What a plan would change now; nothing where all is as it was applied."""
        arguments = ("-detailed-exitcode", f"-parallelism={AT_ONCE}", *self._given(self.variables))
        plan = self.run("plan", *arguments)
        assert plan.returncode in {0, CHANGES}, plan.stderr
        return plan.stdout if plan.returncode == CHANGES else ""

    def refused(self, **variables: str) -> str:
        """Why a deployment with these ``variables`` is not even planned."""
        plan = self.run("plan", "-refresh=false", *self._given({**self.variables, **variables}))
        assert plan.returncode == 1, plan.stdout
        return " ".join(plan.stderr.replace("│", " ").split())

    def planned(self, **variables: str) -> set[str]:
        """Types of the resources that a deployment by the example would have, but for ``variables``."""
        state, plan = "-state=other.tfstate", "other.plan"
        self._succeed("plan", state, f"-out={plan}", f"-var-file={EXAMPLE}", *self._given(variables))
        changes = json.loads(self._succeed("show", "-json", plan))["resource_changes"]
        return {change["type"] for change in changes if change["mode"] == "managed"}

    def outputs(self) -> dict[str, Any]:
        """Name → value."""
        return {name: output["value"] for name, output in json.loads(self._succeed("output", "-json")).items()}

    def resources(self) -> list[str]:
        """Addresses of what it has made, data left out."""
        return [line for line in self._succeed("state", "list").splitlines() if not line.startswith("data.")]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One command."""
        if not shutil.which("terraform"):
            pytest.fail("terraform is not installed: https://developer.hashicorp.com/terraform/install")
        return subprocess.run(
            ["terraform", arguments[0], *(["-no-color"] if arguments[0] != "state" else []), *arguments[1:]],
            cwd=self.folder,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def _succeed(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"terraform {arguments[0]}: {done.stderr}"
        return done.stdout

    @staticmethod
    def _given(variables: Mapping[str, str]) -> Sequence[str]:
        return [f"-var={name}={value}" for name, value in variables.items()]
