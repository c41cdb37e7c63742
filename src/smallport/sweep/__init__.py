"""Every architecture that transformers registers for causal language modelling, checked."""
