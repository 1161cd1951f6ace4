"""Which requests a reaction is for."""

import itertools
from urllib.parse import urlsplit

from tests.faults.proxy import Match, Reaction, Request, Rule


def sqs_call(*actions: str) -> Match:
    """SQS calls of these names; without names, all."""
    return lambda request: request.action in actions if actions else request.service == "sqs"


def s3_call(part: str = "", *, method: str = "", ends: str = "") -> Match:
    """S3 requests with ``part`` in path or query, of this ``method`` where one is given, whose path ``ends`` so."""

    def match(request: Request) -> bool:
        wanted = request.service == "s3" and method in {"", request.method}
        return wanted and part in request.path and urlsplit(request.path).path.endswith(ends)

    return match


def first(number: int, match: Match) -> Match:
    """Only the first ``number`` requests that ``match``."""
    turns = itertools.count(1)
    return lambda request: match(request) and next(turns) <= number


def nth(number: int, match: Match) -> Match:
    """Only the ``number``-th request that does ``match``, counted from 1."""
    turns = itertools.count(1)
    return lambda request: match(request) and next(turns) == number


def when(match: Match, reaction: Reaction) -> Rule:
    """To requests that ``match``, this reaction."""
    return lambda request: reaction if match(request) else None
