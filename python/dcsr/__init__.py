"""dCSR for TensorFlow Lite Micro: sparse int8 layers as custom ops with delta-compressed weights."""

__version__ = "0.1.0"
