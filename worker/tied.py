"""Imported first by the process that children are forked from, which from then on ends with the worker, and only so.

A signal to the whole group of processes is the worker's to answer: it stops its children when their time is over.
"""

import os
import sys
from pathlib import Path

from worker.child import PARENT_PID, WARM_PID, die_with_parent, leave_signals_to_parent

die_with_parent()
os.environ[PARENT_PID] = str(os.getpid())
leave_signals_to_parent()
try:
    Path(os.environ["TMPDIR"], WARM_PID).write_text(str(os.getpid()))
except FileNotFoundError:  # the worker ended meanwhile, and took its folder along
    sys.exit(0)
