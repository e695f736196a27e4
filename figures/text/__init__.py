"""Results in words: the sentences and tables of report, model card and terminal."""
