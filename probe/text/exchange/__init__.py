"""Files of other programs: prompts and vectors that users bring, and take away."""
