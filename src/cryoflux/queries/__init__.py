"""What pages, commands, export and report show of a state, as frozen values; it changes nothing."""
