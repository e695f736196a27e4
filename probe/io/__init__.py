"""Files: atomic writing, provenance, and readers whose errors name the way out."""
