"""What is pushed to the local forge: deliveries from its hook, and those that got lost made up.

Git changes branches, the hook delivers the change; in between anything may be killed. So branches are compared with
deliveries after every push, at start and now and then.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from bot.errors import BerthError, NotFoundError
from bot.forge import events, hook, webhook
from bot.source.process import environment, run_git
from bot.source.refs import BRANCH_PREFIX, ZERO_SHA, printable, validate_ref
from bot.store.database import Row, Transaction
from bot.store.tables import deliveries, repositories

if TYPE_CHECKING:
    from bot.forge.local import LocalForge

log = structlog.get_logger()

WEBHOOK_PATH = "/api/local/webhooks"
EVENTS_PATH = "/api/deployments"
_AT_ONCE = 200  # deliveries deleted in one transaction


class Pushes:
    """The receiving side of a :class:`bot.forge.local.LocalForge`."""

    def __init__(self, forge: LocalForge, apply: webhook.Apply | None, wake: Callable[[], None]) -> None:
        self._forge = forge
        self._work = apply
        self._wake = wake
        self._receiving = asyncio.Lock()  # one delivery at a time: each is judged by the ones before it
        self._running: Counter[int] = Counter()  # pushes per repository
        self._begun: Counter[int] = Counter()  # pushes per repository since the start
        self._delivered: defaultdict[int, dict[str, str]] = defaultdict(dict)  # repository -> branch -> newest commit
        self._newest: dict[tuple[int, str], int] = {}  # repository, branch -> id of the delivery that said so
        self._delivered_up_to = 0  # id of the newest delivery in it

    @property
    def watch_seconds(self) -> float:
        """How long a push shows its deployments: twice the time that one may take, and some waiting in the queue."""
        config = self._forge.config
        working = config.detect_timeout + config.build_timeout + config.start_timeout + config.verify_timeout
        return 2 * (config.fetch_timeout + working + config.switch_timeout) + 600

    def hook_variables(self, row: Row, stream_token: str) -> dict[str, str]:
        """The environment that the hooks of a push need."""
        base = self._own_url()
        return {
            "BERTH_HOOK_URL": base + WEBHOOK_PATH,
            "BERTH_HOOK_SECRET": self._forge.vault.decrypt(row["webhook_secret_enc"]),
            "BERTH_HOOK_EVENTS": base + EVENTS_PATH,
            "BERTH_HOOK_TOKEN": stream_token,
            "BERTH_HOOK_SECONDS": str(self.watch_seconds),
            "BERTH_HOOK_REPOSITORY": json.dumps(self._facts(row)),
        }

    async def take(self, headers: Mapping[str, str], body: bytes) -> webhook.Answer:
        """Receive a delivery of one of our repositories: the handler of :data:`WEBHOOK_PATH`."""
        receiver = webhook.Receiver(self._forge.store, self._forge.id, self._find_hook, self._apply, self._context)
        async with self._receiving:
            answer = await webhook.receive(receiver, headers, body)
        if answer.decision:
            self._wake()
        return answer

    async def replay(self, delivery_row_id: int, actor: str) -> webhook.Answer:
        """Decide again on what was delivered; that it came before does not count. Raises NotFoundError."""
        row = await self._forge.store.one(
            sa.select(deliveries).where(deliveries.c.id == delivery_row_id, deliveries.c.forge_id == self._forge.id)
        )
        if row is None:
            raise NotFoundError(f"There is no delivery {delivery_row_id}.")
        receiver = webhook.Receiver(self._forge.store, self._forge.id, self._find_hook, self._apply)
        answer = await webhook.decide_again(receiver, row, actor)
        self._wake()
        return answer

    @asynccontextmanager
    async def pushing(self, row: Row) -> AsyncIterator[None]:
        """Around a push: afterwards, however it ended, what it changed has been delivered."""
        self._running[row["id"]] += 1
        self._begun[row["id"]] += 1
        try:
            yield
        finally:
            self._running[row["id"]] -= 1
            await asyncio.shield(self._try_sweep(row))

    async def sweep(self) -> int:
        """Compare all branches with what was delivered, and make up what is missing. Returns how many that were."""
        return sum([await self._try_sweep(row) for row in await self._forge.repositories()])

    async def forget(self, before: float) -> int:
        """Delete deliveries that came before that time (seconds since 1970), and return how many that were.

        The newest of each branch that is there stays, because :meth:`sweep` needs it.
        """
        await self._load_delivered()
        needed = {
            number for (row, branch), number in self._newest.items() if self._delivered[row].get(branch) != ZERO_SHA
        }
        ours = (deliveries.c.forge_id == self._forge.id, deliveries.c.received_at < before)
        rows = await self._forge.store.all(sa.select(deliveries.c.id).where(*ours).order_by(deliveries.c.id))
        old = [row["id"] for row in rows if row["id"] not in needed]
        for start in range(0, len(old), _AT_ONCE):
            async with self._forge.store.begin() as tx:
                await tx.run(sa.delete(deliveries).where(deliveries.c.id.in_(old[start : start + _AT_ONCE])))
        return len(old)

    async def _try_sweep(self, row: Row) -> int:
        try:
            return await self.sweep_repository(row)
        except Exception as error:  # the next sweep tries again; other repositories must not wait for this one
            log.warning(
                "a repository could not be swept", repository=row["id"], error=f"{type(error).__name__}: {error}"
            )
            return 0

    async def sweep_repository(self, row: Row) -> int:
        """The same for one repository. Raises BerthError when its branches cannot be read."""
        if self._running[row["id"]]:  # its hook is about to deliver, and its end sweeps again
            return 0
        begun = self._begun[row["id"]]
        env = environment(variables={"GIT_DIR": str(self._forge.clone_path(row))})
        done = await run_git(
            "for-each-ref", "--format=%(objectname) %(refname)", BRANCH_PREFIX, env=env, max_output=1 << 26
        )
        if done.code:
            raise BerthError(f"The branches of {row['name']} cannot be read: {printable(done.err)}.")
        heads = {}
        for line in done.out.decode(errors="surrogateescape").splitlines():
            sha, _, ref = line.partition(" ")
            heads[ref.removeprefix(BRANCH_PREFIX)] = sha
        delivered = dict((await self._load_delivered())[row["id"]])
        if self._begun[row["id"]] != begun:  # it may have delivered what the branches did not say yet
            return 0
        if not heads and any(sha != ZERO_SHA for sha in delivered.values()):
            # the default branch cannot be deleted by a push: so the folder was lost, and what runs is all there is
            raise BerthError(
                f"The repository {row['name']} has lost its branches; what was deployed of them stays.",
                f"Restore {self._forge.clone_path(row)} from a backup, or push the branches again.",
            )
        lost = [
            (branch, delivered.get(branch, ZERO_SHA), heads.get(branch, ZERO_SHA))
            for branch in sorted({*heads, *delivered}, key=lambda name: (name != row["default_branch"], name))
            if delivered.get(branch, ZERO_SHA) != heads.get(branch, ZERO_SHA) and _acceptable(branch)
        ]
        for branch, before, after in lost:
            log.info("a lost delivery is made up", repository=row["id"], branch=branch, commit=after)
            await self._make_up(row, branch, before, after)
        return len(lost)

    async def _make_up(self, row: Row, branch: str, before: str, after: str) -> None:
        path = str(self._forge.clone_path(row))
        payload = await asyncio.to_thread(
            hook.push_payload, self._facts(row), before, after, BRANCH_PREFIX + branch, cwd=path, env=environment()
        )
        body = json.dumps(payload).encode()
        secret = self._forge.vault.decrypt(row["webhook_secret_enc"])
        headers = {name.lower(): value for name, value in hook.signed_headers(secret, body, str(row["id"])).items()}
        answer = await self.take(headers, body)
        if answer.status not in {200, 202}:
            log.error("a made-up delivery was refused", repository=row["id"], branch=branch, answer=answer.body)

    async def _find_hook(self, hook_id: str) -> webhook.Hook | None:
        """Each repository has a hook of its own, with its id."""
        if not (hook_id.isascii() and hook_id.isdigit() and len(hook_id) < 18):
            return None
        row = await self._forge.store.one(self._forge.query().where(repositories.c.id == int(hook_id)))
        return webhook.Hook(self._forge.vault.decrypt(row["webhook_secret_enc"]), row["id"]) if row else None

    async def _context(self, repository: Row, payload: Mapping[str, Any]) -> events.Context:
        delivered = (await self._load_delivered())[repository["id"]]
        default = repository["default_branch"]
        if not delivered and payload.get("created") is True:
            default = await self._settle_default_branch(repository, payload)
        return events.Context(default, delivered)

    async def _settle_default_branch(self, repository: Row, payload: Mapping[str, Any]) -> str:
        """The first branch of an empty repository becomes its default branch, unless the configured one came along."""
        current = str(repository["default_branch"])
        pushed = str(payload.get("ref", "")).removeprefix(BRANCH_PREFIX)
        env = environment(variables={"GIT_DIR": str(self._forge.clone_path(repository))})
        for branch in (current, "main", "master", pushed):
            if not _acceptable(branch):
                continue
            found = await run_git("rev-parse", "--verify", "--quiet", f"{BRANCH_PREFIX}{branch}", env=env)
            if found.code == 0:
                break
        else:
            return current
        if branch != current:
            await run_git("symbolic-ref", "HEAD", BRANCH_PREFIX + branch, env=env)
            async with self._forge.store.begin() as tx:
                change = sa.update(repositories).where(repositories.c.id == repository["id"])
                await tx.run(change.values(default_branch=branch))
        return branch

    async def _load_delivered(self) -> defaultdict[int, dict[str, str]]:
        """Newest delivered commit per branch and repository, from the deliveries that came since the last call."""
        columns = (deliveries.c.id, deliveries.c.repository_id, deliveries.c.payload_json)
        # what somebody decided on again is not news
        news = (deliveries.c.event == "push", deliveries.c.delivery_id.not_like(f"{webhook.REPLAY}%"))
        query = sa.select(*columns).where(deliveries.c.forge_id == self._forge.id, *news)
        while True:
            newer = query.where(deliveries.c.id > self._delivered_up_to).order_by(deliveries.c.id).limit(200)
            rows = await self._forge.store.all(newer)
            for row in rows:
                if row["id"] <= self._delivered_up_to:  # somebody else read it meanwhile, and newer ones too perhaps
                    continue
                payload = json.loads(row["payload_json"])
                ref = str(payload.get("ref", ""))
                if ref.startswith(BRANCH_PREFIX):
                    after = str(payload.get("after", ZERO_SHA))
                    branch = ref.removeprefix(BRANCH_PREFIX)
                    self._delivered[row["repository_id"]][branch] = after
                    self._newest[row["repository_id"], branch] = row["id"]
                self._delivered_up_to = max(self._delivered_up_to, row["id"])
            if len(rows) < 200:
                return self._delivered

    def _facts(self, row: Row) -> dict[str, Any]:
        """The object ``repository`` of a payload."""
        base = self._forge.config.effective_public_url
        return {
            "id": row["forge_repository_id"],
            "name": row["name"],
            "full_name": row["name"],
            "private": True,
            "fork": False,
            "owner": {"login": "local", "name": "local", "type": "Organization"},
            "html_url": f"{base}/git/{row['name']}",
            "clone_url": f"{base}/git/{row['name']}.git",
            "default_branch": row["default_branch"],
        }

    def _own_url(self) -> str:
        """How the hooks, which run on this machine, reach the server."""
        host, port = self._forge.config.host, self._forge.config.port
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return f"http://{host}:{port}"
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"

    async def _apply(
        self, tx: Transaction, decision: events.Decision, repository: Row, delivery_id: int
    ) -> webhook.Outcome:
        if self._work is None:
            raise RuntimeError("this process does not deploy")
        return await self._work(tx, decision, repository, delivery_id)


def _acceptable(branch: str) -> bool:
    try:
        validate_ref(branch)
    except BerthError:
        return False
    return True
