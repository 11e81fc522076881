"""The compiled loop behind making a picture smaller; imports numba, so it is imported only where one is resized."""

import numpy as np

from curation.methods.compiled import compiled


@compiled
def spans(length, parts):
    """Which of `length` pixels each of `parts` equal parts covers: the first, how many, and the share of each."""
    size = length / parts
    first, count = np.empty(parts, np.int32), np.zeros(parts, np.int32)
    shares = np.zeros((parts, int(np.ceil(size)) + 2), np.float32)
    for part in range(parts):
        low, high = part * size, min((part + 1) * size, float(length))
        first[part] = int(low)
        pixel = int(low)
        while pixel < high:
            shares[part, count[part]] = (min(high, pixel + 1.0) - max(low, float(pixel))) / size
            count[part] += 1
            pixel += 1
    return first, count, shares


@compiled
def shrink(pixels, height, width):
    """The picture (h, w, 3) uint8 at a `height` and `width` no larger than its own: each pixel the mean of its area."""
    rows, columns = pixels.shape[0], pixels.shape[1]
    row_first, row_count, row_shares = spans(rows, height)
    first, count, shares = spans(columns, width)
    flat = pixels.reshape(rows, columns * 3)
    line = np.empty(columns * 3, np.float32)
    result = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        line[:] = 0
        for step in range(row_count[row]):
            share, source = row_shares[row, step], flat[row_first[row] + step]
            for k in range(columns * 3):
                line[k] += share * np.float32(source[k])
        for column in range(width):
            red = green = blue = np.float32(0.5)
            for step in range(count[column]):
                share, k = shares[column, step], 3 * (first[column] + step)
                red += share * line[k]
                green += share * line[k + 1]
                blue += share * line[k + 2]
            result[row, column, 0], result[row, column, 1], result[row, column, 2] = red, green, blue
    return result
