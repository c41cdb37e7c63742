"""The stored grid of this machine was measured when int8 was a hundred times faster."""

from dataclasses import replace

from smallport import measured
from smallport.bench import cells


def apply():
    stored_grids = cells.stored_grids

    def differing():
        here, *others = (grid for grid in stored_grids() if grid.processes > 1)
        faster = {
            place: replace(
                cell, **{end: 100 * getattr(cell, end) for end in ("low", "ratio", "high")}
            )
            for place, cell in here.cells.items()
        }
        # Its provenance is that of this machine, so that the machine explains nothing.
        return [replace(here, cells=faster, provenance=measured.provenance("grid")), *others]

    cells.stored_grids = differing
