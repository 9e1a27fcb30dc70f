-- Links between streams: rules that they follow from, those that stand in events, and those that
-- were put by hand.

-- name: put_link_rule
SELECT {schema}.link_rule_put_v1($1, $2, $3, $4, $5, $6, $7, $8) AS outcome;

-- name: drop_link_rule
SELECT {schema}.link_rule_drop_v1($1) AS dropped;

-- fragment: link_rule
-- A rule, and how far it is.
r.rule_no, r.name, r.type, r.pointer, r.category, r.owner_category, r.policy, r.position,
       r.unreadable, r.put_at, r.put_by, c.position AS head
  FROM {schema}.link_rules r CROSS JOIN {schema}.counter c

-- name: link_rule
SELECT {link_rule} WHERE r.name = $1;

-- name: link_rules_page
-- Rules named above $1, in byte order, $2 of them.
SELECT {link_rule} WHERE r.name > $1 ORDER BY r.name LIMIT $2;

-- name: link_rules_behind
-- Rules of types that have not looked through all events, those that are furthest behind first.
SELECT r.rule_no FROM {schema}.link_rules r CROSS JOIN {schema}.counter c
 WHERE r.type IS NOT NULL AND r.position < c.position ORDER BY r.position, r.rule_no;

-- name: follow_links
SELECT followed, head FROM {schema}.links_follow_v1($1, $2, $3);

-- name: put_link
-- Links the line of the stream $1 to the owner $2 by hand.
INSERT INTO {schema}.links AS l (stream, owner, rule_no, policy, put_by)
SELECT coalesce((SELECT s.root FROM {schema}.streams s WHERE s.name = $1), $1),
       coalesce((SELECT s.root FROM {schema}.streams s WHERE s.name = $2), $2), 0, $3, $4
    ON CONFLICT (owner, stream, rule_no) DO UPDATE
   SET policy = excluded.policy, put_at = excluded.put_at, put_by = excluded.put_by
RETURNING l.stream, l.owner;

-- name: drop_link
-- Drops a link that was put by hand.
DELETE FROM {schema}.links l
 WHERE l.rule_no = 0
   AND l.stream IN ($1, (SELECT s.root FROM {schema}.streams s WHERE s.name = $1))
   AND l.owner IN ($2, (SELECT s.root FROM {schema}.streams s WHERE s.name = $2))
RETURNING l.stream;

-- name: links_page
-- Links of the stream $1, or of the owner $2 (NULL: any), behind the owner $3 and the stream $4
-- and the rule $5; $6 of them. Those of categories stand there only where a stream or an owner
-- is named, and for streams that are there.
SELECT q.stream, q.owner, q.rule, q.policy, q.position, q.put_at, q.put_by
  FROM (SELECT l.stream, l.owner, coalesce(r.name, '') AS rule,
               coalesce(l.policy, r.policy) AS policy, coalesce(l.position, 0) AS position,
               l.put_at, l.put_by
          FROM {schema}.links l LEFT JOIN {schema}.link_rules r ON r.rule_no = l.rule_no
         WHERE ($1::text IS NULL OR l.stream = $1) AND ($2::text IS NULL OR l.owner = $2)
        UNION ALL
        SELECT s.name, o.name, r.name, r.policy, 0, r.put_at, r.put_by
          FROM {schema}.link_rules r
         CROSS JOIN LATERAL
               (SELECT coalesce($2, r.owner_category || substr($1, length(r.category) + 1)) AS name,
                       coalesce($1, r.category || substr($2, length(r.owner_category) + 1))
                       AS stream) o
          JOIN {schema}.streams s ON s.name = o.stream
         WHERE r.category IS NOT NULL AND num_nonnulls($1::text, $2::text) > 0
           AND ($1 IS NULL OR split_part($1, '-', 1) = r.category)
           AND ($2 IS NULL OR split_part($2, '-', 1) = r.owner_category)
           AND substr(o.stream, length(r.category) + 1)
               = substr(o.name, length(r.owner_category) + 1)) q
 WHERE (q.owner, q.stream, q.rule) > ($3::text COLLATE "C", $4::text COLLATE "C",
                                      $5::text COLLATE "C")
 ORDER BY q.owner, q.stream, q.rule LIMIT $6;

-- name: linked_streams
-- Lines that belong to one of the streams $1, all names of some lines, and were not deleted; with
-- the owner, the rule (empty: by hand) and the policy.
SELECT q.root AS stream, q.owner, q.rule, q.policy
  FROM (SELECT s.root, s.lifecycle, l.owner, coalesce(r.name, '') AS rule,
               coalesce(l.policy, r.policy) AS policy
          FROM unnest($1::text[]) AS o (name)
          JOIN {schema}.links l ON l.owner = o.name
          JOIN {schema}.streams s ON s.name = l.stream
          LEFT JOIN {schema}.link_rules r ON r.rule_no = l.rule_no
        UNION ALL
        SELECT s.root, s.lifecycle, o.name, r.name, r.policy
          FROM unnest($1::text[]) AS o (name)
          JOIN {schema}.link_rules r ON r.owner_category = split_part(o.name, '-', 1)
           AND r.category IS NOT NULL
          JOIN {schema}.streams s
            ON s.name = r.category || substr(o.name, length(r.owner_category) + 1)) q
 WHERE q.lifecycle <> 3
 ORDER BY q.root, q.policy, q.owner, q.rule;

-- name: roots_of
-- First streams of the lines of those of the streams $1 that are there.
SELECT s.name, s.root FROM {schema}.streams s WHERE s.name = ANY ($1::text[]);
