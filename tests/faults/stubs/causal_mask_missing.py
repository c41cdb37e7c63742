"""A release of transformers lets each token of Llama see those after it, eager and exported."""

from transformers.models.llama import modeling_llama


def apply():
    create = modeling_llama.create_causal_mask

    def careless(config, inputs_embeds, attention_mask=None, *args, **kwargs):
        if attention_mask is None:
            return create(config, inputs_embeds, attention_mask, *args, **kwargs)
        visible = attention_mask[:, None, None, :].bool()
        return visible.expand(-1, 1, inputs_embeds.shape[1], -1)

    modeling_llama.create_causal_mask = careless
