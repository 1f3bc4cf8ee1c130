"""What a page or a notebook shows: a scenario of the Image lab or of the Density lab, and the run that it describes."""
