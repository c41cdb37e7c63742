"""A release of matplotlib draws images from their last row on."""

from matplotlib.axes import Axes


def apply():
    imshow = Axes.imshow
    Axes.imshow = lambda axes, image, *given, **named: imshow(axes, image[::-1], *given, **named)
