"""For targets that need TensorFlow Lite Micro's own source: --//third_party/tflm:framework."""

# `target_compatible_with` of such a target: Bazel skips it, and says so, while the flag is unset.
NEEDS_TFLM = select({
    "//third_party/tflm:unset": ["//third_party/tflm:framework_is_set"],
    "//conditions:default": [],
})
