"""Checks docker-compose.yml and the Dockerfile without Docker."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from temporalio.envconfig import ClientConfig

from kern.process.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEPRECATED = ("temporalio/auto-setup", "temporalio/docker-compose")
CONDITIONS = Literal["service_healthy", "service_completed_successfully"]


class Strict(BaseModel):
    """Refuses a key that Compose would not know, or that nobody here has thought about."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Dependency(Strict):
    condition: CONDITIONS


class Healthcheck(Strict):
    test: list[str] = Field(min_length=2)
    interval: str
    timeout: str
    retries: int
    start_period: str


class MountedConfig(Strict):
    source: str
    target: str


def as_texts(environment: dict[str, str | int | None]) -> dict[str, str | None]:
    return {key: None if value is None else str(value) for key, value in environment.items()}


class Service(Strict):
    image: str
    build: str | None = None
    restart: Literal["unless-stopped"] | None = None
    stop_grace_period: str | None = None
    depends_on: dict[str, Dependency] = Field(default_factory=dict)
    environment: Annotated[dict[str, str | None], BeforeValidator(as_texts)]
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    configs: list[MountedConfig] = Field(default_factory=list)
    volumes: list[str] = Field(default_factory=list)
    ports: list[str] = Field(default_factory=list)
    extra_hosts: list[str] = Field(default_factory=list)
    healthcheck: Healthcheck | None = None


class InlineConfig(Strict):
    content: str


class Compose(Strict):
    name: str
    kern: object = Field(alias="x-kern")
    services: dict[str, Service]
    configs: dict[str, InlineConfig]
    volumes: dict[str, None]


COMPOSE = Compose.model_validate(
    yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
)
SERVICES = COMPOSE.services


def default_of(text: str) -> str:
    """Replace `${NAME:-default}` by the default, as Compose does where nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def ours() -> list[Service]:
    return [service for service in SERVICES.values() if service.build is not None]


def sources() -> str:
    folders = ("kern", "workflows", "activities", "client")
    return "\n".join(
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    )


def kern_names() -> set[str]:
    given = {name for service in ours() for name in service.environment}
    return {name for name in given | set(re.findall(r"KERN_\w+", DOCKERFILE)) if "KERN_" in name}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_still_built_by_their_owners(name: str) -> None:
    image = default_of(SERVICES[name].image)
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", image)
    assert not image.endswith(":latest")
    assert not image.startswith(DEPRECATED)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come_to_pass(name: str) -> None:
    for other, dependency in SERVICES[name].depends_on.items():
        awaited = SERVICES[other]
        if dependency.condition == "service_healthy":
            assert awaited.healthcheck is not None
        else:
            assert awaited.restart is None, "a job that is started again never completes"


@pytest.mark.parametrize("name", SERVICES)
def test_jobs_end_and_servers_come_back(name: str) -> None:
    completed = {
        other
        for service in SERVICES.values()
        for other, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    }
    assert (SERVICES[name].restart is None) == (name in completed)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].ports)


@pytest.mark.parametrize("name", SERVICES)
def test_named_volumes_and_configs_are_declared(name: str) -> None:
    service = SERVICES[name]
    mounted = {default_of(volume).partition(":")[0] for volume in service.volumes}
    assert {volume for volume in mounted if not volume.startswith(".")} <= set(COMPOSE.volumes)
    assert {config.source for config in service.configs} <= set(COMPOSE.configs)


@pytest.mark.parametrize("name", SERVICES)
def test_scripts_leave_no_variable_to_compose_by_accident(name: str) -> None:
    for line in SERVICES[name].command or []:
        assert not re.search(r"\$", line.replace("$$", ""))


def test_passwords_are_defaults_that_the_environment_replaces() -> None:
    secrets = {
        value
        for service in SERVICES.values()
        for key, value in service.environment.items()
        if re.search(r"PASSWORD|PWD|KEY$", key) and value is not None
    }
    assert secrets
    assert all(re.fullmatch(r"\$\{\w+_PASSWORD:-\w+\}", secret) for secret in secrets)


def test_databases_are_not_shared() -> None:
    assert "temporal" not in str(SERVICES["kern-worker"].environment["KERN_DATABASE_URL"])


def test_the_dynamic_configuration_is_where_the_server_looks() -> None:
    server = SERVICES["temporal"]
    (config,) = server.configs
    assert server.environment["DYNAMIC_CONFIG_FILE_PATH"] == config.target
    assert yaml.safe_load(COMPOSE.configs[config.source].content)


def test_the_worker_reaches_the_server_and_namespace_that_are_started() -> None:
    environment = SERVICES["kern-worker"].environment
    given = {key: value for key, value in environment.items() if value is not None}
    loaded = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={**given})
    assert loaded.get("target_host") == "temporal:7233"
    assert loaded.get("namespace") == "kern"
    assert "namespace create -n kern" in " ".join(SERVICES["temporal-namespace"].command or [])


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_BASE_URL", "MODEL"])
def test_the_worker_gets_the_machines_model(name: str) -> None:
    environment = SERVICES["kern-worker"].environment
    assert name in environment
    assert environment[name] is None, "a value here would hide the machine's"


def test_the_app_that_is_served_by_default_exists() -> None:
    worker = SERVICES["kern-worker"]
    (mount,) = worker.volumes
    folder, target, _ = default_of(mount).split(":")
    assert target == "/app"
    assert (ROOT / folder / f"{default_of(worker.environment['KERN_APP'] or '')}.py").is_file()


@pytest.mark.parametrize("name", sorted(kern_names()))
def test_kern_reads_every_variable_that_it_is_given(name: str) -> None:
    settings = {f"KERN_{field.upper()}" for field in Settings.model_fields}
    read_by_code = f'"{name}"' in sources()
    handed_to_a_command = f"${name}" in DOCKERFILE.rpartition("ENTRYPOINT")[2]
    assert name in settings or read_by_code or handed_to_a_command


def test_the_image_is_built_by_the_uv_that_the_makefile_uses() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", makefile, flags=re.MULTILINE)
    assert f"uv=={version}" in DOCKERFILE


def test_the_image_runs_as_nobody_of_importance_and_says_how_it_is() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER kern\n" in last_stage
    assert "\nHEALTHCHECK " in last_stage
    assert "/healthz" in last_stage


def test_the_image_holds_every_folder_of_the_package() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, flags=re.MULTILINE))
    assert copied == {"kern", "workflows", "activities", "client"}
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all(f"!{folder}" in allowed for folder in copied)
