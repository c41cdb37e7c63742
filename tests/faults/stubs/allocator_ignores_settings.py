"""A release of glibc renames the variables that set its allocator."""

import subprocess


def apply():
    run = subprocess.run

    def renamed(command, *, env=None, **options):
        if env is not None:
            env = {name: value for name, value in env.items() if not name.startswith("MALLOC_")}
        return run(command, env=env, **options)

    subprocess.run = renamed
