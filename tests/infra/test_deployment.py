"""The Terraform applied by the real provider: the fleet's processes work on what it made, and it goes without a trace.

In the order in which they stand: the last test destroys what the others look at.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from infra.simulation.policy import Policy
from shared.settings import METRIC_NAMESPACE
from tests.infra.conftest import CALLERS, Deployment
from tests.infra.rights import listed, statements
from tests.tiny import tiny_projects

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

PUBLISHED, CUT_SHORT, BLACKLISTED = "blood", "cut-short", "left-out"
PATIENCE_SECONDS = 300
HUNG, SCALED_IN = "Task failed container health checks", "Scaling activity initiated by (deployment ecs-svc/1)"


def process(*command: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def queue(deployment: Deployment, name: str) -> dict[str, str]:
    sqs = deployment.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{deployment.outputs['cluster']}-{name}")["QueueUrl"]
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def own_policies(deployment: Deployment) -> dict[str, list[Any]]:
    """Statements of the policy that each role has, and the operator."""
    iam, name = deployment.client("iam"), deployment.outputs["cluster"]
    found = {}
    for role in (each["RoleName"] for each in iam.list_roles()["Roles"]):
        (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        found[role.removeprefix(f"{name}-")] = statements(document)
    arn = deployment.outputs["operator_policy_arn"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found["operator"] = statements(
        iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    )
    return found


def test_the_daily_run_and_a_worker_publish_figures_and_bury_what_is_damaged(
    deployment: Deployment, tmp_path: Path
) -> None:
    tiny = tiny_projects()
    sources = {PUBLISHED: tiny["blood"], CUT_SHORT: tiny["cut short"], BLACKLISTED: tiny["lung"]}
    s3, settings = deployment.client("s3"), deployment.settings("producer")
    bucket, prefix = settings["DPSS_MATRIX_BUCKET"], settings["DPSS_MATRIX_PREFIX"]
    for project, matrix in sources.items():
        s3.put_object(Bucket=bucket, Key=f"{prefix}{project}.{matrix.suffix}", Body=matrix.contents)
    s3.put_object(Bucket=bucket, Key=settings["DPSS_BLACKLIST_KEY"], Body=BLACKLISTED.encode())

    command = deployment.container("producer")["command"]
    sent = process("producer.cli", *command, "--json", environ=deployment.environ("producer", **settings))
    assert sent.returncode == 0, sent.stderr

    here = {"DPSS_SCRATCH_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = deployment.container("worker")["command"]
    environ = deployment.environ("worker", **deployment.settings("worker") | here)
    worked = process("worker.cli", *command, "--until-idle", "3", environ=environ)
    assert worked.returncode == 0, worked.stderr

    assert len(watched := watched_metrics(deployment)) == 3
    assert watched <= told_metrics(sent.stderr, worked.stderr)
    assert {name for name, *_ in watched} == {f"{METRIC_NAMESPACE}/{deployment.outputs['cluster']}"}

    figures = settings["DPSS_FIGURE_BUCKET"]
    found = s3.list_objects_v2(Bucket=figures)["Contents"]
    keys = {item["Key"].removeprefix(settings["DPSS_FIGURE_PREFIX"]) for item in found}
    assert f"{PUBLISHED}/manifest.json" in keys
    assert any(key.endswith("/violin.png") for key in keys)
    assert f"{CUT_SHORT}/failure.json" in keys
    assert {"index.html", f"{PUBLISHED}/index.html"} <= keys
    assert not any(key.startswith(BLACKLISTED) for key in keys)


def told_metrics(*logs: str) -> set[tuple[Any, ...]]:
    """Namespace, name and dimensions of each metric in the logs of processes."""
    lines = [json.loads(line) for log in logs for line in log.splitlines() if '"_aws"' in line]
    return {
        (each["Namespace"], metric["Name"], *((name, line[name]) for name in each["Dimensions"][0]))
        for line in lines
        for each in line["_aws"]["CloudWatchMetrics"]
        for metric in each["Metrics"]
    }


def watched_metrics(deployment: Deployment) -> set[tuple[Any, ...]]:
    """The same of each metric of ours that an alarm looks at."""
    alarms = deployment.client("cloudwatch").describe_alarms()["MetricAlarms"]
    queries = [query["MetricStat"]["Metric"] for alarm in alarms for query in alarm["Metrics"] if "MetricStat" in query]
    found = [*queries, *(alarm for alarm in alarms if "Namespace" in alarm)]
    return {
        (each["Namespace"], each["MetricName"], *((pair["Name"], pair["Value"]) for pair in each["Dimensions"]))
        for each in found
        if each["Namespace"].startswith(METRIC_NAMESPACE)
    }


def test_an_operator_sees_the_dead_letter_and_why_and_writes_the_index(deployment: Deployment) -> None:
    environ = deployment.environ("operator", **deployment.outputs["environ"])

    letters = process("producer.cli", "dlq", "list", "--json", environ=environ)
    status = process("producer.cli", "status", "--json", environ=environ)
    index = process("producer.cli", "gallery", "--json", environ=environ)

    assert letters.returncode == 0, letters.stderr
    assert '"corrupt_matrix"' in letters.stdout
    assert status.returncode == 0, status.stderr
    assert "corrupt_matrix" in status.stdout
    assert index.returncode == 0, index.stderr


def test_an_operator_sends_a_matrix_of_the_portals_mirror(deployment: Deployment) -> None:
    s3, mirror, environ = deployment.client("s3"), "humancellatlas", deployment.outputs["environ"]
    s3.create_bucket(Bucket=mirror)
    s3.put_object(Bucket=mirror, Key="matrix.loom", Body=b"matrix")
    command = ("producer.cli", "enqueue", "by-hand", "--matrix", f"s3://{mirror}/matrix.loom")

    sent = process(*command, environ=deployment.environ("operator", **environ))
    s3.delete_object(Bucket=mirror, Key="matrix.loom")
    s3.delete_bucket(Bucket=mirror)

    assert sent.returncode == 0, sent.stderr


def test_each_call_was_one_that_its_role_allows(deployment: Deployment) -> None:
    """Of the processes above."""
    called = {call.caller for call in deployment.calls.seen}

    assert called == set(CALLERS)
    assert deployment.calls.refused(own_policies(deployment)) == []


def test_no_role_may_more_than_the_contract_says(deployment: Deployment) -> None:
    """Every action there is; a new one has to be written here, too."""
    policies = own_policies(deployment)

    allowed = {
        caller: {action for statement in found for action in listed(statement["Action"])}
        for caller, found in policies.items()
    }

    execution = {
        *("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"),
        *("ecr:GetDownloadUrlForLayer", "logs:CreateLogStream", "logs:PutLogEvents"),
    }
    assert allowed == {
        "producer-execution": execution,
        "worker-execution": execution,
        "schedule": {"ecs:RunTask", "ecs:TagResource", "iam:PassRole", "sqs:SendMessage"},
        "producer": {"s3:GetObject", "s3:ListBucket", "s3:PutObject", "sqs:SendMessage"},
        "worker": {
            "ecs:UpdateTaskProtection",
            *("s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"),
            *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            *("sqs:ReceiveMessage", "sqs:SendMessage"),
        },
        "operator": {
            *("cloudwatch:GetMetricStatistics", "s3:GetObject", "s3:ListBucket", "s3:PutObject"),
            *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            *("sqs:ReceiveMessage", "sqs:SendMessage"),
        },
    }
    everywhere = {s["Action"] for found in policies.values() for s in found if "*" in listed(s["Resource"])}
    assert everywhere == {"cloudwatch:GetMetricStatistics", "ecr:GetAuthorizationToken"}


def test_the_schedule_passes_the_producers_roles_to_ecs_and_no_others(deployment: Deployment) -> None:
    producer = deployment.task_definition("producer")

    (passing,) = [s for s in own_policies(deployment)["schedule"] if s["Action"] == "iam:PassRole"]

    assert set(passing["Resource"]) == {producer["taskRoleArn"], producer["executionRoleArn"]}
    assert passing["Condition"]["StringEquals"] == {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


@pytest.mark.parametrize("role", ["producer", "worker", "schedule"])
def test_aws_takes_on_a_role_for_this_account_only(deployment: Deployment, role: str) -> None:
    name = f"{deployment.outputs['cluster']}-{role}"
    found = deployment.client("iam").get_role(RoleName=name)["Role"]
    account = found["Arn"].split(":")[4]

    (trust,) = statements(found["AssumeRolePolicyDocument"])

    sources = {key: value for test in trust["Condition"].values() for key, value in test.items()}
    assert sources["aws:SourceAccount"] == account
    assert f":{account}:" in sources["aws:SourceArn"]


def test_what_changes_objects_reaches_the_figures_only(deployment: Deployment) -> None:
    environ = deployment.outputs["environ"]
    below = f"arn:aws:s3:::{environ['DPSS_FIGURE_BUCKET']}/{environ['DPSS_FIGURE_PREFIX']}"

    for found in own_policies(deployment).values():
        for statement in found:
            if {"s3:PutObject", "s3:DeleteObject"} & set(listed(statement["Action"])):
                assert all(resource.startswith(below) for resource in listed(statement["Resource"]))


def test_the_queues_are_as_the_contract_has_them(deployment: Deployment) -> None:
    work, dead, missed = (queue(deployment, name) for name in ("work", "dead-letters", "missed-runs"))

    assert json.loads(work["RedrivePolicy"]) == {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 8}
    assert json.loads(dead["RedriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [work["QueueArn"]],
    }
    assert work["MaximumMessageSize"] == dead["MaximumMessageSize"] == str(1_048_576)
    assert dead["MessageRetentionPeriod"] == missed["MessageRetentionPeriod"] == str(14 * 86_400)
    assert work["VisibilityTimeout"] == deployment.settings("worker")["DPSS_VISIBILITY_SECONDS"] == "120"
    for each in (work, dead, missed):
        assert each["SqsManagedSseEnabled"].lower() == "true"
        assert "aws:SecureTransport" in each["Policy"]


def test_the_buckets_are_closed_encrypted_and_versioned(deployment: Deployment) -> None:
    s3, environ = deployment.client("s3"), deployment.outputs["environ"]

    for bucket in (environ["DPSS_FIGURE_BUCKET"], environ["DPSS_MATRIX_BUCKET"]):
        closed = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        lifecycle = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        assert set(closed.values()) == {True}
        assert [rule["ObjectOwnership"] for rule in rules] == ["BucketOwnerEnforced"]
        assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert any("NoncurrentVersionExpiration" in rule for rule in lifecycle)
        assert any("AbortIncompleteMultipartUpload" in rule for rule in lifecycle)
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


def test_the_gallery_alone_reads_figures_from_outside(deployment: Deployment) -> None:
    environ = deployment.outputs["environ"]
    bucket, prefix = environ["DPSS_FIGURE_BUCKET"], environ["DPSS_FIGURE_PREFIX"]
    (gallery,) = deployment.client("cloudfront").list_distributions()["DistributionList"]["Items"]
    policy = statements(deployment.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])

    (reading,) = [statement for statement in policy if statement["Effect"] == "Allow"]

    assert reading["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert (reading["Action"], reading["Resource"]) == ("s3:GetObject", f"arn:aws:s3:::{bucket}/{prefix}*")
    assert reading["Condition"]["StringEquals"] == {"aws:SourceArn": gallery["ARN"]}
    assert [origin["OriginPath"] for origin in gallery["Origins"]["Items"]] == ["/" + prefix.removesuffix("/")]


def test_tasks_reach_the_world_by_tls_and_nobody_reaches_them(deployment: Deployment) -> None:
    ec2, name = deployment.client("ec2"), deployment.outputs["cluster"]
    (tasks,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"{name}-tasks"]}])[
        "SecurityGroups"
    ]
    tables = ec2.describe_route_tables(Filters=[{"Name": "tag:Name", "Values": [name]}])["RouteTables"]
    (service,) = deployment.client("ecs").describe_services(
        cluster=name, services=[deployment.outputs["worker_service"]]
    )["services"]
    place = service["networkConfiguration"]["awsvpcConfiguration"]

    ways_out = {
        route["DestinationCidrBlock"]: route["GatewayId"]
        for table in tables
        for route in table["Routes"]
        if "DestinationCidrBlock" in route
    }
    routed = {each["SubnetId"] for table in tables for each in table["Associations"] if "SubnetId" in each}

    assert tasks["IpPermissions"] == []
    assert [(rule["FromPort"], rule["ToPort"]) for rule in tasks["IpPermissionsEgress"]] == [(443, 443)]
    assert ways_out["0.0.0.0/0"].startswith("igw-")
    assert routed == set(place["subnets"])
    assert place["securityGroups"] == [tasks["GroupId"]]
    assert place["assignPublicIp"] == "ENABLED"  # without NAT


def test_containers_are_neither_root_nor_able_to_write_but_to_scratch(deployment: Deployment) -> None:
    worker, producer = deployment.container("worker"), deployment.container("producer")

    for container in (worker, producer):
        assert container["user"] == "10001:10001"
        assert container["readonlyRootFilesystem"] is True
        assert container["linuxParameters"]["initProcessEnabled"] is True
        assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    assert [mount["containerPath"] for mount in worker["mountPoints"]] == [
        deployment.settings("worker")["DPSS_SCRATCH_DIR"]
    ]
    assert worker["healthCheck"]["command"] == ["CMD", "python", "-m", "worker.health"]
    assert float(deployment.settings("worker")["DPSS_SHUTDOWN_GRACE_SECONDS"]) < worker["stopTimeout"] == 120


def test_the_simulation_has_the_numbers_that_were_applied(deployment: Deployment) -> None:
    policy, scaling = Policy.of_terraform(), deployment.client("application-autoscaling")
    policies = {
        found["PolicyName"].rpartition("-")[2]: found
        for found in scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    }
    target = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]
    alarms = {alarm["AlarmName"]: alarm for alarm in deployment.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    name = deployment.outputs["cluster"]

    wake = policies["wake"]["StepScalingPolicyConfiguration"]
    steps = [(step["MetricIntervalLowerBound"], step["ScalingAdjustment"]) for step in wake["StepAdjustments"]]
    track = policies["track"]["TargetTrackingScalingPolicyConfiguration"]
    sleep = policies["sleep"]["StepScalingPolicyConfiguration"]

    assert sorted(steps) == policy.wake_steps
    assert wake["AdjustmentType"] == sleep["AdjustmentType"] == "ExactCapacity"
    assert track["TargetValue"] == policy.backlog_per_task
    assert (wake["Cooldown"], track["ScaleOutCooldown"]) == (policy.scale_out_cooldown_seconds,) * 2
    assert (sleep["Cooldown"], track["ScaleInCooldown"]) == (policy.scale_in_cooldown_seconds,) * 2
    assert [step["ScalingAdjustment"] for step in sleep["StepAdjustments"]] == [policy.worker_min_tasks]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (policy.worker_min_tasks, policy.worker_max_tasks)
    assert alarms[f"{name}-wake"]["EvaluationPeriods"] == policy.wake_periods
    assert alarms[f"{name}-wake"]["DatapointsToAlarm"] == 1
    assert alarms[f"{name}-sleep"]["EvaluationPeriods"] == policy.sleep_after_minutes
    assert alarms[f"{name}-wake"]["AlarmActions"] == [policies["wake"]["PolicyARN"]]
    assert alarms[f"{name}-sleep"]["AlarmActions"] == [policies["sleep"]["PolicyARN"]]


def test_the_producer_is_started_for_the_daily_run_and_for_the_index(deployment: Deployment) -> None:
    scheduler, group = deployment.client("scheduler"), deployment.outputs["cluster"]
    targets = [
        scheduler.get_schedule(GroupName=group, Name=each["Name"])["Target"]
        for each in scheduler.list_schedules(GroupName=group)["Schedules"]
    ]

    commands = [json.loads(target["Input"])["containerOverrides"][0]["command"] for target in targets]

    assert sorted(commands) == [["gallery"], ["run"]]
    assert {target["DeadLetterConfig"]["Arn"] for target in targets} == {queue(deployment, "missed-runs")["QueueArn"]}
    assert all(target["RetryPolicy"]["MaximumRetryAttempts"] for target in targets)


def test_somebody_is_told_of_all_that_goes_wrong(deployment: Deployment) -> None:
    topic, name = deployment.outputs["alarm_topic_arn"], deployment.outputs["cluster"]
    alarms = deployment.client("cloudwatch").describe_alarms()["MetricAlarms"]

    telling = {alarm["AlarmName"].removeprefix(f"{name}-") for alarm in alarms if alarm["AlarmActions"] == [topic]}

    assert telling == {
        *("dead-letters", "missed-runs", "oldest-message", "producer-failed", "workers-crash"),
        *("no-run", "no-publish"),
    }
    (publishing,) = statements(deployment.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert publishing["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert publishing["Action"] == "sns:Publish"


@pytest.mark.parametrize(
    ("side", "stopped", "counts"),
    [
        ("producer", {"stopCode": "EssentialContainerExited", "containers": {"exitCode": 1}}, True),
        ("producer", {"stopCode": "TaskFailedToStart", "containers": {"name": "producer"}}, True),
        ("producer", {"stopCode": "EssentialContainerExited", "containers": {"exitCode": 0}}, False),
        ("worker", {"stopCode": "EssentialContainerExited", "containers": {"exitCode": 137}}, True),
        ("worker", {"stopCode": "TaskFailedToStart", "containers": {"name": "worker"}}, True),
        ("worker", {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": HUNG}, True),
        ("worker", {"stopCode": "SpotInterruption", "containers": {"exitCode": 0}}, False),
        ("worker", {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": SCALED_IN}, False),
    ],
)
def test_tasks_that_ended_badly_are_told_from_others(
    deployment: Deployment, side: str, stopped: dict[str, Any], *, counts: bool
) -> None:
    """As moto understands the patterns of rules. It does not look into lists, as ECS's of containers is."""
    name = deployment.outputs["cluster"]
    cluster = deployment.client("ecs").describe_clusters(clusters=[name])["clusters"][0]["clusterArn"]
    patterns = {
        each: json.loads(deployment.client("events").describe_rule(Name=f"{name}-{each}-failed")["EventPattern"])
        for each in ("producer", "worker")
    }
    group = {"producer": f"family:{name}-producer", "worker": f"service:{deployment.outputs['worker_service']}"}[side]
    detail = {"clusterArn": cluster, "lastStatus": "STOPPED", "group": group, **stopped}
    event: Any = {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail}

    matching = {each for each, pattern in patterns.items() if EventPattern(None, pattern).matches_event(event)}

    assert matching == ({side} if counts else set())


def test_a_second_plan_has_nothing_to_change(deployment: Deployment) -> None:
    assert deployment.terraform.drift() == ""


def test_an_existing_network_is_used_as_it_is(deployment: Deployment) -> None:
    planned = deployment.terraform.planned(vpc_id="vpc-1", subnet_ids='["subnet-1"]', matrix_bucket="theirs")

    assert "aws_ecs_service" in planned
    assert planned.isdisjoint({"aws_vpc", "aws_subnet", "aws_internet_gateway", "aws_route", "aws_vpc_endpoint"})


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"image_tag": "latest"}, "not latest"),
        ({"vpc_id": "vpc-1"}, "belong together"),
        ({"worker_memory": "1000"}, "whole GiB"),
        ({"worker_max_tasks": "1000"}, "no addresses for so many"),
        ({"figure_prefix": ""}, "a folder or more"),
        ({"worker_max_tasks": "1", "worker_min_tasks": "2"}, "worker_min_tasks"),
        ({"portal_url": "https://portal.example.org:8443"}, "port 443 only"),
        ({"name": "fifteen-letters"}, "at most 14"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused(
    deployment: Deployment, variables: dict[str, str], reason: str
) -> None:
    assert reason in deployment.terraform.refused(**variables)


def test_destroy_leaves_nothing(deployment: Deployment) -> None:
    assert len(deployment.terraform.resources()) > 70

    deployment.terraform.destroy()

    assert deployment.terraform.resources() == []
    assert deployment.client("s3").list_buckets()["Buckets"] == []
    assert deployment.client("sqs").list_queues().get("QueueUrls", []) == []
    assert deployment.client("iam").list_roles()["Roles"] == []
    assert deployment.client("logs").describe_log_groups()["logGroups"] == []
    assert deployment.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert deployment.client("ecr").describe_repositories()["repositories"] == []
    assert deployment.client("scheduler").list_schedules()["Schedules"] == []
