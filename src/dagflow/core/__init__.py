"""The pure core: what can be decided without awaiting, in plain functions over frozen values."""
