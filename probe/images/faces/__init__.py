"""Faces in photographs: detection, and classification of the largest face."""
