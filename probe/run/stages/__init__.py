"""The stages of a run, in order: embed, fit, train, generate, evaluate, visualize, report."""
