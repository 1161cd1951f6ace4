"""Imported first by the process that children are forked from, which from then on ends with the worker, and only so.

A signal to the whole group of processes is the worker's to answer: it stops its children when their time is over.
"""

from worker.child import die_with_parent, leave_signals_to_parent

die_with_parent()
leave_signals_to_parent()
