"""A comparison that looks at the newest token of each cache only."""

import importlib

from smallport.parity import name_outputs


def apply():
    module = importlib.import_module("smallport.parity.compare")
    leave_out = module.without_padding

    def newest_only(outputs, *arguments):
        kept = leave_out(outputs, *arguments)
        for name, tensor in name_outputs(kept).items():
            if name.startswith("present"):
                kept[name] = tensor.clone()
                kept[name][:, :, :-1] = 0
        return kept

    module.without_padding = newest_only
