import sys

from sscnb.cli import main

sys.exit(main())
