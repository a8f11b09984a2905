"""One run: compose, fit, test once, record."""
