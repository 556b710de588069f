"""Answering HTTP for a long time: a table of what is served, and the limits that keep a server up."""
