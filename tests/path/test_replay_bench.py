"""The replay bench in small: a journal that the order path made comes out identical, and a change is located."""

from bench.replay import study


def test_a_random_course_of_orders_replays_identically_and_a_changed_character_is_located(tmp_path, capsys):
    assert study(tmp_path / "journal.sqlite3", orders=400, seed=3) == 0
    told = capsys.readouterr().out
    assert "400 identical" in told
    for reason in ("filled", "NO_POSITION", "SYMBOL_CAP", "LOW_CONFIDENCE"):
        assert reason in told
