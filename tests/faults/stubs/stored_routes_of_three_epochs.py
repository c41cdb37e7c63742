"""The stored results are those of weights that were trained for three epochs only."""

from smallport.bench import route_results


def apply():
    read = route_results.read_results

    def of_three_epochs(name="routes"):
        return read("routes-three-epochs" if name == "routes" else name)

    route_results.read_results = of_three_epochs
