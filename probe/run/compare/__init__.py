"""Methods against each other on one bench, and runs against each other on the same subjects."""
