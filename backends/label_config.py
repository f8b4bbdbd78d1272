"""Labelling configs, checked before any parser sees them and parsed once per content.

The format is Label Studio's XML: control tags (Choices, RectangleLabels …) point with `toName`
at object tags (Text, Image …), whose `value` names a field of the task, `$text`.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from backends.errors import LabelConfigError

if TYPE_CHECKING:
    from label_studio_sdk.label_interface import LabelInterface

MAX_CHARACTERS = 2_000_000
MAX_DEPTH = 200


@dataclass(frozen=True)
class LabelConfig:
    """A labelling config that has passed `parse`."""

    xml: str
    parsed: dict[str, Any]
    """Control tags by name: {"sentiment": {"type", "to_name", "inputs", "labels", "labels_attrs"}}."""

    @cached_property
    def interface(self) -> "LabelInterface":
        """The SDK's view of the config. Importing it costs about a second, so only its users pay."""
        from label_studio_sdk.label_interface import LabelInterface

        try:
            return LabelInterface(config=self.xml)
        except Exception as exc:
            raise LabelConfigError(f"The labelling config cannot be used: {exc}") from exc


@lru_cache(maxsize=256)
def parse(xml: str) -> LabelConfig:
    """Check and parse a labelling config; raise LabelConfigError with what is wrong with it."""
    if not xml.strip():
        return LabelConfig(xml=xml, parsed={})
    _check(xml)
    # Imported here because the SDK's tools bring lxml along, and commands never parse a config.
    from label_studio_sdk._extensions.label_studio_tools.core.label_config import parse_config

    try:
        parsed = parse_config(xml)
    except KeyError as exc:
        raise LabelConfigError(f"A control or object tag has no {exc.args[0]!r} attribute.") from exc
    except Exception as exc:
        raise LabelConfigError(f"The labelling config cannot be read: {exc}") from exc
    return LabelConfig(xml=xml, parsed=parsed)


def _check(xml: str) -> None:
    if len(xml) > MAX_CHARACTERS:
        raise LabelConfigError(f"The labelling config has more than {MAX_CHARACTERS} characters.")
    try:
        root = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException as exc:
        raise LabelConfigError(
            "The labelling config declares a DTD or entities, which are refused; remove its DOCTYPE."
        ) from exc
    except (ParseError, ValueError) as exc:
        raise LabelConfigError(f"The labelling config is not well-formed XML: {exc}") from exc
    if _deeper_than(root, MAX_DEPTH):
        raise LabelConfigError(f"The labelling config nests tags more than {MAX_DEPTH} levels deep.")


def _deeper_than(root: Element, limit: int) -> bool:
    """Walk without recursion: a hostile config must not reach Python's recursion limit."""
    waiting = deque([(root, 1)])
    while waiting:
        element, depth = waiting.popleft()
        if depth > limit:
            return True
        waiting.extend((child, depth + 1) for child in element)
    return False
