"""`objstore layout explain`: what it prints, at 80 columns and as JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from objstore.cli.layout import app

CONFIGS = Path(__file__).parents[3] / "config"


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments])


def explained(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def shipped(name: str) -> str:
    return str(CONFIGS / f"{name}.toml")


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_without_arguments_it_is_the_two_server_default() -> None:
    text = explained()
    assert text == explained("--servers", "2", "--drives", "2", "--parity", "1")
    assert "EC:1 on 1 set of 4 slots (3 + 1): 3 data shards and 1 parity shard." in text
    assert "overhead 1.333" in text
    assert "server1:9000  /mnt/drive1  A P C B" in text
    assert "drive 4 holds 1 of 4 shards, the code repairs 1." in text
    assert "server 1 holds 2 of 4 shards, the code repairs 1." in text
    assert "One drive lost: reading and writing go on, whichever it is." in text
    assert "One server lost: reading and writing stop." in text


def test_the_guide_s_layout_and_its_false_claim() -> None:
    text = unwrapped(explained(shipped("guide-4-plus-1-on-four-drives")))
    assert "overhead 1.25" in text
    assert "1 server1:9000 /mnt/drive1 A, C" in text
    assert "1 no yes drive 1 holds 2 of 5 shards, the code repairs 1." in text
    assert "2 yes yes drive 2 holds 1 of 5 shards, the code repairs 1." in text
    assert 'the claim "B xor D xor P gives back A and C" is false. That is only A xor C' in text
    three = unwrapped(explained(shipped("guide-4-plus-1-on-three-drives")))
    assert "4 server2:9000 /mnt/drive4 nothing" in three
    assert '"B xor D xor P gives back A and C" is false' in three
    assert "false" not in unwrapped(explained(shipped("repaired-4-plus-2")))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_no_line_is_wider_than_eighty(path: Path) -> None:
    text = explained(str(path))
    assert max(map(len, text.splitlines())) <= 80
    for title in ("Where the shards go", "Without one drive", "Without one server", "How likely"):
        assert title in text


def test_a_large_layout_stays_short() -> None:
    text = explained("--servers", "16", "--drives", "8")
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) < 90
    assert "each drive holds 1 of 16 shards, the code repairs 4." in text
    assert "1-128  yes   yes" in text
    assert "96 more drives follow in the same way" in text
    assert "each of 8 like set 1" in text


def test_endpoints_and_full_copies() -> None:
    text = explained("/data/drive{1...3}", "--parity", "EC:2")
    assert "3 full copies of every object" in text
    assert "this one" in text


def test_assumptions_are_shown_and_can_be_given() -> None:
    text = explained("--drive-afr", "0.5", "--rebuild-hours", "100", "--server-failures", "0")
    for line in (
        "--drive-afr 0.5:",
        "--rebuild-hours 100:",
        "--server-failures 0:",
        "--server-repair-hours 4:",
        "--server-loss-ratio 0.001:",
    ):
        assert line in text
    usual = json.loads(explained("--json"))["reliability"][0]
    worse = json.loads(explained("--json", "--drive-afr", "0.5"))["reliability"][0]
    assert worse["yearly_loss_probability"] > usual["yearly_loss_probability"]
    slower = json.loads(explained("--json", "--server-repair-hours", "8"))["reliability"][0]
    assert slower["read_availability"] < usual["read_availability"]


def test_json() -> None:
    found = json.loads(explained(shipped("guide-4-plus-1-on-four-drives"), "--json"))
    assert found["servers"] == ["server1:9000", "server2:9000"]
    assert found["sets"] == [
        {
            "pool": 0,
            "index": 0,
            "data": 4,
            "parity": 1,
            "overhead": 1.25,
            "rotate": False,
            "write_quorum": 4,
            "read_quorum": 3,
        }
    ]
    assert [drive["shards"] for drive in found["drives"]] == [["A", "C"], ["B"], ["D"], ["P"]]
    assert [drive["slots"] for drive in found["drives"]] == [[0, 2], [1], [3], [4]]
    first = found["without_drive"][0]
    assert first["read"] is False
    assert first["read_reason"] == "drive 1 holds 2 of 5 shards, the code repairs 1"
    assert [row["read"] for row in found["without_drive"]] == [False, True, True, True]
    assert [row["read"] for row in found["without_server"]] == [False, False]
    assert found["assumptions"]["drive_afr"] == 0.02
    assert 0.02 < found["reliability"][0]["yearly_loss_probability"] < 0.03
    assert len(found["fingerprint"]) == 32
    assert len(found["notes"]) == 1


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--parity", "7"), "EC:7 for sets of 4 slots"),
        (("--parity", "x"), "--parity = 'x'"),
        (("--set-size", "3"), "a set size of 3 for a pool of 4 drives"),
        (("--servers", "17", "--drives", "1"), "a pool of 17 drives on 17 server(s)"),
        (("/nowhere.toml",), "/nowhere.toml: No such file"),
        (("/data/d{1..2}",), "braces"),
        (("/data/d{1...2}", "--servers", "2"), "--servers or --drives beside"),
        (("--drive-afr", "2"), "drive_afr = 2.0"),
    ],
)
def test_refusals_say_what_to_do(arguments: tuple[str, ...], found: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"found: {found}" in unwrapped(result.stderr)
    assert "expected: " in result.stderr
    assert "what to do: " in result.stderr


def test_nothing_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    explained("data/drive{1...4}")
    assert not list(tmp_path.iterdir())


def test_what_reduced_redundancy_survives_where_it_differs(tmp_path: Path) -> None:
    text = unwrapped(explained(shipped("two-server-ec2")))
    assert "Objects of the class REDUCED_REDUNDANCY take 3 + 1 (overhead 1.333)." in text
    assert "Such objects with one server lost: reading and writing stop." in text
    assert "REDUCED_REDUNDANCY" not in explained()  # 3 + 1 is what every object takes there
    described = json.loads(explained("--servers", "2", "--drives", "2", "--parity", "2", "--json"))
    assert described["reduced_redundancy"]["sets"] == [{"data": 3, "parity": 1, "overhead": 4 / 3}]
    assert json.loads(explained("--json"))["reduced_redundancy"] is None
    config = tmp_path / "c.toml"
    config.write_text(
        'reduced_redundancy_parity = "EC:2"\n[[pools]]\nendpoints = ["/data/drive{1...8}"]\n'
    )
    assert "REDUCED_REDUNDANCY take 6 + 2" in unwrapped(explained(str(config)))


def test_a_witness_is_explained() -> None:
    mirrored = unwrapped(explained("--parity", "2", "--witness"))
    assert "Everything is read and written meanwhile, what was written before too." in mirrored
    assert "stored as full copies on the 2 slots of that server" in mirrored
    parity = unwrapped(explained("--parity", "1", "--witness"))
    assert "2 of their shards are left and reading takes 3." in parity
    wide = unwrapped(explained("--drives", "4", "--parity", "4", "--witness"))
    assert "stored as 2 + 2 on the slots of that server, and survives 2 lost slots" in wide
    assert "itness" not in explained("--parity", "2")
    assert json.loads(explained("--witness", "--json"))["settings"]


def test_a_witness_of_a_file_is_explained_and_one_of_other_layouts_refused(tmp_path: Path) -> None:
    config = tmp_path / "with.toml"
    config.write_text(
        'witness = ["http://10.0.0.3:2379"]\n' + (CONFIGS / "two-server-ec2.toml").read_text()
    )
    assert "With the witness, either server may be lost" in unwrapped(explained(str(config)))
    refused = run("--servers", "4", "--drives", "1", "--witness")
    assert refused.exit_code == 2
    assert "exactly two servers" in unwrapped(refused.output)


def test_stale_reads_are_explained(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    pools = '[[pools]]\nendpoints = ["http://s{1...4}:9000/mnt/drive"]\nparity = "EC:3"\n'
    config.write_text(pools)
    assert "stale_reads" not in unwrapped(explained(str(config)))
    config.write_text(f"stale_reads = true\n{pools}")
    assert "With stale_reads" in unwrapped(explained(str(config)))
    assert "older" in json.loads(explained(str(config), "--json"))["settings"][0]
