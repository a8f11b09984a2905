"""The site: its pages, and the code that fills them in."""
