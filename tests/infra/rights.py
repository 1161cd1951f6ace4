"""Whether each call that reached the embedded server is one that its caller's policies allow.

Moto does not enforce them (gaps.py). So each process calls under the name of its role, as access key, and what it was
not allowed to do is noted. Conditions are not looked at, nor what S3 asks of a role beside the call's own action.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final
from unittest.mock import patch

from moto.core.authorization import ActionAuthenticatorMixin

ACTIONS: Final = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "monitoring:GetMetricStatistics": "cloudwatch:GetMetricStatistics",
}
"""What an operation is called in policies, where it is called otherwise there."""


@dataclass(frozen=True, order=True)
class Call:
    """What a caller did to what."""

    caller: str
    action: str
    resource: str


@dataclass
class Calls:
    """Every call of somebody with a name that we gave."""

    callers: Sequence[str]
    seen: set[Call] = field(default_factory=set)

    def refused(self, policies: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Call]:
        """Calls that no statement of the caller's policies allows."""
        return sorted(call for call in self.seen if not any(map(_allowing(call), policies[call.caller])))

    def note(self, response: Any, resource: str) -> None:
        """A call, as moto is about to answer it."""
        caller, _, _, service, _ = _credential(response.headers.get("Authorization", ""))
        if caller in self.callers:
            action = f"{service}:{response._get_action()}"  # noqa: SLF001 - moto's
            self.seen.add(Call(caller, ACTIONS.get(action, action), _queue_arn(response) or resource))


@contextmanager
def watched(*callers: str) -> Iterator[Calls]:
    """The calls that ``callers`` make until the block ends."""
    calls = Calls(callers)

    def note(response: Any, _kind: type, resource: str = "*") -> None:
        calls.note(response, resource)

    with patch.object(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", note):
        yield calls


def statements(document: str | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of a policy document."""
    policy = json.loads(document) if isinstance(document, str) else document
    found: list[Mapping[str, Any]] = policy["Statement"]
    return found


def listed(value: str | Sequence[str]) -> Sequence[str]:
    """Policies have one thing or a list of them."""
    return [value] if isinstance(value, str) else value


def _allowing(call: Call) -> Any:
    def allows(statement: Mapping[str, Any]) -> bool:
        return (
            statement["Effect"] == "Allow"
            and call.action in listed(statement["Action"])
            and any(fnmatchcase(call.resource, pattern) for pattern in listed(statement["Resource"]))
        )

    return allows


def _credential(authorization: str) -> Sequence[str]:
    """Access key, day, region, service and the rest, of a signed request."""
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return scope if len(scope) == 5 else [""] * 5


def _queue_arn(response: Any) -> str | None:
    url = response._get_param("QueueUrl")  # noqa: SLF001 - moto's
    if not url:
        return None
    return f"arn:aws:sqs:{response.region}:{response.current_account}:{url.rpartition('/')[2]}"
