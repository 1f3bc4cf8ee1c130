"""The shipped data sets: one record a file, known to all once this room is entered."""

from pursamere_viz.data.records import register
from pursamere_viz.data_sets.cifar10 import CIFAR10
from pursamere_viz.data_sets.digits import DIGITS
from pursamere_viz.data_sets.fashion_mnist import FASHION_MNIST
from pursamere_viz.data_sets.mnist import MNIST

for _shipped in (DIGITS, MNIST, FASHION_MNIST, CIFAR10):
    register(_shipped)
