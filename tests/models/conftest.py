"""CLIP models in tests run as in a Spark task: on one thread."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small models gain nothing from more, and lose much where others use the cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATION_THREADS", "1")
        yield
