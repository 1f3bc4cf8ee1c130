"""Printed figures: what the player shows, drawn with matplotlib for slides and paper. No browser, no pyplot, nothing shared."""
