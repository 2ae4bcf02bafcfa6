from casestudies.headlines import WIDTH, headlines


def test_a_study_says_its_headline_with_a_number_and_one_without_results_is_silent(tmp_path):
    for name, text in {
        "glacier/simulated": "The network is better.\nRMSE 0.5 [0.4, 0.6].\nMore.",
        "mwas": "AUC 0.9 to 0.95.\nEach task.",
        "mwas/one": "not told, since the study has a finding of all",
    }.items():
        path = tmp_path / name / "finding.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    datasets = {"glacier": ["simulated", "other"], "mwas": ["one"], "wind": ["simulated"]}
    assert headlines(tmp_path, datasets) == [
        "glacier, simulated: The network is better. RMSE 0.5 [0.4, 0.6].",
        "mwas: AUC 0.9 to 0.95.",
    ]


def test_long_headlines_are_wrapped(tmp_path):
    (tmp_path / "wind").mkdir()
    (tmp_path / "wind/finding.txt").write_text("3 words again " * 20)
    lines = headlines(tmp_path, {"wind": []})
    assert len(lines) > 2 and max(map(len, lines)) <= WIDTH
    assert all(line.startswith("    ") for line in lines[1:])
