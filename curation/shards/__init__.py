"""Shards: writing and reading tar files, the manifest beside them, and checking both. Nothing here needs Spark."""

from typing import Any

__all__ = ["ManifestDataset", "ManifestLoader"]


def __getattr__(name: str) -> Any:
    """The readers by their short names; torch is imported only for them."""
    if name == "ManifestDataset":
        from curation.shards.dataset import ManifestDataset

        return ManifestDataset
    if name == "ManifestLoader":
        from curation.shards.loader import ManifestLoader

        return ManifestLoader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
