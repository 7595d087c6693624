-- What happens to a session in the browser is recorded too. A migration of its own: it waits for whoever reads the events,
-- and nothing else should wait with it.

-- Reasons are the service's to name; they are in the README.
ALTER TABLE link_session_events
    DROP CONSTRAINT link_session_events_event_known,
    DROP CONSTRAINT link_session_events_reason_of_refusal,
    DROP CONSTRAINT link_session_events_reason_known,
    ADD CONSTRAINT link_session_events_event_valid CHECK (event IN (
        'looked_up', 'expired_early', 'sign_in_started', 'sign_in_refused', 'signed_in', 'completed', 'completion_refused',
        'confirmed', 'confirmation_refused')) NOT VALID,
    ADD CONSTRAINT link_session_events_refusal_has_reason CHECK ((event LIKE '%refused') = (reason IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT link_session_events_reason_valid CHECK (reason ~ '^[a-z_]{1,40}$') NOT VALID;

COMMENT ON COLUMN link_session_events.event IS
    'looked_up: the Authenticator''s first look. expired_early: by the manufacturer. …_refused: see reason.';
