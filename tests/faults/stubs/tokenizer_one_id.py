"""A release of tokenizers gives every word the same number."""

import transformers
from tokenizers import models


def apply():
    load = transformers.AutoTokenizer.from_pretrained

    def careless(*args, **kwargs):
        tokenizer = load(*args, **kwargs)
        tokenizer.backend_tokenizer.model = models.WordLevel({"word": 5}, unk_token="word")
        return tokenizer

    transformers.AutoTokenizer.from_pretrained = careless
