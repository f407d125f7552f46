"""Textures from formulas, for places that look like another material: (H, W) of values from about -0.5 to 0.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from trainer.painted.scene import Cover
from trainer.painted.shapes import cloud

Texture = Callable[[tuple[int, int], np.random.Generator], Cover]


def _scale(shape: tuple[int, int], random: np.random.Generator) -> float:
    """Pixels of the texture's coarseness."""
    return max(1.0, float(min(shape)) * random.uniform(0.03, 0.12))


def _stripes(shape: tuple[int, int], random: np.random.Generator) -> Cover:
    """Parallel lines, a little wavy."""
    period, angle = 3 * _scale(shape, random), random.uniform(0, np.pi)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    along = rows * np.sin(angle) + columns * np.cos(angle)
    return np.asarray(0.5 * np.sin(2 * np.pi * along / period + 0.6 * cloud(shape, period, random)), dtype=np.float32)


def _weave(shape: tuple[int, int], random: np.random.Generator) -> Cover:
    """Two crossing sets of lines."""
    period = 3 * _scale(shape, random)
    rows, columns = np.mgrid[: shape[0], : shape[1]] * (2 * np.pi / period)
    turn = random.uniform(0, np.pi / 2)
    down = rows * np.cos(turn) + columns * np.sin(turn)
    right = columns * np.cos(turn) - rows * np.sin(turn)
    return np.asarray(0.5 * np.sin(down) * np.sin(right), dtype=np.float32)


def _speckles(shape: tuple[int, int], random: np.random.Generator) -> Cover:
    """Grains that touch each other."""
    return np.asarray(np.clip(0.3 * cloud(shape, 0.5 * _scale(shape, random), random), -0.5, 0.5), dtype=np.float32)


def _clouds(shape: tuple[int, int], random: np.random.Generator) -> Cover:
    """Smooth noise at three scales."""
    scale = _scale(shape, random)
    mixed = cloud(shape, 2 * scale, random) + 0.6 * cloud(shape, scale, random) + 0.4 * cloud(shape, scale / 2, random)
    return np.asarray(np.clip(0.25 * mixed, -0.5, 0.5), dtype=np.float32)


def _cells(shape: tuple[int, int], random: np.random.Generator) -> Cover:
    """Worley's cells: brighter the farther from the nearest of random points."""
    scale = 2.5 * _scale(shape, random)
    count = int(np.clip(shape[0] * shape[1] / scale**2, 3, 4000))
    free = np.full(shape, 255, np.uint8)
    free[random.integers(0, shape[0], count), random.integers(0, shape[1], count)] = 0
    far = cv2.distanceTransform(free, cv2.DIST_L2, 5)
    return np.asarray(np.clip(far / scale, 0, 1) - 0.5, dtype=np.float32)


TEXTURES: Mapping[str, Texture] = {
    "cells": _cells,
    "clouds": _clouds,
    "speckles": _speckles,
    "stripes": _stripes,
    "weave": _weave,
}
