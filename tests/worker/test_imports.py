"""The worker's parent process starts quickly and stays small."""

import json
import subprocess
import sys

HEAVY = {"anndata", "h5py", "matplotlib", "numba", "numpy", "pandas", "scanpy", "scipy", "sklearn"}
MOST_CPU_SECONDS = 3.0
"""Measured: 0.8; scanpy alone takes more than this bound."""

PROBE = """
import json, sys, time
import worker.cli, worker.service
print(json.dumps([sorted(sys.modules), time.process_time()]))
"""


def test_the_parent_has_no_scientific_libraries_and_starts_in_little_time() -> None:
    probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    modules, seconds = json.loads(probe.stdout)
    assert not HEAVY & set(modules)
    assert seconds < MOST_CPU_SECONDS
