"""Reading MATLAB files with clear errors: version 5 by SciPy, version 7.3 (which is HDF5) by h5py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scene_understanding.datasets.rgbd import DatasetError


def read_mat(path: Path, *names: str) -> tuple[Any, ...]:
    """Variables of a file of version 5, axes of length 1 squeezed away.

    Raises:
        DatasetError: no such file, a damaged one or one of version 7.3, or a variable that it does not have.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise DatasetError(f"{path} is missing")
    try:
        content = loadmat(path, variable_names=names, squeeze_me=True)
    except NotImplementedError as error:
        raise DatasetError(f"{path} is of MATLAB version 7.3; expected version 5, as it was published") from error
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise DatasetError(f"{path} is damaged or not a MATLAB file: {' '.join(str(error).split())}") from error
    absent = [name for name in names if name not in content]
    if absent:
        raise DatasetError(f"{path} has no variable {absent[0]}")
    return tuple(content[name] for name in names)


@contextmanager
def open_hdf5(path: Path, *names: str) -> Iterator[Any]:
    """A file of version 7.3 as an `h5py.File` that has datasets or groups of these names.

    Arrays in it have their axes the other way round than in MATLAB.

    Raises:
        DatasetError: no h5py here, no such file, a damaged one, or something that it does not have.
    """
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(f"reading {path.name} needs h5py: pip install 'scene_understanding[data]'") from error
    if not path.is_file():
        raise DatasetError(f"{path} is missing")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise DatasetError(f"{path} is damaged or not a MATLAB file of version 7.3") from error
    with file:
        absent = [name for name in names if name not in file]
        if absent:
            raise DatasetError(f"{path} has no {absent[0]}; it has {', '.join(file)}")
        yield file
