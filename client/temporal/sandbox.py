"""The sandbox in which workflows run: the SDK's, without what costs CPU and serves nobody here."""

from temporalio import workflow
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

# Which modules workflow code shares with the worker instead of loading its own copy. Names match by
# prefix, so `kern` itself must not be here: it would take the guard off `kern.workflows`.
PASSED_THROUGH = (
    "kern.values.canonical",
    "kern.contracts.messages",
    "kern.errors",
    "kern.values.states",
)
# What was loaded once; a file does not change under a process that has it loaded.
_loaded: set[type] = set()


def sandboxed(runner: WorkflowRunner | None) -> WorkflowRunner:
    """Return Kern's sandbox in the place of the SDK's; another runner stays as it is."""
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner or SandboxedWorkflowRunner()
    shared = runner.restrictions.with_passthrough_modules(*PASSED_THROUGH)
    return _Sandbox(restrictions=shared, runner_class=runner.runner_class)


class _Sandbox(SandboxedWorkflowRunner):
    """Tries once in a process whether a workflow can be loaded, not for each component's worker."""

    def prepare_workflow(self, defn: "workflow._Definition") -> None:
        """Load a workflow in the sandbox, the first time that this process registers it.

        Raises:
            Exception: whatever keeps it from being loaded.
        """
        if defn.cls not in _loaded:
            super().prepare_workflow(defn)
            _loaded.add(defn.cls)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return a workflow in the sandbox whose payloads are not asked where they belong.

        Neither Kern's converter nor its storage makes use of that. The SDK has the sandbox compile
        and execute code to answer it, for every payload: a tenth of what a run takes in Python.
        """
        instance = super().create_instance(det)
        # On the SDK's own object, which stays whole when a later version asks it for more.
        instance.get_serialization_context = _no_context  # type: ignore[method-assign]
        instance.get_external_store_context = _no_workflow  # type: ignore[method-assign]
        return instance


def _no_context(command_info: object) -> None:  # noqa: ARG001  the SDK's signature
    return None


def _no_workflow(command_info: object) -> StorageDriverStoreContext:  # noqa: ARG001  as above
    return StorageDriverStoreContext(target=None)
