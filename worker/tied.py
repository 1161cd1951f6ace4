"""Imported first by the process that children are forked from, which from then on ends with the worker."""

from worker.child import die_with_parent

die_with_parent()
