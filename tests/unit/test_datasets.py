"""The table of data sets is consistent, and no download leaves anything but the right file."""

import hashlib
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casestudies import datasets
from casestudies.datasets import DATASETS, DataSet, File, describe, download, fetch, find, verify
from casestudies.errors import InputError
from casestudies.files import WriteError

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
PATH = "folder/numbers.txt"


class Server(ThreadingHTTPServer):
    """Answers each request with the next of ``answers``, the last one for ever."""

    daemon_threads = True
    answers: list[Callable[[BaseHTTPRequestHandler], None]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.ranges, self.paths = [whole()], [], []
        self.stop = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.ranges.append(self.headers.get("Range"))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_: object) -> None:
        pass


def whole(content: bytes = CONTENT, drop_after: int | None = None, ranges: bool = False):
    """Serve ``content``; break off after some bytes of each answer; honour ranges or not."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and ranges else 0
        body = content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(body[:drop_after])

    return answer


def status(code: int, location: str | None = None, retry_after: str | None = None):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        if location:
            handler.send_header("Location", location)
        if retry_after:
            handler.send_header("Retry-After", retry_after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def stalled(after: int, seconds: float = 5.0):
    """Send some bytes, then nothing for a while."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:after])
        handler.wfile.flush()
        handler.server.stop.wait(seconds)

    return answer


def trickled(pieces: int, pause: float):
    """Send all, piece by piece."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        size = -(-len(CONTENT) // pieces)
        for start in range(0, len(CONTENT), size):
            handler.wfile.write(CONTENT[start : start + size])
            handler.wfile.flush()
            time.sleep(pause)

    return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv(datasets.MIRROR, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(datasets, "BACKOFF", 0.0)
    monkeypatch.setattr(datasets, "CHUNK", 100)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.stop.set()
        running.shutdown()
        thread.join()


def published(url: str, content: bytes = CONTENT) -> tuple[DataSet, File]:
    file = File(PATH, f"{url}/{PATH}", hashlib.sha256(content).hexdigest(), len(content))
    return DataSet("tiny", "a test", "CC0-1.0", "nobody", "none", (file,)), file


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# The table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_the_entries_are_complete_and_immutable(dataset: DataSet) -> None:
    paths = [file.path for file in dataset.files]
    assert len(set(paths)) == len(paths)
    assert len({file.url for file in dataset.files}) == len(paths)
    assert dataset.title and dataset.licence and dataset.citation and dataset.reader
    for file in dataset.files:
        assert not Path(file.path).is_absolute() and ".." not in Path(file.path).parts
        assert set(file.sha256) <= set("0123456789abcdef") and len(file.sha256) == 64
        assert file.bytes > 0
        assert file.url.startswith("https://")


def test_alpgm_comes_from_commits() -> None:
    commits = (
        "2bff00cf4d651df15b8ec0086b96416c727413e9",
        "55061173681ce73ac3822df8e61543107b478276",
        "8dd12d400726664fd249f624b69c550d20ffe3f1",
    )
    for name in ("alpgm", "alpgm-corrected"):
        for file in DATASETS[name].files:
            assert any(f"/{commit}/" in file.url for commit in commits), file.url
    prediction = DATASETS["alpgm"].file("published/LOYO_no_weights_SMB_nn_all.txt")
    assert prediction.url.endswith("/glacier_data/smb/ANN/LOYO/no_weights/SMB_nn_all.txt")


def test_mwas_comes_from_commits() -> None:
    for name, commit in (
        ("pasolli2016", "DeepMicro/b0502a0a087facfd2e93e928c4362546d496ea91"),
        ("crc-cohorts", "crc-metagenomics/53ea1f2dd24a878f78c42c47fb3b29301886f421"),
    ):
        assert all(f"/{commit}/data/" in file.url for file in DATASETS[name].files)


def test_satellite_comes_from_commits() -> None:
    for name, commit, number in (
        ("toms-omi-ozone", "USEPA/CMAQ/40b6712dbb3edf1c04957373ff20afa1b489d8e4", 1),
        ("melbourne-ozonesondes", "jibbals/stations/557ec0e1d478a9da15e6a108004e8d3a08ce6571", 456),
        ("nmc-air-temperature", "scottyhq/zarrdata/21a5cee3b158d1801692715e1e87e3392fadf87e", 30),
        ("mauna-loa-ozone", "matt-rowlinson/NCAS_CVAO/410cef8e1e1933169b0399fa754c243fdb0ce5c6", 2),
    ):
        files = DATASETS[name].files
        assert len(files) == number and all(f"/{commit}/" in file.url for file in files)


def test_wind_comes_from_commits_and_a_record() -> None:
    for name, number in (("dem", 4), ("askervein", 11)):
        files = DATASETS[name].files
        assert len(files) == number
        for file in files:
            assert re.search(r"/[0-9a-f]{40}/|zenodo\.org/records/\d+/files/", file.url), file.url


def test_names_are_unique() -> None:
    assert len(DATASETS) == len(datasets._ALL)
    assert [name.lower() for name in DATASETS] == list(DATASETS)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'alpgm-corrected'"):
        find("alpgm_corrected")
    with pytest.raises(InputError, match=r"did you mean 'SMB_raw_temporal\.csv'"):
        find("alpgm").file("SMB_raw_temporl.csv")


def test_the_description_has_a_row_per_data_set() -> None:
    rows = describe().splitlines()
    assert len(rows) == 2 + len(DATASETS)
    assert len({row.count("|") for row in rows}) == 1
    assert "| `alpgm-corrected` |" in describe() and "| 2.1 | GPL-3.0 |" in describe()


# The download ---------------------------------------------------------------------------------


def test_a_right_file_arrives(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    output = tmp_path / "raw" / file.path
    fetch(dataset, file, output)
    assert left(tmp_path) == [output] and output.read_bytes() == CONTENT
    fetch(dataset, file, output)  # there already
    assert len(server.paths) == 1


ENDINGS: dict[str, tuple[list, bool]] = {
    "altered": ([whole(CONTENT[:-1] + b"!")], False),
    "short, and said so": ([whole(CONTENT[:100])], False),
    "longer": ([whole(CONTENT + b"!")], False),
    "empty": ([whole(b"")], False),
    "always cut off": ([whole(drop_after=100)], False),
    "always cut off, with ranges": ([whole(drop_after=100, ranges=True)], False),
    "cut off at once": ([whole(drop_after=0)], False),
    "cut off once": ([whole(drop_after=100), whole()], True),
    "cut off thrice, with ranges": ([whole(drop_after=4000, ranges=True)], True),
    "cut off, then another file": (
        [whole(b"?" * 10240, drop_after=100, ranges=True), whole(ranges=True)],
        True,
    ),
    "404": ([status(404), whole()], False),
    "410": ([status(410), whole()], False),
    "503 once": ([status(503), whole()], True),
    "429 once": ([status(429), whole()], True),
    "always 503": ([status(503)], False),
    "redirected": ([status(302, "/elsewhere"), whole()], True),
    "redirected in a circle": ([status(302, "/elsewhere")], False),
    "redirected to a file": ([status(302, "file:///etc/hostname")], False),
}


@pytest.mark.parametrize("answers, arrives", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_right_file_or_nothing(
    server: Server, tmp_path: Path, answers: list, arrives: bool
) -> None:
    dataset, file = published(server.url)
    output = tmp_path / "numbers.txt"
    server.answers = list(answers)
    if arrives:
        fetch(dataset, file, output)
        assert output.read_bytes() == CONTENT
        assert left(tmp_path) == [output]
    else:
        with pytest.raises(InputError) as caught:
            fetch(dataset, file, output)
        assert left(tmp_path) == []
        message = str(caught.value)
        for part in (file.url, file.sha256, str(output), "10240 bytes", datasets.MIRROR):
            assert part in message


def test_a_resumed_download_asks_for_the_rest(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    server.answers = [whole(drop_after=6000, ranges=True), whole(ranges=True)]
    fetch(dataset, file, tmp_path / "out")
    assert server.ranges == [None, "bytes=6000-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    server.answers = [whole(drop_after=6000), whole()]
    fetch(dataset, file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=6000-"]


def test_a_killed_download_is_resumed_by_the_next_run(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    (tmp_path / ".out.part").write_bytes(CONTENT[:7000])
    server.answers = [whole(ranges=True)]
    fetch(dataset, file, tmp_path / "out")
    assert server.ranges == ["bytes=7000-"]
    assert left(tmp_path) == [tmp_path / "out"]


def test_an_interruption_keeps_what_came_for_the_next_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, file = published(server.url)

    def interrupted(url: str, part: Path) -> None:
        part.write_bytes(CONTENT[:50])
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "_get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(dataset, file, tmp_path / "out")
    assert left(tmp_path) == [tmp_path / ".out.part"]


@pytest.mark.parametrize("kept", [b"?" * 9000, b"?" * 10240, b"?" * 20000])
def test_a_kept_part_of_something_else_is_thrown_away(
    server: Server, tmp_path: Path, kept: bytes
) -> None:
    dataset, file = published(server.url)
    (tmp_path / ".out.part").write_bytes(kept)
    server.answers = [whole(ranges=True)]
    fetch(dataset, file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_no_404_is_tried_twice(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    server.answers = [status(404)]
    with pytest.raises(InputError, match="answered 404"):
        fetch(dataset, file, tmp_path / "out")
    assert len(server.paths) == 1
    server.answers = [status(500)]
    with pytest.raises(InputError, match="answered 500"):
        fetch(dataset, file, tmp_path / "out")
    assert len(server.paths) == 1 + datasets.ATTEMPTS


def test_the_message_says_what_came(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    altered = CONTENT[:-3]
    server.answers = [whole(altered)]
    with pytest.raises(InputError) as caught:
        fetch(dataset, file, tmp_path / "out")
    message = str(caught.value)
    assert f"expected 10240 bytes with sha256 {file.sha256}" in message
    assert f"got 10237 bytes with sha256 {hashlib.sha256(altered).hexdigest()}" in message


def test_without_a_network(server: Server, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dataset, file = published(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(InputError, match="cannot be reached") as caught:
            fetch(dataset, file, tmp_path / "out")
    for part in (file.url, file.sha256, str(tmp_path / "out"), "Without a network"):
        assert part in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_full_disk_leaves_nothing(
    server: Server, tmp_path: Path, small_disk: Path, kind: str
) -> None:
    content = bytes(1_000_000)
    server.answers = [whole(content)]
    dataset, file = published(server.url, content)
    source = tmp_path / "mirror" / "tiny" / PATH
    source.parent.mkdir(parents=True)
    source.write_bytes(content)
    output = small_disk / "raw" / "out"
    with pytest.raises(WriteError) as caught:
        fetch(dataset, file, output, str(tmp_path / "mirror") if kind == "folder" else None)
    assert str(caught.value).startswith(f"{output}: cannot be written: the disk is full")
    assert left(small_disk) == []


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_read_only_folder_is_named(
    server: Server, tmp_path: Path, read_only: Callable[[Path], Path], kind: str
) -> None:
    dataset, file = published(server.url)
    mirror = tmp_path / "mirror"
    (mirror / "tiny" / PATH).parent.mkdir(parents=True)
    (mirror / "tiny" / PATH).write_bytes(CONTENT)
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "there").write_bytes(CONTENT)
    read_only(folder)
    place = str(mirror) if kind == "folder" else None
    fetch(dataset, file, folder / "there", place)  # complete, so nothing is written
    with pytest.raises(WriteError, match=r"raw/missing: cannot be written: its disk is read-only"):
        fetch(dataset, file, folder / "missing", place)
    assert left(folder) == [folder / "there"]


# Waiting --------------------------------------------------------------------------------------


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the download, which are not made."""
    found: list[float] = []
    monkeypatch.setattr(datasets.time, "sleep", found.append)
    return found


def test_pauses_grow_and_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr(datasets, "BACKOFF", 1.0)
    server.answers = [status(503)]
    dataset, file = published(server.url)
    with pytest.raises(InputError, match="the server answered 503 Service Unavailable"):
        fetch(dataset, file, tmp_path / "out")
    assert waits == [1.0, 2.0, 4.0] and len(server.paths) == datasets.ATTEMPTS


def test_a_server_is_given_the_time_that_it_asks_for(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    server.answers = [
        status(429, retry_after="7"),
        status(503, retry_after=soon),
        status(503, retry_after="when I am back"),
        whole(),
    ]
    dataset, file = published(server.url)
    fetch(dataset, file, tmp_path / "out")
    assert waits == [7.0, pytest.approx(60, abs=5), 0.0]
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_server_that_asks_for_too_long_is_not_waited_for(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.answers = [status(503, retry_after="3600"), whole()]
    dataset, file = published(server.url)
    with pytest.raises(InputError, match=r"503 .* and asks to come back in 3600 s"):
        fetch(dataset, file, tmp_path / "out")
    assert waits == [] and left(tmp_path) == []


def test_a_stalled_server_is_asked_again_for_the_rest(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "TIMEOUT", (5, 0.3))
    server.answers = [stalled(5000), whole(ranges=True)]
    dataset, file = published(server.url)
    fetch(dataset, file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=5000-"]


def test_a_server_that_never_goes_on_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "TIMEOUT", (5, 0.1))
    server.answers = [stalled(5000)]
    dataset, file = published(server.url)
    with pytest.raises(InputError, match="broke off after 5000 of 10240 bytes"):
        fetch(dataset, file, tmp_path / "out")
    assert left(tmp_path) == []


def test_a_slow_server_is_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "TIMEOUT", (5, 0.3))
    server.answers = [trickled(20, 0.03)]  # in all longer than the time between two pieces
    dataset, file = published(server.url)
    fetch(dataset, file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT and len(server.paths) == 1


# Put there by hand ----------------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_accepted(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    (tmp_path / "out").write_bytes(CONTENT)
    fetch(dataset, file, tmp_path / "out")
    assert server.paths == []


def test_a_wrong_file_put_there_by_hand_is_left_alone(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"got 4 bytes.*left as it is"):
        fetch(dataset, file, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"
    assert server.paths == [] and left(tmp_path) == [tmp_path / "out"]


# A mirror -------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "a mirror" / "tiny" / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "a mirror"


@pytest.mark.parametrize("kind", ["folder", "file", "http"])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_mirror_replaces_the_publisher(
    server: Server, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, by: str
) -> None:
    mirror = {"folder": str(copy), "file": copy.as_uri(), "http": f"{server.url}/m/"}[kind]
    dataset, file = published("https://publisher.invalid")
    if by == "environment":
        monkeypatch.setenv(datasets.MIRROR, mirror)
    fetch(dataset, file, tmp_path / "out", mirror if by == "argument" else None)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.paths == (["/m/tiny/folder/numbers.txt"] if kind == "http" else [])


def test_what_a_mirror_serves_is_verified(server: Server, copy: Path, tmp_path: Path) -> None:
    (copy / "tiny" / PATH).write_bytes(CONTENT[1:])
    dataset, file = published(server.url)
    with pytest.raises(InputError, match="got 10239 bytes") as caught:
        fetch(dataset, file, tmp_path / "out", str(copy))
    assert f"published at {file.url}" in str(caught.value)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


def test_a_mirror_without_the_file(server: Server, tmp_path: Path) -> None:
    dataset, file = published(server.url)
    with pytest.raises(InputError, match="No such file"):
        fetch(dataset, file, tmp_path / "out", str(tmp_path / "nowhere"))
    assert server.paths == []  # the publisher is not asked in its place


@pytest.mark.parametrize("mirror", ["ftp://example.org/data", "file://elsewhere/data", "s3://x"])
def test_other_kinds_of_mirror_are_refused(tmp_path: Path, mirror: str) -> None:
    dataset, file = published("https://publisher.invalid")
    with pytest.raises(InputError, match="not a place to fetch files from"):
        fetch(dataset, file, tmp_path / "out", mirror)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), served=st.binary(max_size=60), same=st.booleans())
def test_whatever_is_served_only_the_right_file_stays(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, served: bytes, same: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    source = folder / "mirror" / "tiny" / PATH
    source.parent.mkdir(parents=True)
    source.write_bytes(content if same else served)
    dataset, file = published("https://publisher.invalid", content)
    output = folder / "out" / "file"
    try:
        fetch(dataset, file, output, str(folder / "mirror"))
    except InputError:
        assert not same and served != content
        assert left(folder / "out") == []
    else:
        assert output.read_bytes() == content


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(0, 2000), max_size=5),
    ranges=st.booleans(),
    kept=st.binary(max_size=300) | st.integers(0, 1500).map(lambda size: CONTENT[:size]),
)
def test_whatever_breaks_off_only_the_right_file_stays(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    ranges: bool,
    kept: bytes,
) -> None:
    content = CONTENT[:1500]
    dataset, file = published(server.url, content)
    folder = tmp_path_factory.mktemp("any")
    (folder / ".out.part").write_bytes(kept)
    server.answers = [
        *(whole(content, cut, ranges) for cut in cuts),
        whole(content, ranges=ranges),
    ]
    try:
        fetch(dataset, file, folder / "out")
    except InputError:
        assert left(folder) == []
    else:
        assert left(folder) == [folder / "out"]
        assert (folder / "out").read_bytes() == content


# The step -------------------------------------------------------------------------------------


def test_the_step_fetches_one_file_or_all(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, file = published("https://publisher.invalid")
    second = replace(file, path="second.txt")
    (copy / "tiny" / "second.txt").write_bytes(CONTENT)
    monkeypatch.setitem(DATASETS, "tiny", replace(dataset, files=(file, second)))
    download(dataset="tiny", file="second.txt", output=tmp_path / "one.txt", mirror=str(copy))
    assert (tmp_path / "one.txt").read_bytes() == CONTENT
    download(dataset="tiny", output=tmp_path / "all", mirror=str(copy))
    assert sorted(left(tmp_path / "all")) == [tmp_path / "all" / PATH, tmp_path / "all/second.txt"]


@pytest.mark.published
@pytest.mark.parametrize(
    "name", ["alpgm", "alpgm-corrected", "pasolli2016", "crc-cohorts", "dem", "askervein"]
)
@pytest.mark.parametrize("kind", ["folder", "http"])
def test_the_published_files(name: str, kind: str, mirror: Path, tmp_path: Path, request) -> None:
    place = str(mirror)
    if kind == "http":
        server = request.getfixturevalue("server")
        request.getfixturevalue("monkeypatch").setattr(datasets, "CHUNK", 1 << 16)
        server.answers = [
            lambda handler: whole((mirror / handler.path.lstrip("/")).read_bytes())(handler)
        ]
        place = server.url
    download(dataset=name, output=tmp_path, mirror=place)
    assert len(left(tmp_path)) == len(DATASETS[name].files)


@pytest.mark.published
def test_files_that_were_put_by_hand_are_verified(mirror, tmp_path):
    dataset, name = DATASETS["alpgm-corrected"], "GLIMS_1967.csv"
    with pytest.raises(InputError, match="no such file"):
        verify(dataset, tmp_path, [name])
    shutil.copy(mirror / dataset.name / name, tmp_path / name)
    (tmp_path / name).chmod(0o644)
    verify(dataset, tmp_path, [name])
    with (tmp_path / name).open("a") as stream:
        stream.write("altered")
    with pytest.raises(InputError, match="not the published file"):
        verify(dataset, tmp_path, [name])
