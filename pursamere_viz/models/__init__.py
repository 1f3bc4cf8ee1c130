"""What is learned: networks, their training and checkpoints, and images drawn from them."""

from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.device import default_device

__all__ = ["default_device", "load_network"]
