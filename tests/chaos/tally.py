"""What became of a chaos run, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.verdict import Facts, broken_promises, fates, named


def tally(facts: Facts) -> dict[str, Any]:
    """The numbers."""
    ended = Counter(fates(facts).values())
    stops = [ended.seconds for ended in facts.ended if ended.cause == "terminated"]
    in_use = {key for manifest in facts.manifests.values() for key in named(manifest)}
    beside = [key for key in facts.keys - in_use if not key.endswith("/manifest.json")]
    return {
        "sent": dict(facts.sent),
        "projects": dict(ended.most_common()),
        "rubbish_buried": sum(letter.project_id not in facts.projects for letter in facts.letters),
        "torments": dict(facts.torments),
        "faults": dict(facts.faults),
        "workers": len(facts.ended),
        "longest_stop_seconds": round(max(stops, default=0.0), 1),
        "peak_mib": round(facts.peak_mib),
        "manifests_looked_at_meanwhile": facts.looks,
        "unnamed_objects": dict(Counter(key.rpartition("/")[2] for key in beside)),
        "broken_promises": broken_promises(facts),
    }


def lines(counted: Mapping[str, Any]) -> Iterator[str]:
    """A line for each of the numbers."""
    for name, value in counted.items():
        told = ", ".join(f"{number} {what}" for what, number in value.items()) if isinstance(value, dict) else value
        if name != "broken_promises":
            yield f"{name.replace('_', ' '):32}{told or 'none'}"
    broken = counted["broken_promises"]
    yield f"{'broken promises':32}{len(broken) or 'none'}"
    yield from (f"  {promise}" for promise in broken)
