"""The tables, as statements are made of them. What really is in a database are the migrations; a test compares both.

A step, task and artifact has the tags of its run, so only runs have tags. Lists are JSON, times are milliseconds since
the epoch. Whatever is registered is never deleted, so that an id stands for one thing for ever.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

SCHEMA = MetaData()

FLOWS = Table(
    "flows",
    SCHEMA,
    Column("flow_id", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("ts_epoch", BigInteger, nullable=False),
)

RUNS = Table(
    "runs",
    SCHEMA,
    Column("id", BigInteger, primary_key=True),
    Column("flow_id", Text, nullable=False),
    Column("name", Text),  # given by who registered it, as orchestrators do
    Column("user_name", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("system_tags", Text, nullable=False),
    Column("ts_epoch", BigInteger, nullable=False),
    Column("heartbeat", BigInteger),
    Column("end_step", Text),
    Column("finished", BigInteger),  # when its last step ended well
    Column("failed", BigInteger),  # when an attempt failed last
    Column("state", Text),  # how it ended, if whoever carried it out says so
    Column("ended", BigInteger),
    Column("request", Text),  # of the registration, to know it again
)

STEPS = Table(
    "steps",
    SCHEMA,
    Column("run", BigInteger, primary_key=True),
    Column("step_name", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("ts_epoch", BigInteger, nullable=False),
)

TASKS = Table(
    "tasks",
    SCHEMA,
    Column("id", BigInteger, primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("step_name", Text, nullable=False),
    Column("name", Text),
    Column("user_name", Text, nullable=False),
    Column("ts_epoch", BigInteger, nullable=False),
    Column("heartbeat", BigInteger),
    Column("request", Text),
)

FACTS = Table(
    "facts",
    SCHEMA,
    Column("id", BigInteger, primary_key=True),
    Column("task", BigInteger, nullable=False),
    Column("field_name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("value", Text, nullable=False),  # JSON
    Column("tags", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("ts_epoch", BigInteger, nullable=False),
    Column("digest", BigInteger, nullable=False),  # of all that: the same fact sent twice is one
)

ARTIFACTS = Table(
    "artifacts",
    SCHEMA,
    Column("task", BigInteger, primary_key=True),
    Column("attempt_id", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("content_type", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sha", Text, nullable=False),
    Column("ds_type", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("ts_epoch", BigInteger, nullable=False),
)
