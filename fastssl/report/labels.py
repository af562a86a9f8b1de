"""Labels beside the ends of lines, moved as little as keeps them from covering one another."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least `gap` apart and inside [low, high], in the order and as near as possible to `wanted`.

    Neighbours that would collide form a block around the mean of what they want, which is where the sum of squared
    moves is least; blocks that then touch are joined. When there are more than fit, they share the room evenly.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # first position, number of labels
    for i in order:
        first, count = min(max(wanted[i], low), high), 1
        while blocks and first < blocks[-1][0] + blocks[-1][1] * gap:
            before, num_before = blocks.pop()
            centre = ((before + (num_before - 1) * gap / 2) * num_before + (first + (count - 1) * gap / 2) * count) / (
                num_before + count
            )
            count += num_before
            first = min(max(centre - (count - 1) * gap / 2, low), high - (count - 1) * gap)
        blocks.append((first, count))
    placed = [first + k * gap for first, count in blocks for k in range(count)]
    return [placed[order.index(i)] for i in range(len(wanted))]
