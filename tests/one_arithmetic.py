"""The command, whose training goes by float32 as torch does it: else by what is fastest at the moment.

A world of tests that trains so comes out alike, however busy the machine is.
"""

from cryoflux.cli.main import main
from cryoflux.encoder import linear

linear._usable = lambda: [linear.Backend.F32]
main()
