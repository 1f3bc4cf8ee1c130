"""Images without code: a folder with one subfolder a class, or an .npz file, in the place of a data set's own."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import DataSet
from pursamere_viz.data.uploads import decode_image

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")  # as uploads.FORMATS


def load_image_files(described: DataSet, path: Path, split: str) -> tuple[Tensor, Tensor | None]:
    """Images x (N, C, S, S) in [0, 1] and labels y (N,) for a data set's classes; y is None where an .npz file has none.

    A folder with a subfolder test holds train and validation too, if it has subfolders of these names; any other folder is the
    test split. So are x and y of an .npz file; x_train, y_train and so on are the others. What is not given is the data set's
    own. ValueError in one sentence where it cannot be read or does not fit the data set.
    """
    if path.is_dir():
        split_up = (path / "test").is_dir()
        if split == "test" or (split_up and (path / split).is_dir()):
            return _folder(described, path / split if split_up else path)
    elif found := _arrays(described, path, split):
        return found
    return load_images(described.name, split)


def _folder(described: DataSet, folder: Path) -> tuple[Tensor, Tensor]:
    """Subfolders are classes: by name, or, where their names are no class's, in the order of the alphabet."""
    classes = sorted(inner.name for inner in folder.iterdir() if inner.is_dir())
    names = list(described.class_names)
    if unknown := [name for name in classes if name not in names]:
        if len(classes) != len(names):
            raise ValueError(f"{folder} has a subfolder {unknown[0]!r}, which is no class: {', '.join(names)}")
        names = classes
    images, labels = [], []
    for name in classes:
        for file in sorted(one for one in (folder / name).iterdir() if one.suffix.lower() in ENDINGS):
            try:
                found = decode_image(file.read_bytes(), channels=described.channels, size=described.size)
            except (OSError, ValueError) as problem:
                raise ValueError(f"{file} cannot be read: {problem}") from problem
            images.append(found.image)
            labels.append(names.index(name))
    if not images:
        raise ValueError(f"{folder} has no picture: it needs one subfolder a class with PNG or JPEG files in it")
    return torch.cat(images), torch.tensor(labels)


def _arrays(described: DataSet, path: Path, split: str) -> tuple[Tensor, Tensor | None] | None:
    try:
        with np.load(path, allow_pickle=False) as held:
            x_name, y_name = ("x", "y") if split == "test" and "x" in held else (f"x_{split}", f"y_{split}")
            if split != "test" and x_name not in held:
                return None
            x, y = held[x_name], held.get(y_name)
    except (OSError, ValueError, KeyError) as problem:
        raise ValueError(f"{path} cannot be read: it must be an .npz file with arrays x and y ({problem})") from problem
    images = torch.from_numpy(x / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32))
    if images.dim() == 3:  # grey, without a channel
        images = images[:, None]
    elif images.dim() == 4 and images.shape[1] != described.channels == images.shape[3]:  # channels last
        images = images.movedim(3, 1).contiguous()
    return images, None if y is None else torch.from_numpy(y.astype(np.int64))
