"""CLIPPINGS: pairs linked by a pooled embedding of picture and text."""

import numpy as np

from curation.errors import SchemaError


def pooled_vectors(images: np.ndarray, texts: np.ndarray, weight: float = 0.5) -> np.ndarray:
    """unit(weight * image + (1 - weight) * text) of unit vectors, float64 (n, d); NaN where that is zero.

    0.5 is what CLIPPINGS (arXiv:2304.03464) links with by default.
    """
    if images.shape != texts.shape:
        raise SchemaError(f"images of shape {images.shape}, texts of shape {texts.shape}; wanted the same")
    mixed = weight * np.asarray(images, np.float64) + (1 - weight) * np.asarray(texts, np.float64)
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    zero = length < 1e-12  # antipodal vectors at weight 0.5, but for rounding
    return np.where(zero, np.nan, mixed / np.where(zero, 1, length))


def link_pooled(images: np.ndarray, texts: np.ndarray, weight: float = 0.5, eps: float = 0.1) -> np.ndarray:
    """Label of each pair, int64 (n,): connected components of pooled vectors at cosine distance <= eps.

    Labels count from 0 in order of first rows; -1 where the pooled vector is zero. A row at a time: memory is flat, the
    work n^2 / 2 products. CLIPPINGS (arXiv:2304.03464): DBSCAN with min_samples 1; eps is tuned in 0.01 to 1.

    >>> images, texts = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.8, 0.6], [0.0, -1.0]])
    >>> link_pooled(images, texts).tolist()
    [0, 0, -1]
    """
    pooled = pooled_vectors(images, texts, weight)
    there = ~np.isnan(pooled).any(axis=1)
    root = np.arange(len(pooled))
    for row in np.flatnonzero(there):
        near = np.flatnonzero(1 - (pooled[:row] * pooled[row]).sum(axis=1) <= eps)
        joined = np.unique(np.append(root[near], row))
        root[np.isin(root, joined)] = joined[0]
    labels = np.full(len(pooled), -1)
    labels[there] = np.unique(root[there], return_inverse=True)[1].reshape(-1)
    return labels
