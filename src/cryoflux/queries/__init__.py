"""What pages, commands, exports and reports all show: asked for once, in one place."""
