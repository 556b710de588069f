"""The command of a node that gives strangers as many joules as they ask for, whatever the rule says."""

from cryoflux import network_state
from cryoflux.cli.main import main

network_state.STRANGERS_PART = 1
main()
