"""Finding backends, importing them, and saying what is wrong with one that does not load."""

import pytest

from backends import LabelStudioMLBase, loading
from backends.errors import BackendBroken, BackendNotFound

PLAIN = """
    class Plain(LabelStudioMLBase):
        pass
"""


@pytest.fixture
def load(make_backend, settings):
    """Return a function that writes a model.py and loads it."""
    return lambda source: loading.load(make_backend(source), settings.BACKENDS_PATH)


def model_py(name, settings):
    return loading.folder_of(name, settings.BACKENDS_PATH) / "model.py"


def test_the_class_of_a_model_py_is_loaded_once(make_backend, settings):
    name = make_backend(PLAIN)
    backend = loading.load(name, settings.BACKENDS_PATH)
    assert (backend.__name__, backend.__module__) == ("Plain", f"backends.{name}.model")
    assert loading.load(name, settings.BACKENDS_PATH) is backend is loading.loaded(name)


def test_backends_of_every_folder_are_listed(make_backend, settings):
    name = make_backend(PLAIN)
    listed = loading.available(settings.BACKENDS_PATH)
    assert {name, "text_classifier"} <= set(listed)
    assert listed == sorted(listed)
    assert "scaffold" not in listed


def test_a_name_that_is_not_there_is_answered_with_those_that_are(settings):
    with pytest.raises(BackendNotFound, match=r"no backend named 'yolo'. Backends here: .*text_classifier"):
        loading.load("yolo", settings.BACKENDS_PATH)


@pytest.mark.parametrize("name", ["", "..", "../text_classifier", "Text_Classifier", "a/b", "a.b", "text_classifier\n"])
def test_a_name_never_leads_out_of_the_folders(name, settings):
    with pytest.raises(BackendNotFound):
        loading.folder_of(name, settings.BACKENDS_PATH)


def test_a_missing_library_is_named_with_the_command_that_installs_it(make_backend, settings):
    name = make_backend("import a_library_that_is_not_there")
    requirements = model_py(name, settings).with_name("requirements.txt")
    requirements.write_text("a-library-that-is-not-there==1.0\n")
    with pytest.raises(BackendBroken, match="imports 'a_library_that_is_not_there', which is not installed") as caught:
        loading.load(name, settings.BACKENDS_PATH)
    assert f"pip install -r {requirements}" in str(caught.value)


def test_a_syntax_error_is_told_with_its_line(load):
    with pytest.raises(BackendBroken, match=r"model.py cannot be imported: SyntaxError: .*model.py, line 3"):
        load("def predict(:\n    pass")


def test_an_error_while_importing_is_told_with_its_text(load):
    with pytest.raises(BackendBroken, match="cannot be imported: ZeroDivisionError: division by zero"):
        load("1 / 0")


def test_a_model_py_without_a_backend_is_told_what_to_add(load):
    with pytest.raises(BackendBroken, match="defines no backend: add a class that derives from LabelStudioMLBase"):
        load("answer = 42")


def test_a_class_imported_from_elsewhere_is_not_the_backend(load):
    with pytest.raises(BackendBroken, match="defines no backend"):
        load("from backends.text_classifier.model import TextClassifier")


def test_two_classes_are_one_too_many(load):
    with pytest.raises(BackendBroken, match=r"defines several backends \(One, Two\); keep one per folder"):
        load("class Two(LabelStudioMLBase): pass\nclass One(LabelStudioMLBase): pass")


def test_a_base_class_beside_the_backend_is_not_counted(load):
    assert load("class Base(LabelStudioMLBase): pass\nclass Mine(Base): pass").__name__ == "Mine"


def test_a_second_name_of_the_same_class_is_not_counted(load):
    assert load("class Mine(LabelStudioMLBase): pass\nNewModel = Mine").__name__ == "Mine"


def test_two_decorated_functions_make_a_backend(load):
    backend = load("""
        @predict_fn
        def guess(tasks, context, helper, **kwargs):
            return [{"result": [], "score": helper.get("count") or 0} for _ in tasks]

        @update_fn
        def learn(event, data, helper, **kwargs):
            helper.set("count", data["count"])
    """)
    model = backend()
    model.fit("ANNOTATION_CREATED", {"count": 5})
    assert model.predict([{}]) == [{"result": [], "score": 5}]


def test_the_functions_of_one_backend_are_not_those_of_another(load):
    first, second = (load(f"@predict_fn\ndef predict(tasks, *args, **kwargs): return [{n}]") for n in (1, 2))
    assert (first().predict([{}]), second().predict([{}])) == ([1], [2])


def test_a_backend_imports_its_own_modules_wherever_it_lives(make_backend, settings):
    name = make_backend("from .words import WORD\nclass Mine(LabelStudioMLBase):\n    word = WORD")
    model_py(name, settings).with_name("words.py").write_text("WORD = 'found'")
    assert vars(loading.load(name, settings.BACKENDS_PATH))["word"] == "found"


def test_a_mended_backend_loads_without_a_restart(make_backend, settings):
    name = make_backend("1 / 0")
    with pytest.raises(BackendBroken):
        loading.load(name, settings.BACKENDS_PATH)
    model_py(name, settings).write_text(
        "from backends import LabelStudioMLBase\nclass Mended(LabelStudioMLBase):\n    pass\n"
    )
    assert loading.load(name, settings.BACKENDS_PATH).__name__ == "Mended"


def test_of_two_backends_of_one_name_the_first_folder_has_it(make_backend, settings, tmp_path):
    name, other = make_backend(PLAIN), f"only_{make_backend(PLAIN)}"
    folders = [tmp_path / "first", tmp_path / "second"]
    for number, folder in enumerate(folders):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.py").write_text(
            f"from backends import LabelStudioMLBase\nclass Of{number}(LabelStudioMLBase): pass"
        )
    (folders[1] / other).mkdir()
    (folders[1] / other / "model.py").write_text((folders[1] / name / "model.py").read_text())
    loading.load(other, folders)
    assert loading.load(name, folders).__name__ == "Of0"
    assert issubclass(loading.load(name, folders), LabelStudioMLBase)
