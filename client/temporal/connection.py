"""The connection to Temporal: one plugin, one naming of queues, and one way to connect."""

import asyncio
import os
import re

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, ToJsonOptions
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError, RPCStatusCode

from kern.client.temporal import logs
from kern.client.temporal.sandbox import sandboxed
from kern.errors import InvalidInput, KernError, Unavailable
from kern.process.worker_names import own_worker_name
from kern.workflows.agent_run import AgentRun
from kern.workflows.pipeline_run import PipelineRun
from kern.workflows.session_naming import NameSession
from kern.workflows.team_run import TeamRun

WORKFLOWS = (AgentRun, TeamRun, PipelineRun, NameSession)
_CONNECT_SECONDS = 10.0
_CONFIGURED_BY = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")


# Fields at their defaults are left out, because a history keeps every message for good. There is
# one instance for all: the SDK makes a converter for every task, and each new one of Pydantic's
# would build its type adapters again.
_JSON = PydanticJSONPlainPayloadConverter(ToJsonOptions(exclude_unset=True))
_ENCODINGS = tuple(
    _JSON if isinstance(encoding, JSONPlainPayloadConverter) else encoding
    for encoding in DefaultPayloadConverter.default_encoding_payload_converters
)


class _Payloads(CompositePayloadConverter):
    """Temporal's own encodings, with Pydantic's JSON instead of the plain one."""

    def __init__(self) -> None:
        super().__init__(*_ENCODINGS)


class KernPlugin(SimplePlugin):
    """Sets converter, sandbox and failure types, for clients, workers and replays alike."""

    def __init__(self) -> None:
        super().__init__(
            "kern",
            data_converter=DataConverter(payload_converter_class=_Payloads),
            workflows=WORKFLOWS,
            workflow_runner=sandboxed,
            workflow_failure_exception_types=[KernError],
        )


def queue_of(component_id: str) -> str:
    """Return the task queue of a component, which only workers that have its code poll."""
    return f"kern-{component_id}"


def bookkeeping_queue_of(prefix: str) -> str:
    """Return the queue of the activities that need no component's code, of one installation.

    No component's queue has a colon in its name.
    """
    return f"{prefix}bookkeeping"


def is_configured() -> bool:
    """Whether the environment names a Temporal server, so that none has to be started."""
    return any(os.environ.get(name) for name in _CONFIGURED_BY)


async def connect(address: str | None = None, *, lazy: bool = False) -> Client:
    """Connect to an embedded server, or to the server that the environment names.

    Args:
        address: Host and port of an embedded server.
        lazy: Connect at the first call, so that work which needs only SQL can go on while Temporal
            is away.

    Raises:
        InvalidInput: The environment's settings cannot be used.
        Unavailable: Temporal does not answer.
    """
    logs.forward()
    config = ClientConnectConfig(target_host=address) if address else _configured()
    try:
        # The SDK waits for ever for a server that accepts the connection and never answers.
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await Client.connect(
                **config, plugins=[KernPlugin()], identity=own_worker_name(), lazy=lazy
            )
    except (RPCError, RuntimeError, TimeoutError) as error:
        where = config.get("target_host", "")
        message = (
            f"Temporal does not answer at {where!r}: {reason(error)}. Check TEMPORAL_ADDRESS and "
            "that the server runs."
        )
        raise Unavailable(message) from error
    except (ValueError, OSError) as error:
        raise _unusable(error) from error


async def check_namespace(client: Client) -> None:
    """Refuse to work in a namespace that does not exist.

    Raises:
        InvalidInput: The namespace is missing; whoever runs the server has to create it.
    """
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            # Workers ask too when they start, and report it better.
            return
        message = (
            f"Temporal has no namespace {client.namespace!r}. Create it with `temporal operator "
            f"namespace create -n {client.namespace}`, or set TEMPORAL_NAMESPACE to another."
        )
        raise InvalidInput(message) from error


def _configured() -> ClientConnectConfig:
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise _unusable(error) from error
    if "target_host" not in config:
        raise _unusable("they name no address")
    return config


def _unusable(why: object) -> InvalidInput:
    return InvalidInput(
        f"Temporal's settings cannot be used: {why}. Check the environment's TEMPORAL_ADDRESS, "
        "TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and TEMPORAL_TLS_*."
    )


# Errors of the SDK's native part come as Rust's debug text, with the cause as a quoted string.
_NATIVE = "tonic::"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CERTIFICATE = re.compile(r"InvalidCertificate\((?P<why>\w+)")


def reason(error: BaseException) -> str:
    """Return the innermost cause of an error as text, without the types that it was wrapped in."""
    text = str(error).strip()
    if isinstance(error, TimeoutError):
        return text or "no answer in time"
    if _NATIVE not in text:
        return text or type(error).__name__
    certificate = _CERTIFICATE.search(text)
    if certificate is not None:
        return f"its certificate is not accepted ({certificate['why']})"
    if "InvalidMessage" in text:
        return "it does not speak TLS"
    quoted = _QUOTED.findall(text)
    return str(quoted[-1]) if quoted else text
