"""What the manufacturer's backend makes of a result: its signature, its code, and its user."""
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from steps import complete, confirm, sign_in_at_mock, sign_in_at_sandbox


def result(service, new_visitor, user="u-1"):
    session = service.create("en", user=user)
    _, url = complete(service, new_visitor(), session)
    query = parse_qs(urlsplit(url).query)
    return session, query["data"][0], query["signature"][0]


def test_the_signature_fails_with_one_character_changed(service, new_visitor):
    _, data, signature = result(service, new_visitor)
    service.verify(data, signature)

    def changed(text, index):
        return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1:]

    for other_data, other_signature in [
        (changed(data, 20), signature), (changed(data, len(data) // 2), signature), (data, changed(signature, 5)),
        (data, changed(signature, len(signature) - 20)),
    ]:
        with pytest.raises((jwt.PyJWTError, KeyError, AssertionError)):
            service.verify(other_data, other_signature)


def test_confirm_answers_the_user_of_the_session_and_nobody_else(service, new_visitor):
    session, data, signature = result(service, new_visitor, user="u-confirm")
    fields = service.verify(data, signature)
    assert service.find(session)["confirmed_at"] is None

    for user, code in [
        ("somebody else", fields["code"]), ("u-confirm", "A" * len(fields["code"])), ("u-confirm", fields["jti"]),
    ]:
        assert service.confirm(session, user, code).status_code == 409
    assert service.find(session)["confirmed_at"] is None

    answer = service.confirm(session, "u-confirm", fields["code"])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["nox_user_id"] == fields["nox_user_id"]
    assert body["supplier"] == fields["supplier"]
    assert body["connected_at"] == fields["connected_at"]
    assert service.find(session)["confirmed_at"] == body["confirmed_at"]
    assert service.confirm(session, "u-confirm", fields["code"]).json() == body, "again the same"
    assert service.confirm(session, "somebody else", fields["code"]).status_code == 409
    assert ("confirmed", None) in service.events(session)
    assert "confirmation_refused" in [event for event, _ in service.events(session)]


def test_the_code_is_good_for_ten_minutes(service, new_visitor):
    session, data, signature = result(service, new_visitor)
    code = service.verify(data, signature)["code"]
    service.age(session, 11)
    assert service.confirm(session, "u-1", code).status_code == 409


def test_one_user_has_one_id_in_all_sessions(service, new_visitor):
    ids = []
    for user in ("u-same", "u-same", "u-other"):
        _, data, signature = result(service, new_visitor, user=user)
        ids.append(service.verify(data, signature)["nox_user_id"])
    assert ids[0] == ids[1] != ids[2]


def test_the_sandbox_signs_with_another_key_than_real_suppliers(service, new_visitor):
    keys = {}
    for supplier in ("sandbox", "mock-energy"):
        tab = new_visitor().open(service.create("en")["link_url"])
        if supplier == "sandbox":
            sign_in_at_sandbox(tab)
        else:
            sign_in_at_mock(tab, "somebody")
        signature = parse_qs(urlsplit(confirm(tab)).query)["signature"][0]
        keys[supplier] = jwt.get_unverified_header(signature.replace("..", ".e30."))["kid"]
    assert keys["sandbox"] != keys["mock-energy"]
