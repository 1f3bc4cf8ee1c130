"""Where images come from: the known data sets, their files on disk, downloads, and images that people bring."""

from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import DATA_SETS, DataSet, data_set, register

__all__ = ["DATA_SETS", "DataSet", "data_set", "load_images", "register"]
