"""Charts as SVG in percent of their frame: lines stretch with the page, text and marks keep their size."""
