"""Settings: types, limits, files, overrides and the sentences of errors."""
