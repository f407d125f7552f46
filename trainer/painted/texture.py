"""Foreign texture in a Perlin-masked place, after DRAEM (Zavrtanik et al., ICCV 2021), without a set of textures.

Textures come from generators, from other good pictures, or from the picture itself turned, inverted or in few levels.
"""

from __future__ import annotations

import numpy as np

from trainer.painted.change import Change, Wish
from trainer.painted.perlin import perlin
from trainer.painted.scene import Box, Cover, Picture, Scene
from trainer.painted.shapes import blob, elsewhere, mixed, smoothstep
from trainer.painted.textures import TEXTURES


def texture(scene: Scene, wish: Wish, random: np.random.Generator) -> Change:
    """See Painter. The texture is laid over the part as strongly as the contrast needs, opaque at most."""
    region = blob(scene, 1.8 * wish.area, random, ragged=0.1, soft=0.4)
    old = scene.window(region.box)
    cover = region.cover * _islands(region.cover, wish.area, random)
    other = _foreign(scene, region.box, wish.contrast, random)
    differs = float((np.abs(other - old).max(axis=2) * cover).sum() / max(float(cover.sum()), 1e-6))
    opacity = min(1.0, wish.contrast / max(differs, 1e-6))
    return Change(region.box, mixed(old, other, opacity * cover))


def _islands(cover: Cover, area: float, random: np.random.Generator) -> Cover:
    """1 where Perlin noise is high, so that about `area` pixels of the cover are left."""
    noise = perlin(cover.shape, max(3.0, float(np.sqrt(area)) * random.uniform(0.4, 1.0)), random)
    inside = np.sort(noise[cover > 0.5])
    if len(inside) == 0:
        return np.ones_like(cover)
    level = float(inside[int(np.clip(len(inside) - area, 0, len(inside) - 1))])
    return smoothstep(noise, level - 0.04, level + 0.04)


def _foreign(scene: Scene, box: Box, contrast: float, random: np.random.Generator) -> Picture:
    """(h, w, 3) of a texture that does not belong there."""
    ways = ["made", "self"] + (["other"] if scene.others else [])
    way = ways[int(random.integers(len(ways)))]
    if way == "other":
        stranger = Scene(scene.others[int(random.integers(len(scene.others)))])
        found = stranger.window(stranger.around(*stranger.place(random), box.height, box.width))
        if found.shape == (box.height, box.width, 3) and stranger.grey == scene.grey:
            return found
    if way == "self":
        return _transformed(scene.window(elsewhere(scene, box, random)), random)
    old = scene.window(box)
    name = list(TEXTURES)[int(random.integers(len(TEXTURES)))]
    pattern = TEXTURES[name]((box.height, box.width), random)
    level = np.median(old.reshape(-1, 3), axis=0)
    shift = contrast if level.mean() < 0.5 else -contrast
    return np.asarray(level + (0.5 * shift + 2 * contrast * pattern[..., None]) * scene.colour(random), np.float32)


def _transformed(picture: Picture, random: np.random.Generator) -> Picture:
    way = random.integers(3)
    if way == 0:
        return np.asarray(1 - picture)
    if way == 1:
        levels = random.integers(2, 5)
        return np.asarray(np.rint(picture * levels) / levels)
    low, high = np.quantile(picture, [0.02, 0.98])
    return np.asarray(np.clip((picture - low) / max(float(high - low), 0.05), 0, 1))[::-1]
