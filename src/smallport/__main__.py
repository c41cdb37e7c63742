"""``python -m smallport``, where the command is not on the path."""

from smallport.commands.main import main

raise SystemExit(main())
