-- Calls: what was read, what is known, what is owed. Instants are UTC microseconds; ids grow with time.

-- How far each source has been read; moved only together with the records it covers (law 1).
CREATE TABLE position (
  id     INTEGER PRIMARY KEY,
  source TEXT NOT NULL UNIQUE,
  value  BLOB NOT NULL
);

-- state: open, settled, history. fresh: touched by a row that was not history. raw: has rows in `record` that may be
-- trimmed. trimmed: rows of it were deleted, so that what is left no longer tells the whole call.
CREATE TABLE call (
  id           INTEGER PRIMARY KEY,
  state        TEXT    NOT NULL DEFAULT 'open',
  fresh        INTEGER NOT NULL,
  first_record INTEGER NOT NULL,
  opened_at    INTEGER NOT NULL,
  touched_at   INTEGER NOT NULL,
  settled_at   INTEGER,
  raw          INTEGER NOT NULL DEFAULT 1,
  trimmed      INTEGER NOT NULL DEFAULT 0,
  call_id      TEXT    NOT NULL DEFAULT '',
  complete     INTEGER NOT NULL DEFAULT 0,
  revision     INTEGER NOT NULL DEFAULT 0,
  digest       BLOB    NOT NULL DEFAULT x'',
  phase        TEXT,
  shipped_at   INTEGER,
  body         BLOB    NOT NULL DEFAULT x''
);
CREATE INDEX call_open    ON call (id) WHERE state = 'open';
CREATE INDEX call_settled ON call (settled_at) WHERE state <> 'open';
CREATE INDEX call_raw     ON call (settled_at) WHERE state <> 'open' AND raw = 1;
CREATE INDEX call_name    ON call (call_id) WHERE call_id <> '';

-- Raw rows in order of arrival. payload: msgpack of the tagged union of records.
CREATE TABLE record (
  id      INTEGER PRIMARY KEY,
  source  INTEGER NOT NULL,
  ident   TEXT    NOT NULL,
  call    INTEGER NOT NULL,
  payload BLOB    NOT NULL
);
CREATE UNIQUE INDEX record_ident ON record (source, ident);
CREATE INDEX record_call ON record (call);

-- Which call a uniqueid, linkedid or conference belongs to.
CREATE TABLE member (
  key  TEXT PRIMARY KEY,
  call INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX member_call ON member (call);

-- One revision of one call owed to one sink. state: pending, dead.
CREATE TABLE delivery (
  id         INTEGER PRIMARY KEY,
  call       INTEGER NOT NULL,
  sink       TEXT    NOT NULL,
  state      TEXT    NOT NULL DEFAULT 'pending',
  host       TEXT    NOT NULL,
  call_id    TEXT    NOT NULL,
  revision   INTEGER NOT NULL,
  phase      TEXT    NOT NULL,
  body       BLOB    NOT NULL,
  attempts   INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  buried_at  INTEGER,
  reason     TEXT    NOT NULL DEFAULT '',
  request    TEXT    NOT NULL DEFAULT '',
  answer     TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX delivery_key ON delivery (call_id, revision, sink, host);
CREATE INDEX delivery_due  ON delivery (sink, due_at) WHERE state = 'pending';
CREATE INDEX delivery_turn ON delivery (call, sink) WHERE state = 'pending';
CREATE INDEX delivery_dead ON delivery (buried_at) WHERE state = 'dead';

-- Recordings that named no call; call is NULL until one is found. uploaded: the state of the file a sink took.
CREATE TABLE recording (
  id      INTEGER PRIMARY KEY,
  path    TEXT    NOT NULL UNIQUE,
  call    INTEGER,
  payload BLOB    NOT NULL,
  seen_at INTEGER NOT NULL,
  uploaded TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX recording_unlinked ON recording (seen_at) WHERE call IS NULL;

-- Input that could not be understood.
CREATE TABLE set_aside (
  id      INTEGER PRIMARY KEY,
  source  INTEGER NOT NULL,
  ident   TEXT    NOT NULL,
  reason  TEXT    NOT NULL,
  raw     BLOB    NOT NULL,
  seen_at INTEGER NOT NULL,
  UNIQUE (source, ident)
);
