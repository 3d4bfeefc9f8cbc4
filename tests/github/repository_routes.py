"""The fake's API about repositories, pull requests and comments."""

from __future__ import annotations

import base64
import time
from typing import Any

from tests.github.calls import Answer, Call, Page, Raw, Refusal, paged, route
from tests.github.state import (
    Comment,
    Reaction,
)
from tests.github.validation import description


@route("get", "R", needs="metadata:read")
def get_repository(call: Call) -> Answer:
    return 200, call.github.shapes.repository(call.repository, whole=True)


@route("get", "R/installation", "app")
def repository_installation(call: Call) -> Answer:
    found = call.github.installation_of(call.found) if call.found else None
    if found is None:
        raise Refusal(404, "Not Found")
    return 200, call.github.shapes.installation(found)


@route("get", "R/branches", needs="contents:read")
def branches(call: Call) -> Answer:
    found = [
        {"name": name, "commit": {"sha": sha, "url": _commit_url(call, sha)}, "protected": False}
        for name, sha in call.repository.branches().items()
    ]
    size, page = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
    following = ""
    if len(found) > size * page:
        following = f"{call.github.api_url}{_base(call)}/branches?per_page={size}&page={page + 1}"
    return 200, Page(paged(call, found), following)


@route("get", "R/branches/{branch}", needs="contents:read")
def branch(call: Call) -> Answer:
    sha = call.repository.branches().get(call.path("branch"))
    if sha is None:
        raise Refusal(404, "Branch not found")
    return 200, {"name": call.path("branch"), "commit": _commit(call, sha), "protected": False}


@route("get", "R/commits/{ref}", needs="contents:read")
def commit(call: Call) -> Answer:
    ref = call.path("ref")
    sha = call.repository.sha(ref.removeprefix("heads/"))
    if not sha:
        raise Refusal(422, f"No commit found for SHA: {ref}")
    if call.headers.get("accept") == "application/vnd.github.sha":
        return 200, Raw(sha.encode())
    return 200, _commit(call, sha)


def _base(call: Call) -> str:
    return f"/repos/{call.repository.full_name}"


def _commit_url(call: Call, sha: str) -> str:
    return f"{call.github.api_url}{_base(call)}/commits/{sha}"


def _commit(call: Call, sha: str) -> dict[str, Any]:
    body = {"sha": sha, "url": _commit_url(call, sha), "commit": {"message": call.repository.message(sha)}}
    return description().component("commit", body)


@route("get", "R/contents/{path}", needs="contents:read")
def contents(call: Call) -> Answer:
    path = call.path("path")
    found = call.repository.file(call.query.get("ref", call.repository.default_branch), path)
    if found is None:
        raise Refusal(404, "Not Found")
    sha, content = found
    if "raw" in call.headers.get("accept", ""):
        return 200, Raw(content)
    url = f"{call.github.api_url}{_base(call)}/contents/{path}"
    links = {"git": None, "html": None, "self": url}
    body = {
        "type": "file",
        "encoding": "base64",
        "size": len(content),
        "name": path.rpartition("/")[2],
        "path": path,
        "content": base64.encodebytes(content).decode(),
        "sha": sha,
        "url": url,
        "git_url": None,
        "html_url": None,
        "download_url": None,
        "_links": links,
    }
    return 200, body


@route("get", "R/pulls", needs="pull_requests:read")
def list_pulls(call: Call) -> Answer:
    state, head = call.query.get("state", "open"), call.query.get("head")
    found = [
        one
        for one in reversed(list(call.repository.pulls.values()))
        if state in ("all", one.state) and head in (None, one.head_label)
    ]
    shown = [call.github.shapes.pull_request(call.repository, one) for one in paged(call, found)]
    return 200, [description().component("pull-request-simple", one) for one in shown]


@route("get", "R/pulls/{pull_number}", needs="pull_requests:read")
def get_pull(call: Call) -> Answer:
    found = call.repository.pulls.get(call.integer("pull_number"))
    if found is None:
        raise Refusal(404, "Not Found")
    return 200, call.github.shapes.pull_request(call.repository, found)


@route("get", "R/issues/{issue_number}/comments", needs="issues:read pull_requests:read")
def list_comments(call: Call) -> Answer:
    wanted = call.integer("issue_number")
    found = [one for one in list(call.repository.comments.values()) if one.number == wanted]
    return 200, [call.github.shapes.comment(call.repository, one) for one in paged(call, found)]


@route("post", "R/issues/{issue_number}/comments", needs="issues:write pull_requests:write")
def create_comment(call: Call) -> Answer:
    wanted = call.integer("issue_number")
    if wanted not in call.repository.pulls:
        raise Refusal(404, "Not Found")
    comment = Comment(wanted, call.body["body"], call.github.app_user)
    call.repository.comments[comment.id] = comment
    call.github.send_comment_soon(call.repository, comment)
    return 201, call.github.shapes.comment(call.repository, comment)


def _comment(call: Call) -> Comment:
    found = call.repository.comments.get(call.integer("comment_id"))
    if found is None:
        raise Refusal(404, "Not Found")
    return found


@route("get", "R/issues/comments/{comment_id}", needs="issues:read pull_requests:read")
def get_comment(call: Call) -> Answer:
    return 200, call.github.shapes.comment(call.repository, _comment(call))


@route("patch", "R/issues/comments/{comment_id}", needs="issues:write pull_requests:write")
def edit_comment(call: Call) -> Answer:
    comment = _comment(call)
    comment.body, comment.updated, comment.edits = call.body["body"], time.time(), comment.edits + 1
    return 200, call.github.shapes.comment(call.repository, comment)


@route("delete", "R/issues/comments/{comment_id}", needs="issues:write pull_requests:write")
def delete_comment(call: Call) -> Answer:
    del call.repository.comments[_comment(call).id]
    return 204, None


@route("get", "R/issues/comments/{comment_id}/reactions", needs="issues:read pull_requests:read")
def list_reactions(call: Call) -> Answer:
    return 200, [call.github.shapes.reaction(one) for one in paged(call, _comment(call).reactions)]


@route("post", "R/issues/comments/{comment_id}/reactions", needs="issues:write pull_requests:write")
def react(call: Call) -> Answer:
    comment, me = _comment(call), call.github.app_user
    for known in comment.reactions:
        if known.content == call.body["content"] and known.user is me:
            return 200, call.github.shapes.reaction(known)
    reaction = Reaction(call.body["content"], me)
    comment.reactions.append(reaction)
    return 201, call.github.shapes.reaction(reaction)


@route("delete", "R/issues/comments/{comment_id}/reactions/{reaction_id}", needs="issues:write pull_requests:write")
def delete_reaction(call: Call) -> Answer:
    comment, wanted = _comment(call), call.integer("reaction_id")
    comment.reactions[:] = [one for one in comment.reactions if one.id != wanted]
    return 204, None
