"""How good pictures are: what they show of their prompts, and how far two sets of them differ."""
