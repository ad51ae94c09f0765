// moorctl against the daemon's own two listeners: the API and the admin socket.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "net/api/server.hpp"
#include "reconciler/admin/server.hpp"
#include "reconciler/ctl/commands.hpp"
#include "reconciler/ctl/members.hpp"
#include "schema/base/guarded.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/pod.hpp"
#include "tests/unit/net/api_fake.hpp"

using namespace moored;
using namespace moored::ctl;

namespace {

// Remembers what was asked and answers as a daemon would.
class ScriptedVerbs final : public AdminVerbs {
 public:
  Value plan_answer = Value::make_map();
  Value sync_answer = Value::make_map();
  std::optional<Error> refusal;

  Result<Value> sync(const SyncVerb& verb, AdminProgress& progress) override {
    asked("sync " + verb.source + (verb.wait ? " wait " : " ") +
          std::to_string(verb.timeout.count()));
    progress.report(Value::of_text("fetched"));
    progress.report(Value::of_text("ready\x1b[2J"));
    return answer(sync_answer);
  }
  Result<Value> exec(const ExecVerb& verb, AdminProgress&) override {
    std::string line = "exec " + verb.namespace_name + ' ' + verb.pod + ' ' + verb.container;
    for (const auto& word : verb.command) line += " [" + word + ']';
    asked(line);
    Value result = Value::make_map();
    result.put("exitCode", Value::of_integer(7));
    result.put("output", Value::of_text("one\n"));
    return answer(result);
  }
  Result<Value> image_import(const ImageImportVerb& verb, AdminProgress&) override {
    asked("import " + verb.name + ' ' + verb.path);
    return answer(images());
  }
  Result<Value> image_list(const ImageListVerb&, AdminProgress&) override {
    asked("ls");
    return answer(images());
  }
  Result<Value> image_remove(const ImageRemoveVerb& verb, AdminProgress&) override {
    asked("rm " + verb.name);
    Value result = Value::make_map();
    result.put("removed", Value::make_list()).items.push_back(Value::of_text(verb.name));
    return answer(result);
  }
  Result<Value> plan(const PlanVerb& verb, AdminProgress&) override {
    asked("plan " + verb.unit + ' ' + verb.revision + ' ' + verb.path);
    return answer(plan_answer);
  }
  Result<Value> confirm(const ConfirmVerb& verb, AdminProgress&) override {
    asked("confirm " + verb.revision + ' ' + verb.unit);
    Value result = Value::make_map();
    result.put("revision", Value::of_text(verb.revision));
    return answer(result);
  }
  Result<Value> down(const DownVerb& verb, AdminProgress&) override {
    asked(verb.keep_images ? "down" : "down with images");
    Value result = Value::make_map();
    result.put("pods", Value::of_integer(3));
    return answer(result);
  }

  std::string take() {
    return lines_.with([](std::string& all) { return std::exchange(all, {}); });
  }

 private:
  static Value images() {
    Value image = Value::make_map();
    image.put("name", Value::of_text("web:1"));
    image.put("digest", Value::of_text("sha256:0123456789abcdef"));
    image.put("size", Value::of_integer(2048));
    Value result = Value::make_map();
    result.put("images", Value::make_list()).items.push_back(std::move(image));
    return result;
  }
  void asked(const std::string& line) {
    lines_.with([&](std::string& all) { all += line + '\n'; });
  }
  Result<Value> answer(const Value& value) const {
    if (refusal) return Unexpected(*refusal);
    return value;
  }

  Guarded<std::string> lines_;
};

class NoFacts final : public FactSink {
 public:
  void post(Fact, Cause) override {}
};

struct Printed {
  int code = 0;
  std::string out;
  std::string err;
};

// A run directory with both listeners, as a running daemon has it.
struct Machine {
  Machine() {
    std::string name = (std::filesystem::temp_directory_path() / "moored-ctl-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    AdminServer::Options options;
    options.path = directory + "/admin.sock";
    auto started = AdminServer::create(std::move(options), verbs, facts);
    if (!started) FAIL(started.error().text());
    admin = *std::move(started);
    net::ApiOptions served;
    served.port = 0;
    served.log_dir = directory;
    auto listening = net::ApiServer::start(std::move(served), state, state, reports, clock);
    if (!listening) FAIL(listening.error().text());
    api = *std::move(listening);
    std::ofstream(directory + "/api.json")
        << "{\"listen\":\"127.0.0.1:" << api->port() << "\"}\n";
  }
  ~Machine() {
    admin.reset();
    api.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Printed run(Command command, Output output = Output::text) const {
    Options options;
    options.run_dir = directory;
    options.output = output;
    options.command = std::move(command);
    Console console;
    console.out = std::fopen((directory + "/out").c_str(), "w");
    console.err = std::fopen((directory + "/err").c_str(), "w");
    REQUIRE(console.out != nullptr);
    REQUIRE(console.err != nullptr);
    Printed printed;
    printed.code = carry_out(options, console);
    std::fclose(console.out);
    std::fclose(console.err);
    printed.out = text_of("/out");
    printed.err = text_of("/err");
    return printed;
  }
  std::string text_of(const std::string& name) const {
    std::ifstream in(directory + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string directory;
  ScriptedVerbs verbs;
  NoFacts facts;
  test::FakeState state;
  test::FakeReports reports;
  test::FakeClock clock;
  std::unique_ptr<AdminServer> admin;
  std::unique_ptr<net::ApiServer> api;
};

Value json(const std::string& text) {
  auto value = read_json(text);
  REQUIRE(value);
  return *std::move(value);
}

}  // namespace

TEST_CASE("reports come from the API", "[ctl]") {
  const Machine machine;
  struct Row {
    Command command;
    std::string name;
    std::string asked;
  };
  for (const auto& row : {Row{StatusCommand{}, "status", ""},
                          Row{TraceCommand{"1a2b"}, "receipt", "1a2b"},
                          Row{HistoryCommand{"deploy/a b", 7}, "history", "deploy/a b/7"},
                          Row{DriftCommand{9}, "drift", "9"}}) {
    CAPTURE(row.name);
    const Printed printed = machine.run(row.command, Output::json);
    CHECK(printed.code == 0);
    const auto answer = read_json(printed.out);
    REQUIRE(answer);
    CHECK(text_in(*answer, row.name) == row.asked);
  }
  const Printed unknown = machine.run(TraceCommand{"unknown"});
  CHECK(unknown.code == kFailed);
  CHECK(unknown.err.find("revision unknown was never seen") != std::string::npos);
}

TEST_CASE("a log is asked of the API as kubectl asks it", "[ctl]") {
  const Machine machine;
  LogsCommand command;
  command.pod = "absent";
  const Printed printed = machine.run(command);
  CHECK(printed.code == kFailed);
  CHECK(printed.out.empty());
  CHECK(printed.err.find("absent") != std::string::npos);
}

TEST_CASE("the version names client and server", "[ctl]") {
  const Machine machine;
  const Printed printed = machine.run(VersionCommand{});
  CHECK(printed.code == 0);
  CHECK(printed.out.find("moorctl " MOORED_VERSION "\nmoored, as Kubernetes v1.") == 0);
}

TEST_CASE("sync shows its steps and fails with its source", "[ctl]") {
  Machine machine;
  machine.verbs.sync_answer = json(R"({"revision": "main@sha1:x", "ready": false,
    "sources": [{"source": "a/b", "revision": "main@sha1:x"}]})");
  SyncCommand command;
  command.source = "a/b";
  const Printed looked = machine.run(command);
  CHECK(looked.code == 0);
  CHECK(looked.err == "  fetched\n  ready\\x1b[2J\n");
  CHECK(machine.verbs.take() == "sync a/b 300000\n");
  command.wait = true;
  command.timeout = std::chrono::seconds(5);
  CHECK(machine.run(command).code == kFailed);
  CHECK(machine.verbs.take() == "sync a/b wait 5000\n");
  machine.verbs.sync_answer = json(R"({"ready": true, "outcome": "ready",
    "revision": "main@sha1:x", "sources": []})");
  CHECK(machine.run(command).code == 0);
  machine.verbs.sync_answer = json(R"({"sources": [{"source": "a/b", "error": "no answer"}]})");
  command.wait = false;
  CHECK(machine.run(command).code == kFailed);
}

TEST_CASE("plan exits by what would change", "[ctl]") {
  Machine machine;
  PlanCommand command;
  CHECK(machine.run(command).err == "moorctl: plan needs --ref REFERENCE or --path DIRECTORY\n");
  CHECK(machine.verbs.take().empty());
  command.reference = "change";
  machine.verbs.plan_answer = json(R"({"unit": "a/b", "revision": "x", "changes": []})");
  CHECK(machine.run(command).code == 0);
  CHECK(machine.verbs.take() == "plan  change \n");
  machine.verbs.plan_answer = json(R"({"unit": "a/b", "revision": "x", "changes":
    [{"verb": "create", "object": "ConfigMap/a/b", "changes": []}]})");
  CHECK(machine.run(command).code == kChanges);
  CHECK(machine.run(command, Output::json).code == kChanges);
  const Printed markdown = machine.run(command, Output::markdown);
  CHECK(markdown.code == kChanges);
  CHECK(markdown.out.find("| create | `ConfigMap/a/b` |") != std::string::npos);
  machine.verbs.plan_answer = json(R"({"unit": "a/b", "revision": "x", "changes": [],
    "errors": [{"reason": "UnknownField", "message": "no"}]})");
  CHECK(machine.run(command).code == kFailed);
  machine.verbs.take();
  PlanCommand path;
  path.path = "relative";
  path.unit = "u/n";
  machine.run(path);
  CHECK(machine.verbs.take() ==
        "plan u/n  " + (std::filesystem::current_path() / "relative").string() + "\n");
}

TEST_CASE("exec hands output and exit code on", "[ctl]") {
  Machine machine;
  ExecCommand command;
  command.pod = "web";
  command.namespace_name = "shop";
  command.command = {"sh", "-c", "exit 7"};
  const Printed printed = machine.run(command);
  CHECK(printed.code == 7);
  CHECK(printed.out == "one\n");
  CHECK(machine.verbs.take() == "exec shop web  [sh] [-c] [exit 7]\n");
}

TEST_CASE("images come, are shown and go", "[ctl]") {
  Machine machine;
  const Printed imported = machine.run(ImageImportCommand{"web:1", "/srv/web.tar"});
  CHECK(imported.code == 0);
  CHECK(imported.out.find("web:1  sha256:0123456789ab  2.0 KiB") != std::string::npos);
  CHECK(machine.verbs.take() == "import web:1 /srv/web.tar\n");
  CHECK(machine.run(ImageListCommand{}).out == imported.out);
  CHECK(machine.run(ImageRemoveCommand{"web:1"}).out == "removed web:1\n");
}

TEST_CASE("confirm and down say what they did", "[ctl]") {
  Machine machine;
  CHECK(machine.run(ConfirmCommand{"u/n", "abc1234"}).out ==
        "the deletions of abc1234 are allowed\n");
  CHECK(machine.run(DownCommand{}).out == "stopped 3 pods, state and images are kept\n");
  CHECK(machine.run(DownCommand{true}).out == "stopped 3 pods, nothing of moored is left\n");
  CHECK(machine.verbs.take() == "confirm abc1234 u/n\nsync  300000\ndown\ndown with images\n");
}

TEST_CASE("a refusal of the daemon is printed with its fix", "[ctl]") {
  Machine machine;
  machine.verbs.refusal =
      Error{Code::not_found, "nothing is held", "NotFound", {}, "see moorctl status"};
  for (const Command& command :
       {Command{ConfirmCommand{"", "x"}}, Command{SyncCommand{}}, Command{ImageListCommand{}},
        Command{DownCommand{}}, Command{PlanCommand{}}, Command{ExecCommand{}}}) {
    const Printed printed = machine.run(command);
    CHECK(printed.code == kFailed);
    CHECK(printed.out.empty());
  }
  CHECK(machine.run(ConfirmCommand{"", "x"}).err ==
        "moorctl: NotFound: nothing is held (see moorctl status)\n");
}
