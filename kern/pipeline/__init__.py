"""Pipelines: the runs of workflows, as declarations, as pinned shapes, and as frames that open."""
