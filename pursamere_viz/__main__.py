"""python -m pursamere_viz: the command line."""

import sys

from pursamere_viz.cli import main

if __name__ == "__main__":
    sys.exit(main())
