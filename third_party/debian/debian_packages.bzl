"""A repository of files from pinned Debian packages, unpacked without root privileges.

The packages come from the Debian mirror in this machine's APT configuration, through APT's own proxies and
certificates. The machine's own Debian release does not matter.
"""

# APT's keys and signatures are not needed: every package is checked against its pinned hash.
_SOURCES = """\
Types: deb
URIs: {mirror}
Suites: {suite}
Components: main
Architectures: amd64
Trusted: yes
"""

_HELP = """{repository}: {what}

{output}
Usual causes, and the way out:
 * no connection to the mirror: whatever lets `apt-get update` work on this machine lets this work too
 * the mirror (that of APT's sources, or DCSR_DEBIAN_MIRROR) does not serve the release {suite}
Then run Bazel again.
"""

_NO_MIRROR = """{repository}: APT's sources on this machine name no mirror of Debian, so this is another distribution, such as Ubuntu.
The files of {repository} come from packages of Debian ({suite}), whichever distribution runs them. Set this variable to a mirror of
Debian, then run Bazel again:

    export DCSR_DEBIAN_MIRROR=http://MIRROR/debian

A list of mirrors: https://www.debian.org/mirror/list. Nothing is installed on the machine, and every package is checked against a
pinned hash.
"""

_NO_APT = """{repository}: {tool} is not on PATH. It comes with Debian and what derives from it (packages apt and dpkg); no root rights are needed.
"""

_GONE = """{repository}: the mirror no longer has {gone}
It has instead:

{replacements}
Put these into the list of packages (the attribute `packages` of this repository), after a look at what changed.
"""

def _fail(rctx, what, result):
    fail(_HELP.format(
        output = result.stdout + result.stderr,
        repository = "@" + rctx.name,
        suite = rctx.attr.suite,
        what = what,
    ))

def _run(rctx, arguments, what, **kwargs):
    """Runs a command that must succeed; returns its output."""
    result = rctx.execute(arguments, timeout = rctx.attr.timeout, **kwargs)
    if result.return_code != 0:
        _fail(rctx, what, result)
    return result.stdout

def _mirror(rctx):
    """Returns the URI of the Debian mirror to use."""
    mirror = rctx.os.environ.get("DCSR_DEBIAN_MIRROR")
    if mirror:
        return mirror
    sites = _run(rctx, ["apt-get", "indextargets", "--format", "$(SITE)"], "APT cannot tell its sources")
    for site in sites.split("\n"):
        site = site.strip().rstrip("/")
        if site.endswith("/debian"):
            return site
    return fail(_NO_MIRROR.format(repository = "@" + rctx.name, suite = rctx.attr.suite))

def _private_apt(rctx):
    """Sets up a private APT in apt/. It needs no root privileges and is independent of the machine's release.

    Returns:
      The options that select it.
    """
    for folder in ["lists/partial", "cache/archives/partial", "etc/preferences.d"]:
        rctx.file("apt/%s/.keep" % folder)
    rctx.file("apt/status")
    rctx.file("apt/etc/sources.list")
    rctx.file(
        "apt/etc/sources.list.d/pinned.sources",
        _SOURCES.format(mirror = _mirror(rctx), suite = rctx.attr.suite),
    )
    folder = str(rctx.path("apt"))
    options = {
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "5",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "",
        # By default `apt-get update` succeeds even if no mirror answers.
        "APT::Update::Error-Mode": "any",
        "Dir::Cache": folder + "/cache",
        "Dir::Etc": folder + "/etc",
        "Dir::State": folder,
        "Dir::State::lists": folder + "/lists",
        "Dir::State::status": folder + "/status",
    }
    arguments = ["-qq"]
    for name, value in options.items():
        arguments += ["-o", "%s=%s" % (name, value)]
    return arguments

def _candidate(records, package):
    """Returns (pin, hash) of the newest version of a package in the output of `apt-cache show`, or None."""
    for record in records.split("\n\n"):
        # Continuation lines start with a space.
        fields = {
            line.partition(": ")[0]: line.partition(": ")[2]
            for line in record.split("\n")
            if line and line[0] != " "
        }
        if fields.get("Package") == package:
            return (package + "=" + fields["Version"], fields["SHA256"])
    return None

def _check_pins(rctx, options):
    """Fails if the mirror lacks a pinned version; the message names the version that the mirror has."""
    gone = []
    replacements = []
    for pin in rctx.attr.packages:
        package = pin.partition("=")[0]
        records = rctx.execute(["apt-cache"] + options + ["show", package]).stdout
        if [None for line in records.split("\n") if line == "Version: " + pin.partition("=")[2]]:
            continue
        gone.append(pin)
        candidate = _candidate(records, package)
        replacements.append('        "%s": "%s",' % candidate if candidate else "        no %s at all" % package)
    if gone:
        fail(_GONE.format(
            gone = ", ".join(gone),
            replacements = "\n".join(replacements) + "\n",
            repository = "@" + rctx.name,
        ))

def _is_kept(path, rules):
    """Returns the value of the longest prefix of `path` in `rules`, {prefix: keep}; False if none matches."""
    longest = ""
    for prefix in rules:
        if path.startswith(prefix) and len(prefix) > len(longest):
            longest = prefix
    return rules.get(longest, False)

def _unpack(rctx, deb, rules):
    """Unpacks those files of a package that the rules keep."""
    names = _run(
        rctx,
        ["sh", "-c", "dpkg-deb --fsys-tarfile \"$1\" | tar --list", "sh", deb],
        "cannot list %s" % deb,
    )
    kept = [
        name
        for name in names.split("\n")
        if not name.endswith("/") and _is_kept(name[len("./"):], rules)
    ]
    if not kept:
        fail("@%s: nothing of %s is kept" % (rctx.name, deb))
    rctx.file("apt/kept", "\n".join(kept) + "\n")
    _run(
        rctx,
        [
            "sh",
            "-c",
            "dpkg-deb --fsys-tarfile \"$1\" | tar --extract --no-same-owner --no-recursion --directory=\"$2\" --files-from=\"$3\"",
            "sh",
            deb,
            str(rctx.path(".")),
            str(rctx.path("apt/kept")),
        ],
        "cannot unpack %s" % deb,
    )

def _debian_packages_impl(rctx):
    for tool in ["apt-get", "dpkg-deb", "sha256sum", "tar"]:
        if not rctx.which(tool):
            fail(_NO_APT.format(repository = "@" + rctx.name, tool = tool))
    options = _private_apt(rctx)
    rctx.report_progress("apt-get update")
    _run(rctx, ["apt-get"] + options + ["update"], "APT cannot get the list of packages")
    _check_pins(rctx, options)
    rules = {prefix: True for prefix in rctx.attr.keep}
    rules.update({prefix: False for prefix in rctx.attr.drop})
    for pin, sha256 in rctx.attr.packages.items():
        rctx.report_progress("apt-get download " + pin)

        # One folder per package, because APT chooses the file name.
        folder = "apt/deb/" + pin.partition("=")[0]
        rctx.file(folder + "/.keep")
        _run(rctx, ["apt-get"] + options + ["download", pin], "APT cannot download %s" % pin, working_directory = folder)
        deb = [str(path) for path in rctx.path(folder).readdir() if path.basename.endswith(".deb")][0]
        actual = _run(rctx, ["sha256sum", deb], "cannot read %s" % deb).lstrip("\\").split(" ")[0]
        if actual != sha256:
            fail("@%s: the SHA-256 of %s is %s, but %s is pinned: do not use it" % (rctx.name, pin, actual, sha256))
        _unpack(rctx, deb, rules)
    rctx.delete("apt")
    for path, target in rctx.attr.symlinks.items():
        _run(rctx, ["ln", "-s", target, str(rctx.path(path))], "cannot link %s" % path)
    for path, text in rctx.attr.scripts.items():
        rctx.file(path, text, executable = True)
    rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = "Downloads Debian packages with the machine's APT, checks their hashes and unpacks the files asked for.",
    attrs = {
        "build_file": attr.label(
            mandatory = True,
            allow_single_file = True,
            doc = "The repository's BUILD file.",
        ),
        "drop": attr.string_list(
            doc = "Prefixes of files to leave out of those to keep. Of two prefixes the longer decides.",
        ),
        "keep": attr.string_list(
            mandatory = True,
            doc = "Prefixes of the files to unpack, without a leading slash.",
        ),
        "packages": attr.string_dict(
            mandatory = True,
            doc = "The SHA-256 of each package, by name=version.",
        ),
        "scripts": attr.string_dict(
            doc = "The text of each further executable file, by its path.",
        ),
        "suite": attr.string(
            mandatory = True,
            doc = "Release of Debian that has the packages.",
        ),
        "symlinks": attr.string_dict(
            doc = "Target of each further symbolic link, by its path: those that a package makes when it is installed.",
        ),
        "timeout": attr.int(
            default = 1800,
            doc = "Seconds that one download may take.",
        ),
    },
    environ = ["DCSR_DEBIAN_MIRROR"],
)
