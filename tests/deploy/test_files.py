"""What checkers say of the files in deploy/, and what holds for them without starting anything."""

import os
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from objstore.config import load_settings
from objstore.topology.layout import layout_of
from tests.deploy.machines import DEPLOY, ROOT, SYSTEM_PATH, TOOLS, missing_program

SCRIPTS = [*sorted(DEPLOY.glob("*.sh")), DEPLOY / "objstore-service"]
COMMANDS = ("deploy-2server.sh", "rolling-upgrade.sh", "uninstall.sh", "check.sh")
PROXIES = DEPLOY / "proxy"
CONTAINER = DEPLOY / "container"


def run(*command: str | Path, code: int = 0) -> str:
    """Run a checker, or skip when it is not installed."""
    if absent := missing_program(str(command[0])):
        pytest.skip(f"not installed: {absent} (tests/deploy/install.sh)")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"PATH": SYSTEM_PATH, "HOME": "/nonexistent"},
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def with_addresses(path: Path, directory: Path) -> Path:
    """Return a copy of a proxy's configuration that names no host that is not known here."""
    text = path.read_text()
    copy = directory / path.name
    copy.write_text(re.sub(r"server([12]):9000", r"127.0.0.\1:9000", text))
    return copy


def test_shellcheck_is_content() -> None:
    run("shellcheck", "-x", "-P", "SCRIPTDIR", *SCRIPTS, "tests/deploy/install.sh")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_comment_at_the_top(name: str) -> None:
    said = run(DEPLOY / name, "--help")
    assert f"  {name} [" in said
    assert "--env FILE" in said
    assert "set -euo" not in said


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_refused(name: str) -> None:
    said = run(DEPLOY / name, "--etcd", code=2)
    assert "found:      --etcd" in said
    assert f"what to do: see {name} --help" in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("SERVER3=c", "found:      SERVER3 in"),
        ("PORT=9000; reboot", "found:      PORT=9000; reboot in"),
        ("DRIVES=/mnt/$(reboot)", "found:      DRIVES=/mnt/$(reboot) in"),
        ("SERVER1=fd00::1", "found:      SERVER1=fd00::1 in"),
        ("export PORT=9000", "expected:   NAME=VALUE"),
        ("SERVER1=b", "found:      b twice"),
        ("WITNESS=b", "found:      WITNESS=b, which is one of the servers"),
        ("SSH_WITNESS=root@c", "found:      SSH_WITNESS without WITNESS"),
        ("TLS=on", "found:      TLS=on in"),
        ("TLS_NAMES=a b", "found:      TLS_NAMES=a b in"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "env"
    file.write_text(f"SERVER1=a\nSERVER2=b\n{line}\n")
    assert words in run(DEPLOY / "deploy-2server.sh", "--env", file, "--dry-run", code=2)


def test_the_example_has_every_setting_with_its_default(tmp_path: Path) -> None:
    example = (DEPLOY / ".env.example").read_text()
    known = set(re.findall(r"\[([A-Z][A-Z0-9_]*)\]=", (DEPLOY / "lib.sh").read_text()))
    assert set(re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE)) == known
    # Its defaults are the scripts': what they print is the same with the lines and without.
    file = tmp_path / "env"
    said = []
    for uncommented in (
        example,
        re.sub(r"^#(?=(?!SSH)[A-Z0-9_]+=.)", "", example, flags=re.MULTILINE),
    ):
        text = uncommented.replace("SERVER1=\n", "SERVER1=a\n").replace("SERVER2=\n", "SERVER2=b\n")
        file.write_text(text)
        said.append(run(DEPLOY / "deploy-2server.sh", "--env", file, "--dry-run"))
    assert said[0] == said[1]
    assert "a# useradd" not in said[0]  # it is made unless it is there
    assert "useradd --system" in said[0]


def test_a_dry_run_reaches_nobody_and_shows_each_step(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("SERVER1=a.invalid\nSERVER2=b.invalid\n")
    steps = {
        "deploy-2server.sh": ("mountpoint -q", "systemctl start objstore.service"),
        "rolling-upgrade.sh": ("-m venv", "systemctl restart objstore.service"),
        "uninstall.sh": ("systemctl --quiet disable --now objstore.service", "rm -rf"),
    }
    for name, parts in steps.items():
        said = run(DEPLOY / name, "--env", file, "--dry-run")
        for part in parts:
            assert part in said, name
        assert "journal.db" not in said, name  # nothing of what is stored is touched
    rollback = run(DEPLOY / "rolling-upgrade.sh", "--env", file, "--dry-run", "--rollback")
    assert "-m venv" not in rollback
    assert rollback.index("b.invalid# systemctl restart") > rollback.index(
        "a.invalid# systemctl restart"
    )


def test_a_dry_run_with_a_witness_and_tls_shows_their_steps_on_each_machine(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("SERVER1=a.invalid\nSERVER2=b.invalid\n")
    options = ("--witness", "c.invalid", "--tls", "--dry-run")
    said = run(DEPLOY / "deploy-2server.sh", "--env", file, *options)
    for machine in ("a.invalid", "b.invalid", "c.invalid"):
        for part in (
            "apt-get install -y -qq --no-install-recommends etcd-server",
            "systemctl start objstore-etcd.service",
            "mv member.crt.new member.crt",
        ):
            assert re.search(f"^{machine}# .*{re.escape(part)}", said, re.MULTILINE), part
    assert "PRIVATE KEY" not in said
    witness = [line for line in said.splitlines() if line.startswith("c.invalid#")]
    assert not re.search(r"drive|venv|secrets|objstore\.(toml|service)", "\n".join(witness))
    file.write_text(file.read_text() + "WITNESS=c.invalid\n")
    said = run(DEPLOY / "uninstall.sh", "--env", file, "--dry-run")
    assert "c.invalid#     systemctl --quiet disable --now objstore-etcd.service" in said
    assert "/var/lib/objstore-etcd" not in said


FROM_THE_OPERATOR = """# mine
region = "here"

[identities]
"""


def configuration(found: str, *settings: str) -> str:
    """Return what the scripts make of a configuration file."""
    parts = "".join(f". {DEPLOY}/{name}.sh\n" for name in ("lib", "tls", "etcd", "config"))
    values = "".join(f"set_value {pair.replace('=', ' ', 1)} test\n" for pair in settings)
    script = f"set -euo pipefail\n{parts}{values}finish_settings\nconfig_with_sections"
    done = subprocess.run(
        ["bash", "-c", script], input=found, capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout


SERVERS = ("SERVER1=one", "SERVER2=two")
EVERYTHING = (*SERVERS, "WITNESS=three", "TLS=yes")


@pytest.mark.parametrize("first", [SERVERS, (*SERVERS, "TLS=yes"), EVERYTHING])
def test_what_is_turned_on_later_makes_the_file_that_it_would_be_from_nothing(
    first: tuple[str, ...], tmp_path: Path
) -> None:
    made = configuration(configuration("", *first), *EVERYTHING)
    assert made == configuration("", *EVERYTHING)
    file = tmp_path / "objstore.toml"
    file.write_text(made)
    settings = load_settings(config=file, environment={}, cores=1)
    assert len(settings.witness) == 3
    assert layout_of(settings).secure


def test_what_is_the_operators_in_the_file_stays_and_settings_go_before_any_table(
    tmp_path: Path,
) -> None:
    plain = configuration("", *SERVERS)
    layout = plain[plain.index("# BEGIN layout") :]
    made = configuration(FROM_THE_OPERATOR + layout, *EVERYTHING)
    assert configuration(made, *EVERYTHING) == made
    lines = made.splitlines()
    assert [line for line in FROM_THE_OPERATOR.splitlines() if line not in lines] == []
    parsed = tomllib.loads(made)
    assert parsed["witness"][0] == "https://one:2379"
    assert parsed["internal_tls_ca"] == "/etc/objstore/tls/ca.crt"
    assert parsed["region"] == "here"
    assert parsed["identities"] == {}
    assert parsed["pools"][0]["endpoints"][0] == "https://one:9000/mnt/drive{1...2}"


@pytest.mark.parametrize(
    ("lost", "level", "words"),
    [
        ((), "ok", "3 of 3 members answer"),
        (("c",), "warn", "2 of 3 members answer; c does not (refused)"),
        (("b", "c"), "fail", "1 of 3 members answer; b does not (refused); c does not (refused)"),
    ],
)
def test_a_member_may_be_lost_and_a_majority_not(
    lost: tuple[str, ...], level: str, words: str
) -> None:
    state = runpy.run_path(str(DEPLOY / "etcd_state.py"))
    troubles = {member: "refused" if member in lost else "" for member in "abc"}
    assert state["verdict"](troubles) == (level, words)


def test_a_path_of_everything_is_no_place_to_install_to(tmp_path: Path) -> None:
    file = tmp_path / "env"
    for path in ("/", "/opt", "/opt/../", "/opt/objstore/"):
        file.write_text(f"SERVER1=a\nSERVER2=b\nPREFIX={path}\n")
        run(DEPLOY / "uninstall.sh", "--env", file, "--dry-run", code=2)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("objstore.service", "/opt/objstore/current/bin/objstore"),
        ("objstore-etcd.service", "/usr/bin/etcd"),
    ],
)
def test_the_unit_is_valid_and_hardened(tmp_path: Path, name: str, program: str) -> None:
    unit = tmp_path / name
    text = (DEPLOY / "systemd" / name).read_text()
    assert program in text
    # The one thing that is only there after an installation.
    unit.write_text(text.replace(program, shutil.which("true") or ""))
    assert "objstore" not in run("systemd-analyze", "verify", unit)
    # Exposure from 0 to 10; what is left is the network and reading the machine's files.
    run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root: nginx checks that it may write its log")
    run("nginx", "-t", "-c", with_addresses(PROXIES / "nginx.conf", tmp_path))


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    said = run("haproxy", "-c", "-f", with_addresses(PROXIES / "haproxy.cfg", tmp_path))
    assert "WARNING" not in said


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({}, "ok"),
        ({"degraded": 3}, "warn"),
        ({"healing_drives": 1}, "warn"),
        ({"trusted": 3}, "warn"),
        ({"online": 2, "trusted": 2, "can_write": False}, "fail"),
    ],
)
def test_a_set_is_whole_when_nothing_is_away_and_nothing_to_be_healed(
    changed: dict[str, object], level: str
) -> None:
    state = runpy.run_path(str(DEPLOY / "cluster_state.py"))
    whole = {"pool": 0, "index": 0, "scheme": "3 + 1", "slots": 4, "online": 4, "trusted": 4}
    whole |= {"healing_drives": 0, "degraded": 0, "can_read": True, "can_write": True}
    ((found, subject, words),) = state["set_facts"]([whole | changed])
    assert (found, subject) == (level, "set 0.0")
    assert ("3 versions to be healed" in words) == ("degraded" in changed)


def test_hadolint_is_content() -> None:
    linter = TOOLS / "venv/bin/hadolint"
    if not linter.exists():
        pytest.skip("not installed: hadolint (tests/deploy/install.sh)")
    run(linter, CONTAINER / "Dockerfile")


def test_the_image_is_built_from_files_that_are_there() -> None:
    lines = (CONTAINER / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--" not in line]
    names = {name.removeprefix("./") for names in copied for name in names}
    assert all((ROOT / name).exists() for name in names)
    allowed = (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in names} == {line for line in allowed if line.startswith("!")}
    assert any(line.startswith("USER ") and "root" not in line for line in lines)


@pytest.mark.parametrize("server", [1, 2])
def test_compose_gives_both_servers_one_layout(server: int) -> None:
    text = (CONTAINER / f"docker-compose-server{server}.yml").read_text()
    values = {"SERVER1": "one", "SERVER2": "two", "ROOT_USER": "user", "PARITY": "EC:2"}

    def substitute(match: re.Match[str]) -> str:
        return values.get(match[1], match[3] if match[2] == "-" else "x")

    text = re.sub(r"\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}", substitute, text)
    endpoints = re.findall(r"http://\S+", text)
    drives = {line.split(":")[1] for line in text.splitlines() if "- /mnt/drive" in line}
    settings = load_settings(
        environment={"OBJSTORE_ENDPOINTS": " ".join(endpoints), "OBJSTORE_PARITY": "EC:2"}, cores=1
    )
    (only,) = layout_of(settings).sets
    assert [drive.server for drive in only.drives] == ["one:9000", "two:9000"] * 2
    assert {drive.path for drive in only.drives} == drives
    assert f"OBJSTORE_SERVER: {['one', 'two'][server - 1]}:9000" in text
    named = set(
        re.findall(r"^([A-Z0-9_]+)=", (CONTAINER / ".env.example").read_text(), re.MULTILINE)
    )
    used = (CONTAINER / f"docker-compose-server{server}.yml").read_text()
    assert set(re.findall(r"\$\{([A-Z0-9_]+)", used)) == named


def test_both_composes_differ_only_in_which_server_they_are() -> None:
    one, two = (CONTAINER / f"docker-compose-server{number}.yml" for number in (1, 2))
    differing = [
        (left, right)
        for left, right in zip(
            one.read_text().splitlines(), two.read_text().splitlines(), strict=True
        )
        if left != right
    ]
    assert all(left.replace("1", "2", 1) == right.replace("1", "2", 1) for left, right in differing)
    assert len(differing) == 3
