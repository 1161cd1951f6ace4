"""What became of a chaos run, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.verdict import Facts, broken_promises, fates, named


def tally(facts: Facts) -> dict[str, Any]:
    """The numbers."""
    fate_of = fates(facts)
    stops = [ended.seconds for ended in facts.ended if ended.cause == "terminated"]
    return {
        "sent": dict(facts.sent),
        "projects": dict(Counter(fate_of.values()).most_common()),
        "rubbish_buried": sum(letter.project_id not in facts.projects for letter in facts.letters),
        "torments": dict(facts.torments),
        "faults": dict(facts.faults),
        "workers": len(facts.ended),
        "longest_stop_seconds": round(max(stops, default=0.0), 1),
        "peak_mib": round(facts.peak_mib),
        "manifests_looked_at_meanwhile": facts.looks,
        "left_over_objects": dict(Counter(key.rpartition("/")[2] for key in _left_over(facts, fate_of))),
        "broken_promises": broken_promises(facts),
    }


def _left_over(facts: Facts, fate_of: Mapping[str, str]) -> set[str]:
    """What no manifest names, and is neither a manifest nor the record of a failure where nothing is published."""
    meant = {key for manifest in facts.manifests.values() for key in named(manifest)}
    meant |= {key for key in facts.keys if key.endswith("/manifest.json")}
    failed = tuple(f"/{project_id}/failure.json" for project_id, fate in fate_of.items() if fate != "published")
    return {key for key in facts.keys - meant if not key.endswith(failed)}


def lines(counted: Mapping[str, Any]) -> Iterator[str]:
    """A line for each of the numbers."""
    for name, value in counted.items():
        told = ", ".join(f"{number} {what}" for what, number in value.items()) if isinstance(value, dict) else value
        if name != "broken_promises":
            yield f"{name.replace('_', ' '):32}{told or 'none'}"
    broken = counted["broken_promises"]
    yield f"{'broken promises':32}{len(broken) or 'none'}"
    yield from (f"  {promise}" for promise in broken)
