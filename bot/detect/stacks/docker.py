"""A repository's own Dockerfile: it decides, because it is what its authors run."""

from __future__ import annotations

from bot.detect import dockerfile
from bot.detect.facts import DockerfileFacts
from bot.detect.finding import Answer, Finding
from bot.detect.scan import Scan

# files that may mean an application in their folder
MANIFESTS = ("Dockerfile",)

NAME = "Dockerfile"


def find(scan: Scan) -> Finding | None:
    """A file called exactly ``Dockerfile`` that parses and whose last stage has something to run."""
    if not scan.has(NAME):
        others = [
            p for p in scan.repository.files if p.count("/") <= 1 and p.rsplit("/", 1)[-1].startswith("Dockerfile")
        ]
        if others:
            scan.warn(f"{scan.repository.full(others[0])} is not used: only a file called Dockerfile at the root is")
        return None
    parsed = dockerfile.parse(scan.text(NAME))
    if parsed.problems or not parsed.final:
        scan.warn(f"{scan.repository.full(NAME)} is not used: {'; '.join(parsed.problems[:3]) or 'it is empty'}")
        return None
    finding = Finding("dockerfile", None, serves=True, answer=lambda _: _answer(scan, parsed))
    if not dockerfile.runnable(parsed):
        finding.limit = 20
        scan.warn(f"the last stage of {scan.repository.full(NAME)} has no command: add CMD or ENTRYPOINT to use it")
    stages = f"{len(parsed.stages)} stages, the last one" if len(parsed.stages) > 1 else "one stage,"
    says = f"{stages} from {parsed.final.base}"
    finding.add(100, scan.seen(NAME, f"FROM {parsed.final.base}", says, parsed.final.line))
    return finding


def _answer(scan: Scan, parsed: dockerfile.Dockerfile) -> Answer:
    exposed = dockerfile.ports(parsed)
    facts = DockerfileFacts(
        path=NAME,
        base_images=parsed.base_images(),
        ports=tuple(port for port, _ in exposed),
        has_healthcheck=bool(parsed.final and parsed.final.last("HEALTHCHECK")),
        runs_as_root=dockerfile.runs_as_root(parsed),
    )
    answer = Answer(facts)
    if exposed:
        answer.port = exposed[0][0]
        says = f"EXPOSE {exposed[0][0]}" + (f", the first of {len(exposed)} ports" if len(exposed) > 1 else "")
        answer.evidence.append(scan.seen(NAME, f"EXPOSE {exposed[0][0]}", says, exposed[0][1]))
    elif port := dockerfile.environment_port(parsed):
        answer.port = port[0]
        answer.evidence.append(scan.seen(NAME, f"PORT={port[0]}", f"ENV PORT {port[0]}", port[1]))
    elif base := dockerfile.base_port(parsed):
        answer.port = base[0]
        answer.evidence.append(scan.seen(NAME, f"FROM {base[1]}", f"{base[1]} listens on port {base[0]}", base[2]))
    command = parsed.final.last("CMD", "ENTRYPOINT") if parsed.final else None
    answer.start_command = command.text if command else None
    return answer
