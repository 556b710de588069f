"""Parts of the reference that are made from the code: one module a page, each a few pure functions."""
