"""``python -m cryoflux``."""

from cryoflux.cli.main import main

if __name__ == "__main__":
    main()
