"""Image quality: agreement with the prompts, and distances between two sets of images."""
