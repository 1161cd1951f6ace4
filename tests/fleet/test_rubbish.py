"""What nobody should put on the queue, and what a worker does with it: explained at once, nothing asked, no echo."""

import json
import re
from dataclasses import dataclass

import boto3
import pytest
from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.type_defs import MessageTypeDef

from infra.local import emulator as local
from infra.local import stack as stacks
from tests.faults.proxy import FaultyServer, Request
from tests.fleet.conftest import Fleet, attributes_of, depth, environ_for
from tests.portals.scripted import ADDRESS, Portal, listening, redirect, serving, was_left_alone

ECHO = 200
"""Characters of a body that may be logged."""
HIDDEN = "a-secret-that-somebody-pasted-"


def body(**changes: object) -> str:
    """A message that would be one, but for ``changes``."""
    project = {"schema_version": 1, "project_id": "p", "matrices": [{"uri": "s3://bucket-of-nobody/m.h5ad"}]}
    return json.dumps(project | changes)


def at(uri: str) -> str:
    """A message whose matrix is at ``uri``."""
    return body(matrices=[{"uri": uri}])


NO_MESSAGES = {
    "no JSON": "this is no JSON\x7f" + HIDDEN * 40,
    "JSON of another kind": "[1, 2]",
    "no text at all": " ",
    "a megabyte of text": (HIDDEN * 40_000)[: 2**20 - 4_096],
    "a megabyte in a field": body(project_id="x" * (2**20 - 4_096)),
    "a long name of a field": body(**{HIDDEN * 100: 1}),
    "another version": body(schema_version=3),
    "a version in words": body(schema_version="1"),
    "an unknown field": body(surprise=1),
    "wrong types": body(matrices="s3://bucket/m.h5ad"),
    "no matrices": body(matrices=[]),
    "a way out of the folder": body(project_id="../../etc/passwd"),
    "a hidden way out": body(project_id="a/../b"),
    "control characters": body(project_id="a\u0000\u001b[2Jb"),
    "a line break in a label": body(run_id="one\ntwo"),
    "a file of the worker": at("file:///etc/passwd"),
    "another protocol": at("ftp://example.org/m.h5ad"),
    "a bucket and no key": at("s3://bucket-of-nobody"),
    "a bucket by its ARN": at("s3://arn:aws:s3:us-east-1:123456789012:accesspoint/mine/m.h5ad"),
    "control characters in an address": at("https://example.org/\u0007m.h5ad"),
}
FORBIDDEN = {
    "link-local": "https://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "link-local of a container": "http://169.254.170.2/v2/credentials",
    "link-local in IPv6": "https://[fe80::1]/m.h5ad",
    "a number for an address": "https://2852039166/latest",
    "no host of the list": "https://example.org/" + "x" * 1_900,
    "a user's name before the host": "https://service.azul.data.humancellatlas.org@example.org/m.h5ad",
    "a host of the list without TLS": "http://service.azul.data.humancellatlas.org/m.h5ad",
    "a host of the list at another port": "https://service.azul.data.humancellatlas.org:8443/m.h5ad",
}


LOOPBACK = {"loopback": "https://{trap}/m.h5ad", "loopback by name": "https://localhost/m.h5ad"}
ONWARD = {
    "sent on to loopback": "http://{trap}/m.h5ad",
    "sent on to link-local": "https://169.254.169.254/latest",
    "sent on to no host of the list": "https://example.org/m.h5ad",
    "sent on to a file": "file:///etc/passwd",
}
"""Where a portal's answer leads; ``{trap}`` is a server that nobody is to ask."""


@dataclass(frozen=True)
class Aftermath:
    """What a worker left of a queue of rubbish: attributes of the letters by the rubbish's name, its log, its calls."""

    letters: dict[str, dict[str, str]]
    log: str
    reads: list[Request]
    in_queue: tuple[int, int]
    trap_was_left_alone: bool
    portal_paths: list[str]


def addressed(portal: Portal, trap: str) -> dict[str, str]:
    """Messages whose addresses are not asked, or are the portal's that sends on to such."""
    sent_on = {
        name: portal.answers("/" + name.replace(" ", "-"), redirect(place.format(trap=trap)))
        for name, place in ONWARD.items()
    }
    straight = {name: uri.format(trap=trap) for name, uri in (FORBIDDEN | LOOPBACK).items()}
    return {name: at(uri) for name, uri in (straight | sent_on).items()}


def all_letters(sqs: SQSClient, url: str) -> list[MessageTypeDef]:
    """Every dead letter, hidden from the next look."""
    found: list[MessageTypeDef] = []
    while batch := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600, MessageAttributeNames=["All"]
    ).get("Messages"):
        found += batch
    return found


@pytest.fixture(scope="module")
def aftermath(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """One worker meets it all."""
    environ = local.client_environ(endpoint)
    session = boto3.Session("emulator", "emulator", region_name=environ["AWS_REGION"])
    sqs, s3 = session.client("sqs", endpoint_url=endpoint), session.client("s3", endpoint_url=endpoint)
    stack = stacks.create(sqs, s3, "rubbish")
    folder = tmp_path_factory.mktemp("rubbish")
    with serving() as portal, listening() as trap, FaultyServer(endpoint) as server:
        bodies = NO_MESSAGES | addressed(portal, f"{ADDRESS}:{trap.getsockname()[1]}")
        for text in bodies.values():
            sqs.send_message(QueueUrl=stack.queue_url, MessageBody=text)
        places = {"AWS_ENDPOINT_URL": server.address, "DPSS_SCRATCH_DIR": str(folder), "DPSS_PORTAL_URL": portal.url}
        fleet = Fleet(stack, folder, environ_for(stack) | environ | places)
        with fleet.worker("--until-idle", "2", DPSS_WORKER_SLOTS="2") as worker:
            assert worker.wait() == 0, worker.log_path.read_text()[-2_000:]
        found = {letter["Body"]: attributes_of(letter) for letter in all_letters(sqs, stack.dlq_url)}
        return Aftermath(
            letters={name: found[text] for name, text in bodies.items() if text in found},
            log=worker.log_path.read_text(),
            reads=server.sent(lambda request: request.method == "GET"),
            in_queue=depth(sqs, stack.queue_url),
            trap_was_left_alone=was_left_alone(trap),
            portal_paths=[request.path for request in portal.asked],
        )


@pytest.mark.parametrize("name", NO_MESSAGES)
def test_what_is_no_message_is_a_dead_letter_at_once(aftermath: Aftermath, name: str) -> None:
    letter = aftermath.letters[name]
    assert (letter["dpss.reason"], letter["dpss.attempts"]) == ("invalid_message", "1")
    assert 0 < len(letter["dpss.error"]) <= 1_024
    assert letter["dpss.error"].isprintable()


@pytest.mark.parametrize("name", [*FORBIDDEN, *LOOPBACK, *ONWARD])
def test_an_address_that_is_not_allowed_is_a_dead_letter_at_once(aftermath: Aftermath, name: str) -> None:
    letter = aftermath.letters[name]
    assert (letter["dpss.reason"], letter["dpss.attempts"], letter["dpss.stage"]) == ("access_denied", "1", "fetch")


def test_nothing_of_it_stays_on_the_queue(aftermath: Aftermath) -> None:
    assert aftermath.in_queue == (0, 0)


def test_no_request_leaves_for_it(aftermath: Aftermath) -> None:
    assert aftermath.trap_was_left_alone
    assert sorted(aftermath.portal_paths) == sorted("/" + name.replace(" ", "-") for name in ONWARD)
    assert {request.path.rpartition("/")[2] for request in aftermath.reads} <= {"manifest.json"}


def test_the_log_gives_back_no_more_than_200_characters_of_a_body_and_those_escaped(aftermath: Aftermath) -> None:
    pieces = re.findall(f"(?:{HIDDEN})+", aftermath.log)
    assert pieces
    assert max(map(len, pieces)) <= ECHO
    assert "x" * (ECHO + 1) not in aftermath.log
    assert r"this is no JSON\\x7f" in aftermath.log
    assert all(line.isprintable() for line in aftermath.log.splitlines())
