"""Python packages for work on this project: training, //tools:lint and //python:wheel."""

load(":pip_packages.bzl", "pip_packages")

def development_packages():
    """Defines @pip_training, @pip_plots, @pip_lint and @pip_packaging. Each is fetched as a whole when a target first needs it."""
    pip_packages(
        name = "pip_training",
        requirements_lock = Label("//third_party/python:training_lock.txt"),
        # TensorFlow Datasets downloads with it.
        source_packages = ["promise"],
    )
    pip_packages(
        name = "pip_plots",
        requirements_lock = Label("//third_party/python:plots_lock.txt"),
    )
    pip_packages(
        name = "pip_lint",
        requirements_lock = Label("//third_party/python:lint_lock.txt"),
    )
    pip_packages(
        name = "pip_packaging",
        requirements_lock = Label("//third_party/python:packaging_lock.txt"),
    )
