"""One file per architecture, over one shared Lightning module."""
