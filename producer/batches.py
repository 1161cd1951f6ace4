"""SQS's batch calls, in which every entry succeeds or fails by itself."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from shared.errors import one_line

ATTEMPTS: Final = 6
MAX_PAUSE_SECONDS: Final = 10
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class EntryFailure:
    """Why an entry failed; ``sender_fault`` means that the same entry would fail again."""

    reason: str
    sender_fault: bool


def settle[E: Mapping[str, Any]](
    call: Callable[[Sequence[E]], Mapping[str, Any]], entries: Sequence[E], sleep: Sleep = time.sleep
) -> dict[str, EntryFailure]:
    """Make the batch call; entries that failed by the service's fault go again, with growing pauses.

    Gives what stays failed, by entry Id; an error of the whole call, with no entry taken yet, is the caller's.
    """
    failures = {entry["Id"]: EntryFailure("not answered", sender_fault=False) for entry in entries}

    def some_left() -> bool:
        left = [entry for entry in entries if entry["Id"] in failures and not failures[entry["Id"]].sender_fault]
        try:
            answer = call(left)
        except (BotoCoreError, ClientError) as error:
            if len(left) == len(entries):
                raise
            failures.update({entry["Id"]: EntryFailure(one_line(str(error)), sender_fault=False) for entry in left})
            return True
        for sent in answer.get("Successful", []):
            failures.pop(sent["Id"], None)
        for failed in answer.get("Failed", []):
            reason = one_line(f"{failed['Code']}: {failed.get('Message', '')}".removesuffix(": "))
            failures[failed["Id"]] = EntryFailure(reason, failed["SenderFault"])
        return not all(failure.sender_fault for failure in failures.values())

    Retrying(
        sleep=sleep,
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(max=MAX_PAUSE_SECONDS),
        retry=retry_if_result(bool),
        retry_error_callback=lambda _state: None,
    )(some_left)
    return failures
