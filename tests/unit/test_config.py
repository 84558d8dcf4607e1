"""Settings: what wins over what, and that nothing unknown or malformed gets through."""

import base64
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from objstore.clock import SystemEntropy
from objstore.config import (
    SETTINGS,
    LiteralDrive,
    PoolSettings,
    Secrets,
    Settings,
    load_secrets,
    load_settings,
    settings_table,
)
from objstore.errors import ConfigError
from objstore.limits import REQUESTS_IN_FLIGHT_MAX

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating" / "layouts.md"


def load(
    text: str = "",
    *,
    tmp_path: Path,
    environment: dict[str, str] | None = None,
    options: dict[str, object] | None = None,
    endpoints: tuple[str, ...] = (),
) -> Settings:
    path = tmp_path / "objstore.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(
        endpoints=endpoints,
        config=path,
        environment=environment or {},
        options=options,
        cores=3,
    )


def test_defaults() -> None:
    found = load_settings(environment={}, cores=3)
    assert found == Settings(workers=3)
    assert (found.host, found.port, found.region) == ("", 9000, "us-east-1")
    assert found.internal_port_of() == 9002
    assert found.internal_port_of("s1:9010") == 9012
    assert found.internal_port_of("[::1]:9010") == 9012
    assert load_settings(environment={}).workers >= 1


def test_the_documented_defaults_are_the_real_ones(tmp_path: Path) -> None:
    rows = [s for s in SETTINGS if s.name not in {"parity", "set_size"}]
    text = "\n".join(f"{setting.name} = {setting.default}" for setting in rows)
    assert load(text, tmp_path=tmp_path) == load_settings(environment={}, cores=3)


def test_every_setting_from_the_file(tmp_path: Path) -> None:
    found = load(
        """
        address = "127.0.0.1:9443"
        server = "s1:9443"
        internal_port = 9999
        workers = 2
        region = "eu-central-1"
        domains = ["s3.example.com", "s3.internal"]
        bracketing_fraction = 1
        direct_io = false
        sigv2_links = false
        ssec_over_http = true
        metrics_public = true
        requests_in_flight = 10
        parity = "EC:1"
        set_size = 4
        [[pools]]
        endpoints = ["/a/d{1...4}"]
        [[pools]]
        endpoints = ["/b/d{1...6}"]
        parity = 2
        set_size = 6
        """,
        tmp_path=tmp_path,
    )
    assert found == Settings(
        pools=(
            PoolSettings(endpoints=("/a/d{1...4}",), parity=1, set_size=4),
            PoolSettings(endpoints=("/b/d{1...6}",), parity=2, set_size=6),
        ),
        host="127.0.0.1",
        port=9443,
        server="s1:9443",
        internal_port=9999,
        workers=2,
        region="eu-central-1",
        domains=("s3.example.com", "s3.internal"),
        bracketing_fraction=1.0,
        direct_io=False,
        sigv2_links=False,
        ssec_over_http=True,
        metrics_public=True,
        requests_in_flight=10,
    )
    assert found.internal_port_of("s2:9000") == 9999


def test_every_setting_from_the_environment() -> None:
    found = load_settings(
        environment={
            "OBJSTORE_ADDRESS": "[::1]:9443",
            "OBJSTORE_SERVER": "s1:9443",
            "OBJSTORE_INTERNAL_PORT": "9999",
            "OBJSTORE_WORKERS": "2",
            "OBJSTORE_REGION": "eu-central-1",
            "OBJSTORE_DOMAINS": "s3.example.com, s3.internal",
            "OBJSTORE_BRACKETING_FRACTION": "0.5",
            "OBJSTORE_DIRECT_IO": "off",
            "OBJSTORE_METRICS_PUBLIC": "true",
            "OBJSTORE_REQUESTS_IN_FLIGHT": "10",
            "OBJSTORE_PARITY": "EC:2",
            "OBJSTORE_SET_SIZE": "4",
            "OBJSTORE_ENDPOINTS": "/a/d{1...4}  /b/d{1...4}",
            "PATH": "/bin",
        }
    )
    assert found.pools == (
        PoolSettings(endpoints=("/a/d{1...4}",), parity=2, set_size=4),
        PoolSettings(endpoints=("/b/d{1...4}",), parity=2, set_size=4),
    )
    assert (found.host, found.port, found.direct_io) == ("[::1]", 9443, False)
    assert found.domains == ("s3.example.com", "s3.internal")
    assert found.bracketing_fraction == 0.5


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path,
) -> None:
    text = 'workers = 4\nregion = "file-1"\nparity = 0\n[[pools]]\nendpoints = ["/d{1...4}"]\n'
    only_file = load(text, tmp_path=tmp_path)
    assert (only_file.workers, only_file.region, only_file.pools[0].parity) == (4, "file-1", 0)
    environment = {"OBJSTORE_WORKERS": "5", "OBJSTORE_PARITY": "1"}
    both = load(text, tmp_path=tmp_path, environment=environment)
    assert (both.workers, both.region, both.pools[0].parity) == (5, "file-1", 1)
    options: dict[str, object] = {"workers": 6, "region": None, "parity": "EC:2"}
    found = load(text, tmp_path=tmp_path, environment=environment, options=options)
    assert (found.workers, found.region, found.pools[0].parity) == (6, "file-1", 2)


def test_a_pool_s_own_parity_wins_over_the_file_s_but_not_over_the_command_line(
    tmp_path: Path,
) -> None:
    text = 'parity = 1\n[[pools]]\nendpoints = ["/d{1...6}"]\nparity = 3\n'
    assert load(text, tmp_path=tmp_path).pools[0].parity == 3
    assert load(text, tmp_path=tmp_path, options={"parity": 2}).pools[0].parity == 2


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 7\n")
    assert load_settings(environment={"OBJSTORE_CONFIG": str(path)}).workers == 7


def test_arguments_with_ranges_are_pools_and_the_others_one_pool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def pools(*endpoints: str) -> list[tuple[str, ...]]:
        return [p.endpoints for p in load_settings(endpoints=endpoints, environment={}).pools]

    assert pools("/a{1...2}", "/b{1...2}") == [("/a{1...2}",), ("/b{1...2}",)]
    assert pools("/a", "/b") == [("/a", "/b")]
    assert pools("d{1...2}") == [(f"{tmp_path}/d{{1...2}}",)]
    assert pools("./x/../d1", "d2") == [(f"{tmp_path}/d1", f"{tmp_path}/d2")]
    # Not a path below the working directory: somebody forgot http:// or a slash.
    assert pools("server1:9000/mnt/d1") == [("server1:9000/mnt/d1",)]
    assert pools("http:/server1/mnt/d1") == [("http:/server1/mnt/d1",)]
    with pytest.raises(ConfigError, match="'/b' without a range beside"):
        pools("/a{1...2}", "/b")


def test_literal_drives(tmp_path: Path) -> None:
    text = """
        [[pools]]
        drives = [
          { endpoint = "/d1", shards = ["A", "C"] },
          { endpoint = "/d2", shards = ["B", "P"] },
          { endpoint = "/d3", shards = [] },
        ]
        """
    (pool,) = load(text, tmp_path=tmp_path).pools
    assert pool.literal == (
        LiteralDrive("/d1", ("A", "C")),
        LiteralDrive("/d2", ("B", "P")),
        LiteralDrive("/d3", ()),
    )
    assert load("parity = 3\nset_size = 8\n" + text, tmp_path=tmp_path).pools == (pool,)
    assert load(text, tmp_path=tmp_path, options={"parity": 1}).pools[0].parity == 1


@pytest.mark.parametrize(
    ("text", "found", "remedy"),
    [
        ("worker = 2", "worker in", "write workers"),
        ("adress = ':1'", "adress in", "write address"),
        ("zzz = 1", "zzz in", "remove zzz"),
        ("root_password = 'x'", "root_password in", "OBJSTORE_ROOT_PASSWORD"),
        ("cluster_secret = 'x'", "cluster_secret in", "CLUSTER_SECRET"),
        ("secret_key = 'x'", "secret_key in", "_FILE"),
        ("= 2", "objstore.toml", "correct it"),
        ("workers = 2\nworkers = 3", "objstore.toml", "correct it"),
        ("workers = '-1'", "workers = '-1'", "correct workers"),
        ("workers = -1", "workers = -1", "correct workers"),
        ("workers = true", "workers = True", "correct workers"),
        ("workers = 1.5", "workers = 1.5", "correct workers"),
        ("workers = 1000", "workers = 1000", "correct workers"),
        ("workers = []", "workers = ", "correct workers"),
        ("address = 9000", "address = 9000", "correct address"),
        ("address = 'localhost'", "address = 'localhost'", "correct address"),
        ("address = ':99999'", "address = ':99999'", "correct address"),
        ("address = ':0'", "address = ':0'", "correct address"),
        ("address = 'a b:1'", "address = 'a b:1'", "correct address"),
        ('address = ":9000\\n"', "address = ", "correct address"),
        ("internal_port = 9000", "internal port 9000", "free port"),
        ("address = ':65535'", "internal port 65537", "free port"),
        ("internal_port = 70000", "internal_port = 70000", "correct internal_port"),
        ("region = ''", "region = ''", "correct region"),
        ("region = 'EU West'", "region = 'EU West'", "correct region"),
        ("domains = 5", "domains = 5", "correct domains"),
        ("domains = ['a_b']", "domains = ", "correct domains"),
        ("domains = ['A.example']", "domains = ", "correct domains"),
        ("domains = ['a.example', 'b.a.example']", "domains = ", "correct domains"),
        ("domains = ['a.example', 'a.example']", "domains = ", "correct domains"),
        ("bracketing_fraction = 1.1", "1.1", "correct bracketing_fraction"),
        ("bracketing_fraction = nan", "nan", "correct bracketing_fraction"),
        ("bracketing_fraction = true", "True", "correct bracketing_fraction"),
        ("bracketing_fraction = '1e-1'", "1e-1", "correct bracketing_fraction"),
        ("direct_io = 1", "direct_io = 1", "correct direct_io"),
        ("direct_io = 'yes'", "direct_io = 'yes'", "correct direct_io"),
        ("requests_in_flight = 0", "requests_in_flight = 0", "correct requests_in_flight"),
        ("parity = 'RS:2'", "parity = 'RS:2'", "correct parity"),
        ("parity = -1", "parity = -1", "correct parity"),
        ("parity = 'EC:-1'", "parity = 'EC:-1'", "correct parity"),
        ("set_size = 17", "set_size = 17", "correct set_size"),
        ("set_size = 1", "set_size = 1", "correct set_size"),
        ("pools = 3", "pools = 3", "correct pools"),
        ("pools = ['/d1']", "pools = ", "correct pools"),
        ("[[pools]]", "pool 1 with nothing", "keep one"),
        ("[[pools]]\nendpoint = ['/d{1...2}']", "endpoint in pool 1", "write endpoints"),
        ("[[pools]]\nendpoints = '/d{1...2}'", "pool 1 endpoints", "correct pool 1"),
        ("[[pools]]\nendpoints = [1]", "pool 1 endpoints", "correct pool 1"),
        ("[[pools]]\nendpoints = []", "pool 1 with endpoints", "keep one"),
        ("[[pools]]\nendpoints=['/d']\ndrives=[{endpoint='/e',shards=[]}]", "pool 1 with", "keep"),
        ("[[pools]]\nset_size=2\ndrives=[{endpoint='/e',shards=[]}]", "pool 1 with", "keep"),
        ("[[pools]]\ndrives=['/d']", "pool 1 drives", "correct pool 1"),
        ("[[pools]]\ndrives=[{endpoint='/d'}]", "pool 1 drive 1", "correct"),
        ("[[pools]]\ndrives=[{endpoint=1,shards=[]}]", "pool 1 drive 1", "correct"),
        ("[[pools]]\ndrives=[{endpoint='/d',shards='A'}]", "drive 1 shards", "correct"),
        ("[[pools]]\ndrives=[{endpoint='/d',shard=['A']}]", "shard in pool 1", "write shards"),
    ],
)
def test_refused(text: str, found: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(text, tmp_path=tmp_path)
    assert found in refused.value.found
    assert remedy in refused.value.remedy
    assert refused.value.expected


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"OBJSTORE_WORKERS": "two"}, "OBJSTORE_WORKERS = 'two'"),
        ({"OBJSTORE_WORKERS": " 2"}, "OBJSTORE_WORKERS = ' 2'"),
        ({"OBJSTORE_WORKERS": "0x2"}, "OBJSTORE_WORKERS"),
        ({"OBJSTORE_WORKERS": "1_0"}, "OBJSTORE_WORKERS"),
        ({"OBJSTORE_WORKERS": ""}, "OBJSTORE_WORKERS"),
        ({"OBJSTORE_DIRECT_IO": "1"}, "OBJSTORE_DIRECT_IO"),
        ({"OBJSTORE_WORKER": "2"}, "OBJSTORE_WORKER in the environment"),
        ({"OBJSTORE_ADRESS": ":1"}, "OBJSTORE_ADRESS in the environment"),
        ({"OBJSTORE_CLUSTER_SECRETS": "x"}, "OBJSTORE_CLUSTER_SECRETS in the environment"),
        ({"OBJSTORE_CONFIG": "/nowhere.toml"}, "/nowhere.toml"),
    ],
)
def test_refused_environment(environment: dict[str, str], found: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(environment=environment)
    assert found in refused.value.found


def test_variables_of_others_are_left_alone() -> None:
    environment = {"OBJSTORE_BUCKETS": "a,b", "OBJSTORE_SOMETHING_ELSE": "x", "WORKERS": "x"}
    assert load_settings(environment=environment, cores=1) == Settings()


def test_drives_in_two_places(tmp_path: Path) -> None:
    text = "[[pools]]\nendpoints = ['/d{1...2}']\n"
    with pytest.raises(ConfigError, match="and also /e"):
        load(text, tmp_path=tmp_path, endpoints=("/e{1...2}",))


def test_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(config=tmp_path / "none.toml", environment={})
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"region = '\xff'\n")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        load_settings(config=broken, environment={})


@given(text=st.text(max_size=12))
@example(text="/file")
@example(text="https://w:1")
@bounded(max_examples=100, deadline=None)
def test_no_text_in_a_variable_crashes(text: str) -> None:
    for setting in SETTINGS:
        try:
            load_settings(environment={setting.variable: text}, cores=1)
        except ConfigError as refused:
            named = (setting.variable, setting.name, "port")  # some refusals are of two settings
            assert any(name in refused.found for name in named)  # noqa: PT017


# --- the witness --------------------------------------------------------------------------

MEMBERS = ("http://10.0.0.1:2379", "http://10.0.0.2:2379")


def test_the_members_of_a_witness_are_the_same_in_whatever_order() -> None:
    for text in (",".join(MEMBERS), ", ".join(reversed(MEMBERS))):
        found = load_settings(environment={"OBJSTORE_WITNESS": text}, cores=1)
        assert found.witness == MEMBERS
    assert load_settings(environment={"OBJSTORE_WITNESS": ""}, cores=1).witness == ()
    options = {"witness": MEMBERS[0]}
    assert load_settings(environment={}, options=options, cores=1).witness == MEMBERS[:1]


@pytest.mark.parametrize(
    "value",
    [
        "10.0.0.1:2379",
        "http://10.0.0.1",
        "http://10.0.0.1:2379/v3",
        "http://10.0.0.1:2379,http://10.0.0.1:2379",
        "http://10.0.0.1:2379,https://10.0.0.2:2379",
        "http://user:secret@10.0.0.1:2379",
        ",".join(f"http://10.0.0.{n}:2379" for n in range(10)),
    ],
)
def test_what_is_no_witness_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(environment={"OBJSTORE_WITNESS": value}, cores=1)
    assert "http://10.0.0.3:2379" in refused.value.expected
    assert "docs/operating/witness.md" in refused.value.remedy


def test_a_witness_by_tls_needs_certificates() -> None:
    with pytest.raises(ConfigError, match="without internal_tls_ca"):
        load_settings(environment={"OBJSTORE_WITNESS": "https://10.0.0.1:2379"}, cores=1)


def test_the_document_shows_the_table() -> None:
    assert settings_table() in DOCUMENT.read_text(encoding="utf-8")
    assert f"| {REQUESTS_IN_FLIGHT_MAX} |" in settings_table()


# --- secrets ------------------------------------------------------------------------------

GOOD = {
    "OBJSTORE_ROOT_USER": "backup-user",
    "OBJSTORE_ROOT_PASSWORD": "correct horse battery",
    "OBJSTORE_CLUSTER_SECRET": "0123456789abcdef" * 4,
}


def test_secrets_from_the_environment() -> None:
    found = load_secrets(GOOD)
    assert found == Secrets("backup-user", "correct horse battery", GOOD["OBJSTORE_CLUSTER_SECRET"])
    assert "correct horse" not in repr(found)
    assert GOOD["OBJSTORE_CLUSTER_SECRET"] not in repr(found)


@pytest.mark.parametrize("write", ["hex", "b64", "url", "b32"])
def test_a_cluster_secret_is_32_random_bytes_however_they_are_written(write: str) -> None:
    for _ in range(50):
        raw = SystemEntropy().draw(32)
        value = {
            "b64": base64.b64encode(raw).decode(),
            "url": base64.urlsafe_b64encode(raw).decode().rstrip("="),
            "b32": base64.b32encode(raw).decode(),
        }.get(write, raw.hex())
        found = load_secrets({**GOOD, "OBJSTORE_CLUSTER_SECRET": value})
        assert found.cluster_secret == value
        with pytest.raises(ConfigError, match="CLUSTER_SECRET"):
            load_secrets({**GOOD, "OBJSTORE_CLUSTER_SECRET": value[: len(value) // 2]})


def test_secrets_from_files(tmp_path: Path) -> None:
    environment = {}
    for name, value in GOOD.items():
        path = tmp_path / name
        path.write_text(value + "\n")
        environment[f"{name}_FILE"] = str(path)
    assert load_secrets(environment) == load_secrets(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"OBJSTORE_ROOT_USER": ""},
        {"OBJSTORE_ROOT_USER": "ab"},
        {"OBJSTORE_ROOT_USER": "a/b/c"},
        {"OBJSTORE_ROOT_USER": "a=b,c"},
        {"OBJSTORE_ROOT_USER": "a b c"},
        {"OBJSTORE_ROOT_USER": "x" * 129},
        {"OBJSTORE_ROOT_USER": "admin"},
        {"OBJSTORE_ROOT_USER": "MinioAdmin"},
        {"OBJSTORE_ROOT_PASSWORD": ""},
        {"OBJSTORE_ROOT_PASSWORD": "1234567"},
        {"OBJSTORE_ROOT_PASSWORD": "password"},
        {"OBJSTORE_ROOT_PASSWORD": "minioadmin"},
        {"OBJSTORE_ROOT_PASSWORD": "minio123"},
        {"OBJSTORE_ROOT_PASSWORD": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
        {"OBJSTORE_ROOT_PASSWORD": "aaaaaaaaaaaa"},
        {"OBJSTORE_ROOT_PASSWORD": " padded secret "},
        {"OBJSTORE_ROOT_PASSWORD": "two\nlines of it"},
        {"OBJSTORE_ROOT_PASSWORD": "backup-user"},
        {"OBJSTORE_CLUSTER_SECRET": ""},
        {"OBJSTORE_CLUSTER_SECRET": "0123456789abcdef0123456789abcdef"},
        {"OBJSTORE_CLUSTER_SECRET": ("0123456789abcdef" * 4)[1:]},
        {"OBJSTORE_CLUSTER_SECRET": ("0123456789ABCDEF" * 4)[1:]},
        {"OBJSTORE_CLUSTER_SECRET": "0123456789" * 7},
        {"OBJSTORE_CLUSTER_SECRET": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" + "A" * 19 + "====="},
        {"OBJSTORE_CLUSTER_SECRET": "0123456789abcdefghijklmnopqrstuvwxyz-_ABCD"},
        {"OBJSTORE_CLUSTER_SECRET": "a" * 64},
        {"OBJSTORE_CLUSTER_SECRET": "abc" * 11},
        {"OBJSTORE_CLUSTER_SECRET_FILE": "/somewhere"},
        {"OBJSTORE_CLUSTER_SECRET": "", "OBJSTORE_CLUSTER_SECRET_FILE": "/nowhere/at/all"},
    ],
    ids=str,
)
def test_refused_secrets(change: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        load_secrets({**GOOD, **change})
    value = next(iter(change.values()))
    assert next(iter(change)).removesuffix("_FILE") in refused.value.found
    if len(value) > 7 and not value.startswith("/"):
        assert value not in str(refused.value)


def test_the_token_of_the_metrics_is_optional_and_fits_its_header(tmp_path: Path) -> None:
    token = "abcdefghijklmnopqrst-1234.~+/="
    assert load_secrets(GOOD).metrics_token == ""
    found = load_secrets({**GOOD, "OBJSTORE_METRICS_TOKEN": token})
    assert found.metrics_token == token
    assert token not in repr(found)
    (tmp_path / "token").write_text(token + "\n")
    named = {**GOOD, "OBJSTORE_METRICS_TOKEN_FILE": str(tmp_path / "token")}
    assert load_secrets(named) == found
    for wrong in ("short", "with spaces in the middle", "ünexpected-letters-in-it", "a" * 40):
        with pytest.raises(ConfigError, match="METRICS_TOKEN") as refused:
            load_secrets({**GOOD, "OBJSTORE_METRICS_TOKEN": wrong})
        assert wrong not in str(refused.value)
    with pytest.raises(ConfigError, match="same value"):
        load_secrets({**GOOD, "OBJSTORE_METRICS_TOKEN": GOOD["OBJSTORE_CLUSTER_SECRET"]})


def test_the_password_and_the_cluster_secret_differ() -> None:
    secret = GOOD["OBJSTORE_CLUSTER_SECRET"]
    with pytest.raises(ConfigError, match="same value"):
        load_secrets({**GOOD, "OBJSTORE_ROOT_PASSWORD": secret})
