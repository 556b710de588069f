"""Live pages: what a state comes to, as HTML that needs no script, and a stream that keeps it live."""
