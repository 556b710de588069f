"""``index_refresh``: the index of a folder of documents."""
