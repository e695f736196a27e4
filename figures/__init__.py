"""Everything people look at: figures and the report, drawn from data that `probe` has written."""
