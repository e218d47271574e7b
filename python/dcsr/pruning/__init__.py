"""Prunes finished int8 models without training, from a few hundred representative inputs.

Start in `prune.py`, which runs the dense and the pruned network side by side.

| module | contents |
|---|---|
| `aims` | from the arguments of `dcsr.prune` to one outcome |
| `session` | one model pruned to different aims |
| `prune` | the layers of a model: measured alone, then pruned one after the other |
| `allocation` | how many weights each layer loses |
| `layerwise` | one layer: targets, removal, new scales, rounding, bias |
| `obs` | the linear algebra: order of removal, best remaining weights, rounding, patterns |
| `moments` | covariances of the inputs of a layer |
| `forward` | the forward pass, bit for bit that of the TFLM interpreter |
| `patch` | weights, scales and biases in the model file |
| `inputs` | representative inputs: reading and checking |
| `disagreement` | the outputs of two models compared |
| `plan`, `summary`, `page` | plan files, printed output and JSON, HTML report |
| `blas` | one thread for numpy's products |

Sources: Optimal Brain Compression (arXiv 2208.11580), GPTQ (arXiv 2210.17323), SparseGPT (arXiv 2301.00774).
"""
