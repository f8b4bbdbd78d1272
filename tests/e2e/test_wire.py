"""What this Label Studio sends has the fields that our recordings of it have."""

import pytest

from tests.e2e import wire
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.record import record


@pytest.mark.newest("the recordings are of the newest Label Studio")
def test_no_field_has_changed_since_the_recordings_were_made(label_studio: LabelStudioServer):
    changes = wire.changes(wire.load(), record(label_studio))
    assert changes == [], "`make wire` takes these up:\n" + "\n".join(changes)
