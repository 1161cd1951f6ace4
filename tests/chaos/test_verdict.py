"""Every kind of broken promise is seen, and what was kept is not called broken."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.manifest import Entity, Figure, Input, Library, Manifest
from tests.chaos.campaign import Sent
from tests.chaos.seat import Ended
from tests.chaos.verdict import CRASHED, PARENT_MIB, Facts, Letter, broken_promises, fates

KEY = "stats/p/10X/umap.png"


def sent(project_id: str, failure: str | None = None, sha256: str = "new") -> Sent:
    return Sent(project_id, f"{project_id}.h5ad", "kind", None, "etag", sha256, failure)


def manifest(project_id: str, sha256: str = "new") -> Manifest:
    figure = Figure(name="umap", key=KEY, sha256="picture", bytes=1, width=1, height=1, alt="")
    return Manifest(
        project_id=project_id,
        generated_at=datetime(2026, 1, 1, tzinfo=UTC),
        inputs=(Input(uri="", version="", size_bytes=1, sha256=sha256),),
        fingerprint="",
        entities=(
            Entity(
                entity=project_id, species=None, libraries=(Library(library="10X", statistics={}, figures=(figure,)),)
            ),
        ),
    )


KEPT = Facts(
    projects={"good": sent("good"), "bad": sent("bad", "no_raw_counts"), "unlucky": sent("unlucky")},
    sent=Counter(new=3, rubbish=1),
    rubbish=["rubbish"],
    letters=[
        Letter("bad", "no_raw_counts", "", ""),
        Letter("unlucky", CRASHED, "", ""),
        Letter("", "invalid_message", "", "rubbish"),
    ],
    manifests={"good": manifest("good")},
    digests={KEY: "picture"},
    keys={KEY, "stats/good/manifest.json"},
    messages_left=0,
    scratch_left=[],
    processes_left=[],
    ended=[Ended("worker-1", "killed", -9, 0.0, ""), Ended("worker-1", "terminated", 0, 6.0, "")],
    grace_seconds=5,
    torments=Counter(killed=1),
    faults=Counter(cut=1),
    peak_mib=80,
    looks=1,
)


def test_kept_promises_are_not_called_broken() -> None:
    assert broken_promises(KEPT) == []
    assert fates(KEPT) == {"good": "published", "bad": "no_raw_counts", "unlucky": CRASHED}


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ({"manifests": {}}, "good: neither published nor a dead letter"),
        ({"manifests": {"good": manifest("good", "old")}}, "good: neither published of its newest matrix nor"),
        ({"digests": {KEY: "another"}}, f"good: {KEY} is other than the manifest says"),
        ({"digests": {}}, f"good: {KEY} is missing"),
        ({"manifests": {name: manifest(name) for name in ("good", "bad")}}, "bad: published, but has to fail"),
        (
            {"letters": [*KEPT.letters, Letter("good", "corrupt_matrix", "cut", "")]},
            "good: a dead letter with the reason",
        ),
        (
            {"letters": [*KEPT.letters, Letter("good", "internal_error", "?", "")]},
            "good: a dead letter with the reason",
        ),
        ({"rubbish": ["rubbish", "rubbish"]}, "rubbish was sent 2 times and buried 1 times"),
        ({"messages_left": 2}, "2 messages are left"),
        ({"scratch_left": ["scratch/x"]}, "left in the scratch folder: scratch/x"),
        ({"processes_left": [7]}, "1 processes are left"),
        ({"outlived": ["two"]}, "children outlived their worker: two"),
        ({"ended": [Ended("w", "itself", 1, 0.0, "why")]}, "w ended by itself with exit code 1: why"),
        ({"ended": [Ended("w", "terminated", -9, 0.0, "why")]}, "w was told to stop and ended with exit code -9: why"),
        ({"ended": [Ended("w", "terminated", 0, 60.0, "")]}, "w was told to stop and took 60 s"),
        ({"peak_mib": PARENT_MIB + 1}, "a worker's parent grew to 201 MiB"),
        ({"seen": ["x"]}, "while it was published, x"),
        ({"defects": ["x"]}, "a defect was logged: x"),
        ({"faults": Counter()}, "the network did not fail once"),
        ({"torments": Counter()}, "nothing was done to any worker"),
        ({"looks": 0}, "no manifest was looked at"),
    ],
)
def test_a_broken_promise_is_named(broken: dict[str, object], complaint: str) -> None:
    (told,) = broken_promises(replace(KEPT, **broken))  # type: ignore[arg-type]
    assert told.startswith(complaint)
