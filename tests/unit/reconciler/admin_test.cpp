// The admin socket: lines, verbs, peers, limits, ends.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "reconciler/admin/client.hpp"
#include "reconciler/admin/line_socket.hpp"
#include "reconciler/admin/protocol.hpp"
#include "reconciler/admin/server.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

using std::chrono::milliseconds;

Value result_of(const std::string& name, const std::string& text) {
  Value out = Value::make_map();
  out.put(name, Value::of_text(text));
  return out;
}

// Verbs that tell what they were asked.
class EchoVerbs : public AdminVerbs {
 public:
  Result<Value> sync(const SyncVerb& verb, AdminProgress& progress) override {
    progress.report(Value::of_text("looking"));
    progress.report(result_of("source", verb.source));
    return result_of("synced", verb.source);
  }
  Result<Value> exec(const ExecVerb& verb, AdminProgress&) override {
    if (verb.pod == "absent") {
      return Unexpected(
          Error{Code::not_found, "no such pod", "NotFound", {"a.yaml", 3, 4, "x"}, ""}.mend(
              "see kubectl get pods"));
    }
    return result_of("output", verb.command.back());
  }
  Result<Value> image_import(const ImageImportVerb& verb, AdminProgress&) override {
    return result_of("path", verb.path);
  }
  Result<Value> image_list(const ImageListVerb&, AdminProgress&) override {
    return result_of("images", "none");
  }
  Result<Value> image_remove(const ImageRemoveVerb& verb, AdminProgress&) override {
    return result_of("removed", verb.name);
  }
  Result<Value> plan(const PlanVerb& verb, AdminProgress&) override {
    return result_of("unit", verb.unit);
  }
  Result<Value> confirm(const ConfirmVerb& verb, AdminProgress&) override {
    if (verb.revision == "ffffffff") return fail(Code::not_found, "nothing is held at it");
    return result_of("revision", verb.revision);
  }
  // Lasts until it is told to end.
  Result<Value> down(const DownVerb&, AdminProgress& progress) override {
    {
      const std::lock_guard lock(mutex_);
      running_ = true;
    }
    changed_.notify_all();
    while (!progress.cancelled()) {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, milliseconds(5));
    }
    return fail(Code::unavailable, "broken off");
  }
  bool wait_running() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return running_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false;
};

class FactList final : public FactSink {
 public:
  void post(Fact fact, Cause cause) override {
    {
      const std::lock_guard lock(mutex_);
      acted_.push_back(std::get<OperatorActed>(fact));
      causes_.push_back(cause);
    }
    changed_.notify_all();
  }
  std::vector<OperatorActed> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return acted_.size() >= count; });
    return acted_;
  }
  std::vector<Cause> causes() {
    const std::lock_guard lock(mutex_);
    return causes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<OperatorActed> acted_;
  std::vector<Cause> causes_;
};

// A server on a socket of its own.
struct Desk {
  explicit Desk(AdminServer::Options options = {}) {
    options.path = path();
    auto made = AdminServer::create(options, verbs, facts);
    if (!made) FAIL(made.error().text());
    server = *std::move(made);
  }
  std::string path() const { return directory.file("admin.sock"); }
  AdminClient client() {
    auto made = AdminClient::connect(path());
    if (!made) FAIL(made.error().text());
    return *std::move(made);
  }
  // Sends raw bytes and gives the first line that comes back.
  std::string say(const std::string& bytes) {
    auto socket = admin::connect_unix(path());
    REQUIRE(socket.has_value());
    const auto sent = ::send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    REQUIRE(sent >= 0);
    admin::LineReader lines(socket->get(), kMaxAdminReply);
    return lines.read_line(std::chrono::seconds(30)).value_or("(nothing)");
  }

  TestDirectory directory;
  EchoVerbs verbs;
  FactList facts;
  std::unique_ptr<AdminServer> server;
};

TEST_CASE("every verb survives its way over the wire") {
  const std::vector<AdminVerb> verbs = {
      SyncVerb{"moored-system/default", true, milliseconds(1'500)},
      SyncVerb{},
      ExecVerb{"shop", "web", "main", {"sh", "-c", "echo \"ä\n\""}, milliseconds(9)},
      ImageImportVerb{"/tmp/image.tar", "app:1"},
      ImageListVerb{},
      ImageRemoveVerb{"app:1"},
      PlanVerb{"moored-system/default", "/srv/deploy", ""},
      PlanVerb{"", "", "4f1c"},
      ConfirmVerb{"main@sha1:4f1c", "moored-system/default"},
      DownVerb{false},
  };
  for (const AdminVerb& verb : verbs) {
    const std::string line = encode_admin_request(verb);
    INFO(line);
    REQUIRE(line.find('\n') == std::string::npos);
    const auto back = decode_admin_request(line);
    REQUIRE(back.has_value());
    REQUIRE(encode_admin_request(*back) == line);
    REQUIRE(back->index() == verb.index());
    REQUIRE(admin_verb_subject(*back) == admin_verb_subject(verb));
  }
}

TEST_CASE("requests that are not understood are refused in words") {
  const std::vector<const char*> bad = {
      "",
      "sync",
      "[]",
      "{}",
      R"({"verb":7})",
      R"({"verb":"dance"})",
      R"({"verb":"sync","sauce":"x"})",
      R"({"verb":"sync","wait":"yes"})",
      R"({"verb":"sync","timeoutMs":-1})",
      R"({"verb":"sync","timeoutMs":99999999999999999999})",
      R"({"verb":"sync","wait":true,"wait":true})",
      R"({"verb":"exec","namespace":"a","pod":"b"})",
      R"({"verb":"exec","namespace":"a","pod":"b","command":[1]})",
      R"({"verb":"exec","pod":"b","command":["x"]})",
      R"({"verb":"image-import","path":"relative.tar"})",
      R"({"verb":"image-rm"})",
      R"({"verb":"confirm"})",
      R"({"verb":"plan","path":"here"})",
      R"({"verb":"plan","path":"/a","revision":"b"})",
  };
  for (const char* line : bad) {
    INFO(line);
    const auto verb = decode_admin_request(line);
    REQUIRE_FALSE(verb.has_value());
    REQUIRE(verb.error().code == Code::invalid);
    REQUIRE_FALSE(verb.error().message.empty());
  }
}

TEST_CASE("replies carry progress, results and whole errors") {
  AdminReply failed;
  failed.error =
      Error{Code::exhausted, "too much", "Limit", {"a.yaml", 3, 4, "spec.x"}, "take less"};
  const auto back = decode_admin_reply(encode_admin_reply(failed));
  REQUIRE(back->error->code == Code::exhausted);
  REQUIRE(back->error->text() == failed.error->text());
  REQUIRE(back->error->reason == "Limit");
  AdminReply step;
  step.progress = Value::of_text("half");
  REQUIRE(decode_admin_reply(encode_admin_reply(step))->progress->scalar == "half");
  for (const char* line : {"", "x", "{}", "[]", R"({"result":1,"error":2})", R"({"other":1})"}) {
    REQUIRE(decode_admin_reply(line).error().code == Code::corrupt);
  }
}

TEST_CASE("a verb is carried out, its steps shown, its result given") {
  Desk desk;
  std::vector<std::string> steps;
  const auto result =
      desk.client().ask(SyncVerb{"a/b", false, milliseconds(1)},
                        [&](const Value& step) { steps.push_back(write_json(step)); });
  REQUIRE(result.has_value());
  REQUIRE(result->find("synced")->scalar == "a/b");
  REQUIRE(steps == std::vector<std::string>{"\"looking\"", R"({"source":"a/b"})"});
  const auto failed = desk.client().ask(ExecVerb{"shop", "absent", "", {"sh"}, milliseconds(1)});
  REQUIRE(failed.error().code == Code::not_found);
  REQUIRE(failed.error().reason == "NotFound");
  REQUIRE(failed.error().fix == "see kubectl get pods");
  REQUIRE(failed.error().place.line == 3);
  REQUIRE(desk.client().ask(ImageListVerb{})->find("images")->scalar == "none");
  REQUIRE(desk.client().ask(ImageRemoveVerb{"app"})->find("removed")->scalar == "app");
  REQUIRE(desk.client().ask(ImageImportVerb{"/a.tar", ""})->find("path")->scalar == "/a.tar");
  REQUIRE(desk.client().ask(PlanVerb{"u/v", "", ""})->find("unit")->scalar == "u/v");
}

TEST_CASE("acting verbs are recorded before and after, with the peer as the kernel names it") {
  Desk desk;
  REQUIRE(desk.client().ask(ExecVerb{"shop", "web", "main", {"sh", "-c", "id"}, milliseconds(1)}));
  const auto acted = desk.facts.wait_for(2);
  REQUIRE(acted.size() == 2);
  REQUIRE(acted[0].verb == "exec");
  REQUIRE(acted[0].subject == "shop/web/main: sh -c id");
  REQUIRE(acted[0].result == "asked");
  REQUIRE(acted[0].uid == ::getuid());
  REQUIRE(acted[0].process.find("[" + std::to_string(::getpid()) + "]") != std::string::npos);
  REQUIRE(acted[1].result == "done");
  const Cause cause = desk.facts.causes().at(0);
  REQUIRE(cause.actor == Cause::Actor::operator_);
  REQUIRE(cause.name.rfind("uid:" + std::to_string(::getuid()) + "(", 0) == 0);
}

TEST_CASE("reading verbs and confirmations are recorded once, failures with their reason") {
  Desk desk;
  REQUIRE(desk.client().ask(ImageListVerb{}));
  REQUIRE(desk.facts.wait_for(1).size() == 1);
  REQUIRE(desk.client().ask(ConfirmVerb{"4f1c0000", "a/b"}));
  auto acted = desk.facts.wait_for(2);
  REQUIRE(acted.size() == 2);
  REQUIRE(acted[1].verb == "confirm");
  REQUIRE(acted[1].subject == "a/b 4f1c0000");
  REQUIRE(acted[1].result == "done");
  REQUIRE_FALSE(desk.client().ask(ConfirmVerb{"ffffffff", ""}));
  acted = desk.facts.wait_for(3);
  REQUIRE(acted[2].result.rfind("failed: ", 0) == 0);
}

// What a full disk makes of records; wanted: how many facts are taken before.
AdminServer::Options refuse_after(std::shared_ptr<std::vector<std::string>> told, int taken) {
  AdminServer::Options options;
  options.record = [told, left = taken](Fact fact, const Cause&) mutable -> Status {
    told->push_back(std::get<OperatorActed>(fact).result);
    if (left-- > 0) return {};
    return fail(Code::exhausted, "the store cannot grow");
  };
  return options;
}

TEST_CASE("what cannot be put on record is not begun, unless it makes room") {
  const auto told = std::make_shared<std::vector<std::string>>();
  Desk desk(refuse_after(told, 0));
  SECTION("exec") {
    const auto refused =
        desk.client().ask(ExecVerb{"shop", "web", "main", {"id"}, milliseconds(1)});
    REQUIRE(refused.error().code == Code::exhausted);
    REQUIRE(refused.error().text().find("nothing was done") != std::string::npos);
    REQUIRE(told->size() == 2);
    REQUIRE(told->at(0) == "asked");
    REQUIRE(told->at(1).rfind("failed: nothing was done", 0) == 0);
  }
  SECTION("an image that goes") {
    REQUIRE(desk.client().ask(ImageRemoveVerb{"app"})->find("removed")->scalar == "app");
    REQUIRE(*told == std::vector<std::string>{"asked", "done"});
  }
  SECTION("a look") { REQUIRE(desk.client().ask(ImageListVerb{})); }
}

TEST_CASE("a confirmation is its record: without one it is none") {
  const auto told = std::make_shared<std::vector<std::string>>();
  Desk desk(refuse_after(told, 0));
  const auto refused = desk.client().ask(ConfirmVerb{"4f1c0000", "a/b"});
  REQUIRE(refused.error().code == Code::exhausted);
  REQUIRE(*told == std::vector<std::string>{"done"});
}

TEST_CASE("an act that was done is told so even if its end is not on record") {
  const auto told = std::make_shared<std::vector<std::string>>();
  Desk desk(refuse_after(told, 1));
  REQUIRE(desk.client().ask(ExecVerb{"shop", "web", "main", {"id"}, milliseconds(1)}));
  REQUIRE(*told == std::vector<std::string>{"asked", "done"});
}

TEST_CASE("nonsense on the socket is answered and not recorded") {
  Desk desk;
  REQUIRE(desk.say("nonsense\n").find("\"error\"") != std::string::npos);
  REQUIRE(desk.say("{\"verb\":\"dance\"}\n").find("unknown verb") != std::string::npos);
  REQUIRE(desk.say(std::string(kMaxAdminRequest + 5'000, 'x')).find("exhausted") !=
          std::string::npos);
  REQUIRE(desk.client().ask(ImageListVerb{}));
  REQUIRE(desk.facts.wait_for(1).size() == 1);
}

TEST_CASE("a client that says nothing is let go") {
  AdminServer::Options options;
  options.request_time = milliseconds(20);
  Desk desk(options);
  REQUIRE(desk.say("").find("timeout") != std::string::npos);
  REQUIRE(desk.say("{\"verb\":").find("timeout") != std::string::npos);
}

TEST_CASE("a verb whose client has gone is told to end") {
  Desk desk;
  {
    auto socket = admin::connect_unix(desk.path());
    REQUIRE(socket.has_value());
    REQUIRE(admin::write_line(socket->get(), encode_admin_request(DownVerb{})));
    REQUIRE(desk.verbs.wait_running());
  }
  const auto acted = desk.facts.wait_for(2);
  REQUIRE(acted.size() == 2);
  REQUIRE(acted[1].result.find("broken off") != std::string::npos);
}

TEST_CASE("a server that stops ends its verbs, answers, and removes its socket") {
  Desk desk;
  std::atomic<int> code = -1;
  std::thread waiting([&] {
    auto client = AdminClient::connect(desk.path());
    if (!client) return;
    const auto result = client->ask(DownVerb{});
    if (!result) code = static_cast<int>(result.error().code);
  });
  const bool running = desk.verbs.wait_running();
  desk.server.reset();
  waiting.join();
  REQUIRE(running);
  REQUIRE(code == static_cast<int>(Code::unavailable));
  REQUIRE_FALSE(path_exists(desk.path()));
  const auto after = AdminClient::connect(desk.path());
  REQUIRE(after.error().code == Code::not_found);
  REQUIRE(after.error().message.find("does not run") != std::string::npos);
}

TEST_CASE("connections are bounded") {
  Desk desk;
  std::vector<UniqueFd> held;
  for (std::size_t i = 0; i < AdminServer::kMaxConnections; ++i) {
    auto socket = admin::connect_unix(desk.path());
    REQUIRE(socket.has_value());
    REQUIRE(admin::write_line(socket->get(), encode_admin_request(DownVerb{})));
    held.push_back(*std::move(socket));
  }
  REQUIRE(desk.facts.wait_for(AdminServer::kMaxConnections).size() == AdminServer::kMaxConnections);
  const auto one_more = desk.client().ask(ImageListVerb{});
  REQUIRE_FALSE(one_more.has_value());
  REQUIRE((one_more.error().reason == "TooManyConnections" ||
           one_more.error().code == Code::unavailable));
  held.clear();
  desk.facts.wait_for(2 * AdminServer::kMaxConnections);
  Result<Value> later = desk.client().ask(ImageListVerb{});
  for (int i = 0; i < 1'000 && !later; ++i)
    later = desk.client().ask(ImageListVerb{});
  REQUIRE(later.has_value());
}

TEST_CASE("the socket is for its owner, and a dead one is taken over") {
  Desk desk;
  struct stat status {};
  REQUIRE(::stat(desk.path().c_str(), &status) == 0);
  REQUIRE((status.st_mode & 0777U) == 0600);
  SECTION("one that is served is not") {
    const auto second = AdminServer::create({desk.path()}, desk.verbs, desk.facts);
    REQUIRE(second.error().code == Code::conflict);
    REQUIRE(desk.client().ask(ImageListVerb{}));
  }
  SECTION("one that nobody serves is") {
    const std::string path = desk.directory.file("dead.sock");
    { const auto dead = admin::listen_unix(path); }
    REQUIRE(path_exists(path));
    REQUIRE(AdminClient::connect(path).error().code == Code::unavailable);
    REQUIRE(AdminServer::create({path}, desk.verbs, desk.facts).has_value());
  }
  SECTION("a file that is no socket is left alone") {
    const std::string path = desk.directory.file("file");
    REQUIRE(write_file(path, "mine", true));
    REQUIRE(AdminServer::create({path}, desk.verbs, desk.facts).error().code == Code::conflict);
    REQUIRE(*read_file(path) == "mine");
  }
  SECTION("a path that does not fit is refused in words") {
    const std::string path = desk.directory.file(std::string(120, 'x'));
    const auto made = AdminServer::create({path}, desk.verbs, desk.facts);
    REQUIRE(made.error().reason == "PathTooLong");
  }
}

}  // namespace
}  // namespace moored::test
