import sys

from sscnb.commands.cli import main

sys.exit(main())
