"""Marks targets that need the sources of TensorFlow Lite Micro: --//third_party/tflm:framework."""

# `target_compatible_with` of such targets: Bazel reports them as skipped while the flag is unset.
NEEDS_TFLM = select({
    "//third_party/tflm:unset": ["//third_party/tflm:framework_is_set"],
    "//conditions:default": [],
})
