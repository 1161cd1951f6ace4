"""What the emulator (moto) cannot do of what the Terraform asks for: in one place, each with its reason.

Filled in here, as AWS does it, while ``filled()`` lasts:

- a queue's RedriveAllowPolicy is unknown to it, and any other attribute that is set wipes out the queue's policy;
- Application Auto Scaling keeps no tags, and cannot be asked for them;
- an ECS service forgets its capacity providers and the like, which would be a change at every plan;
- once versioning is suspended, as destroy does before it empties a bucket, no version can be deleted;
- a CloudFront distribution forgets its origin access control, and remembers what nobody said;
- of a bucket's policy it does not look at conditions, so that "deny what comes without TLS" denies everything.

Left as it is, and so not shown by ``make test-infra``:

- no role or policy is enforced, and nothing has TLS: calls are held against policies by rights.py and test_identity.py;
- no container is run: producer and worker are processes of this machine, with the settings of the task definitions;
- no metric is recorded, no alarm goes off, no service is scaled: infra/simulation shows what the policies do;
- no schedule starts anything, no event of ECS is matched, no mail is sent;
- CloudFront delivers nothing.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, cast
from unittest.mock import patch

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.cloudfront.models import DefaultCacheBehaviour, Origin, ViewerCertificate
from moto.core.responses import ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.sqs.models import Queue

SERVICE_SETTINGS: Final = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
}
"""Of an ECS service; moto's own spelling of each."""


@contextmanager
def filled() -> Iterator[None]:
    """Moto with what it lacks, until the block ends."""
    with ExitStack() as stack:
        for filler in (
            _queue_attributes,
            _scaling_tags,
            _service_settings,
            _bucket_policies,
            _suspended_versions,
            _distributions,
        ):
            filler(stack)
        yield


def _queue_attributes(stack: ExitStack) -> None:
    set_attributes = Queue._set_attributes  # noqa: SLF001 - moto's, here and below

    def keep_policy(queue: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        kept = {"Policy": getattr(queue, "policy", None)} | attributes
        set_attributes(queue, kept, now)
        queue.redrive_allow_policy = queue.redrive_allow_policy or None  # an empty one is none
        queue.policy = kept["Policy"] or None

    stack.enter_context(patch.object(Queue, "redrive_allow_policy", None, create=True))
    stack.enter_context(patch.object(Queue, "BASE_ATTRIBUTES", [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]))
    stack.enter_context(patch.object(Queue, "_set_attributes", keep_policy))


def _scaling_tags(stack: ExitStack) -> None:
    tags: dict[str, dict[str, str]] = {}
    response = ApplicationAutoScalingResponse
    register = response.register_scalable_target

    def register_with_tags(self: Any) -> Any:
        answer = register(self)
        if given := self._get_param("Tags"):
            tags[json.loads(answer)["ScalableTargetARN"]] = given
        return answer

    def list_tags(self: Any) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    stack.enter_context(patch.object(response, "register_scalable_target", register_with_tags))
    stack.enter_context(patch.object(response, "list_tags_for_resource", list_tags, create=True))


def _service_settings(stack: ExitStack) -> None:
    response = EC2ContainerServiceResponse
    create = response.create_service

    def create_as_asked(self: Any) -> ActionResult:
        answer: ActionResult = create(self)
        service = cast("dict[str, Any]", answer.result)["service"]
        for setting, attribute in SERVICE_SETTINGS.items():
            setattr(service, attribute, self._get_param(setting))
        if service.capacity_provider_strategy:
            service.launch_type = None
        return answer

    stack.enter_context(patch.object(response, "create_service", create_as_asked))


def _bucket_policies(stack: ExitStack) -> None:
    def neutral(_bucket: Any, _action: str, _resource: str) -> PermissionResult:
        return PermissionResult.NEUTRAL

    stack.enter_context(patch.object(FakeBucket, "get_permission", neutral))


def _suspended_versions(stack: ExitStack) -> None:
    versioned = property(lambda bucket: bool(bucket.versioning_status))
    stack.enter_context(patch.object(FakeBucket, "is_versioned", versioned))


def _distributions(stack: ExitStack) -> None:
    def origin(self: Any, config: dict[str, Any]) -> None:
        self.origin_access_control_id = config.get("OriginAccessControlId")

    def behaviour(self: Any, config: dict[str, Any]) -> None:
        self.forwarded_values = self.forwarded_values if "ForwardedValues" in config else None

    def certificate(self: Any, config: dict[str, Any]) -> None:
        self.ssl_support_method = config.get("SSLSupportMethod")

    _after_init(stack, Origin, origin)
    _after_init(stack, DefaultCacheBehaviour, behaviour)
    _after_init(stack, ViewerCertificate, certificate)


def _after_init(stack: ExitStack, made: type, then: Callable[[Any, dict[str, Any]], None]) -> None:
    begin = made.__init__  # type: ignore[misc]

    def init(self: Any, config: dict[str, Any]) -> None:
        begin(self, config)
        then(self, config)

    stack.enter_context(patch.object(made, "__init__", init))
