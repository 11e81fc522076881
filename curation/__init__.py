"""Curate image-text training data: sources -> pool -> signals -> subset -> shards -> trainer. See docs/."""

__version__ = "0.1.0"
