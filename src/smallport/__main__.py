"""``python -m smallport``, where the command is not on the path."""

from smallport.cli import main

raise SystemExit(main())
