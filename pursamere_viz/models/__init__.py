"""What is learned: data sets, networks, checkpoints, training, and images from outside."""

from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.data import DATA_SETS, data_set, load_images
from pursamere_viz.models.device import default_device

__all__ = ["DATA_SETS", "data_set", "default_device", "load_images", "load_network"]
