"""A small language model that is exported with a mistake, which is chosen by its name."""

import torch
from torch import nn
from transformers import DynamicCache

SIZE, HEADS, VOCABULARY, WINDOW = 16, 2, 40, 6


def exporting(model, fault):
    """Say whether a fault is planted here: in an export, and only there."""
    return model.fault == fault and torch.compiler.is_exporting()


class Norm(nn.Module):
    """A root mean square norm."""

    def __init__(self, fault=""):
        super().__init__()
        self.weight, self.fault = nn.Parameter(torch.rand(SIZE) + 0.5), fault

    def forward(self, hidden):
        """Divide by the root mean square."""
        epsilon = 0.1 if exporting(self, "epsilon") else 1e-6
        return self.weight * hidden * (hidden.pow(2).mean(-1, keepdim=True) + epsilon).rsqrt()


class Rotary(nn.Module):
    """The angles of rotary positions."""

    def __init__(self, fault=""):
        super().__init__()
        self.fault = fault

    def forward(self, position_ids):
        """Compute cosine and sine."""
        base = torch.tensor(50.0 if exporting(self, "angle") else 10000.0)
        half = SIZE // HEADS // 2
        angles = position_ids[..., None] * base ** -(torch.arange(half) / half)
        angles = torch.cat([angles, angles], -1)[:, None]
        return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Attention with rotary positions."""

    def __init__(self, number, fault="", window=None):
        super().__init__()
        self.projections = nn.Linear(SIZE, 3 * SIZE)
        self.number, self.fault, self.window = number, fault, window

    def forward(self, hidden, angles, attention_mask, cache):
        """Attend to the cache."""
        texts, new, _ = hidden.shape
        heads = self.projections(hidden).view(texts, new, 3 * HEADS, -1).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=1)
        query, key = (self.rotate(one, *angles) for one in (query, key))
        keys, values = cache.update(key, value, self.number)
        if exporting(self, "one cache"):
            new_keys, new_values = keys[:, :, -new:], values[:, :, -new:]
            texts_alike = (one[:1, :, :-new].expand(texts, -1, -1, -1) for one in (keys, values))
            old_keys, old_values = texts_alike
            keys = torch.cat([old_keys, new_keys], 2)
            values = torch.cat([old_values, new_values], 2)
            cache.layers[self.number].keys, cache.layers[self.number].values = keys, values
        seen = self.visible(attention_mask, new)[:, None]
        if exporting(self, "rows without keys"):
            seen = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        scale = 1.0 if exporting(self, "window and scale") else None
        attended = nn.functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=seen, scale=scale
        )
        return attended.transpose(1, 2).reshape(texts, new, SIZE)

    @staticmethod
    def rotate(one, cosine, sine):
        """Turn pairs of numbers."""
        first, second = one.chunk(2, dim=-1)
        return one * cosine + torch.cat([-second, first], -1) * sine

    def visible(self, attention_mask, new):
        """Mark the keys that each query sees."""
        places = torch.arange(attention_mask.shape[1])
        queries = places[attention_mask.shape[1] - new :]
        if exporting(self, "top left"):
            queries = queries - queries[:1]
        if exporting(self, "mask ignored"):
            attention_mask = torch.ones_like(attention_mask)
        distance = queries[:, None] - places[None, :]
        seen = distance >= (1 if self.fault == "rows without keys" else 0)
        if self.window is not None:
            is_wider = any(exporting(self, fault) for fault in ("window", "window and scale"))
            seen = seen & (distance < self.window + is_wider)
        return seen[None] & (attention_mask[:, None] == 1)


class Network(nn.Module):
    """A gated layer, or a choice of experts."""

    def __init__(self, fault=""):
        super().__init__()
        self.up, self.down, self.fault = nn.Linear(SIZE, 24), nn.Linear(24, SIZE), fault

    def forward(self, hidden):
        """Apply the network."""
        if exporting(self, "skipped"):
            return hidden * 0
        if exporting(self, "bfloat16"):
            up, down = (one.weight.bfloat16() for one in (self.up, self.down))
            inner = nn.functional.silu(hidden.bfloat16() @ up.T + self.up.bias.bfloat16())
            return (inner @ down.T).float() + self.down.bias
        return self.down(nn.functional.silu(self.up(hidden)))


class Router(nn.Module):
    """Let the two best of several scales change the hidden state."""

    def __init__(self, fault="", *, tied=False):
        super().__init__()
        self.scores, self.scales, self.fault = nn.Linear(SIZE, 8), torch.arange(8.0), fault
        if tied:
            nn.init.zeros_(self.scores.weight)
            nn.init.zeros_(self.scores.bias)

    def forward(self, hidden):
        """Scale by the best two."""
        scores = self.scores(hidden)
        places = scores.topk(2, largest=not exporting(self, "choice")).indices
        return hidden * self.scales[places].sum(-1, keepdim=True)


class Layer(nn.Module):
    """Attention and a network, each behind a norm."""

    def __init__(self, number, fault="", window=None):
        super().__init__()
        self.norm, self.attention = Norm(fault), Attention(number, fault, window)
        self.network = Network(fault)

    def forward(self, hidden, angles, attention_mask, cache):
        """Apply both."""
        hidden = hidden + self.attention(self.norm(hidden), angles, attention_mask, cache)
        return hidden + self.network(hidden)


class Planted(nn.Module):
    """A language model of two layers; the fault is in the second, or in what it names."""

    def __init__(self, fault="", *, window=None, router=None):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.tokens = nn.Embedding(VOCABULARY, SIZE)
            self.rotary = Rotary(fault)
            first = fault if fault == "one cache" else ""
            self.layers = nn.ModuleList([Layer(0, first, window), Layer(1, fault, window)])
            self.router = router or nn.Identity()
            self.logits = nn.Linear(SIZE, VOCABULARY)
        self.fault = fault
        self.eval()

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Score each token's successor."""
        cache = DynamicCache() if past_key_values is None else past_key_values
        hidden = self.tokens(input_ids)
        if exporting(self, "positions"):
            position_ids = position_ids * 0 + torch.arange(input_ids.shape[1])
        if exporting(self, "short texts"):
            hidden = hidden + (attention_mask.sum(1) < 12)[:, None, None]
        if self.fault == "branch" and cache.get_seq_length() > 0:
            hidden = 2 * hidden
        angles = self.rotary(position_ids)
        for layer in self.layers:
            hidden = layer(hidden, angles, attention_mask, cache)
        logits = self.logits(self.router(hidden))
        if exporting(self, "swapped"):
            for layer in cache.layers:
                layer.keys, layer.values = layer.values, layer.keys
        return {"logits": logits, "past_key_values": cache}
