"""
Sweep over architectures, and compare with the scoreboard
=========================================================

One model that exports well says little about the next one. Transformers registers well
over a hundred architectures for causal language modelling, each with its own attention,
cache or routing, and a new release of any package involved may break some of them. The
way to know is to check them all. ``smallport sweep`` does that, and the
:doc:`scoreboard </scoreboard>` shows what it found.

A whole sweep takes too long for a page. This one

- runs the same code on eight architectures, one that is known to fail among them;
- counts what they passed, stage by stage;
- and compares each verdict with the one that the scoreboard shows. If the versions are
  the same and the verdicts are not, this page goes red, and with it the site.
"""

# %%
# Choose architectures
# --------------------
#
# :func:`~smallport.sweep.tiny.architectures` names all of them, and a table of rules
# turns the default configuration of each into a tiny one: two or three layers, several
# heads, every kind of layer that the architecture has, random weights. Whether a model
# can be exported depends on its code, not on its weights or its width.
