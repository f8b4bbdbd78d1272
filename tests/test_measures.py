"""How well predictions agree with annotations, and which of two versions is worse."""

import itertools
import json
import math
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends import label_config
from backends.measures import ControlMeasures, measure, unmeasured, worse
from backends.overlaps import Span, box, count_matches, overlap

CONFIG = label_config.parse("""<View>
  <Text name="text" value="$text"/><HyperText name="html" value="$html"/><Paragraphs name="talk" value="$talk"/>
  <Image name="image" value="$image"/><Audio name="audio" value="$audio"/><TimeSeries name="series" value="$series"/>
  <Choices name="topic" toName="text" choice="multiple"><Choice value="A"/><Choice value="B"/></Choices>
  <Taxonomy name="place" toName="text"><Choice value="EU"><Choice value="DE"/></Choice></Taxonomy>
  <Labels name="entity" toName="text"><Label value="X"/><Label value="Y"/></Labels>
  <Labels name="sound" toName="audio"><Label value="X"/><Label value="Y"/></Labels>
  <HyperTextLabels name="mark" toName="html"><Label value="X"/></HyperTextLabels>
  <ParagraphLabels name="said" toName="talk"><Label value="X"/></ParagraphLabels>
  <TimeSeriesLabels name="phase" toName="series"><Label value="X"/></TimeSeriesLabels>
  <RectangleLabels name="thing" toName="image"><Label value="X"/><Label value="Y"/></RectangleLabels>
  <Number name="amount" toName="text"/><Rating name="stars" toName="text"/>
  <TextArea name="summary" toName="text"/>
</View>""")
LEFT_OUT = label_config.parse("""<View>
  <Text name="text" value="$text"/><Image name="image" value="$image"/>
  <Choices name="kept" toName="text"><Choice value="A"/></Choices>
  <Choices name="per_region" toName="image" perRegion="true"><Choice value="A"/></Choices>
  <TextArea name="per_item" toName="image" perItem="true"/>
  <Taxonomy name="labelling" toName="text" labeling="true"><Choice value="A"/></Taxonomy>
  <Labels name="over_image" toName="image"><Label value="A"/></Labels>
  <BrushLabels name="brush" toName="image"><Label value="A"/></BrushLabels>
  <KeyPointLabels name="point" toName="image"><Label value="A"/></KeyPointLabels>
  <PolygonLabels name="polygon" toName="image"><Label value="A"/></PolygonLabels>
  <Pairwise name="pair" toName="text,text"/><Ranker name="ranker" toName="text"/>
  <Rating name="stars_{{idx}}" toName="text"/>
</View>""")
KINDS = {name: tag["type"].lower() for name, tag in CONFIG.parsed.items()}


def region(control, **value):
    return {
        "from_name": control,
        "to_name": CONFIG.parsed[control]["to_name"][0],
        "type": KINDS[control],
        "value": value,
    }


def choices(*labels):
    return region("topic", choices=list(labels))


def entity(start, end, *labels):
    return region("entity", start=start, end=end, labels=list(labels or "X"))


def thing(x, y, width, height, label="X", rotation=0, size=(100, 100)):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": [label]}
    return region("thing", **value) | {"original_width": size[0], "original_height": size[1]}


def measured(*pairs, config=CONFIG):
    """Return the measures of the one control that the pairs are about."""
    [found] = [measures for measures in measure(config, pairs) if measures.count]
    return found


def values(*pairs):
    return measured(*pairs).values


def f1(annotated, predicted):
    return values((annotated, predicted))["f1"]


def test_measures_say_whose_they_are_and_on_how_many_tasks():
    pairs = [([choices("A")], [choices("A")]), ([choices("B")], [])]
    assert measured(*pairs) == ControlMeasures("topic", "Choices", 2, {"accuracy": 0.5, "macro_f1": 0.5})


def test_without_tasks_every_control_is_there_and_has_no_values():
    found = measure(CONFIG, [])
    assert [measures.control for measures in found] == list(CONFIG.parsed)
    assert all(measures.count == 0 and measures.values == {} for measures in found)


def test_controls_without_a_measure_are_named():
    assert [measures.control for measures in measure(LEFT_OUT, [])] == ["kept"]
    assert unmeasured(LEFT_OUT) == [name for name in LEFT_OUT.parsed if name != "kept"]
    assert unmeasured(CONFIG) == []


def test_an_empty_config_has_nothing_to_measure():
    empty = label_config.parse("")
    assert measure(empty, [([choices("A")], [])]) == []
    assert unmeasured(empty) == []


# Choices and taxonomies


def test_a_set_of_choices_is_right_as_a_whole_only():
    pairs = [([choices("A", "B")], [choices("B", "A")]), ([choices("A", "B")], [choices("A")])]
    assert values(*pairs) == {"accuracy": 0.5, "macro_f1": pytest.approx((1 + 2 / 3) / 2)}


def test_a_label_that_was_only_predicted_lowers_the_macro_f1():
    assert values(([choices("A")], [choices("A", "B")])) == {"accuracy": 0.0, "macro_f1": 0.5}


def test_a_task_without_an_annotated_choice_does_not_count():
    pairs = [([choices("A")], [choices("A")]), ([], [choices("B")]), ([choices()], [choices("B")])]
    assert measured(*pairs) == ControlMeasures("topic", "Choices", 1, {"accuracy": 1.0, "macro_f1": 1.0})


def test_a_path_of_a_taxonomy_is_a_label_of_its_own():
    whole, part = region("place", taxonomy=[["EU", "DE"]]), region("place", taxonomy=[["EU"]])
    assert values(([whole], [part])) == {"accuracy": 0.0, "macro_f1": 0.0}
    assert values(([whole], [whole])) == {"accuracy": 1.0, "macro_f1": 1.0}


# Spans and boxes


def test_a_span_is_found_from_an_overlap_of_a_half():
    assert f1([entity(0, 10)], [entity(0, 5)]) == 1.0
    assert f1([entity(0, 10)], [entity(0, 4)]) == 0.0


def test_a_span_with_another_label_is_not_found():
    assert f1([entity(0, 10, "X")], [entity(0, 10, "Y")]) == 0.0
    assert f1([entity(0, 10, "X", "Y")], [entity(0, 10, "Y", "X")]) == 1.0


def test_regions_are_counted_over_all_tasks():
    pairs = [([entity(0, 4), entity(6, 9)], [entity(0, 4)]), ([entity(0, 4)], [entity(0, 4), entity(20, 30)])]
    assert values(*pairs) == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})


def test_a_span_predicted_where_nothing_was_annotated_is_wrong():
    pairs = [([entity(0, 4)], [entity(0, 4)]), ([], [entity(0, 4)]), ([], [])]
    assert measured(*pairs).count == 2
    assert values(*pairs) == pytest.approx({"precision": 0.5, "recall": 1.0, "f1": 2 / 3})


def test_each_region_is_found_once():
    assert values(([entity(0, 4)], [entity(0, 4)] * 3)) == pytest.approx({"precision": 1 / 3, "recall": 1.0, "f1": 0.5})


def test_a_region_gives_way_to_one_that_has_no_other_partner():
    # The first annotation could have either prediction, the second only the better one of the first.
    assert f1([entity(0, 10), entity(4, 10)], [entity(0, 10), entity(0, 6)]) == 1.0


def test_audio_is_compared_in_seconds_of_the_same_channel():
    spans = [region("sound", start=0.5, end=1.5, channel=channel, labels=["X"]) for channel in (0, 1)]
    assert f1([spans[0]], [region("sound", start=0.6, end=1.4, labels=["X"])]) == 1.0
    assert f1([spans[0]], [spans[1]]) == 0.0


def test_times_of_a_time_series_are_compared_as_times():
    days = [("2026-01-01", "2026-01-11"), ("2026-01-01 00:00:00", "2026-01-06T00:00:00Z")]
    wide, half = (region("phase", start=start, end=end, timeserieslabels=["X"]) for start, end in days)
    assert f1([wide], [half]) == 1.0


def test_instants_are_found_where_they_are_equal():
    instants = [region("phase", start=at, end=at, instant=True, timeserieslabels=["X"]) for at in (5, 6)]
    assert f1(instants[:1], instants[:1]) == 1.0
    assert f1(instants[:1], instants[1:]) == 0.0


def mark(start, first, end, last, **more):
    return region("mark", start=start, end=end, startOffset=first, endOffset=last, hypertextlabels=["X"], **more)


def test_hypertext_is_compared_by_its_global_offsets_where_both_sides_have_them():
    one = mark("/p[1]", 0, "/p[2]", 5, globalOffsets={"start": 0, "end": 10})
    assert f1([one], [mark("/p[1]/b", 0, "/p[2]", 3, globalOffsets={"start": 0, "end": 8})]) == 1.0
    assert f1([one], [mark("/p[1]", 0, "/p[2]", 5)]) == 1.0


def test_hypertext_within_one_element_is_compared_by_its_offsets():
    assert f1([mark("/p[1]", 0, "/p[1]", 10)], [mark("/p[1]", 1, "/p[1]", 9)]) == 1.0
    assert f1([mark("/p[1]", 0, "/p[1]", 10)], [mark("/p[2]", 0, "/p[2]", 10)]) == 0.0


def test_hypertext_across_elements_is_found_where_it_is_equal():
    assert f1([mark("/p[1]", 8, "/p[2]", 5)], [mark("/p[1]", 8, "/p[2]", 5)]) == 1.0
    assert f1([mark("/p[1]", 8, "/p[2]", 5)], [mark("/p[1]", 8, "/p[2]", 6)]) == 0.0


def test_a_paragraph_is_the_same_by_number_and_by_text():
    one, same = (region("said", start=at, end=at, startOffset=0, endOffset=9, paragraphlabels=["X"]) for at in ("2", 2))
    assert f1([one], [same]) == 1.0


def test_a_box_is_found_from_an_overlap_of_a_half():
    assert f1([thing(0, 0, 20, 20)], [thing(0, 0, 20, 10)]) == 1.0
    assert f1([thing(0, 0, 20, 20)], [thing(0, 0, 20, 9)]) == 0.0
    assert f1([thing(0, 0, 20, 20)], [thing(0, 0, 20, 20, "Y")]) == 0.0


def test_boxes_on_different_pages_are_apart():
    assert f1([thing(0, 0, 20, 20) | {"item_index": 0}], [thing(0, 0, 20, 20) | {"item_index": 1}]) == 0.0


@pytest.mark.parametrize(
    ("turned", "straight", "expected"),
    [
        (thing(50, 10, 20, 20, rotation=90), thing(30, 10, 20, 20), 1.0),
        (thing(50, 50, 20, 10, rotation=180), thing(30, 40, 20, 10), 1.0),
        (thing(50, 10, 20, 20, rotation=-270), thing(30, 10, 20, 20), 1.0),
        # A square of 20 in one of √800, standing on its corner.
        (thing(50, 30, 20, 20, rotation=45), thing(50 - 200**0.5, 30, 800**0.5, 800**0.5), 0.5),
        (thing(50, 10, 20, 20, rotation=90), thing(50, 10, 20, 20), 0.0),
        (thing(0, 0, 20, 20, rotation=90), thing(60, 60, 20, 20), 0.0),
        # Twice as wide as high: a quarter of the width is half of the height.
        (thing(50, 10, 10, 40, rotation=90, size=(200, 100)), thing(30, 10, 20, 20, size=(200, 100)), 1.0),
    ],
)
def test_turned_boxes_overlap_as_polygons_of_the_image(turned, straight, expected):
    one, other = box(turned), box(straight)
    assert one is not None
    assert other is not None
    assert [overlap(one, other), overlap(other, one)] == pytest.approx([expected, expected])


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=6), st.randoms())
def test_the_matching_is_the_largest_there_is(places, rng):
    spans = [Span({0: (start, start + length)}) for start, length in places]
    some, others = spans[::2], spans[1::2]
    short, long = sorted((some, others), key=len)
    largest = max(
        sum(overlap(one, other) >= 0.5 for one, other in zip(short, chosen, strict=True))
        for chosen in itertools.permutations(long, len(short))
    )
    rng.shuffle(some)
    assert count_matches(some, others) == count_matches(others, some) == largest


# Numbers and texts


@pytest.mark.parametrize("control", ["amount", "stars"])
def test_numbers_are_measured_by_their_mean_error(control):
    three, five, nine = (region(control, **{KINDS[control]: value}) for value in (3, 5, 9.0))
    assert values(([three], [five]), ([nine], [five])) == {"mae": 3.0, "answered": 1.0}


def test_a_number_that_was_not_predicted_lowers_the_share_answered():
    three = region("amount", number=3)
    assert values(([three], [three]), ([three], []), ([], [three])) == {"mae": 0.0, "answered": 0.5}
    assert values(([three], [])) == {"answered": 0.0}


@pytest.mark.parametrize(
    ("annotated", "predicted", "distance"),
    [
        (["kitten"], ["sitting"], 3 / 7),
        (["a", "b"], ["a\nb"], 0.0),
        (["text"], "text", 0.0),
        (["日本語 🙂"], ["日本語"], 0.4),
        (["abc"], ["xyz"], 1.0),
        (["abc"], [], 1.0),
        (["half \ud83d"], ["half \ud83d"], 0.0),
    ],
)
def test_texts_are_measured_by_their_edit_distance(annotated, predicted, distance):
    pair = ([region("summary", text=annotated)], [region("summary", text=predicted)])
    assert values(pair) == {"edit_distance": pytest.approx(distance)}


# What cannot be read


GOOD = {
    "topic": choices("A"),
    "place": region("place", taxonomy=[["EU", "DE"]]),
    "entity": entity(0, 4),
    "sound": region("sound", start=0.5, end=1.5, labels=["X"]),
    "mark": mark("/p[1]", 0, "/p[1]", 5, globalOffsets={"start": 0, "end": 5}),
    "said": region("said", start="0", end="0", startOffset=0, endOffset=5, paragraphlabels=["X"]),
    "phase": region("phase", start="2026-01-01", end="2026-01-02", timeserieslabels=["X"]),
    "thing": thing(0, 0, 20, 20),
    "amount": region("amount", number=3),
    "stars": region("stars", rating=3),
    "summary": region("summary", text=["a text"]),
}
WRONG: list[Any] = [
    None,
    True,
    -1,
    10**400,
    math.nan,
    math.inf,
    "",
    "x",
    [],
    ["A", 1],
    [["A"], [2]],
    {},
    {"start": []},
    1e300,
]


def test_nothing_malformed_raises_and_all_of_it_counts_as_no_answer():
    for control, good in GOOD.items():
        for wrong in WRONG:
            for bad in ({**good, "value": wrong}, {**good, "from_name": wrong}, wrong):
                assert values(([good], [bad])) == values(([good], [])), control
                assert measure(CONFIG, [([bad], [])]) == measure(CONFIG, [])
    unreadable: list[Any] = [(None, 5), ("text", {"result": []})]
    assert measure(CONFIG, unreadable) == measure(CONFIG, [])


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_region_with_one_wrong_value_never_raises(wrong):
    for good in GOOD.values():
        for key in good["value"]:
            bad = {**good, "value": {**good["value"], key: wrong}, "to_name": wrong, "original_width": wrong}
            pairs = [([good], [bad]), ([bad], [good]), ([bad], [{**bad, "to_name": good["to_name"]}])]
            json.dumps([measures.values for measures in measure(CONFIG, pairs)], allow_nan=False)


# Properties


labels = st.lists(st.sampled_from("XY"), min_size=1, max_size=2, unique=True)
numbers = st.one_of(st.integers(-50, 50), st.floats(), st.integers())
percents = st.one_of(st.integers(0, 100), st.floats(0, 100))
places = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)
any_region = st.one_of(
    st.builds(lambda names: choices(*names), st.lists(st.sampled_from("ABC"), max_size=3)),
    st.builds(lambda place, names: entity(*place, *names), places, labels),
    st.builds(lambda place: mark("/p[1]", place[0], "/p[1]", place[1]), places),
    st.builds(thing, percents, percents, percents, percents, st.sampled_from("XY"), st.sampled_from([0, 0, 30, 90.5])),
    st.builds(lambda value: region("amount", number=value), numbers),
    st.builds(lambda value: region("stars", rating=value), st.integers(1, 5)),
    st.builds(lambda text: region("summary", text=text), st.lists(st.text(max_size=8), max_size=2)),
)
results = st.lists(any_region, max_size=6)
tasks = st.lists(st.tuples(results, results), max_size=4)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(tasks)
def test_measures_are_finite_and_within_their_bounds(pairs):
    for measures in measure(CONFIG, pairs):
        json.dumps(measures.values, allow_nan=False)
        for name, value in measures.values.items():
            assert type(value) is float
            assert 0 <= value <= (math.inf if name == "mae" else 1), name


@quick
@given(tasks)
def test_equal_answers_have_perfect_measures(pairs):
    for measures in measure(CONFIG, [(annotated, annotated) for annotated, _ in pairs]):
        for name, value in measures.values.items():
            assert value == (0 if name in ("mae", "edit_distance") else 1), name


@quick
@given(tasks, st.integers())
def test_the_order_of_tasks_and_of_regions_does_not_matter(pairs, seed):
    rng = random.Random(seed)
    shuffled = [(rng.sample(one, len(one)), rng.sample(other, len(other))) for one, other in pairs]
    rng.shuffle(shuffled)
    assert measure(CONFIG, shuffled) == measure(CONFIG, pairs)


@quick
@given(tasks)
def test_no_version_is_worse_than_itself(pairs):
    found = measure(CONFIG, pairs)
    assert worse(found, found, margin=0.0) == []


# Which version is worse


def with_values(**values):
    return [ControlMeasures("topic", "Choices", 10, values)]


@pytest.mark.parametrize(
    ("name", "live", "still_good", "too_bad"),
    [
        ("macro_f1", 0.8, 0.75, 0.7499),
        ("f1", 0.8, 0.75, 0.7499),
        ("answered", 0.8, 0.75, 0.7499),
        ("edit_distance", 0.2, 0.25, 0.2501),
        ("mae", 100.0, 105.0, 105.1),
        ("mae", 0.0, 0.0, 0.001),
    ],
)
def test_a_version_is_worse_beyond_the_margin(name, live, still_good, too_bad):
    assert worse(with_values(**{name: still_good}), with_values(**{name: live}), margin=0.05) == []
    assert len(worse(with_values(**{name: too_bad}), with_values(**{name: live}), margin=0.05)) == 1


def test_what_is_worse_is_said_in_words():
    [sentence] = worse(with_values(accuracy=0.5, macro_f1=0.5), with_values(accuracy=0.9, macro_f1=0.88), margin=0.01)
    assert sentence == "topic (Choices): macro_f1 is 0.5, and the live version's is 0.88."


def test_what_the_live_version_was_not_measured_by_is_not_held_against_a_candidate():
    assert worse(with_values(macro_f1=0.1), [], margin=0.0) == []
    assert worse(with_values(mae=5.0, answered=1.0), with_values(answered=0.0), margin=0.0) == []
