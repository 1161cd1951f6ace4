"""How a process is configured: command line over environment over defaults, read once by each composition root."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasGenerator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.errors import SettingsError, one_line
from shared.messages import Source

Environ = Literal["dev", "integration", "staging", "prod"]
LogFormat = Literal["json", "console"]
PREFIX = "DPSS_"
METRIC_NAMESPACE = "DataPortalSummaryStats"
MAX_VISIBILITY_SECONDS = 43_200
"""12 h, the longest a message stays hidden (SQS API reference, ChangeMessageVisibility)."""

PORTALS_HOSTS: Final = (
    "service.azul.data.humancellatlas.org",
    "service.dev.singlecell.gi.ucsc.edu",
    "service.integration.singlecell.gi.ucsc.edu",
    "service.staging.singlecell.gi.ucsc.edu",
    "storage.googleapis.com",
    "humancellatlas.s3.amazonaws.com",
    "humancellatlas.s3.us-east-1.amazonaws.com",
    ".cellxgene.cziscience.com",
    ".cellxgene.dev.single-cell.czi.technology",
    ".cellxgene.staging.single-cell.czi.technology",
)
"""The Azul service's deployments, the store its signed addresses are in (Google's, with the bucket in the path), its
mirror; CELLxGENE's API and files. Of S3 one bucket's hosts and no more: ``.amazonaws.com`` is anybody's."""
_HOST_PATTERN: Final = re.compile(r"\.?([a-z0-9-]+\.)+[a-z][a-z0-9-]*")


def variable(field: str) -> str:
    """The environment variable behind a setting."""
    return PREFIX + field.upper()


def _separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _png_first(formats: tuple[str, ...]) -> tuple[str, ...]:
    if formats not in {("png",), ("png", "svg")}:
        raise ValueError("it is png or png,svg")
    return formats


def _host_names(patterns: tuple[str, ...]) -> tuple[str, ...]:
    lower = tuple(pattern.lower() for pattern in patterns)
    if not all(_HOST_PATTERN.fullmatch(pattern) for pattern in lower):
        raise ValueError("it is names of hosts between commas, like data.example.org or .example.org with subdomains")
    return lower


def _base_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.port == 0:
        raise ValueError("it is an address like https://portal.example.org")
    if parts.query or parts.fragment or not url.isascii():
        raise ValueError("it is a base address, to which paths are added")
    return url.rstrip("/")


def _folder(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MetricNamespace = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/#-]{1,255}$")]
"""What CloudWatch takes (embedded metric format), without spaces and colons."""
FigureFormats = Annotated[tuple[str, ...], BeforeValidator(_separated), AfterValidator(_png_first)]
HostNames = Annotated[tuple[str, ...], BeforeValidator(_separated), AfterValidator(_host_names)]
BaseAddress = Annotated[str, AfterValidator(lambda url: _base_address(url) if url else url)]
Prefix = Annotated[str, BeforeValidator(lambda v: _folder(v) if isinstance(v, str) else v)]


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, alias_generator=AliasGenerator(validation_alias=variable)
    )

    @classmethod
    def load(cls, variables: Mapping[str, str], /, **options: object) -> Self:
        """Settings from ``options`` (None: not given), ``variables`` and defaults; SettingsError names the variable."""
        given: dict[str, Any] = {key: value for key, value in variables.items() if key.startswith(PREFIX) and value}
        given |= {variable(name): value for name, value in options.items() if value is not None}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError(one_line("; ".join(_explain(e) for e in error.errors()))) from None

    def require(self, *names: str) -> None:
        """SettingsError where one of the settings that this command needs was not given."""
        missing = [variable(name) for name in names if not getattr(self, name)]
        if missing:
            raise SettingsError(f"{' and '.join(missing)} must be set")


def _explain(error: Any) -> str:
    place = str(error["loc"][0]) if error["loc"] else "settings"
    name = place if place.startswith(PREFIX) else variable(place)
    return f"{name}: {error['msg'].removeprefix('Value error, ')}, not {str(error['input'])[:80]!r}"


class QueueSettings(_Settings):
    """The two queues, and how the process reports."""

    queue_url: str = ""
    dlq_url: str = ""
    log_format: LogFormat | None = None
    metric_namespace: MetricNamespace = METRIC_NAMESPACE


class ProducerSettings(QueueSettings):
    """What the daily run and the operator's desk need."""

    environ: Environ = "dev"
    source: Source = "fresh"
    blacklist: bool = False
    matrix_bucket: str = ""
    matrix_prefix: Prefix = "project-assets/project-matrices/"
    figure_bucket: str = ""
    figure_prefix: Prefix = "project-assets/project-stats/"
    blacklist_key: str = "blacklist"
    portal_url: BaseAddress = ""


class WorkerSettings(QueueSettings):
    """What a worker needs."""

    figure_bucket: str = ""
    figure_prefix: Prefix = "project-assets/project-stats/"
    worker_slots: Annotated[int, Field(ge=1, le=64)] = 1
    job_memory_mib: Annotated[int, Field(ge=256)] | None = None
    job_timeout_seconds: Seconds = 6 * 3_600
    scratch_dir: str | None = None
    visibility_seconds: Annotated[int, Field(ge=2, le=MAX_VISIBILITY_SECONDS)] = 120
    shutdown_grace_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 90
    figure_formats: FigureFormats = ("png",)
    portal_url: BaseAddress = ""
    allowed_hosts: HostNames = PORTALS_HOSTS
