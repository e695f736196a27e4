"""From token ids to states: what a text encoder does, for each family, and each token once."""
