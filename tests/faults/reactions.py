"""What may become of a request."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from tests.faults.proxy import Answer, Exchange, Reaction


def pass_on(exchange: Exchange) -> None:
    """Nothing unusual."""
    exchange.send(exchange.pass_on())


def say(status: int, body: bytes) -> Reaction:
    """Answer so, without asking anybody."""
    return lambda exchange: exchange.send(Answer(status, body))


def error(status: int, code: str) -> Reaction:
    """Answer with an AWS error, as the service in question words it."""

    def reaction(exchange: Exchange) -> None:
        told = "told to fail"
        if exchange.request.service == "sqs":
            body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": told})
        else:
            body = f"<Error><Code>{escape(code)}</Code><Message>{told}</Message></Error>"
        exchange.send(Answer(status, body.encode()))

    return reaction


def cut(exchange: Exchange) -> None:
    """The connection ends; nobody has heard the request."""
    exchange.cut()


def reset(exchange: Exchange) -> None:
    """The connection breaks; nobody has heard the request."""
    exchange.reset()


def lose_answer(exchange: Exchange) -> None:
    """What was asked for is done, but the connection ends before the client is told."""
    exchange.pass_on()
    exchange.cut()


def cut_midway(exchange: Exchange) -> None:
    """What was asked for is done, but the connection ends in the middle of the answer."""
    exchange.send_half(exchange.pass_on())


def hang(seconds: float) -> Reaction:
    """No answer, until the client gives up or ``seconds`` are over; nobody has heard the request."""

    def reaction(exchange: Exchange) -> None:
        exchange.wait_for_client(seconds)
        exchange.cut()

    return reaction


def fail_entries(failing: Callable[[dict[str, Any]], bool], *, sender_fault: bool) -> Reaction:
    """Of an SQS batch call, entries for which ``failing`` is true fail and the others are passed on."""

    def reaction(exchange: Exchange) -> None:
        asked = json.loads(exchange.request.body)
        failed = [entry for entry in asked["Entries"] if failing(entry)]
        asked["Entries"] = [entry for entry in asked["Entries"] if entry not in failed]
        rest = replace(exchange.request, body=json.dumps(asked).encode())
        answer = json.loads(exchange.pass_on(rest).body) if asked["Entries"] else {}
        answer["Failed"] = [
            {"Id": entry["Id"], "SenderFault": sender_fault, "Code": "ToldToFail", "Message": "as told"}
            for entry in failed
        ]
        exchange.send(Answer(200, json.dumps(answer).encode()))

    return reaction
