-- The store of moored, version 1. Everything that is recorded, in one SQLite file (WAL).
-- One writer; rows of revision and audit are written once and never changed.

-- Every change of every object, numbered by one counter: the resource version.
CREATE TABLE revision (
  rv        INTEGER PRIMARY KEY,      -- the resource version
  uid       TEXT    NOT NULL,
  gvk       TEXT    NOT NULL,         -- v1/Pod, apps/v1/Deployment
  namespace TEXT    NOT NULL,         -- empty: not namespaced
  name      TEXT    NOT NULL,
  prev      INTEGER,                  -- the revision this one follows; NULL: the object was new
  deleted   INTEGER NOT NULL,         -- 1: json is the last state, rv the deletion's
  sealed    INTEGER NOT NULL,         -- 1: json is encrypted (kinds with secret fields)
  digest    TEXT    NOT NULL,         -- of json as stored; a flipped bit does not go unseen
  time      INTEGER NOT NULL,         -- microseconds since 1970, UTC
  cause     INTEGER,                  -- seq of the audit row; NULL for Events
  source    TEXT    NOT NULL,         -- namespace/name of the GitRepository; empty: moored's own
  unit      TEXT    NOT NULL,         -- namespace/name of the Kustomization
  commit_id TEXT    NOT NULL,         -- branch@sha1:<40 hex>
  file      TEXT    NOT NULL,
  line      INTEGER NOT NULL,
  json      BLOB    NOT NULL          -- the object in canonical JSON; last, so that a scan of the
                                      -- other columns does not read it
) STRICT;
-- History of one object, and time travel: the newest revision at or before a version.
CREATE INDEX revision_of_object ON revision (gvk, namespace, name, rv);

-- The newest revision of every object that exists.
CREATE TABLE head (
  gvk       TEXT    NOT NULL,
  namespace TEXT    NOT NULL,
  name      TEXT    NOT NULL,
  rv        INTEGER NOT NULL REFERENCES revision (rv),
  PRIMARY KEY (gvk, namespace, name)
) STRICT, WITHOUT ROWID;

-- Who changed what, why, when: a chain of hashes. hash = SHA-256(prev_hash \n seq \n json).
CREATE TABLE audit (
  seq            INTEGER PRIMARY KEY, -- without gaps
  hash_version   INTEGER NOT NULL,    -- 1: the rule above
  prev_hash      TEXT    NOT NULL,
  canonical_json TEXT    NOT NULL,
  hash           TEXT    NOT NULL
) STRICT;
-- Which audit rows speak of what: /history without reading the whole chain.
CREATE TABLE audit_subject (
  subject TEXT    NOT NULL,           -- Kind/namespace/name, or branch@sha1:<40 hex>
  seq     INTEGER NOT NULL REFERENCES audit (seq),
  PRIMARY KEY (subject, seq)
) STRICT, WITHOUT ROWID;

-- The receipt of a Git revision: when each step of its way was first seen.
CREATE TABLE receipt (
  sha      TEXT    NOT NULL,          -- 40 hex digits
  step     TEXT    NOT NULL,          -- seen, fetched, …, ready, failed
  revision TEXT    NOT NULL,          -- branch@sha1:<40 hex>
  time     INTEGER NOT NULL,          -- microseconds since 1970, UTC
  detail   TEXT    NOT NULL,
  PRIMARY KEY (sha, step)
) STRICT, WITHOUT ROWID;

-- Differences between desired and observed, opened once and closed once.
CREATE TABLE drift (
  id           TEXT    PRIMARY KEY,
  object       TEXT    NOT NULL,
  uid          TEXT    NOT NULL,
  field        TEXT    NOT NULL,
  desired      TEXT    NOT NULL,
  observed     TEXT    NOT NULL,
  actor        TEXT    NOT NULL,
  onset        INTEGER NOT NULL,      -- microseconds since 1970, UTC
  correction   TEXT    NOT NULL,      -- empty: still open
  corrected_at INTEGER
) STRICT;
CREATE INDEX drift_by_onset ON drift (onset);

-- Single values: store_id, key_digest, resource_version, compacted, compacted_events (history is
-- kept from there on), audit_seq and audit_hash (the end of the chain), archived_seq and
-- archived_hash (the last row that was moved to a file).
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
