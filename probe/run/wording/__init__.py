"""What the page and the model card of a run say alike: numbers, terms, the finding, its limits."""
