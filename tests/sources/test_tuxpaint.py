import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import params
from asr.errors import UserError
from asr.sources import tuxpaint
from asr.utterances import Rejected, Utterance

TUX = (
    "Tux—the Linux mascot!\nca@valencia.utf8=Tux—la mascota!\nes.utf8=Tux,  ¡la mascota!\nfr.utf8=\nfr.utf8=Tux = x.\n"
)


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """A tree as the package has it: a stamp with transcripts, and clips that say it."""
    folder = tmp_path / "stamps/animals/birds"
    folder.mkdir(parents=True)
    (folder / "tux.txt").write_text(TUX, encoding="utf-8")
    return tmp_path / "stamps"


def say(path: Path, duration_s: float = 1.5, seed: int = 0) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.1, round(duration_s * 22_050))
    soundfile.write(path, noise, 22_050, format="OGG", subtype="VORBIS")


def found(stamps: Path, *languages: params.TuxpaintLanguage) -> list[Utterance | Rejected]:
    return list(tuxpaint.clips(stamps, list(languages), stamps.parent / "corpus"))


def test_a_clip_is_copied_with_its_text_and_length(stamps: Path) -> None:
    clip = stamps / "animals/birds/tux_desc_es.ogg"
    say(clip)
    (row,) = found(stamps, "es")
    audio = stamps.parent / "corpus/es/es-animals-birds-tux.ogg"
    size_bytes = clip.stat().st_size
    assert row == Utterance(
        "es-animals-birds-tux", str(audio), "Tux, ¡la mascota!", "es", duration_s=1.5, source_bytes=size_bytes
    )
    assert audio.read_bytes() == clip.read_bytes()


def test_the_first_line_is_what_the_clip_without_a_language_says(stamps: Path) -> None:
    say(stamps / "animals/birds/tux_desc.ogg")
    (row,) = found(stamps, "en")
    assert isinstance(row, Utterance) and (row.id, row.text) == ("en-animals-birds-tux", "Tux—the Linux mascot!")


def test_transcripts_are_read_by_language_and_dialects_are_others() -> None:
    assert tuxpaint.transcripts(TUX) == {
        "en": "Tux—the Linux mascot!",
        "ca@valencia": "Tux—la mascota!",
        "es": "Tux, ¡la mascota!",
        "fr": "",
    }


def test_other_languages_and_sound_effects_are_left_out(stamps: Path) -> None:
    for name in ("tux_desc_ro.ogg", "tux.ogg", "tux_desc_es.ogg.ogg"):
        say(stamps / "animals/birds" / name)
    assert found(stamps, "es") == []


@pytest.mark.parametrize(
    ("name", "duration_s", "reason"),
    [
        ("tux_desc_fr.ogg", 1.5, "empty text"),
        ("tux_desc_ca.ogg", 1.5, "empty text"),
        ("owl_desc_es.ogg", 1.5, "no transcript"),
        ("tux_desc_es.ogg", 0.3, "text does not fit"),
        ("tux_desc_es.ogg", None, "undecodable audio"),
    ],
)
def test_a_clip_that_cannot_be_used_is_rejected(stamps: Path, name: str, duration_s: float | None, reason: str) -> None:
    clip = stamps / "animals/birds" / name
    if duration_s is None:
        clip.write_bytes(b"not Ogg")
    else:
        say(clip, duration_s)
    (row,) = found(stamps, "es", "fr", "ca")
    assert isinstance(row, Rejected) and row.reason == reason
    assert not (stamps.parent / "corpus").exists()


def test_the_same_bytes_twice_count_once(stamps: Path) -> None:
    (stamps / "animals/birds/tux2.txt").write_text(TUX, encoding="utf-8")
    say(stamps / "animals/birds/tux_desc_es.ogg")
    shutil.copy(stamps / "animals/birds/tux_desc_es.ogg", stamps / "animals/birds/tux2_desc_es.ogg")
    first, second = found(stamps, "es")
    assert isinstance(first, Utterance) and first.id == "es-animals-birds-tux2"
    assert isinstance(second, Rejected) and second.reason == "duplicate clip"


def test_a_machine_without_apt_gets_one_line_with_the_alternative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"no apt-get .* data\.source: table") as caught:
        list(tuxpaint.utterances(params.Data(source="tuxpaint"), tmp_path / "corpus"))
    assert "\n" not in str(caught.value)


def apt(folder: Path, script: str) -> None:
    """An apt-get and a dpkg-deb that do what `script` says."""
    for name in ("apt-get", "dpkg-deb"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def test_where_apt_has_no_lists_it_fetches_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deb = f"{tuxpaint.PACKAGE}_9-1_all.deb"
    apt(tmp_path, f'[ -n "$3" ] || exit 100\ncase "$*" in *update) ;; *) echo > {deb};; esac')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tuxpaint._package() == tmp_path / "cache/whisper-fine-tuning" / deb
    assert list(tuxpaint.listing(params.Data())) == [(tuxpaint.PACKAGE, "9-1")]


def test_what_apt_complains_of_is_passed_on_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(tmp_path, "echo 'W: old' >&2; echo 'E: no route to host' >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"apt-get failed .*: E: no route to host; .*data\.source: table"):
        tuxpaint._package()


def test_a_damaged_package_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    deb = tmp_path / f"whisper-fine-tuning/{tuxpaint.PACKAGE}_{tuxpaint.VERSION}_all.deb"
    deb.parent.mkdir()
    deb.write_bytes(b"half of it")
    with pytest.raises(UserError, match=r"sha256.*delete it"):
        tuxpaint._package()


def test_without_a_package_the_listing_names_the_version_that_will_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert list(tuxpaint.listing(params.Data())) == [(tuxpaint.PACKAGE, tuxpaint.VERSION)]
