from casestudies.sources import PACKAGE, sources


def names(module):
    return {path.relative_to(PACKAGE).as_posix() for path in sources(module)}


def test_imports_are_followed():
    assert names("evaluation.splits") == {
        "config/schemes.py",
        "errors.py",
        "evaluation/splits.py",
        "files.py",
        "steps.py",
        "tables.py",
    }


def test_a_change_of_a_model_concerns_its_fits_and_nothing_before_or_beside():
    assert "glacier/models.py" in names("glacier.fit")
    for module in ("glacier.prepare", "glacier.simulate", "evaluation.splits", "evaluation.scores"):
        assert "glacier/models.py" not in names(module)


def test_no_study_imports_another_and_nothing_imports_snakemake():
    below = {
        "errors",
        "files",
        "parameters",
        "tables",
        "validation",
        "steps",
        "words",
        "seeds",
        "schemes",
        "sources",
        "provenance",
        "config",
        "datasets",
    }
    shared = {"evaluation", "training", "figures"}
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "import snakemake" not in text and "from snakemake" not in text, path
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        imported = {
            source.relative_to(PACKAGE).parts[0].removesuffix(".py")
            for source in sources(path.relative_to(PACKAGE).with_suffix("").as_posix())
        }
        if room in below:
            assert imported <= below, path
        elif room in shared:
            assert imported <= below | shared, path
        elif room not in ("__init__", "report"):  # the report stands above the studies it shows
            assert imported <= below | shared | {room}, path
