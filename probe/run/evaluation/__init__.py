"""What the stage evaluate measures."""
