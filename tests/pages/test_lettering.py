from asr.pages.lettering import can_write, fitted, name_of


def test_the_font_has_the_scripts_that_it_is_said_to_have():
    assert all(map(can_write, ("Añ", "Ω", "Щ", "م", "ש", "Ա", "ა", "ກ", "")))
    assert not any(map(can_write, ("क", "中", "한", "ก", "a\n")))


def test_a_character_that_cannot_be_written_is_numbered():
    assert [name_of(c) for c in ("ñ", "\u0301", "中", "\u200d")] == ["ñ", "◌\u0301", "U+4E2D", "U+200D"]


def test_a_text_is_cut_where_the_width_ends():
    assert fitted("short", 1.0) == "short"
    assert fitted("W" * 100, 1.0) == "W" * 7 + "…"
    assert fitted("", 0.0) == "" and fitted("WWW", 0.0) == "…"


def test_more_width_never_shows_less():
    shown = [len(fitted("The quick brown fox jumps over the lazy dog", width / 4)) for width in range(1, 14)]
    assert shown == sorted(shown)
