"""The command that shows painted defects: `python -m trainer.painted FOLDER --out sheet.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from models.imaging.decode import ImageError
from trainer.data import DataError, good_folder, image_files, read_pixels
from trainer.painted.sheet import contact_sheet


def main(arguments: list[str] | None = None) -> None:
    """Writes one PNG; ends with the reason where there is nothing to paint on."""
    parser = argparse.ArgumentParser(prog="python -m trainer.painted", description=__doc__)
    parser.add_argument("folder", type=Path, help="pictures of good parts, or a set in the MVTec layout")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where the contact sheet goes")
    parser.add_argument("--pictures", type=int, default=4, help="how many good pictures are painted on (%(default)s)")
    parser.add_argument("--cell", type=int, default=160, help="pixels of a picture's side (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    if given.out.suffix.lower() != ".png":
        parser.error(f"--out {given.out} must end in .png")
    if given.pictures < 1 or given.cell < 32:
        parser.error("--pictures must be at least 1 and --cell at least 32")
    try:
        files = image_files(good_folder(given.folder))
        if not files:
            raise DataError(f"no image in {given.folder}")
        chosen = np.random.default_rng(given.seed).permutation(len(files))[: given.pictures]
        sheet = contact_sheet([read_pixels(files[number]) for number in chosen], given.seed, given.cell)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())
    except (DataError, ImageError, OSError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error
    print(f"{len(chosen)} pictures, {sheet.shape[1]} x {sheet.shape[0]} pixels: {given.out}")


if __name__ == "__main__":
    main()
