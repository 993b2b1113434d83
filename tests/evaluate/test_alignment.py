"""asr/evaluate/alignment.py: where what was said and what was heard differ."""

from asr.evaluate.alignment import Piece, align


def test_an_alignment_tells_misheard_from_written_otherwise() -> None:
    assert list(align("El perro, come pan", "el gato come un pan", "es")) == [
        Piece("minor", "El", "el"),
        Piece("substitute", "perro,", "gato"),
        Piece("equal", "come", "come"),
        Piece("insert", "", "un"),
        Piece("equal", "pan", "pan"),
    ]
    assert [piece.kind for piece in align("你好世界", "你好地", "zh")] == ["equal", "substitute", "delete"]
    assert list(align("hola", "", "es")) == [Piece("delete", "hola", "")]
    assert list(align("", "", "es")) == []


def test_a_mark_stays_on_its_letter_and_wrong_neighbours_are_one_piece() -> None:
    assert list(align("น้ำเย็นดี", "น้ำเข็มดี", "th")) == [
        Piece("equal", "น้ำเ", "น้ำเ"),
        Piece("substitute", "ย็น", "ข็ม"),
        Piece("equal", "ดี", "ดี"),
    ]


def test_an_alignment_holds_the_whole_of_both_texts() -> None:
    reference, hypothesis = "uno dos tres cuatro", "dos tres tres cinco seis"
    pieces = list(align(reference, hypothesis, "es"))
    assert " ".join(piece.reference for piece in pieces if piece.reference) == reference
    assert " ".join(piece.hypothesis for piece in pieces if piece.hypothesis) == hypothesis
    reference, hypothesis = "วันนี้ อากาศดีมาก", "วนนี้ อากาดมีากก"
    pieces = list(align(reference, hypothesis, "th"))
    assert "".join(piece.reference for piece in pieces) == reference
    assert "".join(piece.hypothesis for piece in pieces) == hypothesis


def test_a_loop_is_shortened_and_its_length_told() -> None:
    (_, loop) = align("hola", "hola" + " la" * 112, "es")
    assert loop.hypothesis.split() == ["la"] * 12 + ["…", "(+100)"]
    (_, loop) = align("你", "你" + "好" * 112, "zh")
    assert loop.hypothesis == "好" * 12 + " … (+100)"
