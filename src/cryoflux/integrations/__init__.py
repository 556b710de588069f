"""Where people already are: trainers, trackers, notebooks, one small file each.

Nothing of CryoFlux imports this package but its commands and its public names, and each file imports the
library that it is for when it is used, never before.
"""
