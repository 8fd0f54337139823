"""Real ssh against a server in this process: quoting, host keys, hosts that do not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from nano.bench.demo import server
from nano.bench.demo.server import Demo, Fault, demo
from nano.bench.remote import ConnectionLost, Remote, RemoteError, one_line, told
from nano.errors import InputError

HARMLESS = ["a b", "$HOME", "'; touch /tmp/x; '", "`id`", "\n", "é", "*", "--", '"', "\\"]


@pytest.fixture(scope="module")
def device() -> Iterator[Demo]:
    with demo() as running:
        yield running


def configured(device: Demo, folder: Path, old: str, new: str) -> Remote:
    """The same host, with one line of its configuration changed."""
    assert device.remote.config is not None
    text = device.remote.config.read_text()
    assert old in text
    (folder / "config").write_text(text.replace(old, new))
    return Remote(host="demo", config=folder / "config")


def test_a_server_that_cannot_listen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOOPBACK", "192.0.2.1")  # of nobody's, so not of ours
    with pytest.raises(InputError, match=r"ssh:demo cannot listen on 192\.0\.2\.1"), demo():
        pass


def test_arguments_arrive_as_they_were_given(device: Demo) -> None:
    done = device.remote.run("printf", "<%s>", *HARMLESS, timeout_s=30)
    assert done.out == "".join(f"<{word}>" for word in HARMLESS)


def test_exit_codes_and_errors_come_back(device: Demo) -> None:
    done = device.remote.run("sh", "-c", "echo out; echo err >&2; exit 3", timeout_s=30)
    assert (done.code, done.out, done.err) == (3, "out\n", "err\n")


def test_bytes_arrive_whole_and_only_for_their_owner(device: Demo, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    device.remote.put(content, f"{tmp_path}/a file", timeout_s=30)
    assert (tmp_path / "a file").read_bytes() == content
    assert (tmp_path / "a file").stat().st_mode & 0o077 == 0


def test_a_file_that_cannot_be_written_is_named(device: Demo, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"none/x: cannot be written: .*(nonexistent|No such)"):
        device.remote.put(b"", f"{tmp_path}/none/x", timeout_s=30)


def test_an_unknown_host_key_is_refused_and_not_learned(device: Demo, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.touch()
    old = f'"{device.root.parent / "known_hosts"}"'
    remote = configured(device, tmp_path, old, f'"{known}"')
    with pytest.raises(ConnectionLost, match="its host key is not in known_hosts, and is never"):
        remote.run("true", timeout_s=30)
    assert known.read_bytes() == b""


def test_a_changed_host_key_is_refused(device: Demo, tmp_path: Path) -> None:
    (line,) = (device.root.parent / "known_hosts").read_text().splitlines()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known = tmp_path / "known"
    known.write_text(f"{line.split()[0]} {other}")
    old = f'"{device.root.parent / "known_hosts"}"'
    remote = configured(device, tmp_path, old, f'"{known}"')
    with pytest.raises(ConnectionLost, match=r"not the one in known_hosts.* ssh-keygen -R demo"):
        remote.run("true", timeout_s=30)


def test_without_a_key_no_password_is_asked_for(device: Demo, tmp_path: Path) -> None:
    key = tmp_path / "other"
    key.touch(0o600)
    key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    remote = configured(device, tmp_path, f'"{device.root.parent / "key"}"', str(key))
    with pytest.raises(ConnectionLost, match=r"accepts none of your keys.*ssh-copy-id demo"):
        remote.run("true", timeout_s=30)


def test_a_port_without_a_server_is_told(device: Demo, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, and not listening: refused
        (line,) = [x for x in _lines(device) if x.startswith("Port")]
        remote = configured(device, tmp_path, line, f"Port {held.getsockname()[1]}")
        with pytest.raises(ConnectionLost, match="demo: no ssh server answers there"):
            remote.run("true", timeout_s=30)


def _lines(device: Demo) -> list[str]:
    assert device.remote.config is not None
    return device.remote.config.read_text().splitlines()


def test_a_name_that_does_not_exist_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    remote = Remote(host="nobody.invalid", config=tmp_path / "config")
    with pytest.raises(ConnectionLost, match=r"nobody\.invalid: no such host"):
        remote.run("true", timeout_s=60)


@pytest.mark.parametrize("host", ["", "-oProxyCommand=id", "a b", "a;b", "$(id)", "a\n"])
def test_what_ssh_could_take_for_an_option_is_no_host(host: str) -> None:
    with pytest.raises(InputError, match="is no host"):
        Remote(host=host)


def test_a_command_that_hangs_is_given_up() -> None:
    with (
        demo(faults={1: Fault(kind="hang"), 2: Fault(kind="hang")}) as device,
        pytest.raises(RemoteError, match=r"demo: sleep did not end within 0\.5 s"),
    ):
        device.remote.run("sleep", "1", timeout_s=0.5)


def test_a_talk_that_hangs_is_given_up() -> None:
    faults = {1: Fault(kind="hang")}
    with demo(faults=faults) as device, device.remote.talk("cat", timeout_s=0.5) as talk:
        assert list(talk.lines()) == []
        with pytest.raises(RemoteError, match=r"cat did not end within 0\.5 s"):
            talk.end()


def test_the_end_of_a_talk_ends_the_input_there(device: Demo, tmp_path: Path) -> None:
    command = f"echo here; cat > {tmp_path}/said; echo over > {tmp_path}/end"
    with device.remote.talk("sh", "-c", command, timeout_s=30) as talk:
        assert next(talk.lines()) == "here"
    for _ in range(1000):
        if (tmp_path / "end").exists():
            break
        device.remote.run("true", timeout_s=30)
    assert (tmp_path / "end").read_text() == "over\n"


def test_a_command_of_the_user_s_configuration_is_not_run_in_place_of_ours(
    device: Demo, tmp_path: Path
) -> None:
    remote = configured(
        device, tmp_path, "IdentitiesOnly yes", "IdentitiesOnly yes\nRemoteCommand x"
    )
    assert remote.run("echo", "ours", timeout_s=30).out == "ours\n"


def test_what_a_device_tells_as_json_is_printable() -> None:
    assert told('{"user\\u0007": ["a\\u001b[2J\\nb", 1]}', "x") == {
        "user\ufffd": ["a\ufffd[2J\nb", 1]
    }
    with pytest.raises(RemoteError, match="x: "):
        told("Welcome", "x")


def test_what_a_device_says_cannot_harm_a_terminal() -> None:
    assert one_line("a\x1b[31m\n b\r\0") == "a\ufffd[31m b \ufffd"
    assert len(one_line("long " * 1000)) == 300
    assert one_line(" \n") == "it said nothing"
