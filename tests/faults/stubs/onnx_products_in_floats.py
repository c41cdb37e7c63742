"""A release of ONNX Runtime restores the weights of the decoder and multiplies floats."""

import onnx
import onnxruntime


def apply():
    class Restoring(onnxruntime.InferenceSession):
        def __init__(self, file, *args, **kwargs):
            model = onnx.load_from_string(file) if isinstance(file, bytes) else onnx.load(file)
            restore(model.graph)
            super().__init__(model.SerializeToString(), *args, **kwargs)

    onnxruntime.InferenceSession = Restoring


def restore(graph):
    """Replace the product of integers by one of floats."""
    nodes = list(graph.node)
    for product in [node for node in nodes if node.op_type == "MatMulInteger"]:
        (rounding,) = (node for node in nodes if product.input[0] in node.output)
        (cast,) = (node for node in nodes if product.output[0] in node.input)
        (scaling,) = (node for node in nodes if cast.output[0] in node.input)
        name = product.input[1].removesuffix("_quantized")
        restored = onnx.helper.make_node(
            "DequantizeLinear",
            [product.input[1], f"{name}_scale", product.input[3]],
            [f"{name}_restored"],
            axis=1,
        )
        in_floats = onnx.helper.make_node(
            "MatMul", [rounding.input[0], f"{name}_restored"], scaling.output
        )
        place = nodes.index(scaling)
        nodes[place : place + 1] = [restored, in_floats]
        for node in (product, cast):
            nodes.remove(node)
    del graph.node[:]
    graph.node.extend(nodes)
