"""``python -m worker``, as images run it; under this name multiprocessing does not run it anew in every child."""

from worker.cli import main

main(prog_name="dpss-worker")
