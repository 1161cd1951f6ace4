"""Imported by the process that children are forked from: heavy imports and compiled kernels, paid for once.

One thread only: an OpenMP pool that exists before a fork hangs every child that uses OpenMP after it.
"""

import worker.job  # noqa: F401 - what every child needs
