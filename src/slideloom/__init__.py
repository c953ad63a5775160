"""Slideloom makes all the pictures of a slide deck at once."""
