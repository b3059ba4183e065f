"""The clone of an app's repository: refs in every form, submodules, files in Git LFS, access, and clear errors. With the real git."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible.module_utils.release import secrets
from ansible.module_utils.release.access import Access
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.repository import Repository

PICTURE = b"\x89PNG, a picture in Git LFS"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(PICTURE).hexdigest()}\nsize {len(PICTURE)}\n"


class Remote:
    """A repository that others clone, with a working tree to commit in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    @property
    def url(self) -> str:
        """Its URL."""
        return f"file://{self.directory}"

    def git(self, *words: str) -> str:
        """Run git in the working tree, and return its output."""
        author = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "protocol.file.allow=always")
        command = ["git", *author, "-C", str(self.directory), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, **files: str) -> str:
        """Commit files, whose names have __ for a slash, and return the commit's id."""
        for name, text in files.items():
            path = self.directory / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    """The app's repository, with one commit."""
    found = Remote(tmp_path / "remote")
    found.commit(**{"app__run.py": "app = None\n"})
    return found


@pytest.fixture
def clone(tmp_path: Path, remote: Remote) -> Repository:
    """Its clone on a host."""
    return Repository(tmp_path / "host/repository.git", remote.url)


def files_of(clone: Repository, commit: str, subdir: str, directory: Path) -> dict[str, str]:
    """Return the files that a build gets, and their contents."""
    directory.mkdir(exist_ok=True)
    found = {}
    for archive in clone.export(commit, subdir, directory):
        with tarfile.open(archive.file) as tar:
            for member in tar.getmembers():
                if member.isfile():
                    path = Path(archive.path, *Path(member.name).parts[archive.strip :])
                    found[str(path)] = tar.extractfile(member).read().decode(errors="replace")
    return found


@pytest.mark.parametrize(
    "ref",
    [
        "next",
        "origin/next",
        "refs/heads/next",
        "heads/next",
        "refs/remotes/origin/next",
        "v1",
        "refs/tags/v1",
        "tags/v1",
    ],
)
def test_a_ref_may_be_written_in_every_usual_form(remote: Remote, clone: Repository, ref: str) -> None:
    remote.git("checkout", "--quiet", "-b", "next")
    commit = remote.commit(new="file")
    remote.git("tag", "--annotate", "--message", "First", "v1")
    assert clone.fetch(ref) == commit
    assert clone.find_remotely(ref) == commit


def test_a_commit_may_be_abbreviated(remote: Remote, clone: Repository) -> None:
    commit = remote.commit(new="file")
    remote.commit(newer="file")
    for ref in (commit, commit[:7], commit[:12]):
        assert clone.fetch(ref) == commit
        assert clone.find_remotely(ref) == commit


def test_a_pull_request_and_a_commit_of_no_branch_can_be_deployed(remote: Remote, clone: Repository) -> None:
    commit = remote.commit(change="proposed")
    remote.git("update-ref", "refs/pull/7/merge", commit)
    remote.git("reset", "--quiet", "--hard", "HEAD^")
    assert clone.fetch("refs/pull/7/merge") == commit
    assert clone.fetch("pull/7/merge") == commit
    assert clone.fetch(commit) == commit


def test_a_known_commit_needs_no_network(remote: Remote, clone: Repository) -> None:
    commit = clone.fetch("main")
    remote.directory.rename(remote.directory.with_name("gone"))
    assert clone.fetch(commit) == commit
    with pytest.raises(ReleaseError, match=r"was not fetched from file://.* at 'main'(.|\n)*Fix app_repository"):
        clone.fetch("main")


def test_a_branch_and_a_tag_of_the_same_name_are_ambiguous(remote: Remote, clone: Repository) -> None:
    remote.git("tag", "stable")
    remote.git("checkout", "--quiet", "-b", "stable")
    commit = remote.commit(new="file")
    with pytest.raises(ReleaseError, match=r"'stable' is ambiguous.*refs/heads/stable .* and refs/tags/stable"):
        clone.fetch("stable")
    assert clone.fetch("refs/heads/stable") == commit


def test_branches_that_come_and_go_do_not_block_each_other(remote: Remote, clone: Repository) -> None:
    remote.git("branch", "fix")
    clone.fetch("fix")
    remote.git("branch", "--delete", "fix")
    remote.git("checkout", "--quiet", "-b", "fix/login")
    commit = remote.commit(new="file")
    assert clone.fetch("fix/login") == commit
    remote.git("commit", "--quiet", "--amend", "--message", "Rewritten")
    assert clone.fetch("fix/login") == remote.git("rev-parse", "HEAD")
    with pytest.raises(ReleaseError, match="no such branch"):
        clone.fetch("fix")


def test_an_unknown_ref_is_reported_with_similar_ones(remote: Remote, clone: Repository) -> None:
    remote.git("branch", "release-2026")
    with pytest.raises(ReleaseError, match=r"at 'relase-2026'.* It has: release-2026\.\nFix app_ref"):
        clone.fetch("relase-2026")
    assert clone.find_remotely("relase-2026") == ""
    for missing in ("0" * 40, "0" * 10):
        with pytest.raises(ReleaseError, match="no such branch, tag or commit"):
            clone.fetch(missing)


def test_submodules_are_included_at_their_commit(tmp_path: Path, remote: Remote, clone: Repository) -> None:
    nested, theme = Remote(tmp_path / "nested"), Remote(tmp_path / "theme")
    nested.commit(icon="star")
    theme.git("submodule", "--quiet", "add", "../nested", "icons")
    theme.commit(style="dark")
    remote.git("submodule", "--quiet", "add", theme.url, "app/theme")
    commit = remote.commit(new="file")
    theme.commit(style="light")
    assert clone.fetch("main") == commit
    expected = {"run.py": "app = None\n", "theme/style": "dark", "theme/icons/icon": "star"}
    found = files_of(clone, commit, "app", tmp_path / "out")
    assert {name: found[name] for name in found if name != "theme/.gitmodules"} == expected
    whole = files_of(clone, commit, "", tmp_path / "whole")
    assert whole["app/theme/icons/icon"] == "star"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("../nowhere", "The submodule at file://.*/nowhere was not fetched at commit"),
        ("ext::touch /tmp/outport-was-here", "was not fetched at commit"),
        ("--upload-pack=touch /tmp/outport-was-here", "has no URL in .gitmodules"),
        ("", "has no URL in .gitmodules"),
    ],
)
def test_a_submodule_that_cannot_be_fetched_stops_the_build(
    tmp_path: Path, remote: Remote, clone: Repository, url: str, message: str
) -> None:
    theme = Remote(tmp_path / "theme")
    theme.commit(style="dark")
    remote.git("submodule", "--quiet", "add", theme.url, "theme")
    remote.commit(**{".gitmodules": f'[submodule "theme"]\n\tpath = theme\n\turl = {url}\n'})
    with pytest.raises(ReleaseError, match=message):
        clone.fetch("main")
    assert not Path("/tmp/outport-was-here").exists()


class Server(ThreadingHTTPServer):
    """An https-like server with Git LFS and Basic authentication; counts what it served."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.authorization: list[str] = []
        self.objects = {hashlib.sha256(PICTURE).hexdigest(): PICTURE}


class Handler(BaseHTTPRequestHandler):
    """The batch API of Git LFS, its objects, and a git repository that wants a password."""

    server: Server

    def do_POST(self) -> None:
        """Return where the objects are."""
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["objects"]
        address = f"http://127.0.0.1:{self.server.server_port}"
        objects = [
            {**entry, "actions": {"download": {"href": f"{address}/{entry['oid']}"}}}
            if entry["oid"] in self.server.objects
            else {**entry, "error": {"code": 404, "message": "Object does not exist"}}
            for entry in wanted
        ]
        self.answer(200, json.dumps({"transfer": "basic", "objects": objects}).encode())

    def do_GET(self) -> None:
        """Return an object, or ask for a password."""
        if "info/refs" in self.path:
            self.server.authorization.append(self.headers.get("Authorization", ""))
            self.answer(401, b"", **{"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self.answer(200, self.server.objects[self.path.strip("/")])

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a response."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/vnd.git-lfs+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """The server, on a free port."""
    with Server() as served:
        threading.Thread(target=served.serve_forever).start()
        yield served
        served.shutdown()


@pytest.fixture
def large(remote: Remote, server: Server) -> str:
    """A commit with a file in Git LFS."""
    return remote.commit(
        **{
            ".gitattributes": "*.png filter=lfs diff=lfs merge=lfs -text\n",
            ".lfsconfig": f"[lfs]\n\turl = http://127.0.0.1:{server.server_port}/app/info/lfs\n",
            "app__logo.png": POINTER,
        }
    )


def test_files_in_git_lfs_have_their_content(tmp_path: Path, clone: Repository, large: str) -> None:
    """Also when the attributes are above the app's directory."""
    clone.fetch("main")
    assert files_of(clone, large, "app", tmp_path / "out")["logo.png"] == PICTURE.decode(errors="replace")


def test_missing_files_in_git_lfs_stop_the_build(clone: Repository, large: str, server: Server) -> None:
    server.objects.clear()
    with pytest.raises(ReleaseError, match="Files in Git LFS were not fetched"):
        clone.fetch(large)


def test_a_token_goes_to_its_server_only_and_is_in_no_file(tmp_path: Path, server: Server) -> None:
    address = f"http://127.0.0.1:{server.server_port}/app.git"
    clone = Repository(tmp_path / "repository.git", address, Access(address, user="deploy", token="t0ken"))
    with pytest.raises(ReleaseError, match=r"(.|\n)*The host has no access: set app_deploy_key_file") as caught:
        clone.fetch("main")
    assert "t0ken" not in str(caught.value)
    assert server.authorization[-1] == f"Basic {base64.b64encode(b'deploy:t0ken').decode()}"
    assert [path for path in clone.directory.rglob("*") if path.is_file() and b"t0ken" in path.read_bytes()] == []
    # As a submodule's is created.
    other = Repository(tmp_path / "module.git", address.replace("127.0.0.1", "localhost"), clone.access)
    served = len(server.authorization)
    with pytest.raises(ReleaseError, match="was not fetched"):
        other.fetch_commit("0" * 40)
    assert {*server.authorization[served:]} == {""}


def test_a_key_is_the_only_one_that_is_offered(tmp_path: Path, clone: Repository) -> None:
    key = tmp_path / "a key"
    key.touch()
    for access, options in (
        (
            Access(keys={"": str(key)}),
            {"identitiesonly yes", "stricthostkeychecking accept-new", f"identityfile {key}"},
        ),
        (Access(), set()),
    ):
        # As git runs it.
        command = f'{access.variables()["GIT_SSH_COMMAND"]} "$@"'
        shown = subprocess.run(
            ["sh", "-c", command, "sh", "-G", "git@git.example.org", "git-upload-pack 'team/app.git'"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert {"batchmode yes", "user git", "hostname git.example.org", *options} <= set(shown)
        assert sum(str(key) in line for line in shown) == len(options) / 3


# An SSH server of which each key may read one repository.
SSH = """\
#!/bin/sh
while [ $# -gt 2 ]; do
  if [ "$1" = -i ]; then key=$(cat "$2"); fi
  shift
done
path=$(printf %s "$2" | sed "s/^[^ ]* '\\/*\\(.*\\)'$/\\1/")
echo "$1 $path" >>SERVER/log
if [ "$key" != "key of $path" ]; then
  echo "$1: Permission denied (publickey)." >&2
  exit 255
fi
cd SERVER && exec git-upload-pack "$path"
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of that server; the program `ssh` connects to it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(SSH.replace("SERVER", str(tmp_path / "server")))
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(secrets, "MEMORY", tmp_path)
    return tmp_path / "server"


@pytest.mark.parametrize("url", ["ssh://git@git.example.org:2222/team/lib.git", "git@git.example.org:team/lib"])
def test_each_repository_is_read_with_its_own_key(tmp_path: Path, ssh: Path, url: str) -> None:
    """Also those of submodules, and when the names begin alike."""
    library, other = Remote(ssh / "team/lib.git"), Remote(ssh / "team/lib.git-more.git")
    app = Remote(ssh / "team/app.git")
    modules = ""
    for remote, address in ((library, "../lib.git"), (other, "ssh://git.example.org/team/lib.git-more.git")):
        pinned = remote.commit(file=address)
        name = remote.directory.stem
        modules += f'[submodule "{name}"]\n\tpath = {name}\n\turl = {address}\n'
        app.git("update-index", "--add", "--cacheinfo", f"160000,{pinned},{name}")
    (app.directory / ".gitmodules").write_text(modules)
    app.git("add", ".gitmodules")
    app.git("commit", "--quiet", "--message", "Add submodules")
    commit = app.git("rev-parse", "HEAD")
    keys = {url: "key of team/lib.git", "git@git.example.org:team/lib.git-more.git": "key of team/lib.git-more.git"}
    address = "git@git.example.org:team/app.git"
    with secrets.key_files("shop", keys | {"": "key of team/app.git\n"}) as files:
        clone = Repository(tmp_path / "repository.git", address, Access(keys=files))
        assert clone.find_remotely("main") == clone.fetch("main") == commit
        assert sorted(files_of(clone, commit, "", tmp_path / "out")) == [".gitmodules", "lib.git-more/file", "lib/file"]
        (directory,) = tmp_path.glob("outport-deploy-keys-shop-*")
        assert {stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())} == {0o700, 0o600}
    assert not directory.exists()
    assert [path for path in clone.directory.rglob("*") if path.is_file() and b"key of" in path.read_bytes()] == []
    with (
        secrets.key_files("shop", {url: "key of team/lib.git"}) as files,
        pytest.raises(ReleaseError, match=r"(.|\n)*app_repository_keys where each repository has its own key"),
    ):
        Repository(tmp_path / "second.git", address, Access(keys=files)).fetch("main")


def test_a_refusal_in_the_words_of_an_ssh_server_is_one_of_access(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "bin/ssh"
    server.parent.mkdir()
    server.write_text("#!/bin/sh\necho 'ERROR: This key is for another project.' >&2\nexit 1\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", f"{server.parent}:{os.environ['PATH']}")
    clone = Repository(tmp_path / "repository.git", "git@git.example.org:team/app.git")
    with pytest.raises(ReleaseError, match=r"another project(.|\n)*The host has no access: set app_deploy_key_file"):
        clone.fetch("main")


def test_a_requirement_is_read_with_its_own_key(tmp_path: Path, ssh: Path) -> None:
    """By uv, as the build runs it."""
    library = Remote(ssh / "team/lib.git")
    commit = library.commit(**{"pyproject.toml": '[project]\nname = "lib"\nversion = "1"\n'})
    entry = f"lib @ git+ssh://git@git.example.org/team/lib.git@{commit}\n"
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--no-index", "--quiet", "--no-config", "-"]
    keys = {"": "another", "git@git.example.org:team/lib.git": "key of team/lib.git"}
    with secrets.key_files("shop", keys) as files:
        variables = os.environ | Access(keys=files).variables() | {"UV_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run(uv, input=entry, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert entry in done.stdout


def test_a_requirement_is_read_with_the_token(tmp_path: Path, server: Server) -> None:
    """By uv, as the build runs it; another server does not get the token."""
    address = f"http://127.0.0.1:{server.server_port}/app.git"
    token = Access(address, user="deploy", token="t0ken").variables()
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--no-index", "--quiet", "--no-config", "-"]
    for host, header in (
        ("127.0.0.1", f"Basic {base64.b64encode(b'deploy:t0ken').decode()}"),
        ("localhost", ""),
    ):
        entry = f"lib @ git+http://{host}:{server.server_port}/lib.git\n"
        variables = os.environ | token | {"UV_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run(uv, input=entry, env=variables, capture_output=True, text=True, timeout=60, check=False)
        assert server.authorization[-1] == header
        assert "t0ken" not in done.stderr


def test_keys_of_a_run_that_was_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "MEMORY", tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, used = (tmp_path / f"outport-deploy-keys-shop-{number}" for number in (ended.pid, os.getppid()))
    for directory in (left, used):
        directory.mkdir()
    with secrets.key_files("shop", {}) as files:
        assert files == {}
    assert not left.exists()
    assert used.exists()
