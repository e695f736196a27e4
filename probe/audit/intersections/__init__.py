"""Attributes taken together: who is missing where two or three of them meet."""
