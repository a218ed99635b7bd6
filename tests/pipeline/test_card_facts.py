"""What a card tells of accuracies: means and deviations over students that differ in seed alone."""

from wmdd.pipeline.card_facts import result_rows


def test_rows_are_means_over_seeds() -> None:
    scores = (("wmdd", 0, 60.0), ("random", 0, 50.0), ("wmdd", 1, 62.0))
    rows = [
        {"set": kind, "ipc": 2, "student": "convnet3", "protocol": "wmdd", "labels": "soft", "seed": seed, "top1": top1}
        for kind, seed, top1 in scores
    ]
    assert result_rows(rows) == [
        ("wmdd", "2", "convnet3", "wmdd", "soft", "61.0 ± 1.4", "2"),
        ("random", "2", "convnet3", "wmdd", "soft", "50.0", "1"),
    ]
    assert result_rows([]) == []
