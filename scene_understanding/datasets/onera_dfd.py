"""ONERA's indoor images for depth from defocus (Carvalho et al., ECCV workshops 2018), of a DSLR at two apertures.

    FOLDER/train/NAME.f2_8.jpg   645x432, shallow depth of field
           train/NAME.f8.jpg     the same scene with nearly everything sharp
           train/NAME.depth.png  16 bit, millimetres, of an Xtion beside the camera, holes filled
           test/...              the same

Files belong together by their names, whatever the folder lacks or has besides. Depth is wrong on dark screens and some
pixels off at edges.

The images carry no EXIF. The camera is that of the authors' own synthesis, a lens of 35 mm and pixels of 36 um at this
size, whose blur the images have (`bench/onera_lens.py`, docs/datasets.md). The two images of a scene are not aligned:
the camera turned between the exposures, by 1.6 pixels in the median and by 12.6 at most.
"""

from __future__ import annotations

from pathlib import Path

from scene_understanding.datasets.lists import find_list, read_names
from scene_understanding.datasets.rgbd import DatasetError, RgbdSample, existing_folder, read_depth, read_rgb
from scene_understanding.geometry import PinholeCamera
from scene_understanding.simulation.defocus import ThinLens

FOCAL_LENGTH, PIXEL_PITCH = 35e-3, 36e-6
"""Metres."""

FOCUS, RHO = 1.65, 0.264
"""Metres, and `rho` of a disk, measured: 1.640 +- 0.014 m and 0.264 +- 0.005 (docs/datasets.md)."""

LENSES = {
    aperture: ThinLens(FOCAL_LENGTH, f_number, FOCUS, PIXEL_PITCH, RHO)
    for aperture, f_number in (("f2_8", 2.8), ("f8", 8.0))
}
"""Of each aperture; their blur is a disk."""

FOCAL_LENGTH_PX = FOCAL_LENGTH / PIXEL_PITCH
CAMERA = PinholeCamera(645, 432, FOCAL_LENGTH_PX, FOCAL_LENGTH_PX, 322.0, 215.5)

PARTS = ("train", "test")
WHAT = "ONERA DFD"


class OneraDfd:
    """Samples of one aperture, in the order of their names or of a list.

    Args:
        folder: as in the module's docstring.
        split: `train` or `test`, the official parts; else a list of names of `train`: one in the folder, one of ours
            (`fit` and `val`), or a path.
        aperture: of the colour images, `f2_8` or `f8`.

    Raises:
        DatasetError: an unknown aperture, a missing folder or list, an image without depth or a depth without image.
    """

    label_set: str | None = None

    def __init__(self, folder: str | Path, split: str | Path = "train", aperture: str = "f2_8") -> None:
        if aperture not in LENSES:
            raise DatasetError(f"{WHAT}: aperture is '{aperture}'; apertures are {', '.join(LENSES)}")
        self.folder, self.camera, self.aperture = existing_folder(folder, WHAT), CAMERA, aperture
        self.part = existing_folder(self.folder / (split if split in PARTS else "train"), WHAT)
        if split in PARTS:
            self.names = _names(self.part, f".{aperture}.jpg", ".depth.png")
        else:
            self.names = read_names(find_list(self.folder, split, "onera_dfd"), WHAT)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a file missing, damaged or of another size.
        """
        name = self.names[index]
        rgb = read_rgb(self.part / f"{name}.{self.aperture}.jpg", self.camera.shape)
        depth = read_depth(self.part / f"{name}.depth.png", self.camera.shape)
        return RgbdSample(name, rgb, depth, self.camera)


def _names(folder: Path, *endings: str) -> list[str]:
    """Names of the scenes, all of which have a file of each of the endings."""
    found = [{path.name.removesuffix(end) for path in folder.glob(f"*{end}")} for end in endings]
    names = sorted(set().union(*found))
    if not names:
        raise DatasetError(f"{WHAT}: {folder} holds no *{' and no *'.join(endings)}")
    for name in names:
        for end, there in zip(endings, found, strict=True):
            if name not in there:
                rest = next(other for other in endings if other != end)
                raise DatasetError(
                    f"{WHAT}: {folder} holds {name}{rest} without its {name}{end}; remove it or add that"
                )
    return names
