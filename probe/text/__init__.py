"""Room 1: words become vectors."""
