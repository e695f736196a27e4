"""Formats of vectors with names, one module a family of formats.

Every reader returns the names, or None if the file has none, and the matrix in the file's own type;
`probe.text.vectors.NamedVectors` checks both.
"""
