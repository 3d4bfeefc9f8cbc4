"""The installation's configuration: ``BERTH_*`` variables, validated once."""

from __future__ import annotations

import ipaddress
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import BerthError
from bot.wording import plainly


def default_data_dir() -> Path:
    """``/var/lib/berth`` for root, the XDG data folder for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/berth")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "berth"


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Config(BaseSettings):
    """What an operator may set for the whole installation. Times are seconds, sizes bytes, unless said otherwise."""

    model_config = SettingsConfigDict(env_prefix="BERTH_", frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(default_factory=default_data_dir, description="Database, git repositories, logs, keys")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in the data folder")
    host: str = Field("127.0.0.1", description="Address that Berth itself listens on")
    port: Port = Field(8420, description="Port that Berth itself listens on")
    public_url: str = Field("", description="Address of Berth's pages for people; default http://localhost:PORT")
    apps_host: str = Field("127.0.0.1", description="Host name in the URLs of applications")
    edge_bind: str = Field("127.0.0.1", description="Address that the edge listens on for applications")
    port_min: Port = Field(20_000, description="First port for applications")
    port_max: Port = Field(40_000, description="Last port for applications")
    port_quarantine: Annotated[float, Field(ge=0)] = Field(60.0, description="How long a released port rests")
    docker_host: str = Field("", description="Docker Engine; default DOCKER_HOST or unix:///var/run/docker.sock")
    base_image_prefix: str = Field("", description="Put before every official base image: a mirror, or berth.local/")
    network_pool: str = Field("10.192.0.0/12", description="Private networks of environments are cut from this one")
    github_url: str = Field("https://github.com", description="GitHub, or a GitHub Enterprise Server")
    github_api_url: str = Field("", description="Its API; default https://api.github.com, or GITHUB_URL/api/v3")
    github_api_version: str = Field("2022-11-28", description="Sent as X-GitHub-Api-Version; empty: not sent")
    github_app_id: str = Field("", description="Of an existing App; default: what `berth init` keeps in data_dir")
    github_private_key_file: Path | None = Field(None, description="The App's private key, a PEM file")
    github_webhook_secret: str = Field("", description="The App's webhook secret", repr=False)
    github_client_id: str = Field("", description="The App's client id, for signing in")
    github_client_secret: str = Field("", description="The App's client secret, for signing in", repr=False)
    repositories: str = Field("", description="Only these, with commas: owner/name or owner/*; empty means all")
    previews: int = Field(10, ge=0, le=1000, description="Previews per repository at most, unless set there")
    secret_keys: str = Field("", description="Fernet keys, newest first, with commas; default: a file in data_dir")
    builds: int = Field(0, ge=0, le=64, description="Builds at the same time; 0 means half the cores, at least 1")
    keep_images: int = Field(3, ge=1, le=100, description="Images kept for rollback per environment")
    keep_deployments: int = Field(50, ge=1, description="Ended deployments kept per environment")
    drain_seconds: Seconds = Field(30.0, description="How long an old instance may finish its requests")
    stop_grace: Seconds = Field(10.0, description="Between the stop signal and the kill")
    fetch_timeout: Seconds = Field(300.0, description="Deadline of fetching a commit")
    detect_timeout: Seconds = Field(30.0, description="Deadline of detection, and of generation")
    build_timeout: Seconds = Field(1800.0, description="Deadline of a build")
    start_timeout: Seconds = Field(60.0, description="Deadline of starting containers")
    verify_timeout: Seconds = Field(120.0, description="How long a new instance may take to answer")
    service_timeout: Seconds = Field(
        120.0, description="How long a database beside an application may take to be ready"
    )
    release_timeout: Seconds = Field(600.0, description="Deadline of the Procfile's release command")
    switch_timeout: Seconds = Field(60.0, description="Deadline of switching over")
    lease_seconds: Seconds = Field(30.0, description="Work whose worker is silent for so long is taken over")
    reconcile_seconds: Seconds = Field(120.0, description="Between two comparisons of the database with the engine")
    repository_max_bytes: int = Field(2_000_000_000, gt=0, description="Largest checkout that is accepted")
    repository_max_files: int = Field(200_000, gt=0, description="Most files in a checkout")
    disk_min_free: int = Field(1_000_000_000, ge=0, description="No build starts with less free space")
    memory: int = Field(512 * 1024 * 1024, gt=6 * 1024 * 1024, description="Default memory limit of an instance")
    cpus: float = Field(0.0, ge=0, description="Default CPU limit of an instance; 0 means all cores")
    pids: int = Field(512, gt=0, description="Default process limit of an instance")
    log_max_bytes: int = Field(20_000_000, gt=10_000, description="Largest log kept per build or instance")
    log_keep_days: float = Field(14.0, gt=0, description="Logs of ended deployments are kept so long")
    log_format: Literal["text", "json"] = Field("text", description="Of the server's own log: text or json")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Of the server's own log")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("base_image_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        return value if not value or value.endswith("/") else value + "/"

    @field_validator("network_pool")
    @classmethod
    def _pool(cls, value: str) -> str:
        network = ipaddress.IPv4Network(value)
        if network.prefixlen > 26 or not network.is_private:
            raise ValueError("must be a private IPv4 network of at least 64 addresses, for example 10.192.0.0/12")
        return value

    @model_validator(mode="after")
    def _ranges(self) -> Config:
        if self.port_min > self.port_max:
            raise ValueError(f"BERTH_PORT_MIN {self.port_min} is above BERTH_PORT_MAX {self.port_max}")
        if self.port_min <= self.port <= self.port_max:
            raise ValueError(f"BERTH_PORT {self.port} lies in the applications' range {self.port_min}-{self.port_max}")
        return self

    @cached_property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'berth.db'}"

    @cached_property
    def effective_public_url(self) -> str:
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @cached_property
    def effective_docker_host(self) -> str:
        return self.docker_host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    @cached_property
    def effective_builds(self) -> int:
        return self.builds or max(1, (os.cpu_count() or 1) // 2)

    @cached_property
    def effective_github_api_url(self) -> str:
        """https://docs.github.com/enterprise-server/rest/using-the-rest-api/getting-started-with-the-rest-api"""
        if self.github_api_url:
            return self.github_api_url.rstrip("/")
        parts = urlsplit(self.github_url)
        if parts.hostname == "github.com" or (parts.hostname or "").endswith(".ghe.com"):
            return f"https://api.{parts.netloc}"
        return f"{self.github_url.rstrip('/')}/api/v3"

    @property
    def shares_host(self) -> bool:
        """Whether pages and applications share a host name, so that browsers send Berth's cookies to applications."""
        return urlsplit(self.effective_public_url).hostname == self.apps_host


def load_config(**overrides: object) -> Config:
    """The configuration from the environment; ``overrides`` win. Raises BerthError that names the variable at fault."""
    try:
        return Config(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "BERTH_" + "_".join(str(part) for part in first["loc"]).upper() if first["loc"] else ""
        text = plainly(first["msg"])
        reason = f"{name}{': ' if text[:1].isupper() else ' '}{text}." if name else f"{text}."
        raise BerthError(reason, "Correct the variable and start again.") from error
