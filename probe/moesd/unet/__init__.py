"""Experts within the image model: where they sit in its U-Net, what they are, who passes them."""
