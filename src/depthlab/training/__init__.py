"""One run: build, fit, test once, record."""
