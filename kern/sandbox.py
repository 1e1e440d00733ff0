"""Which modules workflow code may share with the worker instead of loading its own copy of them.

Names match by prefix, so `kern` itself must not be here: it would take the guard off
`kern.workflows`.
"""

PASSED_THROUGH = (
    "kern.canonical",
    "kern.contracts",
    "kern.errors",
    "kern.states",
)
