"""Tests of the text classifier."""

import itertools

import pytest

from backends import LabelConfigError
from backends.testing import (
    BackendContract,
    Event,
    annotation_event,
    bulk_event,
    choices_region,
    deletion_event,
    train,
    training_event,
)
from backends.text_classifier.model import TextClassifier

CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="topic" toName="text">
    <Choice value="Sport"/><Choice value="Kitchen"/><Choice value="Weather"/>
  </Choices>
</View>
"""
MULTIPLE = CONFIG.replace('toName="text"', 'toName="text" choice="multiple"')
TEXTS = {
    "Sport": [
        "The goalkeeper saved the penalty",
        "A late goal won the match",
        "The team trains for the cup final",
        "Our striker scored twice",
        "The referee showed a red card",
        "They lost the match by one goal",
        "The coach praised the defenders",
        "A fast runner won the race",
        "The league table after ten matches",
        "Fans sang when the team scored",
    ],
    "Kitchen": [
        "Bake the bread until it is brown",
        "Chop the onions and fry them in butter",
        "This soup needs more salt and pepper",
        "Whisk the eggs with flour and sugar",
        "The oven must be hot for pizza",
        "Boil the pasta and drain the water",
        "A cake with butter, eggs and flour",
        "Fry the garlic in olive oil",
        "Season the sauce with salt",
        "Knead the dough for the bread",
    ],
    "Weather": [
        "Rain and strong winds tonight",
        "Sunny with a few clouds tomorrow",
        "Snow will fall in the mountains",
        "Thunder and heavy rain this evening",
        "Fog in the morning, sunny later",
        "Temperatures drop below zero tonight",
        "A storm with winds from the north",
        "Cloudy and cold tomorrow morning",
        "Heavy snow closes the roads",
        "A warm and sunny weekend",
    ],
}
SPORT_IN_THE_RAIN = list(zip(TEXTS["Sport"], TEXTS["Weather"], strict=True))
UNSEEN = {
    "The team scored a goal in the match": "Sport",
    "Fry the eggs in butter with salt": "Kitchen",
    "Rain tonight, sunny tomorrow morning": "Weather",
}


_numbers = itertools.count(1000)


class TestContract(BackendContract):
    backend = TextClassifier
    label_config = CONFIG
    tasks = [{"id": number, "data": {"text": text}} for number, text in enumerate(UNSEEN, 1)]


def task(text, number=None):
    return {"id": number or next(_numbers), "data": {"text": text}}


def chosen(*choices):
    return [choices_region("topic", "text", *choices)]


def annotated():
    """Return 30 tasks with their results."""
    pairs = [(text, label) for label, texts in TEXTS.items() for text in texts]
    return [(task(text, number), chosen(label)) for number, (text, label) in enumerate(pairs, 1)]


def trained(label_config=CONFIG):
    model = TextClassifier(label_config=label_config)
    train(model, bulk_event(annotated()))
    return model


def predict(model, text):
    """Return the choices and the score of a text."""
    [prediction] = model.predict([task(text)]).predictions
    choices = [choice for region in prediction["result"] for choice in region["value"]["choices"]]
    return choices, prediction["score"]


def test_it_predicts_the_labels_of_texts_it_has_not_seen():
    model = trained()
    for text, label in UNSEEN.items():
        choices, score = predict(model, text)
        assert choices == [label]
        assert 0.4 < score < 1


def test_the_score_is_the_probability_so_a_doubtful_text_scores_lower():
    model = trained()
    _, sure = predict(model, "The goalkeeper saved the penalty")
    _, doubtful = predict(model, "zzz qqq")
    assert doubtful < 0.5 < sure


def test_it_learns_from_single_annotations_as_they_come():
    model = TextClassifier(label_config=CONFIG)
    for number, (one, result) in enumerate(annotated()):
        train(model, annotation_event(one, result, annotation_id=number))
    assert [predict(model, text)[0] for text in UNSEEN] == [[label] for label in UNSEEN.values()]


def test_it_predicts_several_choices_where_several_can_be_chosen():
    model = TextClassifier(label_config=MULTIPLE)
    both = [(task(f"{a} {b}"), chosen("Sport", "Weather")) for a, b in SPORT_IN_THE_RAIN]
    train(model, bulk_event([*annotated(), *both]))
    choices, score = predict(model, "The match was stopped: heavy rain and thunder over the team and the goal")
    assert sorted(choices) == ["Sport", "Weather"]
    assert score >= 0.5
    assert predict(model, "Fry the eggs in butter with salt")[0] == ["Kitchen"]


def test_a_choice_that_every_text_has_is_learnt_too():
    model = TextClassifier(label_config=MULTIPLE)
    train(model, bulk_event([(task("rain"), chosen("Weather")), (task("rainy match"), chosen("Weather", "Sport"))]))
    assert "Weather" in predict(model, "rain")[0]


def test_it_predicts_nothing_before_it_has_seen_two_labels():
    model = TextClassifier(label_config=CONFIG)
    assert predict(model, "A goal") == ([], 0.0)
    train(model, annotation_event(task("A goal"), chosen("Sport"), annotation_id=1))
    assert predict(model, "A goal") == ([], 0.0)
    train(model, annotation_event(task("A cake"), chosen("Kitchen"), annotation_id=2))
    assert predict(model, "A goal")[0] == ["Sport"]


def test_an_updated_annotation_replaces_what_it_said_before():
    model = trained()
    first, _ = annotated()[0]
    updated = annotation_event(first, chosen("Weather"), annotation_id=1, action="ANNOTATION_UPDATED")
    assert train(model, updated) == {"examples": 30}
    assert predict(model, first["data"]["text"])[1] < predict(trained(), first["data"]["text"])[1]


def test_a_skipped_task_teaches_nothing_and_takes_back_what_was_chosen_before():
    model = trained()
    first, result = annotated()[0]
    skipped = annotation_event(task("A new one"), chosen("Sport"), annotation_id=31, skipped=True)
    assert train(model, skipped) == {"examples": 30}
    skipped = annotation_event(first, result, annotation_id=1, skipped=True, action="ANNOTATION_UPDATED")
    assert train(model, skipped) == {"examples": 29}


def test_deleted_annotations_are_forgotten():
    model = trained()
    assert train(model, deletion_event(*range(1, 29))) == {"examples": 2}
    train(model, deletion_event(29, 30))
    assert predict(model, "The team scored a goal") == ([], 0.0)


def test_the_texts_of_deleted_tasks_are_forgotten():
    model = trained()
    deleted = Event("TASKS_DELETED", {"tasks": [{"id": number} for number in range(1, 31)]})
    assert train(model, deleted) == {"examples": 0}
    assert predict(model, "The team scored a goal") == ([], 0.0)


def test_a_label_that_left_the_config_is_predicted_no_more():
    model = trained()
    model.use_label_config(CONFIG.replace('<Choice value="Sport"/>', ""))
    assert predict(model, "The team scored a goal in the match")[0] != ["Sport"]
    train(model, training_event())
    assert model.get("classes") == ["Kitchen", "Weather"]


def test_choices_made_when_several_could_be_chosen_do_not_break_a_single_choice():
    model = TextClassifier(label_config=MULTIPLE)
    train(model, bulk_event([(task("one"), chosen("Sport", "Weather")), (task("two"), chosen("Sport", "Kitchen"))]))
    model.use_label_config(CONFIG)
    train(model, training_event())
    assert predict(model, "one") == ([], 0.0)


def test_texts_in_any_script_are_told_apart():
    model = TextClassifier(label_config=CONFIG)
    texts = {"今天下雨很大": "Weather", "明天会下雪": "Weather", "球队赢得了比赛": "Sport", "他在比赛中进球": "Sport"}
    train(model, bulk_event([(task(text), chosen(label)) for text, label in texts.items()]))
    assert predict(model, "下雨了")[0] == ["Weather"]
    assert predict(model, "比赛开始")[0] == ["Sport"]


@pytest.mark.parametrize("text", ["", "   ", None])
def test_empty_texts_neither_teach_nor_break_anything(text):
    model = TextClassifier(label_config=CONFIG)
    train(model, bulk_event([(task(text), chosen("Sport")), (task(text), chosen("Weather"))]))
    assert predict(model, "rain") == ([], 0.0)
    model = trained()
    assert len(predict(model, text)[0]) == 1


def test_it_learns_whatever_the_control_and_the_field_are_called():
    config = CONFIG.replace("topic", "subject").replace("$text", "$body").replace('name="text"', 'name="shown"')
    model = TextClassifier(label_config=config.replace('toName="text"', 'toName="shown"'))
    tasks = [{"id": 1, "data": {"body": "A goal"}}, {"id": 2, "data": {"body": "A cake"}}]
    results = [[choices_region("subject", "shown", label)] for label in ("Sport", "Kitchen")]
    train(model, bulk_event(list(zip(tasks, results, strict=True))))
    region = model.predict([{"id": 3, "data": {"body": "The goal"}}]).predictions[0]["result"][0]
    assert region == choices_region("subject", "shown", "Sport")


def test_a_config_without_choices_over_text_is_refused_in_words():
    model = TextClassifier(label_config='<View><Image name="i" value="$i"/><Choices name="c" toName="i"/></View>')
    with pytest.raises(LabelConfigError, match="needs a <Choices> over a <Text>"):
        model.predict([task("A goal")])
