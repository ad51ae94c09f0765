// What moorctl prints: the same answer gives the same text.
#include <catch2/catch.hpp>

#include "reconciler/ctl/page.hpp"
#include "reconciler/ctl/render.hpp"
#include "schema/codec/text.hpp"

using namespace moored;
using namespace moored::ctl;

namespace {

Value json(const std::string& text) {
  auto value = read_json(text);
  if (!value) FAIL(value.error().text());
  return *std::move(value);
}

// Noon of a day, without colour.
Look plain() {
  return {false, *parse_time("2026-01-02T12:00:00Z")};
}

constexpr const char* kRevision = "main@sha1:1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";

std::string with_revision(std::string text) {
  for (std::size_t at; (at = text.find("REV")) != std::string::npos;) {
    text.replace(at, 3, kRevision);
  }
  return text;
}

}  // namespace

TEST_CASE("status of a machine that is well", "[ctl]") {
  const Value status = json(with_revision(R"({
    "revision": "REV", "ready": true,
    "sources": [{"name": "moored-system/default", "url": "/srv/shop", "revision": "REV",
                 "fetched": "2026-01-02T11:59:48Z", "ready": true, "reason": "Succeeded"}],
    "units": [{"name": "moored-system/default", "source": "moored-system/default",
               "path": "./deploy", "revision": "REV", "attempted": "REV", "objects": 12,
               "ready": true}],
    "notReady": [], "notReadyCount": 0})"));
  CHECK(render_status(status, plain()) ==
        "source  moored-system/default  main@1a2b3c4d  Ready  /srv/shop, fetched 12s ago\n"
        "unit    moored-system/default  main@1a2b3c4d  Ready  ./deploy, 12 objects\n"
        "\n"
        "everything is ready at main@1a2b3c4d\n");
}

TEST_CASE("what is ready from a source that cannot be read is not called everything", "[ctl]") {
  const Value status = json(with_revision(R"({
    "revision": "REV", "ready": true,
    "sources": [{"name": "a/b", "url": "x", "ready": false, "reason": "FetchFailed",
                 "message": "no route"}], "units": []})"));
  const std::string text = render_status(status, plain());
  CHECK(text.find("a/b: no route\n") != std::string::npos);
  CHECK(text.find("not every source can be read; ready at main@1a2b3c4d\n") !=
        std::string::npos);
  CHECK(text.find("everything") == std::string::npos);
}

TEST_CASE("status names what is not ready and why", "[ctl]") {
  const Value status = json(with_revision(R"({
    "revision": "REV", "ready": false,
    "sources": [{"name": "a/b", "url": "https://x/y", "ready": false, "reason": "FetchTimeout",
                 "message": "the git server did not answer in time"},
                {"name": "a/c", "url": "https://x/z", "ready": true, "suspended": true}],
    "units": [{"name": "a/u", "path": "./", "revision": "old", "attempted": "REV", "objects": 1,
               "ready": false, "reason": "UnknownField", "message": "a.yaml:1:2: no field"}],
    "notReady": [{"object": "Deployment/shop/web", "state": "failed",
                  "reason": "ImagePullBackOff", "message": "no image web:3"},
                 {"object": "Pod/shop/x", "state": "progressing", "reason": "Progressing",
                  "message": "starting"}],
    "notReadyCount": 5})"));
  CHECK(render_status(status, plain()) ==
        "source  a/b       FetchTimeout  https://x/y\n"
        "source  a/c       Suspended     https://x/z\n"
        "unit    a/u  old  UnknownField  ./, 1 object, tried main@1a2b3c4d\n"
        "\n"
        "a/b: the git server did not answer in time\n"
        "\n"
        "a/u: a.yaml:1:2: no field\n"
        "\n"
        "not ready (5)\n"
        "  Deployment/shop/web  ImagePullBackOff  no image web:3\n"
        "  Pod/shop/x           Progressing       starting\n"
        "  and 3 more\n");
  CHECK(render_status(json("{}"), plain()) == "no source is declared yet\n");
}

TEST_CASE("a receipt shows its steps and the time between them", "[ctl]") {
  const Value receipt = json(with_revision(R"({
    "revision": "REV", "outcome": "failed", "reason": "ImagePullBackOff",
    "message": "Deployment/shop/web: no image",
    "commit": {"sha": "1a2b", "author": "A <a@b>", "subject": "Open the shop"},
    "steps": [{"name": "seen", "time": "2026-01-02T11:58:00.000000Z"},
              {"name": "fetched", "time": "2026-01-02T11:58:00.250000Z", "detail": "3 objects"},
              {"name": "failed", "time": "2026-01-01T23:00:00.000000Z"}],
    "objects": [{"object": "Deployment/shop/web", "verb": "updated"}]})"));
  CHECK(render_trace(receipt, plain()) ==
        with_revision("revision  REV\n"
                      "commit    Open the shop, by A <a@b>\n"
                      "outcome   failed ImagePullBackOff\n"
                      "          Deployment/shop/web: no image\n"
                      "steps\n"
                      "  seen     11:58:00\n"
                      "  fetched  11:58:00     +0.250 s       3 objects\n"
                      "  failed   01-01 23:00  +-46680.250 s\n"
                      "objects\n"
                      "  updated  Deployment/shop/web\n"));
}

TEST_CASE("history tells who, what and why", "[ctl]") {
  const Value history = json(with_revision(R"({"items": [
    {"time": "2026-01-02T11:00:00Z", "actor": "commit", "name": "A <a@b>", "cause": "REV",
     "verb": "updated", "object": "Deployment/shop/web", "why": "spec changed",
     "changes": [{"path": "spec.replicas", "before": "2", "after": "3"},
                 {"path": "spec.paused", "before": "", "after": "true"}], "fieldsLeftOut": 4}]})"));
  CHECK(render_history(history, plain()) ==
        "11:00:00  updated Deployment/shop/web: spec changed  by commit A <a@b> main@1a2b3c4d\n"
        "      spec.replicas: 2 → 3\n"
        "      spec.paused: (absent) → true\n"
        "      and 4 more fields\n");
  CHECK(render_history(json("{\"items\":[]}"), plain()) == "nothing is recorded\n");
}

TEST_CASE("drift tells what was wanted, found and done", "[ctl]") {
  const Value drift = json(R"({"items": [
    {"object": "Pod/shop/web", "field": "cgroup.memory.max", "desired": "64Mi",
     "observed": "max", "onset": "2026-01-02T11:00:00.5Z", "open": false,
     "correction": "written again", "duration": "1s", "actor": "uid 0"},
    {"object": "Pod/shop/db", "field": "process", "desired": "running", "observed": "",
     "onset": "2026-01-02T10:00:00Z", "open": true}]})");
  CHECK(render_drift(drift, plain()) ==
        "11:00:00  Pod/shop/web cgroup.memory.max\n"
        "      64Mi wanted, max found, by uid 0\n"
        "      written again after 1s\n"
        "10:00:00  Pod/shop/db process\n"
        "      running wanted, (absent) found\n"
        "      open\n");
  CHECK(render_drift(json("{}"), plain()) == "nothing was found that Git does not say\n");
}

namespace {

constexpr const char* kPlan = R"({
  "unit": "moored-system/default", "revision": "REV", "held": true,
  "summary": {"create": 1, "update": 1, "delete": 1, "unchanged": 7},
  "changes": [
    {"verb": "create", "object": "ConfigMap/shop/new", "file": "a.yaml", "line": 3,
     "changes": []},
    {"verb": "update", "object": "Deployment/shop/web", "file": "b.yaml", "line": 1,
     "changes": [{"path": "spec.title", "before": "a|b", "after": "c`d\ne"}]},
    {"verb": "delete", "object": "Service/shop/old", "file": "", "line": 0, "changes": []}],
  "errors": [], "warnings": []})";

}  // namespace

TEST_CASE("a plan is shown object by object", "[ctl]") {
  CHECK(render_plan(json(with_revision(kPlan)), plain()) ==
        "moored-system/default at main@1a2b3c4d\n"
        "  create ConfigMap/shop/new  a.yaml:3\n"
        "  update Deployment/shop/web  b.yaml:1\n"
        "      spec.title: a|b → c`d\\ne\n"
        "  delete Service/shop/old\n"
        "1 to create, 1 to update, 1 to delete, 7 unchanged\n"
        "the deletions would be held: allow them with moorctl confirm\n");
  const Value nothing = json(R"({"unit": "a/b", "revision": "x", "changes": []})");
  CHECK(render_plan(nothing, plain()) == "a/b at x\nno change\n");
}

TEST_CASE("a plan that would be refused says so, with places and fixes", "[ctl]") {
  const Value plan = json(R"({"unit": "a/b", "revision": "x", "changes": [],
    "errors": [{"reason": "UnknownField", "message": "no field replica", "file": "a.yaml",
                "line": 3, "column": 5, "field": "spec.replica", "fix": "did you mean replicas?"}],
    "warnings": [{"message": "ignored", "file": "b.yaml", "line": 1, "column": 0}]})");
  CHECK(render_plan(plan, plain()) ==
        "a/b at x\n"
        "error    UnknownField a.yaml:3:5: spec.replica: no field replica"
        " (did you mean replicas?)\n"
        "warning  b.yaml:1: ignored\n"
        "the commit would be refused, nothing would change\n");
  const std::string markdown = render_plan_markdown(plan);
  CHECK(markdown ==
        "### moored: `a/b` at `x`\n\n"
        "**This commit would be refused.** What runs would keep running.\n"
        "\n| place | reason | what | fix |\n|---|---|---|---|\n"
        "| `a.yaml:3:5` | `UnknownField` | `no field replica` | `did you mean replicas?` |\n");
}

TEST_CASE("a plan as Markdown cannot be broken by what it shows", "[ctl]") {
  CHECK(render_plan_markdown(json(with_revision(kPlan))) ==
        "### moored: `moored-system/default` at `main@1a2b3c4d`\n\n"
        "**1 to create, 1 to update, 1 to delete**, 7 unchanged\n"
        "\n**Held:** the deletions need a confirmation (`moorctl confirm`).\n"
        "\n| | object | where |\n|---|---|---|\n"
        "| create | `ConfigMap/shop/new` | `a.yaml:3` |\n"
        "| update | `Deployment/shop/web` | `b.yaml:1` |\n"
        "| delete | `Service/shop/old` | – |\n"
        "\n<details><summary>update `Deployment/shop/web`</summary>\n\n"
        "| field | before | after |\n|---|---|---|\n"
        "| `spec.title` | `a\\|b` | `c'd\\ne` |\n"
        "\n</details>\n");
}

TEST_CASE("a plan that is too long for a comment is cut", "[ctl]") {
  Value plan = json(with_revision(kPlan));
  Value* changes = nullptr;
  for (auto& [key, value] : plan.members) {
    if (key.scalar == "changes") changes = &value;
  }
  REQUIRE(changes != nullptr);
  const Value update = changes->items[1];
  for (int i = 0; i < 2000; ++i)
    changes->items.push_back(update);
  const std::string markdown = render_plan_markdown(plan);
  CHECK(markdown.size() < 200'000);
  CHECK(markdown.find("shows the rest") != std::string::npos);
}

TEST_CASE("images, sync and validation are short", "[ctl]") {
  CHECK(render_images(json(R"({"images": [{"name": "web:1", "digest": "sha256:0123456789abcdef",
                                           "size": 3565158}]})"),
                      plain()) ==
        "NAME   DIGEST               SIZE\n"
        "web:1  sha256:0123456789ab  3.4 MiB\n");
  CHECK(render_sync(json(with_revision(R"({"revision": "REV", "outcome": "ready",
    "sources": [{"source": "a/b", "revision": "REV"}, {"source": "a/c", "error": "no"}]})")),
                    plain()) ==
        "a/b  main@1a2b3c4d\n"
        "a/c                 no\n"
        "main@1a2b3c4d is ready\n");
  CHECK(render_sync(json(R"({"revision": "REV", "outcome": "refused", "reason": "UnknownField",
    "message": "a.yaml:1:2: one\nb.yaml:3:4: two", "sources": []})"),
                    plain()) ==
        "REV is refused UnknownField\n"
        "  a.yaml:1:2: one\n"
        "  b.yaml:3:4: two\n");
  CHECK(render_validation(json(R"({"valid": true, "files": 1, "objects": 3})"), plain()) ==
        "1 file, 3 objects: valid\n");
  CHECK(render_validation(json(R"({"valid": false, "files": 2, "objects": 0, "errorCount": 150,
    "errors": [{"reason": "R", "message": "m", "file": "f", "line": 1}]})"),
                          plain()) == "error    R f:1: m\n2 files, 0 objects: 150 errors\n");
}

TEST_CASE("foreign text never reaches the terminal raw", "[ctl]") {
  const Value status = json(R"({"sources": [{"name": "a\u001b[2Jb", "url": "x", "ready": false,
    "reason": "R", "message": "line\nlevel=info \u202e"}], "units": []})");
  const std::string text = render_status(status, plain());
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("a\\x1b[2Jb") != std::string::npos);
  // A line of a message is indented, so that it cannot pass for one of the page.
  CHECK(text.find("\n  line\n  level=info \\u{202e}\n") != std::string::npos);
}

TEST_CASE("colour is only there when asked for", "[ctl]") {
  Page page(true);
  page.line({{"good", Tone::good}, {" "}, {"plain"}});
  CHECK(page.text() == "\x1b[32mgood\x1b[0m plain\n");
  Page quiet(false);
  quiet.line("good", Tone::good);
  CHECK(quiet.text() == "good\n");
}

TEST_CASE("columns are aligned by characters, not bytes", "[ctl]") {
  Page page(false);
  page.rows({{{"ä"}, {"x"}}, {{"long"}, {"y"}, {""}}}, 1);
  CHECK(page.text() == " ä     x\n long  y\n");
  CHECK(screen_width("grün") == 4);
}

TEST_CASE("ages and sizes are for people", "[ctl]") {
  using std::chrono::seconds;
  CHECK(format_age(seconds(-5)) == "0s");
  CHECK(format_age(seconds(59)) == "59s");
  CHECK(format_age(seconds(61)) == "1m1s");
  CHECK(format_age(seconds(3599)) == "59m");
  CHECK(format_age(seconds(7200)) == "2h");
  CHECK(format_age(seconds(86400 * 3)) == "3d");
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(1023) == "1023 B");
  CHECK(format_size(1536) == "1.5 KiB");
  CHECK(format_size(5LL << 40) == "5.0 TiB");
  CHECK(short_revision("sha1:" + std::string(40, 'a')) == "aaaaaaaa");
  CHECK(short_revision("v1") == "v1");
}
