"""The Density lab: maps of the plane with the paths of several purifiers, and the sweep of sigma on a line."""
