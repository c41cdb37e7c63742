"""Somebody replaced the kept grid by one that does not say where it comes from."""

import json


def apply():
    loads = json.loads

    def without_provenance(text, **options):
        loaded = loads(text, **options)
        if isinstance(loaded, dict) and {"provenance", "results"} <= loaded.keys():
            del loaded["provenance"]
        return loaded

    json.loads = without_provenance
