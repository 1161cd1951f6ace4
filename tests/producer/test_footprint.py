"""The producer starts fast and stays small."""

import json
import subprocess
import sys

IMPORT = """
import resource, sys, json
import producer.cli
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": used.ru_utime + used.ru_stime, "modules": sorted(sys.modules)}))
"""
STREAM = """
import json, resource, sys
from producer import run_id
from producer.enqueue import WorkQueue
from producer.listing import Listing
from producer.plan import Plan, Request, decisions
from producer.published import Published
from producer.report import Tally
from producer.sources.canned import ListedObject, _grouped
from shared.messages import now

class Sink:
    def send_message_batch(self, QueueUrl, Entries):
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

def sent(count):
    listing = (ListedObject(f"in/p{number:07d}.homo_sapiens.mtx.zip", "v", 9) for number in range(count))
    plan = Plan(Request("canned", run_id.new(), "schedule", now()))
    decided = decisions(Listing(_grouped("bucket", "in/", listing), ()), plan, lambda *_: Published(), "unusable")
    tally = Tally()
    for decision in WorkQueue(Sink(), "url").deliver(decided):
        tally.add(decision)
    assert tally.counts["enqueued"] == count, tally
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

print(json.dumps([sent(1_000), sent(100_000)]))
"""
MAX_GROWTH_KIB = 4_096
"""Of peak memory between 1,000 and 100,000 projects; their ids alone would take twice as much."""


def _output(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_command_imports_nothing_scientific_and_little_else() -> None:
    found = json.loads(_output(IMPORT))
    heavy = {"anndata", "h5py", "matplotlib", "numba", "numpy", "pandas", "scanpy", "scipy", "moto", "aiobotocore"}
    assert heavy.isdisjoint(found["modules"])
    assert found["seconds"] < 1.5


def test_a_hundred_thousand_projects_take_no_more_memory_than_a_thousand() -> None:
    few, many = json.loads(_output(STREAM))
    assert many - few < MAX_GROWTH_KIB
