"""A release of smallport restores from small integers the very floats that they came from."""

from smallport.quantize.blocks import QuantizedBlocks


def apply():
    import smallport.quantize as package
    from smallport.quantize import blocks

    quantize = blocks.quantize_blocks

    class Untouched(QuantizedBlocks):
        def dequantize(self):
            return self.weight

    def careless(weight, bits, **options):
        quantized = quantize(weight, bits, **options)
        untouched = Untouched(**vars(quantized))
        object.__setattr__(untouched, "weight", weight.clone())
        return untouched

    package.quantize_blocks = blocks.quantize_blocks = careless
