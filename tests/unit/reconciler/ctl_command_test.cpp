// The command line, and commands against servers that a test makes.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "net/api/tokens.hpp"
#include "reconciler/ctl/api_client.hpp"
#include "reconciler/ctl/commands.hpp"
#include "reconciler/ctl/members.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

using namespace moored;
using namespace moored::ctl;

namespace {

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "moored-ctl-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  const std::string& path() const { return path_; }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    std::ofstream(*this / name) << text;
  }

 private:
  std::string path_;
};

// Answers one connection with fixed bytes, and keeps the request's first line.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), answer_(std::move(answer)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), raw, size) == 0);
    REQUIRE(::listen(listener_.get(), 4) == 0);
    REQUIRE(::getsockname(listener_.get(), raw, &size) == 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const { return "http://" + address_; }
  const std::string& address() const { return address_; }
  std::string request() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    thread_ = std::thread([] {});
    return request_;
  }

 private:
  void serve() {
    for (;;) {
      const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection) return;
      std::array<char, 4096> buffer{};
      std::string head;
      while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(connection.get(), buffer.data(), buffer.size(), 0);
        if (got <= 0) break;
        head.append(buffer.data(), static_cast<std::size_t>(got));
      }
      request_ = head.substr(0, head.find("\r\n"));
      ::send(connection.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
  }

  UniqueFd listener_;
  std::string answer_;
  std::string address_;
  std::string request_;
  std::thread thread_;
};

std::string ok(const std::string& body, const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

std::optional<Options> parse(std::vector<const char*> words, int& code) {
  words.insert(words.begin(), "moorctl");
  return read_options(static_cast<int>(words.size()), words.data(), code);
}

template <class T>
T command_of(std::vector<const char*> words) {
  int code = 0;
  const auto options = parse(std::move(words), code);
  REQUIRE(options);
  REQUIRE(std::holds_alternative<T>(options->command));
  return std::get<T>(options->command);
}

struct Printed {
  int code;
  std::string out;
  std::string err;
};

// Carries a command out and gives what it printed.
Printed carry(const Options& options) {
  Directory directory;
  Console console;
  console.out = std::fopen((directory / "out").c_str(), "w+");
  console.err = std::fopen((directory / "err").c_str(), "w+");
  REQUIRE(console.out != nullptr);
  REQUIRE(console.err != nullptr);
  Printed printed;
  printed.code = carry_out(options, console);
  std::fclose(console.out);
  std::fclose(console.err);
  for (auto [name, text] : {std::pair("out", &printed.out), std::pair("err", &printed.err)}) {
    std::ifstream in(directory / name);
    text->assign(std::istreambuf_iterator<char>(in), {});
  }
  return printed;
}

// An endpoint without anything secret.
Endpoint at_url(std::string url) {
  Endpoint endpoint;
  endpoint.url = std::move(url);
  return endpoint;
}

}  // namespace

TEST_CASE("the command line is read", "[ctl]") {
  CHECK(command_of<SyncCommand>({"sync", "--wait", "a/b", "--timeout", "7"}).source == "a/b");
  CHECK(command_of<SyncCommand>({"sync", "--wait", "--timeout", "7"}).timeout ==
        std::chrono::seconds(7));
  CHECK(command_of<HistoryCommand>({"history", "deploy/web", "--limit", "3"}).limit == 3);
  CHECK(command_of<TraceCommand>({"trace", "1a2b"}).sha == "1a2b");
  CHECK(command_of<PlanCommand>({"plan", "--ref", "x"}).reference == "x");
  CHECK(command_of<ImageImportCommand>({"image", "import", "web:1", "a.tar"}).path == "a.tar");
  CHECK(command_of<ImageRemoveCommand>({"image", "rm", "web:1"}).name == "web:1");
  CHECK(command_of<DownCommand>({"down", "--all"}).all);
  CHECK_FALSE(command_of<DownCommand>({"down"}).all);
  CHECK(command_of<ConfirmCommand>({"confirm", "abc"}).revision == "abc");
  CHECK(command_of<ValidateCommand>({"validate", ".", "--pod-security", "restricted"}).level ==
        AdmissionPolicy::Level::restricted);
  const auto logs =
      command_of<LogsCommand>({"logs", "-f", "web", "-n", "shop", "-c", "c", "--tail", "0"});
  CHECK(logs.follow);
  CHECK(logs.tail == 0U);
  const auto exec = command_of<ExecCommand>(
      {"exec", "-n", "shop", "web", "--", "sh", "-c", "exit 7", "-o", "--wait"});
  CHECK(exec.pod == "web");
  CHECK(exec.namespace_name == "shop");
  CHECK(exec.command == std::vector<std::string>{"sh", "-c", "exit 7", "-o", "--wait"});
}

TEST_CASE("common options may stand before and behind the command", "[ctl]") {
  int code = 0;
  const auto before = parse({"--run-dir", "/x", "--server", "http://a:1", "status"}, code);
  REQUIRE(before);
  CHECK(before->run_dir == "/x");
  CHECK(before->server == "http://a:1");
  const auto behind = parse({"status", "-o", "json", "--run-dir", "/y"}, code);
  REQUIRE(behind);
  CHECK(behind->run_dir == "/y");
  CHECK(behind->output == Output::json);
  const auto image = parse({"image", "ls", "-o", "json", "--run-dir", "/z"}, code);
  REQUIRE(image);
  CHECK(image->run_dir == "/z");
}

TEST_CASE("a wrong command line exits 1", "[ctl]") {
  for (const auto& words :
       std::vector<std::vector<const char*>>{{},
                                             {"bogus"},
                                             {"trace"},
                                             {"status", "-o", "markdown"},
                                             {"plan", "-o", "xml"},
                                             {"plan", "--ref", "a", "--path", "b"},
                                             {"exec", "web"},
                                             {"image"},
                                             {"validate", ".", "--pod-security", "none"}}) {
    int code = 0;
    CHECK_FALSE(parse(words, code));
    CHECK(code == 1);
  }
  int code = 5;
  CHECK_FALSE(parse({"--help"}, code));
  CHECK(code == 0);
}

TEST_CASE("the server is found by option, run directory and default", "[ctl]") {
  Directory directory;
  Options options;
  options.run_dir = directory.path();
  CHECK(find_server(options) == "http://127.0.0.1:6446");
  directory.put("api.json", "{\"listen\":\"127.0.0.1:7000\"}\n");
  CHECK(find_server(options) == "http://127.0.0.1:7000");
  directory.put("api.json", "nonsense");
  CHECK(find_server(options) == "http://127.0.0.1:6446");
  options.server = "http://10.0.0.1:1";
  CHECK(find_server(options) == "http://10.0.0.1:1");
}

TEST_CASE("the daemon of this machine is trusted by its own certificate", "[ctl]") {
  Directory directory;
  const std::string pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  directory.put("tls.crt", pem + "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n");
  directory.put("api.json", "{\"listen\":\"0.0.0.0:7\",\"certificate\":\"" + directory.path() +
                                "/tls.crt\"}\n");
  Options options;
  options.run_dir = directory.path();
  auto endpoint = find_endpoint(options);
  REQUIRE(endpoint);
  CHECK(endpoint->url == "https://127.0.0.1:7");
  CHECK(endpoint->pin == pem);
  CHECK(endpoint->token.empty());
  directory.put("api.token", "moored_secret\n");
  endpoint = find_endpoint(options);
  REQUIRE(endpoint);
  CHECK(endpoint->token == "moored_secret");
  CHECK(endpoint->local_token);
  // The token of this machine ends with the daemon's run: it has no place in a file.
  const auto authority = find_authority(options);
  REQUIRE(authority);
  const auto text = make_kubeconfig(*endpoint, *authority);
  CHECK(text.find("moored_secret") == std::string::npos);
  CHECK(text.find("certificate-authority-data: LS0t") != std::string::npos);
  CHECK(text.find("insecure") == std::string::npos);
  // Another server gets neither.
  options.server = "https://other:7";
  endpoint = find_endpoint(options);
  REQUIRE(endpoint);
  CHECK(endpoint->pin.empty());
  CHECK(endpoint->token.empty());
  directory.put("mine", "moored_mine\r\n\n");
  options.token_file = directory.path() + "/mine";
  endpoint = find_endpoint(options);
  REQUIRE(endpoint);
  CHECK(make_kubeconfig(*endpoint, "").find("    token: moored_mine\n") != std::string::npos);
  options.token_file = directory.path() + "/absent";
  CHECK_FALSE(find_endpoint(options));
}

TEST_CASE("a token is drawn, shown once and kept as a hash", "[ctl]") {
  Directory directory;
  TokenCommand command;
  command.name = "ada";
  command.file = directory.path() + "/tokens";
  Options options;
  options.command = command;
  const auto draw = [&](int wanted) {
    Console console;
    console.out = std::tmpfile();
    console.err = std::tmpfile();
    CHECK(carry_out(options, console) == wanted);
    std::rewind(console.out);
    char line[256] = {};
    const bool read = std::fgets(line, sizeof line, console.out) != nullptr;
    std::fclose(console.out);
    std::fclose(console.err);
    return read ? std::string(line) : std::string();
  };
  auto first = draw(0);
  REQUIRE(first.size() > 40);
  first.pop_back();
  const auto second = draw(0);
  CHECK(second != first + "\n");
  const auto text = read_file(command.file);
  REQUIRE(text);
  CHECK(text->find(first) == std::string::npos);
  const auto rows = net::api::parse_tokens(*text, "t");
  REQUIRE(rows);
  REQUIRE(rows->size() == 2);
  CHECK(net::api::find_name(*rows, first, Time{}) == "ada");
  CHECK((std::filesystem::status(command.file).permissions() & std::filesystem::perms(0077)) ==
        std::filesystem::perms::none);
  // Nothing is written over a file that is no such file.
  directory.put("tokens", "what is this\n");
  CHECK(draw(1).empty());
  CHECK(*read_file(command.file) == "what is this\n");
}

TEST_CASE("the kubeconfig is YAML that names the server", "[ctl]") {
  Diagnostics diagnostics;
  Endpoint endpoint;
  endpoint.url = "http://127.0.0.1:7";
  const auto documents = read_yaml(make_kubeconfig(endpoint, ""), "k", diagnostics);
  REQUIRE(diagnostics.ok());
  REQUIRE(documents.size() == 1);
  const auto& cluster = items_in(documents[0], "clusters").at(0);
  CHECK(text_in(*cluster.find("cluster"), "server") == "http://127.0.0.1:7");
  CHECK(text_in(documents[0], "current-context") == "moored");
}

TEST_CASE("the path of a log is Kubernetes' own", "[ctl]") {
  LogsCommand command;
  command.pod = "web-1";
  CHECK(log_path(command) == "/api/v1/namespaces/default/pods/web-1/log?timestamps=false");
  command.namespace_name = "a/b";
  command.container = "c d";
  command.follow = command.previous = command.timestamps = true;
  command.tail = 5;
  CHECK(log_path(command) ==
        "/api/v1/namespaces/a%2Fb/pods/web-1/log?timestamps=true&container=c%20d"
        "&follow=true&previous=true&tailLines=5");
}

TEST_CASE("an answer is read, as are errors and their reasons", "[ctl]") {
  OneAnswer server(ok(R"({"items":[]})"));
  const auto client = ApiClient::create(at_url(server.url()));
  REQUIRE(client);
  const auto answer = client->get_json("/history?limit=2");
  REQUIRE(answer);
  CHECK(items_in(*answer, "items").empty());
  CHECK(server.request() == "GET /history?limit=2 HTTP/1.1");
  struct Row {
    std::string response;
    Code code;
    std::string message;
  };
  for (const auto& row :
       {Row{ok(R"({"kind":"Status","message":"no such","reason":"NotFound"})", "404 X"),
            Code::not_found, "no such"},
        Row{ok("busy", "503 X"), Code::unavailable, "busy"},
        Row{ok("{", "200 OK"), Code::corrupt, "JSON"},
        Row{"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            Code::invalid, "302"},
        Row{"garbage\r\n\r\n", Code::unavailable, "no answer"},
        Row{"", Code::unavailable, "no answer"}}) {
    CAPTURE(row.response);
    OneAnswer bad(row.response);
    const auto failed = ApiClient::create(at_url(bad.url()))->get_json("/status");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == row.code);
    CHECK(failed.error().message.find(row.message) != std::string::npos);
  }
  for (const char* url : {"", "ftp://x", "127.0.0.1:6446", "wss://x", "http://", "https://"}) {
    CAPTURE(url);
    CHECK_FALSE(ApiClient::create(at_url(url)));
  }
}

TEST_CASE("a stream is handed on as it comes, to its end", "[ctl]") {
  const std::string large(200'000, 'x');
  OneAnswer server(
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
      "Connection: close\r\n\r\n6\r\nline 1\r\n30d40\r\n" +
      large + "\r\n0\r\n\r\n");
  std::string got;
  const auto done = ApiClient::create(at_url(server.url()))->stream("/log", [&](std::string_view piece) {
    got += piece;
    return true;
  });
  CHECK(done);
  CHECK(got == "line 1" + large);
  OneAnswer refused(ok(R"({"message":"container c is not valid"})", "400 X"));
  const auto failed =
      ApiClient::create(at_url(refused.url()))->stream("/log", [](std::string_view) { return true; });
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::invalid);
  CHECK(failed.error().message == "container c is not valid");
}

TEST_CASE("a command prints its answer, or the error with its fix", "[ctl]") {
  OneAnswer server(ok(R"({"items":[]})"));
  Options options;
  options.server = server.url();
  options.command = DriftCommand{};
  const Printed text = carry(options);
  CHECK(text.code == 0);
  CHECK(text.out == "nothing was found that Git does not say\n");
  options.output = Output::json;
  CHECK(read_json(carry(options).out));
  Directory empty;
  Options nowhere;
  nowhere.run_dir = empty.path();
  nowhere.command = SyncCommand{};
  const Printed failed = carry(nowhere);
  CHECK(failed.code == kFailed);
  CHECK(failed.out.empty());
  CHECK(failed.err.compare(0, 9, "moorctl: ") == 0);
}

TEST_CASE("a directory is validated without a daemon", "[ctl]") {
  Directory directory;
  directory.put("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
  directory.put("sub/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
  Options options;
  options.command = ValidateCommand{directory.path(), {}, AdmissionPolicy::Level::baseline};
  const Printed good = carry(options);
  CHECK(good.code == 0);
  CHECK(good.out == "2 files, 2 objects: valid\n");
  directory.put("sub/b.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndato: {}\n---\na: [\n");
  const Printed bad = carry(options);
  CHECK(bad.code == kFailed);
  CHECK(bad.out.find("UnknownField " + directory.path() + "/sub/b.yaml:4:1") != std::string::npos);
  CHECK(bad.out.find("SyntaxError " + directory.path() + "/sub/b.yaml:") != std::string::npos);
  options.output = Output::json;
  const auto report = read_json(carry(options).out);
  REQUIRE(report);
  CHECK_FALSE(truth_in(*report, "valid"));
  CHECK(items_in(*report, "errors").size() >= 2);
  options.command = ValidateCommand{directory / "absent", {}, AdmissionPolicy::Level::baseline};
  CHECK(carry(options).code == kFailed);
}
