import warnings

import numpy as np
import pytest
from matplotlib.image import imread

from asr.clips.tally import Spoken, Tally, total
from asr.pages.overview import draw, page
from tests.builders import example

REJECTS = {"too long": 12, "silent": 3}


@pytest.fixture(autouse=True)
def _no_warning_of_fonts():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def tally_of(*rows):
    tally = Tally()
    for row in rows:
        tally.add(row)
    return tally


def spanish(n_rows=1):
    return [example(f"clip-{n}", 0.5 + n / 4, language="es", trained_text="Uno") for n in range(n_rows)]


def large(n_languages, hours):
    """A tally of so many languages, together of so many hours."""
    samples = int(hours * 3600 * 16_000 / n_languages)
    tally = Tally({f"x{n}": Spoken(max(1, samples // 50_000), samples) for n in range(n_languages)})
    tally.durations.update(dict.fromkeys(range(60), 1 + samples // 3_000_000))
    return tally


def texts(figure):
    """All that is written: titles, labels, numbers."""
    written = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        written += [text.get_text() for text in [*axes.texts, *axes.get_yticklabels()]]
    return written


def test_the_page_names_each_language_reason_and_sample():
    rows = spanish(4)
    written = texts(page({"train": tally_of(*rows[:3]), "test": tally_of(rows[3])}, REJECTS, rows[:1]))
    assert "4 utterances, 4 s, 15 rejected" in written
    assert {"Spanish", "too long", "silent", "12", "3", "Spanish, 0.5 s", "Uno"} <= {*written}
    assert "Characters that no text of train has" not in written


def test_panels_that_would_be_empty_are_left_out():
    figure = page({"train": tally_of(*spanish())}, {}, [])
    assert len(figure.axes) == 2
    assert not {"Rejected", "Characters that no text of train has"} & {*texts(figure)}


def test_characters_outside_the_alphabet_are_shown_or_numbered():
    foreign = example("b", trained_text="Uñ\u0301中", language="es")
    written = texts(page({"train": tally_of(*spanish()), "test": tally_of(foreign)}, {}, []))
    assert {"ñ", "◌\u0301", "U+4E2D"} <= {*written}


def test_the_same_input_gives_the_same_bytes(tmp_path):
    rows = spanish(3)
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, {"train": tally_of(*rows)}, REJECTS, rows)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"Software" not in (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("n_languages", "hours", "n_reasons", "n_samples"), [(1, 0.01, 0, 0), (1, 0.01, 20, 1), (40, 10_000, 20, 20)]
)
def test_any_size_of_corpus_fits_on_the_page(tmp_path, n_languages, hours, n_reasons, n_samples):
    rejects = {f"a reason with rather a long name {n}": 10**n for n in range(n_reasons)}
    tallies = {"train": large(n_languages, hours), "test": large(n_languages, hours / 100)}
    draw(tmp_path / "page.png", tallies, rejects, spanish(1) * n_samples)
    height, width, _ = imread(tmp_path / "page.png").shape
    assert width == 1650 and 300 < height < 2600
    figure = page(tallies, rejects, spanish(1) * n_samples)
    for axes in figure.axes:
        (left, low), (right, high) = axes.get_position().get_points()
        assert 0 <= left < right <= 1 and 0 <= low < high <= 1


@pytest.mark.parametrize("tallies", [{"train": Tally()}, {"train": Tally(), "test": tally_of(*spanish())}])
def test_an_empty_split_is_no_trouble(tmp_path, tallies):
    draw(tmp_path / "page.png", tallies, {}, [])
    assert imread(tmp_path / "page.png").std() > 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Costs $5 and $6", "Costs $5 and $6"),
        ("Привет", "Привет"),
        ("मैं", "clip-0"),
        ("中文", "clip-0"),
        ("🙂", "clip-0"),
    ],
)
def test_a_text_that_the_font_cannot_write_gives_way_to_the_id(tmp_path, text, shown):
    row = spanish()[0] | {"trained_text": text}
    draw(tmp_path / "page.png", {"train": tally_of(row)}, {}, [row])
    assert shown in texts(page({"train": tally_of(row)}, {}, [row]))


def test_neither_text_nor_id_is_written_where_both_have_no_glyphs():
    row = spanish()[0] | {"trained_text": "中文", "id": "中\n文"}
    assert not any("中" in text for text in texts(page({"train": tally_of(row)}, {}, [row])))


def test_a_long_text_is_cut_to_the_width_of_its_picture():
    row = spanish()[0] | {"trained_text": "W" * 500}
    (cut,) = (text for text in texts(page({"train": tally_of(row)}, {}, [row])) if text.startswith("W"))
    assert cut.endswith("…") and 10 < len(cut) < 25


def test_the_spectrogram_is_that_of_the_row():
    row = spanish()[0]
    figure = page({"train": total([tally_of(row)])}, {}, [row])
    np.testing.assert_array_equal(figure.axes[-1].images[0].get_array(), row["log_mel"])
