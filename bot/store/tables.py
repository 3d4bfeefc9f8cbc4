"""The tables: the words of the product.

Times are seconds since 1970 (UTC) as floats; columns that end in ``_json`` hold JSON text; columns that end in ``_enc``
hold ``KEYID:TOKEN`` as made by :mod:`bot.store.crypto`.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)


def _ref(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, sa.ForeignKey(f"{target}.id", ondelete="CASCADE"), nullable=False, index=True)


# facts about this installation: its random id, the check value of the encryption key, the last clean stop
installation = sa.Table(
    "installation",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# where repositories and people live; one row per host
forges = sa.Table(
    "forges",
    metadata,
    _id(),
    sa.Column("kind", sa.String(16), nullable=False),  # local | github
    sa.Column("host", sa.String(255), nullable=False),
    sa.UniqueConstraint("kind", "host"),
)

repositories = sa.Table(
    "repositories",
    metadata,
    _id(),
    _ref("forge_id", "forges"),
    sa.Column("forge_repository_id", sa.BigInteger, nullable=False),  # the forge's own numeric id
    sa.Column("name", sa.String(255), nullable=False),  # a label: it may change on the forge
    sa.Column("default_branch", sa.String(255), nullable=False, server_default="main"),
    sa.Column("source_path", sa.Text, nullable=False, server_default=""),  # local forge: the folder it was made from
    sa.Column("installation_id", sa.BigInteger, index=True),  # GitHub: of the App on the owner's account
    sa.Column("private", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("webhook_secret_enc", sa.Text, nullable=False, server_default=""),
    sa.Column("push_token_enc", sa.Text, nullable=False, server_default=""),
    sa.Column("facts_at", sa.Float, nullable=False, server_default="0"),  # how new the forge's facts in this row are
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("removed_at", sa.Float),
    sa.UniqueConstraint("forge_id", "forge_repository_id"),
)

applications = sa.Table(
    "applications",
    metadata,
    _id(),
    _ref("repository_id", "repositories"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("repository_id", "name"),
)

# a webhook request, stored before it is answered, with its decision and the reason
deliveries = sa.Table(
    "deliveries",
    metadata,
    _id(),
    _ref("forge_id", "forges"),
    sa.Column("hook_id", sa.String(64), nullable=False),
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False, server_default=""),
    sa.Column("sender", sa.String(255), nullable=False, server_default=""),
    sa.Column("repository_id", sa.Integer, sa.ForeignKey("repositories.id", ondelete="SET NULL"), index=True),
    sa.Column("payload_json", sa.Text, nullable=False),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.Column(
        "decision", sa.String(32), nullable=False, index=True
    ),  # received | ignored | deploy | teardown | command
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("deployment_id", sa.Integer),
    sa.Column("ref", sa.String(255), nullable=False, server_default=""),  # the branch that it is about, and its commit
    sa.Column("sha", sa.String(40), nullable=False, server_default="", index=True),
    sa.Column("happened_at", sa.Float),  # as the forge says; null: it does not
    sa.UniqueConstraint("forge_id", "hook_id", "delivery_id"),
)
sa.Index("ix_deliveries_branch", deliveries.c.repository_id, deliveries.c.ref)

environments = sa.Table(
    "environments",
    metadata,
    _id(),
    _ref("application_id", "applications"),
    sa.Column("kind", sa.String(16), nullable=False),  # production | branch | fork_pr
    sa.Column("ref", sa.String(255), nullable=False),  # branch name, or the number of a fork's pull request
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("live_deployment_id", sa.Integer),
    sa.Column("subnet", sa.String(32)),  # of its network, unique while it has one
    sa.Column("network_id", sa.String(64)),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("removed_at", sa.Float),
    sa.UniqueConstraint("application_id", "kind", "ref"),
    sa.UniqueConstraint("subnet"),
)

services = sa.Table(
    "services",
    metadata,
    _id(),
    _ref("environment_id", "environments"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),  # gives its slot addresses, where it has some; never changes
    sa.Column("role", sa.String(16), nullable=False),  # web | worker | release | database
    sa.Column("strategy", sa.String(16), nullable=False),  # blue_green | recreate
    sa.Column("container_port", sa.Integer),
    sa.Column("protocol", sa.String(8), nullable=False, server_default="http"),  # http | tcp
    sa.Column("live_slot", sa.Integer),  # 0 blue, 1 green: where the edge leads to
    sa.UniqueConstraint("environment_id", "name"),
    sa.UniqueConstraint("environment_id", "position"),
)

# what a service of role database was when it was made: no later detection, setting or table of versions changes that
databases = sa.Table(
    "databases",
    metadata,
    _id(),
    sa.Column("service_id", sa.Integer, sa.ForeignKey("services.id", ondelete="CASCADE"), nullable=False, unique=True),
    sa.Column("image", sa.String(255), nullable=False),  # with its major version
    sa.Column("definition", sa.Text, nullable=False),  # the service as the compose file had it
    sa.Column("password_name", sa.String(100), nullable=False, server_default=""),  # of its variable in that file
    sa.Column("password_enc", sa.Text, nullable=False, server_default=""),
    sa.Column("ready_at", sa.Float),  # when it first was healthy; before, its volume may be half made
    sa.Column("created_at", sa.Float, nullable=False),
)

deployments = sa.Table(
    "deployments",
    metadata,
    _id(),
    _ref("environment_id", "environments"),
    sa.Column("sha", sa.String(40), nullable=False),
    sa.Column("ref", sa.String(255), nullable=False),
    sa.Column("cause", sa.String(32), nullable=False),  # push | rollback | redeploy
    sa.Column("actor", sa.String(255), nullable=False, server_default=""),
    sa.Column("message", sa.Text, nullable=False, server_default=""),  # first line of the commit message
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("phase", sa.String(16)),
    sa.Column("step", sa.Text, nullable=False, server_default=""),  # what the phase is doing, in words
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("fix", sa.Text, nullable=False, server_default=""),
    sa.Column("source_deployment_id", sa.Integer),
    sa.Column("delivery_id", sa.Integer),
    sa.Column("snapshot_enc", sa.Text),  # settings and variables that it uses
    sa.Column("detection_json", sa.Text),
    sa.Column("files_json", sa.Text),  # {"Dockerfile": …, ".dockerignore": …, "docker-compose.yml": …}
    sa.Column("phases_json", sa.Text, nullable=False, server_default="[]"),  # [{"phase", "started_at", "finished_at"}]
    sa.Column("image_key", sa.String(64)),
    sa.Column("image_id", sa.String(80)),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
)

instances = sa.Table(
    "instances",
    metadata,
    _id(),
    _ref("deployment_id", "deployments"),
    _ref("service_id", "services"),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("container_id", sa.String(64)),
    sa.Column("state", sa.String(16), nullable=False),  # starting | live | draining | stopped | gone
    sa.Column("exit_code", sa.Integer),
    sa.Column("oom_killed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("restarts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("drain_until", sa.Float),
    sa.Column("ended_at", sa.Float),
)

settings = sa.Table(
    "settings",
    metadata,
    _id(),
    _ref("application_id", "applications"),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("value_json", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("application_id", "key"),
)

variables = sa.Table(
    "variables",
    metadata,
    _id(),
    _ref("application_id", "applications"),
    sa.Column("scope", sa.String(16), nullable=False),  # application | previews | environment
    sa.Column("environment_id", sa.Integer, nullable=False, server_default="0"),  # 0 unless scope is environment
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("value_enc", sa.Text, nullable=False),
    sa.Column("secret", sa.Boolean, nullable=False),
    sa.Column("build", sa.Boolean, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("application_id", "scope", "environment_id", "name"),
)

# work that has to be done for an environment, one at a time and in order
work = sa.Table(
    "work",
    metadata,
    _id(),
    _ref("environment_id", "environments"),
    sa.Column("kind", sa.String(16), nullable=False),  # deploy | start | stop | restart | remove
    sa.Column("deployment_id", sa.Integer, index=True),
    sa.Column("arguments_json", sa.Text, nullable=False, server_default="{}"),
    sa.Column("state", sa.String(16), nullable=False, index=True),  # queued | running | done
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),  # empty, or why it did not succeed
    sa.Column("not_before", sa.Float, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lease_owner", sa.String(64)),
    sa.Column("lease_until", sa.Float),
    sa.Column("cancel_state", sa.String(16)),  # cancelled | superseded: somebody asked the running work to stop
    sa.Column("cancel_reason", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
)
sa.Index(
    "uq_work_running",
    work.c.environment_id,
    unique=True,
    sqlite_where=work.c.state == "running",
    postgresql_where=work.c.state == "running",
)

# a row gives a port to one owner until it is released and has rested
ports = sa.Table(
    "ports",
    metadata,
    sa.Column("port", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(16), nullable=False),  # leased | reserved | quarantined
    sa.Column("service_id", sa.Integer, unique=True),
    sa.Column("repository_id", sa.Integer, index=True),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("until", sa.Float),
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    _ref("repository_id", "repositories"),
    sa.Column("image_id", sa.String(80), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

logs = sa.Table(
    "logs",
    metadata,
    _id(),
    _ref("deployment_id", "deployments"),
    sa.Column("instance_id", sa.Integer, index=True),  # null: the deployment's own log
    sa.Column("path", sa.Text, nullable=False),  # below the log folder
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("closed_at", sa.Float),
)

# pull requests as their events told of them; a fork's has another head repository, or none that still exists
pull_requests = sa.Table(
    "pull_requests",
    metadata,
    _id(),
    _ref("repository_id", "repositories"),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("title", sa.Text, nullable=False, server_default=""),
    sa.Column("author", sa.String(255), nullable=False, server_default=""),
    sa.Column("state", sa.String(16), nullable=False),  # open | closed
    sa.Column("head_ref", sa.String(255), nullable=False),
    sa.Column("head_sha", sa.String(40), nullable=False),
    sa.Column("head_repository_id", sa.BigInteger),  # the forge's own id; null: the fork was deleted
    sa.Column("base_ref", sa.String(255), nullable=False),
    sa.Column("comment_id", sa.BigInteger),  # our comment, on the forge
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("repository_id", "number"),
)
sa.Index("ix_pull_requests_head", pull_requests.c.repository_id, pull_requests.c.head_ref)

# commands in comments of pull requests: stored with their delivery, carried out afterwards
commands = sa.Table(
    "commands",
    metadata,
    _id(),
    _ref("repository_id", "repositories"),
    sa.Column("delivery_id", sa.Integer),
    sa.Column("number", sa.Integer, nullable=False),  # of the pull request
    sa.Column("comment_id", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(255), nullable=False),
    sa.Column("actor_id", sa.BigInteger, nullable=False),
    sa.Column(
        "verb", sa.String(32), nullable=False
    ),  # deploy | stop | start | restart | logs | status | rollback | help
    sa.Column("arguments_json", sa.Text, nullable=False, server_default="[]"),
    sa.Column("commented_at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),  # queued | acting | done
    sa.Column("work_json", sa.Text, nullable=False, server_default="{}"),  # what it caused and still waits for
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),  # empty, or why it was refused or failed
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", sa.Float, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
    sa.UniqueConstraint("repository_id", "comment_id"),
)

# what a deployment is called on the forge, until it is deleted there
forge_deployments = sa.Table(
    "forge_deployments",
    metadata,
    sa.Column("deployment_id", sa.Integer, primary_key=True, autoincrement=False),
    _ref("repository_id", "repositories"),
    sa.Column("forge_deployment_id", sa.BigInteger, nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),  # its name on the forge
    sa.Column("state", sa.String(16), nullable=False, server_default=""),  # the last one that was reported
)

# people who have signed in
users = sa.Table(
    "users",
    metadata,
    _id(),
    _ref("forge_id", "forges"),
    sa.Column("forge_user_id", sa.BigInteger, nullable=False),
    sa.Column("login", sa.String(255), nullable=False),  # a label: it may change on the forge
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("signed_in_at", sa.Float, nullable=False),
    sa.UniqueConstraint("forge_id", "forge_user_id"),
)

# of people on the pages; the cookie holds a random text of which only the hash is here
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), index=True),  # null: the operator
    sa.Column("agent", sa.String(255), nullable=False, server_default=""),  # the browser's name for itself
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)

# bearer tokens of the API; only their hashes are here
tokens = sa.Table(
    "tokens",
    metadata,
    _id(),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scope", sa.String(16), nullable=False),  # read | write | admin
    sa.Column(
        "repository_id", sa.Integer, sa.ForeignKey("repositories.id", ondelete="CASCADE"), index=True
    ),  # null: all
    sa.Column("created_by", sa.String(255), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Column("last_used_at", sa.Float),
    sa.Column("revoked_at", sa.Float),
)

# reports that still have to reach the forge; only the latest of a subject matters
outbox = sa.Table(
    "outbox",
    metadata,
    _id(),
    _ref("repository_id", "repositories"),
    sa.Column("kind", sa.String(32), nullable=False),  # status | deployment | comment | removal
    sa.Column("subject", sa.String(255), nullable=False, index=True),
    sa.Column("body_json", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", sa.Float, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("sent_at", sa.Float, index=True),
)

# commit statuses of the local forge: what GitHub would show beside a commit
statuses = sa.Table(
    "statuses",
    metadata,
    _id(),
    _ref("repository_id", "repositories"),
    sa.Column("sha", sa.String(40), nullable=False),
    sa.Column("context", sa.String(255), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("description", sa.String(140), nullable=False),
    sa.Column("target_url", sa.Text, nullable=False, server_default=""),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("repository_id", "sha", "context"),
)
