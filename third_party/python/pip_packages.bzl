"""A repository of the Python packages in a hash-pinned lock file."""

# Each Python package is a Bazel package: `:files` is the files that pip installed, `:NAME` includes all
# requirements. A package that the lock has only for other Python versions exists but is empty, so that
# BUILD files can refer to it for every Python version.
_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library")

py_library(
    name = "files",
    # Bazel 4 cannot have blanks in runfiles.
    srcs = glob(["site/**/*.py"], exclude = ["**/* *"], allow_empty = True),
    data = glob(["site/**"], exclude = ["**/*.py", "**/* *"], allow_empty = True),
    imports = ["site"],
    visibility = ["//:__subpackages__"],
)

py_library(
    name = "{name}",
    visibility = ["//visibility:public"],
    deps = {deps},
)
"""

_HELP = """{repository}: pip cannot install {package} for {python}:

{output}
The cause is in the last lines above. Usual ones, and the way out:
 * no module named pip: install it (Debian: apt-get install python3-pip), or run ./bazelw once
 * no connection, or a certificate that is not trusted: tell pip of your proxy, index or certificate authority (PIP_PROXY,
   PIP_INDEX_URL, PIP_CERT or pip.conf); it reads them here too
 * no matching distribution, or hashes do not match: {lock} is for
   {scope}; put such a Python first on PATH. If it is one, the index serves another
   file than the one locked: make the lock anew with tools/lock_requirements.py if that is as it should be
Then run Bazel again.
"""

_OTHER_PYTHON = "{repository}: {lock} is for {scope}, but {python} is CPython 3.{minor}: put such a Python first on PATH"

# Build tools for packages without a wheel. They come from the same lock, so everything installed has a pinned hash.
_BUILD_TOOLS = ["setuptools", "wheel"]

def _label_name(name):
    return name.strip().lower().replace("-", "_").replace(".", "_")

def _read_lock(text):
    """Returns the requirement lines of a lock file: {label name: [line]}."""
    packages = {}
    for line in text.replace("\\\n", " ").split("\n"):
        line = line.strip()
        if line and not line.startswith("#"):
            packages.setdefault(_label_name(line.split("==")[0]), []).append(line)
    return packages

def _required(metadata):
    """Returns the label names of the requirements in a package's METADATA, without extras."""
    names = []
    for line in metadata.split("\n"):
        if not line:
            break  # the description follows
        if line.startswith("Requires-Dist:") and "extra ==" not in line:
            name = line[len("Requires-Dist:"):].strip()
            for end in " [(;<>=!~".elems():
                name = name.split(end)[0]
            names.append(_label_name(name))
    return names

def _closure(name, required):
    """Returns `name` and all its direct and indirect requirements."""
    found = [name]

    # Each round adds at least one package or is the last.
    for _ in required:
        more = [r for n in found for r in required[n] if r not in found]
        if not more:
            break
        found = {n: None for n in found + more}.keys()
    return found

def _pip_install(rctx, python, name, lines, scope):
    """Installs one package into its folder and returns its requirements."""
    requirements = rctx.path("requirements/%s.txt" % name)
    rctx.file(requirements, "\n".join(lines) + "\n")
    site = rctx.path(name + "/site")
    if name in rctx.attr.source_packages:
        kind = ["--no-binary=:all:", "--use-pep517", "--no-build-isolation"]
        environment = {"PYTHONPATH": ":".join([str(rctx.path(tool + "/site")) for tool in _BUILD_TOOLS])}
    else:
        kind, environment = ["--only-binary=:all:"], {}
    result = rctx.execute([
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--no-warn-script-location",
        "--require-hashes",
        "--no-deps",
        "--no-compile",
        "--target=%s" % site,
        "--requirement=%s" % requirements,
    ] + kind, timeout = rctx.attr.timeout, environment = environment)
    if result.return_code != 0:
        fail(_HELP.format(
            lock = str(rctx.attr.requirements_lock).lstrip("@"),
            output = result.stdout + result.stderr,
            package = " / ".join([line.split(" ")[0] for line in lines]),
            python = python,
            repository = "@" + rctx.name,
            scope = scope,
        ))
    if not site.exists:
        return []

    # Compile once here, not at each start in a sandbox. "unchecked" makes the files identical on every machine. Ignore the
    # exit status: packages may contain files that are not valid Python.
    rctx.execute([python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", str(site)], timeout = rctx.attr.timeout)
    required = []
    for entry in site.readdir():
        if entry.basename.endswith(".dist-info"):
            required += _required(rctx.read(entry.get_child("METADATA")))
    return required

def _minor(text, before):
    """Returns the number that follows `before` in `text`, or None."""
    _, _, rest = text.partition(before)
    digits = ""
    for character in rest.elems():
        if not character.isdigit():
            break
        digits += character
    return int(digits) if digits else None

def _check_python(rctx, python, abi, scope):
    """Fails at once if the lock file is not for this Python. pip would say the same in many lines, after a while."""
    minor, first, last = _minor(abi, "cpython-3"), _minor(scope, "CPython 3."), _minor(scope, " to 3.")
    if minor != None and first != None and last != None and not (first <= minor and minor <= last):
        fail(_OTHER_PYTHON.format(
            lock = str(rctx.attr.requirements_lock).lstrip("@"),
            minor = minor,
            python = python,
            repository = "@" + rctx.name,
            scope = scope,
        ))

def _pip_packages_impl(rctx):
    # Reading the file makes the repository depend on it: another Python causes a new installation.
    python, abi = rctx.read(rctx.attr._python).split("\n")[:2]
    lock = rctx.read(rctx.attr.requirements_lock)
    packages = _read_lock(lock)
    scope = " ".join([line[len("# For "):].rstrip(".") for line in lock.split("\n") if line.startswith("# For ")])
    _check_python(rctx, python, abi, scope)
    required = {}
    # Install the build tools first.
    built = [name for name in packages if name in rctx.attr.source_packages]
    for name in [name for name in packages if name not in built] + built:
        lines = packages[name]
        rctx.report_progress("pip install " + lines[0].split(" ")[0])
        required[name] = [r for r in _pip_install(rctx, python, name, lines, scope) if r in packages]
    for name in packages:
        deps = ["//%s:files" % n for n in _closure(name, required)]
        rctx.file(name + "/BUILD.bazel", _BUILD.format(name = name, deps = repr(deps)))
    rctx.file("BUILD.bazel", "")

pip_packages = repository_rule(
    implementation = _pip_packages_impl,
    doc = """Installs the wheels of a lock file with the host's pip: numpy is `@NAME//numpy`, markdown-it-py `@NAME//markdown_it_py`.

pip finds the packages as it does outside Bazel (index, proxy, pip.conf) and takes a file only if the lock has its hash.
All packages of a repository are installed when the first is needed, so what not everybody needs has a repository of its own.""",
    attrs = {
        "requirements_lock": attr.label(
            mandatory = True,
            allow_single_file = True,
            doc = "The lock file, of tools/lock_requirements.py: `name==version [; marker] --hash=...` lines.",
        ),
        "source_packages": attr.string_list(
            doc = "Packages that have no wheel. The lock has the hash of their source archive, and setuptools and wheel.",
        ),
        "timeout": attr.int(
            default = 1800,
            doc = "Seconds that one package may take.",
        ),
        "_python": attr.label(
            default = "@host_python//:python.txt",
            allow_single_file = True,
        ),
    },
)
