"""TRAIN: what can be improved, behind one interface; a folder a task."""
