"""Faces in real photographs: found first, and then given to a classifier that knows only faces."""
