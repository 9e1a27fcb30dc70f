-- Who refers to what: `target` is `e:` and the id of an event, or `s:` and the name of a stream;
-- `position` that of the event that refers to it. A table, not an index of events, which would have
-- to look through a log that is there already, and would find referrers in no order.
CREATE TABLE {schema}.event_references (
    target   text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    PRIMARY KEY (target, position)
);

-- The targets that the metadata of an event name. As json, not jsonb: that would look at numbers,
-- and fail on some that are fine.
CREATE FUNCTION {schema}.references_v1(p_metadata bytea) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT 'e:' || lower(e.value)
      FROM json_array_elements_text(
               (convert_from(p_metadata, 'UTF8')::json -> 'refs') -> 'events') AS e
     UNION
    SELECT 's:' || s.value
      FROM json_array_elements_text(
               (convert_from(p_metadata, 'UTF8')::json -> 'refs') -> 'streams') AS s
$function$;

CREATE FUNCTION {schema}.note_references_v1() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.event_references (target, position)
        SELECT t, NEW.position FROM {schema}.references_v1(NEW.metadata) AS t;
    ELSE
        DELETE FROM {schema}.event_references r
         WHERE r.position = OLD.position
           AND r.target IN (SELECT t FROM {schema}.references_v1(OLD.metadata) AS t);
    END IF;
    RETURN NULL;
END
$function$;

-- Only events with the mark EVENT_FLAG_REFERS, whose `refs` were checked. With the payload goes
-- what it referred to.
CREATE TRIGGER events_references_added AFTER INSERT ON {schema}.events
    FOR EACH ROW WHEN (NEW.flags & 8 <> 0)
    EXECUTE FUNCTION {schema}.note_references_v1();
CREATE TRIGGER events_references_gone AFTER UPDATE OF deleted_at ON {schema}.events
    FOR EACH ROW
    WHEN (OLD.flags & 8 <> 0 AND OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION {schema}.note_references_v1();
