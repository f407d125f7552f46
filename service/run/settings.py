"""All settings of the service: one field each, from the command line, the environment, a file, or the default.

Nothing else reads the environment. Unsafe values stop the start: without API keys
the service binds to loopback only, unless `insecure_no_auth` says in so many words that it may not be so.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.state_file import STATE_FILE
from service.machine.cores import usable_cores
from service.rest.prefix import is_prefix

ENV_PREFIX = "MKD_"

MIB = 1 << 20
POSTGRESQL = frozenset({"postgresql", "postgresql+psycopg", "postgres"})
IMAGE_FORMATS = frozenset({"PNG", "JPEG", "BMP", "TIFF", "WEBP"})


class Settings(BaseSettings):
    """What an operator may choose; the field descriptions are the documentation (docs/settings.md)."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    # Where
    host: str = Field(default="127.0.0.1", description="Address to listen on; anything but loopback needs API keys.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    root_path: str = Field(
        default="",
        description="Path below which a proxy shows the service, as /line-7; without it X-Forwarded-Prefix is taken.",
    )
    grpc_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port for the Open Inference Protocol over gRPC (extra grpc); 0 takes a free one, none leaves gRPC "
        "out.",
    )
    processes: int = Field(
        default=1, ge=1, le=256, description="Server processes that share the port, for front-end bound hosts."
    )

    line: Path | None = Field(
        default=None, description="A line.toml whose stations this process runs and judges itself; see docs/line.md."
    )

    # Products
    artifacts: Path = Field(default=Path("artifacts"), description="Folder of artifacts, NAME/ or NAME/VERSION/ each.")
    state_file: Path | None = Field(
        default=None,
        description="File that keeps the pinned versions over restarts; by default .mkd-state.json in the artifact "
        "folder, off for memory only.",
    )
    watch_s: float = Field(
        default=2.0,
        ge=0,
        description="Seconds between looks at the artifact folder, beside those at each change that the system tells "
        "of; 0 turns the watch off.",
    )
    removed_after_s: float = Field(
        default=60.0,
        ge=0,
        description="Seconds that the folder of a product or version may be away before it counts as removed.",
    )
    head_memory_mb: int = Field(
        default=0,
        ge=0,
        description="Memory for heads in MiB before the least recently used are unloaded; 0 for no limit.",
    )
    golden_check: Literal["once", "full"] = Field(
        default="once",
        description="Golden pictures that a start judges: once (all, and where all have passed before on this machine "
        "under the same conditions one of each product) or full (always all).",
    )
    weights: Path | None = Field(
        default=None, description="File with the source weights; without it the usual places are tried."
    )

    # Devices
    devices: str = Field(
        default="auto", description="Devices, comma-separated (cpu, cuda:0,cuda:1); auto takes every GPU or the CPU."
    )
    backend: Literal["auto", "torch", "ncnn", "winograd", "onnxruntime", "cuda"] = Field(
        default="auto", description="What runs the source network; auto takes what is fastest on this machine."
    )
    half: bool = Field(default=False, description="Run the source network in half precision on GPUs.")
    torch_threads: int = Field(
        default=0, ge=0, description="Threads of the network on the CPU; 0 leaves room for the decoder."
    )
    decode_threads: int = Field(
        default=0, ge=0, description="Threads that decode and encode images; 0 chooses by the cores."
    )

    # Batching, admission, deadlines
    max_batch: int = Field(default=32, ge=1, description="Images in one batch at most.")
    max_batch_pixels: int = Field(
        default=32 * 256 * 256, ge=1, description="Pixels in one batch at most, counted after preprocessing."
    )
    batch_wait_ms: float = Field(
        default=0.0, ge=0, description="Milliseconds an idle device waits for more, from the first image on."
    )
    max_waiting_images: int = Field(default=512, ge=1, description="Images in flight at most; beyond it 429.")
    max_waiting_bytes: int = Field(
        default=512 * MIB, ge=1, description="Bytes of bodies and answers in flight at most; beyond it 429."
    )
    caller_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of max_waiting_bytes that the requests of one key, or of one address, may hold together.",
    )
    max_wait_s: float = Field(
        default=2.0,
        ge=0,
        description="Longest wait by the measured rate, in seconds; a request beyond it is refused; 0 for no limit.",
    )
    deadline_ms: float = Field(
        default=30_000.0,
        ge=0,
        description="Deadline of a request that brings no X-Deadline-Ms, in milliseconds; 0 for none.",
    )

    # Requests
    max_images: int = Field(default=64, ge=1, description="Images in one request at most.")
    max_stream_images: int = Field(default=100_000, ge=1, description="Images in one stream at most.")
    max_body_bytes: int = Field(default=128 * MIB, ge=1, description="Bytes of one request body at most.")
    max_image_bytes: int = Field(default=32 * MIB, ge=1, description="Bytes of one encoded image at most.")
    max_image_pixels: int = Field(
        default=50_000_000, ge=1, description="Pixels of one image at most, read from its header."
    )
    decode_budget_s: float = Field(
        default=10.0,
        ge=0,
        description="Processor seconds that decoding one image, or making its pictures, may take; 0 for any.",
    )
    image_formats: str = Field(default="png,jpeg,bmp,tiff,webp", description="Image formats taken, comma-separated.")
    max_header_bytes: int = Field(
        default=16 * 1024, ge=1024, description="Bytes of the request line and headers at most."
    )
    header_timeout_s: float = Field(
        default=10.0, gt=0, description="Seconds within which the request's headers must be here."
    )
    body_timeout_s: float = Field(default=60.0, gt=0, description="Seconds within which the whole body must be here.")
    body_pause_s: float = Field(default=10.0, gt=0, description="Seconds that may pass between two pieces of a body.")
    body_min_rate: int = Field(
        default=1024,
        ge=0,
        description="Bytes a second at which a body must arrive on average, once body_pause_s is over; 0 for any rate.",
    )
    send_timeout_s: float = Field(
        default=10.0, gt=0, description="Seconds after which an answer that the client does not read is dropped."
    )
    keep_alive_s: int = Field(
        default=75, ge=1, description="Seconds for which an idle connection is kept open for the next request."
    )

    # Security
    api_keys_file: Path | None = Field(
        default=None, description="File of API keys, a line name:scopes:sha256 each; read again on change."
    )
    api_keys: str = Field(
        default="", description="API keys as such lines, separated by blanks; for containers without files."
    )
    insecure_no_auth: bool = Field(
        default=False, description="Serve without API keys even where others can reach the port."
    )

    # Audit
    audit_folder: Path | None = Field(
        default=None, description="Folder of the audit trail, a record of every verdict; without it there is none."
    )
    audit_images: Literal["none", "ng", "ng+review"] = Field(
        default="none", description="Which images are kept beside their records: none, ng or ng+review."
    )
    audit_images_mb: int = Field(
        default=10_240, ge=1, description="MiB of kept images at most; the oldest make room for new ones."
    )
    audit_file_mb: int = Field(
        default=64, ge=1, description="MiB of records in one file at most; each day (UTC) begins one as well."
    )
    audit_keep_days: int = Field(
        default=0,
        ge=0,
        description="Days after which whole old files of records, and images, are removed; 0 for never.",
    )
    audit_keep_mb: int = Field(
        default=0, ge=0, description="MiB of records above which the oldest whole files are removed; 0 for no limit."
    )
    audit_queue_mb: int = Field(
        default=64,
        ge=1,
        description="MiB of records and images that may wait for the disk; beyond it they are dropped.",
    )
    audit_sync_s: float = Field(
        default=1.0, ge=0, description="Seconds of records that a power cut may cost; 0 syncs after each record."
    )

    # Drift
    drift: bool = Field(default=True, description="Watch scores and pictures of every product for drift.")
    drift_alarm_parts: float = Field(
        default=100_000.0,
        ge=1000,
        le=1e12,
        description="Good parts between two false alarms of drift, on average at least.",
    )
    drift_window: int = Field(
        default=500, ge=20, le=100_000, description="Newest parts that drift's reference leaves out, at least."
    )
    drift_defect_share: float = Field(
        default=0.05, ge=0, le=0.5, description="Share of defective parts that is a matter of course and no drift."
    )

    # Feedback
    feedback: str = Field(
        default="auto",
        description="Where verdicts are stored for the page and for review: auto (SQLite in ARTIFACTS.feedback beside "
        "the artifact folder), off, a folder, or the URL of a PostgreSQL database (postgresql://..., extra postgres).",
    )
    feedback_folder: Path | None = Field(
        default=None,
        description="Folder of the kept pictures where feedback is a URL; services that share the database share it.",
    )
    feedback_pictures: Literal["none", "review", "all"] = Field(
        default="review",
        description="Which pictures are kept: none, review (those of REVIEW, NG and spot checks) or all.",
    )
    feedback_keep_days: int = Field(
        default=90,
        ge=0,
        description="Days after which pictures, and verdicts that nobody has reviewed, are removed; 0 for never.",
    )
    feedback_keep_mb: int = Field(
        default=10_240,
        ge=0,
        description="MiB of pictures above which some are removed: of OK first, then REVIEW, NG, spot checks, and "
        "reviewed ones last; 0 for no limit.",
    )
    feedback_keep_verdicts: int = Field(
        default=5_000_000,
        ge=0,
        description="Verdicts above which the oldest that nobody has reviewed are removed; 0 for no limit.",
    )
    feedback_queue_mb: int = Field(
        default=64,
        ge=1,
        description="MiB of verdicts and pictures that may wait to be stored; beyond it they are dropped.",
    )
    spot_check_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Probability with which a part, whatever its score, is sent to review as a spot check.",
    )

    # Training
    training_folder: Path | None = Field(
        default=None,
        description="Folder for the pictures and logs of trainings that are started over HTTP; by default "
        "ARTIFACTS.trainings beside the artifact folder, off for no such trainings.",
    )
    training_max_images: int = Field(default=5000, ge=8, description="Pictures of one such training at most.")
    training_max_mb: int = Field(default=4096, ge=1, description="MiB of pictures of one such training at most.")
    training_threads: int = Field(
        default=1, ge=1, description="Threads of such a training, which runs at the lowest priority."
    )

    # Running
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    drain_s: float = Field(default=30.0, ge=0, description="Seconds that SIGTERM leaves to requests in flight.")
    drain_delay_s: float = Field(
        default=0.0,
        ge=0,
        description="Seconds between turning not ready on SIGTERM and closing the port, for load balancers.",
    )
    openapi: bool = Field(default=True, description="Serve the OpenAPI document and its page at /docs.")

    @property
    def auth_enabled(self) -> bool:
        """Whether callers must show a key."""
        return self.api_keys_file is not None or bool(self.api_keys.strip())

    @property
    def pins_file(self) -> Path | None:
        """Where pins are kept, None for memory only; a file that nobody asked for lies beside the artifacts."""
        if self.state_file is None:
            return self.artifacts / STATE_FILE
        return None if str(self.state_file) == "off" else self.state_file

    @property
    def feedback_url(self) -> str | None:
        """SQLAlchemy's URL of the feedback database; None where that is SQLite in `feedback_place`."""
        scheme, separator, rest = self.feedback.partition("://")
        return f"postgresql+psycopg://{rest}" if separator and scheme in POSTGRESQL else None

    @property
    def feedback_place(self) -> Path | None:
        """The folder of the feedback store; None where there is no store."""
        if self.feedback == "off":
            return None
        if self.feedback == "auto" or self.feedback_url is not None:
            beside = self.artifacts.absolute()
            return self.feedback_folder or beside.with_name(f"{beside.name}.feedback")
        return Path(self.feedback)

    @property
    def trainings_folder(self) -> Path | None:
        """Where trainings started over HTTP keep their files; None where there are none."""
        if self.training_folder is None:
            return self.artifacts.absolute().with_name(f"{self.artifacts.absolute().name}.trainings")
        return None if str(self.training_folder) == "off" else self.training_folder

    @property
    def device_names(self) -> tuple[str, ...]:
        """The names in `devices`, in order; ("auto",) is left to whoever knows the hardware."""
        return tuple(name.strip() for name in self.devices.split(",") if name.strip())

    @property
    def format_names(self) -> frozenset[str]:
        """The formats of `image_formats` in capitals, as the decoder names them."""
        return frozenset(name.strip().upper() for name in self.image_formats.split(",") if name.strip())

    @field_validator("root_path")
    @classmethod
    def _a_plain_path(cls, value: str) -> str:
        if value and not is_prefix(value):
            raise ValueError(f"{value!r} is not a plain path as /line-7: letters, digits, dot, dash, underscore, tilde")
        return value

    @field_validator("feedback")
    @classmethod
    def _a_place(cls, value: str) -> str:
        scheme, separator, _ = value.partition("://")
        if not value.strip() or (separator and scheme not in POSTGRESQL):
            raise ValueError("auto, off, a folder, or a URL that begins with postgresql://")
        return value

    @model_validator(mode="after")
    def _refuse_the_unsafe(self) -> Self:
        if not self.auth_enabled and not self.insecure_no_auth and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} can be reached by others and there are no API keys: give api_keys_file (make one "
                "with `mkd-serve keys new`), bind to 127.0.0.1, or say insecure_no_auth"
            )
        if self.auth_enabled and self.insecure_no_auth:
            raise ValueError("insecure_no_auth contradicts the API keys that are given: drop one of them")
        unknown = self.format_names - IMAGE_FORMATS
        if unknown or not self.format_names:
            raise ValueError(
                f"image_formats: {sorted(unknown) or 'empty'}; known are {', '.join(sorted(IMAGE_FORMATS))}"
            )
        if not self.device_names:
            raise ValueError("devices: name at least one, or auto")
        if self.max_image_bytes > self.max_body_bytes or self.max_body_bytes > self.max_waiting_bytes:
            raise ValueError("max_image_bytes <= max_body_bytes <= max_waiting_bytes must hold")
        if self.feedback_folder is not None and self.feedback_url is None and self.feedback != "auto":
            raise ValueError("feedback_folder goes with a database URL; a folder is named by feedback itself")
        if self.line is not None and self.processes > 1:
            raise ValueError("line needs processes = 1: a PLC and a camera belong to one process")
        if self.grpc_port == 0 and self.processes > 1:
            raise ValueError("grpc_port 0 is a port of its own for each process: name one where there are several")
        if self.max_images > self.max_waiting_images:
            raise ValueError("max_images must not exceed max_waiting_images: such a request could never be taken")
        return self


def is_loopback(host: str) -> bool:
    """Whether `host` is reached from this machine alone; a name other than localhost is taken as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class ThreadCounts:
    """Threads of one server process."""

    decode: int
    torch: int


def thread_counts(settings: Settings, *, on_cpu: bool, cores: int | None = None) -> ThreadCounts:
    """Share the cores between decoder and network, so that neither makes the other wait.

    A decoded image costs a few milliseconds and a judged one tens, so on the CPU the decoder gets a quarter of the
    cores. On one or two cores the network keeps them all: giving one away would halve its rate for a decoder that
    is idle most of the time. With a GPU the cores belong to the decoder.
    """
    available = cores if cores is not None else usable_cores()
    share = max(1, available // settings.processes)
    decode = settings.decode_threads or (max(1, share // 4) if on_cpu else max(1, share - 1))
    network = share if share <= 2 else max(1, share - decode)
    return ThreadCounts(decode=decode, torch=settings.torch_threads or (network if on_cpu else 1))
