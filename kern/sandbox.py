"""Which modules workflow code may share with the worker instead of loading its own copy of them.

Names match by prefix, so `kern` itself must not be here: it would take the guard off
`kern.workflows`.
"""

PASSED_THROUGH = (
    "kern.values.canonical",
    "kern.contracts.messages",
    "kern.errors",
    "kern.values.states",
)
