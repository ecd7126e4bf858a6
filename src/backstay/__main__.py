"""`python -m backstay` is `backstay`."""

import sys

from backstay.cli import main

if __name__ == "__main__":
    sys.exit(main())
