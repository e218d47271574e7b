"""Prunes finished int8 models without training, from a few hundred representative inputs.

`prune.py` is the entry: it runs the dense and the pruned network side by side (`forward`), measures the covariance of each
layer's inputs (`moments`), removes weights and adapts the remaining ones (`obs`), writes them into the model (`patch`), and
shares the loss out between the layers (`allocation`). `inputs` reads and checks the representative inputs, `disagreement`
compares the outputs of two models.

Sources: Optimal Brain Compression (arXiv 2208.11580), GPTQ (arXiv 2210.17323), SparseGPT (arXiv 2301.00774).
"""
