"""An SQS and an S3 on a free loopback port (moto server), for one machine and for tests."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import SettingsError

REGION = "us-east-1"
ADDRESS = "127.0.0.1"


@contextmanager
def emulator() -> Iterator[str]:
    """Serve SQS and S3 over HTTP from this process until the block ends; gives the endpoint's address."""
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a second to import, and only needed here
    except ImportError as error:
        raise SettingsError(f"{error}; pip install 'data-portal-summary-stats[local]' has it") from None

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=ADDRESS, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def client_environ(endpoint: str) -> dict[str, str]:
    """The variables that send any AWS client to ``endpoint``, past profiles and proxies; it takes any credentials."""
    unproxied = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": ",".join(filter(None, [*unproxied.split(","), ADDRESS])),
    }
