"""What the environment says, read once per runtime: every variable begins with `KERN_`."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kern.errors import InvalidInput


class Settings(BaseSettings):
    """Kern's own settings. Temporal's are the SDK's: `TEMPORAL_ADDRESS` and so on.

    Attributes:
        home: The folder of the embedded runtime.
        database_url: Where runs are kept, `postgresql://…` or `sqlite:///path`; default: SQLite in
            `home`.
        heartbeat_seconds: After how many seconds without a sign of life an attempt counts as dead.
        shutdown_grace_seconds: How long a stopping worker lets tool calls finish.
        turns_per_history: After how many turns a run's workflow continues with a new history.
        model_attempts: How often a failing provider is asked before the run ends with an error.
        relay_seconds: How often a worker looks for what was accepted and not delivered.
        app: What a worker executes: `package.module:attribute`.
        health_host: Where a worker serves `/healthz` and `/readyz`: loopback unless told otherwise.
        health_port: On which port; without one they are not served.
    """

    model_config = SettingsConfigDict(env_prefix="KERN_", frozen=True)

    home: Path = Path(".kern")
    database_url: SecretStr | None = None
    heartbeat_seconds: float = Field(default=10.0, ge=0.5, le=600)
    shutdown_grace_seconds: float = Field(default=30.0, ge=0, le=3600)
    turns_per_history: int = Field(default=500, ge=1, le=2000)
    model_attempts: int = Field(default=6, ge=1, le=100)
    relay_seconds: float = Field(default=1.0, ge=0.05, le=60)
    app: str | None = None
    health_host: str = "127.0.0.1"
    health_port: int | None = Field(default=None, ge=0, le=65535)


def read_settings() -> Settings:
    """Return what the environment says.

    Raises:
        InvalidInput: a variable has a value that makes no sense; the message names both.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"KERN_{'.'.join(str(part) for part in item['loc']).upper()} is {item['input']!r}: "
            f"{item['msg']}"
            for item in error.errors(include_url=False)
        )
        message = f"The environment cannot be used. {wrong}. Correct it or unset it."
        raise InvalidInput(message) from None
