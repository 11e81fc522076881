"""Shards: writing and reading tar files, the manifest beside them, and checking both. Nothing here needs Spark."""
