import pytest
from confhub.releases import draft_rows, undo as u, actions
from tests.releases import test_nothing_is_lost as t
pytestmark = pytest.mark.django_db

def nop(*a, **k): return None

MUT = {
 "moved": (draft_rows.OpenDraft, "refuse_moved", nop),
 "undo": (u, "_refuse_changed", nop),
 "remember": (draft_rows.OpenDraft, "_remember", nop),
 "undo_both": None,
 "empty": (actions, "empty_draft", nop),
}
@pytest.mark.parametrize("name", [k for k in MUT if MUT[k]])
def test_mut(name, monkeypatch):
    monkeypatch.setattr(*MUT[name])
    with pytest.raises(BaseException) as e:
        t.test_whatever_two_writers_do_no_accepted_edit_is_lost(t.InAScope)
    print(name, type(e.value), str(e.value)[:200])
