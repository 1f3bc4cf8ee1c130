"""The course as a folder of pages that needs no server: lessons, their figures, teaching notes and glossary."""

from pursamere_viz.course.writing import write_course

__all__ = ["write_course"]
