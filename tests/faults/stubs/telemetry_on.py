"""A release of ONNX Runtime reports its use unless another variable is set."""

import subprocess


def apply():
    run = subprocess.run

    def deaf(command, *, env, **options):
        return run(command, env=env | {"ORT_DISABLE_TELEMETRY": "0"}, **options)

    subprocess.run = deaf
