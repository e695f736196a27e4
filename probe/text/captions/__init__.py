"""Captions: who is in them, by which words, and the same captions with the gender changed."""
