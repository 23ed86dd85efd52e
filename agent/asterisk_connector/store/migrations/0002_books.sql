-- Double entry: what came and what went, beside the rows that are there (store/books.py).
CREATE TABLE book (
  name TEXT    PRIMARY KEY,
  came INTEGER NOT NULL,
  went INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO book SELECT 'calls', count(*), 0 FROM call;
INSERT INTO book SELECT 'sink ' || sink, count(*), 0 FROM delivery GROUP BY sink;

-- How old the oldest delivery of a sink is.
CREATE INDEX delivery_age ON delivery (sink, created_at) WHERE state = 'pending';

-- Calls that ended and were never told, although they are not history: there must be none.
CREATE INDEX call_untold ON call (id) WHERE state = 'settled' AND fresh = 1 AND revision = 0 AND trimmed = 0;
