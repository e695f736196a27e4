"""Room 2, where the bias stands: bias axes, what removes them, associations, maps."""
