"""`python -m simulator`: bars of the simulated market as CSV, or the live market as a server."""

import sys

from simulator.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
