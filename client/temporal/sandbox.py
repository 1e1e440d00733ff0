"""The sandbox in which workflows run: the SDK's, without two of its costs.

The SDK gives each workflow instance a namespace of its own, into which it imports the workflow's
module and everything that this imports, with stand-ins for what is not deterministic (clocks,
randomness, files). That guards replay: a workflow that reads the time, or shares state with another
through a module, fails at once and not months later. The price is that the imports are executed
again for each instance.

Modules that are *passed through* are not: workflows use the worker's own copy. That is safe for
modules without state or side effects, and needed for types that cross the boundary, since an
exception or a message must be of the very class that the converter knows.

Kern keeps all of the SDK's guards, and leaves out two things that cost CPU without guarding
anything here: the trial import for each worker (see `prepare_workflow`), and a question for each
payload (see `create_instance`).
"""

from temporalio import workflow
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

# Names match by prefix, so `kern` itself must not be here: `kern.workflows` would be passed through
# with it, and no workflow would be guarded any more.
PASSED_THROUGH = (
    "kern.values.canonical",
    "kern.contracts.messages",
    "kern.errors",
    "kern.values.states",
)
# Workflows that were imported in a sandbox once: their files cannot change in a running process.
_loaded: set[type] = set()


def sandboxed(runner: WorkflowRunner | None) -> WorkflowRunner:
    """Replace the SDK's sandbox by Kern's; leave any other runner as it is."""
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner or SandboxedWorkflowRunner()
    shared = runner.restrictions.with_passthrough_modules(*PASSED_THROUGH)
    return _Sandbox(restrictions=shared, runner_class=runner.runner_class)


class _Sandbox(SandboxedWorkflowRunner):
    """The SDK's sandbox without the two costs that this module describes."""

    def prepare_workflow(self, defn: "workflow._Definition") -> None:
        """Try to import a workflow in the sandbox, the first time that this process registers it.

        The SDK tries for each worker. A process with a hundred components has a hundred workers
        with the same four workflows.

        Raises:
            Exception: Whatever the import raised.
        """
        if defn.cls not in _loaded:
            super().prepare_workflow(defn)
            _loaded.add(defn.cls)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return a sandboxed workflow that gives its payloads no serialization context.

        The context says which workflow or activity a payload belongs to. Neither Kern's converter
        nor its storage uses it, but for each payload the SDK compiles and executes code inside the
        sandbox to find it: a tenth of the CPU that a run takes in Python.
        """
        instance = super().create_instance(det)
        # Set on the SDK's own instance, not on a wrapper, which would lack what a later version of
        # the SDK may call.
        instance.get_serialization_context = _no_context  # type: ignore[method-assign]
        instance.get_external_store_context = _no_workflow  # type: ignore[method-assign]
        return instance


def _no_context(command_info: object) -> None:  # noqa: ARG001  the SDK's signature
    return None


def _no_workflow(command_info: object) -> StorageDriverStoreContext:  # noqa: ARG001  as above
    return StorageDriverStoreContext(target=None)
