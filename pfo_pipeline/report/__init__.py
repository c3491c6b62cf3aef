"""The cash page: one self-contained HTML file about what a family has, where, as of when, and what changed."""
