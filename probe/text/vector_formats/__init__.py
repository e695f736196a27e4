"""How others write vectors with names: one module a family of formats, none of them knows torch.

Every reader returns the names, or None if the file holds none, and a matrix as it stands in the
file; `probe.text.vectors` checks both.
"""
