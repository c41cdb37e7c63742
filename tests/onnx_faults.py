"""Break ONNX files, as wrong exporters would."""

import numpy as np
from onnx import TensorProto, helper, load, numpy_helper, save


def first_for_all(source, target, name, axis=0):
    """Have each text get an output of the first text, as a cache that texts share."""
    model = load(source)
    _rename(model.graph, name, "of_each")
    constants = {"begin": 0, "end": 1, "axis": axis}
    model.graph.initializer.extend(
        helper.make_tensor(key, TensorProto.INT64, [1], [value]) for key, value in constants.items()
    )
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["of_each"], ["sizes"]),
            helper.make_node("Slice", ["of_each", *constants], ["first"]),
            helper.make_node("Expand", ["first", "sizes"], [name]),
        ]
    )
    save(model, target)
    return target


def ignored(source, target, name):
    """Have an input of floats count as zero, as a state that is lost between calls."""
    model = load(source)
    for node in model.graph.node:
        for place, taken in enumerate(node.input):
            if taken == name:
                node.input[place] = "nothing"
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    model.graph.initializer.append(zero)
    model.graph.node.insert(0, helper.make_node("Mul", [name, "zero"], ["nothing"]))
    save(model, target)
    return target


def _rename(graph, name, new):
    for node in graph.node:
        for names in (node.input, node.output):
            for place, taken in enumerate(names):
                if taken == name:
                    names[place] = new


def other_weights(source, target):
    """Give each output of the largest weight the weights of its neighbour."""
    model = load(source)
    largest = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    values = numpy_helper.to_array(largest)
    largest.CopyFrom(numpy_helper.from_array(np.roll(values, 1, axis=0), largest.name))
    save(model, target)
    return target
