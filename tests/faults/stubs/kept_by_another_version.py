"""The kept grid was measured by a version whose cells were others."""

import json


def apply():
    loads = json.loads

    def older(text, **options):
        loaded = loads(text, **options)
        if isinstance(loaded, dict) and {"provenance", "results"} <= loaded.keys():
            loaded["provenance"]["smallport"] = "0.0.1"
            for cell in loaded["results"]["cells"]:
                cell["layer"] = cell.pop("part")
        return loaded

    json.loads = older
