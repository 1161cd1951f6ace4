"""An SQS and an S3 on a free loopback port (moto server), for one machine and for tests."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

REGION = "us-east-1"


@contextmanager
def emulator() -> Iterator[str]:
    """Serve SQS and S3 over HTTP from this process until the block ends; gives the endpoint's address."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a second to import, and only needed here

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def client_environ(endpoint: str) -> dict[str, str]:
    """The variables that send any AWS client to ``endpoint``; the emulator takes any credentials."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
