"""Where images come from: the known data sets, their files on disk, downloads, and images that people bring."""

from pursamere_viz.data.loading import DATA_SETS, DataSet, data_set, load_images

__all__ = ["DATA_SETS", "DataSet", "data_set", "load_images"]
