"""Executed tutorials that make small PyTorch language models smaller and portable.

The package holds what the pages of the site share: the corpus and the models, where they come
from, and how they are measured and checked. What a page teaches stands in the page.
"""

from smallport.cache import AssetError

__all__ = ["AssetError", "__version__"]

__version__ = "0.1.0"
