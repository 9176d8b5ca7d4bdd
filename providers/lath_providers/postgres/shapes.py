"""PostgreSQL's geometric types: doubles in a row, and in wasmcloud:postgres points of hashable floats."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from lath_providers.postgres.floats import DOUBLE, Parts, double_parts

Point: TypeAlias = tuple[Parts, Parts]
Segment: TypeAlias = tuple[Point, Point]

_OPEN: Final = b"\0"
"""A path with two ends. The standard's says nothing of it."""


def decode_point(data: bytes) -> Point:
    return _points(data)[0]


def encode_point(point: Point) -> bytes:
    return _packed([point])


def decode_segment(data: bytes) -> Segment:
    start, end = _points(data)
    return start, end


def encode_segment(segment: Segment) -> bytes:
    return _packed(segment)


def decode_box(data: bytes) -> Segment:
    """Lower left and upper right; PostgreSQL has them the other way round."""
    upper_right, lower_left = _points(data)
    return lower_left, upper_right


def encode_box(box: Segment) -> bytes:
    lower_left, upper_right = box
    return _packed([upper_right, lower_left])


def decode_line(data: bytes) -> Segment:
    """Two points of the line a x + b y + c = 0: those at x = 0 and 1, of an upright one at y = 0 and 1."""
    a, b, c = struct.unpack(">3d", data)
    upright = b == 0
    x0, y0 = (-c / a, 0.0) if upright else (0.0, -c / b)
    x1, y1 = (-c / a, 1.0) if upright else (1.0, -(a + c) / b)
    return (double_parts(x0), double_parts(y0)), (double_parts(x1), double_parts(y1))


def encode_line(line: Segment) -> bytes:
    """The line through two points, as PostgreSQL makes it of them.

    Raises:
        ValueError: They are one point.
    """
    (x0, y0), (x1, y1) = (_numbers(point) for point in line)
    if (x0, y0) == (x1, y1):
        raise ValueError("a line goes through two points, and these are one")
    if x0 == x1:
        return struct.pack(">3d", -1.0, 0.0, x0)
    slope = (y1 - y0) / (x1 - x0)
    return struct.pack(">3d", slope, -1.0, y0 - slope * x0)


def decode_circle(data: bytes) -> tuple[Point, Parts]:
    x, y, radius = (double_parts(number) for number in struct.unpack(">3d", data))
    return (x, y), radius


def encode_circle(circle: tuple[Point, Parts]) -> bytes:
    center, radius = circle
    return _packed([center]) + DOUBLE.packed(DOUBLE.number(radius))


def decode_path(data: bytes) -> list[Point]:
    """The points. Whether the path is closed is lost: the standard has no place for it."""
    return _points(data[5:])


def encode_path(points: Sequence[Point]) -> bytes:
    """An open path."""
    return _OPEN + encode_polygon(points)


def decode_polygon(data: bytes) -> list[Point]:
    return _points(data[4:])


def encode_polygon(points: Sequence[Point]) -> bytes:
    """Raises `ValueError` without points."""
    if not points:
        raise ValueError("at least one point is needed")
    return struct.pack(">i", len(points)) + _packed(points)


def _points(data: bytes) -> list[Point]:
    numbers = [double_parts(number) for (number,) in struct.iter_unpack(">d", data)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _packed(points: Sequence[Point]) -> bytes:
    return b"".join(struct.pack(">2d", *_numbers(point)) for point in points)


def _numbers(point: Point) -> tuple[float, float]:
    x, y = point
    numbers = DOUBLE.number(x), DOUBLE.number(y)
    if any(map(math.isnan, numbers)):
        raise ValueError("a point with NaN is nowhere")
    return numbers
