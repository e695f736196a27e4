"""Any concept that a user can write, studied in the vectors of a run."""
