"""The models that a component can use."""
